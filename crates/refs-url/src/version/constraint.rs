//! Which versions will do.

use std::{fmt, str::FromStr};

use semver::Version;

use super::{ChoiceOptions, Prereleases, comparator::Comparator, parse, tagged::Tagged};
use crate::{ParseError, Tag};

/// A condition on versions, in the grammar of Go's `Masterminds/semver`, which Helm has too: `^1.2`, `>=1.1, <2 || ~3.4`.
///
/// Groups of comparators are divided by `||`, and one of them has to hold; in a group commas or spaces divide the
/// comparators, and all of them have to. A comparator is an operator and a version, whose numbers may be left out or be
/// wildcards (`x`, `X`, `*`):
///
/// | Comparator | Meaning |
/// |---|---|
/// | `1.2.3`, `=1.2.3` | this version; build metadata makes no difference |
/// | `1.2`, `1.2.x`, `=1.2` | as `~1.2` |
/// | `!=1.2` | any but `1.2.x` |
/// | `>1.2`, `<=1.2` | above all of `1.2.x`, and up to the last of it |
/// | `>=1.2`, `<1.2` | from `1.2.0` on, and below it; `=>` is `>=`, and `=<` is `<=` |
/// | `~1.2.3`, `~>1.2.3` | `>=1.2.3, <1.3.0`; `~1` is `>=1.0.0, <2.0.0` |
/// | `^1.2.3` | `>=1.2.3, <2.0.0`; `^0.2.3` is `>=0.2.3, <0.3.0`, and `^0.0.3` is `0.0.3` |
/// | `1.2 - 2.3` | `>=1.2, <=2.3` |
/// | `*`, and nothing at all | `>=0.0.0`; `~*`, `^*` and `~0.0.0` are the same |
///
/// With the other operators a wildcard alone is `0.0.0`. What follows a wildcard makes no difference: `1.x.7` is `1.x`.
///
/// Whether a prerelease in the range will do is said by [`Prereleases`]. `Display` gives the text as it was written, with
/// one space for all white space between two words. Two constraints are equal when that text is.
///
/// A constraint has at most [`Constraint::MAX_LEN`] bytes and [`Constraint::MAX_COMPARATORS`] comparators, of which
/// `1.2 - 2.3` counts as two.
///
/// # Deviation
///
/// From Masterminds/semver 3.5.0, which takes other things than are written, or nothing at all:
///
/// - Nothing, or white space alone, is `*` and no error; `^*` is `*`, as it documents, and not `0.0.0`.
/// - `1||2 - 3` is `1 || 2 - 3`, and not `>=1 || 2 <=3`; a range such as `2 - 3` may follow a space, not only a comma; what
///   follows a range needs a separator.
/// - After a wildcard there may be numbers and wildcards, but no mixture of both, and no `|`.
/// - Numbers in prereleases are compared as numbers however large they are.
/// - Its bounds are 512 bytes, 32 groups, and 256 bytes for each version.
///
/// ```
/// use refs_url::{Tag, version::{ChoiceOptions, Constraint}};
///
/// let constraint: Constraint = ">=1.1, <2 || ~3.4".parse().unwrap();
/// assert!(constraint.accepts(&Tag::parse("v1.9.0").unwrap(), &ChoiceOptions::default()));
/// assert!(!constraint.accepts(&Tag::parse("2.0.0").unwrap(), &ChoiceOptions::default()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    pub(super) text: Box<str>,
    pub(super) groups: Box<[Box<[Comparator]>]>,
}

impl Constraint {
    /// The most bytes a constraint may have.
    pub const MAX_LEN: usize = 1024;

    /// The most comparators a constraint may have, in all its groups together.
    pub const MAX_COMPARATORS: usize = 64;

    /// Parses the whole of `text`; white space around it is left out.
    ///
    /// # Errors
    ///
    /// With the byte where it is wrong: [`ConstraintTooLong`](crate::ParseErrorKind::ConstraintTooLong),
    /// [`TooManyComparators`](crate::ParseErrorKind::TooManyComparators),
    /// [`ExpectedVersion`](crate::ParseErrorKind::ExpectedVersion),
    /// [`ExpectedNumber`](crate::ParseErrorKind::ExpectedNumber),
    /// [`ExpectedSeparator`](crate::ParseErrorKind::ExpectedSeparator),
    /// [`NumberTooBig`](crate::ParseErrorKind::NumberTooBig),
    /// [`InvalidPrerelease`](crate::ParseErrorKind::InvalidPrerelease) or
    /// [`InvalidBuild`](crate::ParseErrorKind::InvalidBuild).
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::constraint(text).map_err(|fault| ParseError::new(text, fault))
    }

    /// Whether `tag` is a version that satisfies this.
    pub fn accepts(&self, tag: &Tag, options: &ChoiceOptions) -> bool {
        Tagged::parse(tag, options.partial)
            .is_some_and(|tagged| self.is_satisfied_by(&tagged.version, options.prereleases))
    }

    pub(super) fn is_satisfied_by(&self, version: &Version, prereleases: Prereleases) -> bool {
        self.groups.iter().any(|group| {
            allows_prerelease(group, version, prereleases)
                && group.iter().all(|comparator| comparator.includes(version))
        })
    }
}

fn allows_prerelease(group: &[Comparator], version: &Version, prereleases: Prereleases) -> bool {
    let numbers = |version: &Version| (version.major, version.minor, version.patch);
    let mut named = group.iter().map(|comparator| &comparator.version).filter(|named| !named.pre.is_empty());
    version.pre.is_empty()
        || match prereleases {
            Prereleases::WhereNamed => named.next().is_some(),
            Prereleases::OfNamedVersion => named.any(|named| numbers(named) == numbers(version)),
            Prereleases::Included => true,
        }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Constraint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

serde_as_text!(Constraint);
