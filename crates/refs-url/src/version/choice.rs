//! The tags that are versions, and the best of them.

use std::fmt;

use super::{Constraint, LeftOut, tagged::Tagged};
use crate::Tag;

/// What counts as a version, and when a prerelease is good enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ChoiceOptions {
    /// Which prereleases may be chosen; by default only those that the constraint names.
    pub prereleases: Prereleases,
    /// What becomes of `1` and `v1.2`; by default they are no versions.
    pub partial: Partial,
}

/// Which prereleases satisfy a constraint, if they are in its range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Prereleases {
    /// All, where a comparator of the same group has a prerelease itself: `>=1.2.3-beta.1` is satisfied by `1.2.4-rc.1`, and
    /// `>=1.2.3` is not. Without a constraint: only when there is no other version.
    #[default]
    WhereNamed,
    /// Those of the very version whose prerelease a comparator of the same group has, as npm does it: `>=1.2.3-beta.1` is
    /// satisfied by `1.2.3-rc.1`, and not by `1.2.4-rc.1`. Without a constraint: only when there is no other version.
    OfNamedVersion,
    /// All, as if they were any other version.
    Included,
}

/// What becomes of tags with fewer than three numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Partial {
    /// They are no versions: such tags move from one version to the next.
    #[default]
    Ignored,
    /// The numbers left out are zero: `v1.2` is `1.2.0`. A number alone with five digits or more is still no version.
    Completed,
}

/// Why no tag was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// There are versions, and none satisfies the constraint.
    #[error("no tag satisfies `{constraint}`: the highest are {}", Listed(available))]
    NoMatch {
        /// What none satisfies.
        constraint: Constraint,
        /// The highest versions that there are, prereleases included, from the highest down; five at most.
        available: Vec<Tag>,
        /// Prereleases that would satisfy it if it named any; none where there are none.
        left_out: Option<LeftOut>,
    },
    /// No tag is a version.
    #[error("{}", NoneOf(*others))]
    NoVersions {
        /// How many tags there are that are no versions; none where nothing was pushed yet.
        others: usize,
    },
}

struct NoneOf(usize);

impl fmt::Display for NoneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("there are no tags"),
            others => write!(f, "none of the {others} tags is a version"),
        }
    }
}

/// The tags that are versions with all three numbers, prereleases included, from the highest down, as they are written.
///
/// The order does not depend on that of `tags`: by precedence; then by build metadata; then what has no `v` comes first;
/// then by bytes.
///
/// ```
/// use refs_url::{Tag, version::semver_tags};
///
/// let tags = ["v1.0.0", "latest", "2.0.0", "20240101", "1.5.0"].map(|tag| Tag::parse(tag).unwrap());
/// assert_eq!(semver_tags(&tags), ["2.0.0", "1.5.0", "v1.0.0"]);
/// ```
pub fn semver_tags(tags: &[Tag]) -> Vec<Tag> {
    descending(versions(tags, Partial::Ignored))
}

/// The tags that satisfy `constraint`, in the order of [`semver_tags`].
pub fn matching_tags(tags: &[Tag], constraint: &Constraint, options: &ChoiceOptions) -> Vec<Tag> {
    let fits = |tagged: &Tagged<'_>| constraint.is_satisfied_by(&tagged.version, options.prereleases);
    descending(versions(tags, options.partial).filter(fits))
}

/// The highest version among `tags` that satisfies `constraint`, in the order of [`semver_tags`].
///
/// Without a constraint it is the highest that is no prerelease, and the highest of all when there is none or when
/// prereleases are [`Included`](Prereleases::Included).
///
/// Each tag is parsed once and met by at most [`Constraint::MAX_COMPARATORS`] comparisons.
///
/// # Errors
///
/// [`ChoiceError::NoVersions`] when no tag is a version, and [`ChoiceError::NoMatch`] when none of them will do.
pub fn best_tag<'a>(
    tags: &'a [Tag],
    constraint: Option<&Constraint>,
    options: &ChoiceOptions,
) -> Result<&'a Tag, ChoiceError> {
    let versions: Vec<_> = versions(tags, options.partial).collect();
    let best = match constraint {
        Some(constraint) => {
            versions.iter().filter(|tagged| constraint.is_satisfied_by(&tagged.version, options.prereleases)).max()
        }
        None if options.prereleases == Prereleases::Included => versions.iter().max(),
        None => versions.iter().max_by_key(|tagged| (tagged.version.pre.is_empty(), *tagged)),
    };
    match (best, constraint) {
        (Some(best), _) => Ok(best.tag),
        (None, Some(constraint)) if !versions.is_empty() => {
            let mut available = descending(versions.into_iter());
            available.truncate(MAX_AVAILABLE);
            let left_out = LeftOut::of(tags, constraint, options);
            Err(ChoiceError::NoMatch { constraint: constraint.clone(), available, left_out })
        }
        (None, _) => Err(ChoiceError::NoVersions { others: tags.len() }),
    }
}

/// As many as fit into a message.
const MAX_AVAILABLE: usize = 5;

fn versions(tags: &[Tag], partial: Partial) -> impl Iterator<Item = Tagged<'_>> {
    tags.iter().filter_map(move |tag| Tagged::parse(tag, partial))
}

fn descending<'a>(versions: impl Iterator<Item = Tagged<'a>>) -> Vec<Tag> {
    let mut versions: Vec<_> = versions.collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|tagged| tagged.tag.clone()).collect()
}

/// Tags with commas between.
struct Listed<'a>(&'a [Tag]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tag) in self.0.iter().enumerate() {
            write!(f, "{}{tag}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
