//! What a constraint leaves out because it names no prerelease.

use std::fmt;

use semver::Prerelease;

use super::{
    ChoiceOptions, Constraint,
    comparator::{Comparator, Operator, Precision},
};
use crate::Tag;

/// Prereleases that a constraint leaves out as it names none, and how it is written to name them. `Display` says
/// ``2 prereleases match `^2-0` ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many there are.
    pub count: usize,
    /// The constraint that they satisfy. Of versions that are no prereleases the same satisfy it.
    pub constraint: Constraint,
}

impl LeftOut {
    /// What of `tags` satisfies `constraint` as soon as that names prereleases; `None` when nothing does.
    ///
    /// ```
    /// use refs_url::{Tag, version::LeftOut};
    ///
    /// let tags = ["1.0.0", "2.0.0-rc.1", "2.1.0-rc.1"].map(|tag| Tag::parse(tag).unwrap());
    /// let left_out = LeftOut::of(&tags, &"^2".parse().unwrap(), &Default::default()).unwrap();
    /// assert_eq!(left_out.to_string(), "2 prereleases match `^2-0`");
    /// ```
    pub fn of(tags: &[Tag], constraint: &Constraint, options: &ChoiceOptions) -> Option<Self> {
        let naming = constraint.naming_prereleases()?;
        let is_left_out = |tag: &&Tag| naming.accepts(tag, options) && !constraint.accepts(tag, options);
        let count = tags.iter().filter(is_left_out).count();
        (count > 0).then_some(Self { count, constraint: naming })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = if self.count == 1 { "prerelease matches" } else { "prereleases match" };
        write!(f, "{} {words} `{}`", self.count, self.constraint)
    }
}

impl Constraint {
    /// The same for versions that are no prereleases, with the first prerelease named wherever that is so; `None` where that
    /// is nowhere, or would be longer than a constraint may be.
    fn naming_prereleases(&self) -> Option<Self> {
        let first = Prerelease::new("0").ok()?;
        let group = |group: &[Comparator]| {
            let comparators = group.iter().map(|comparator| comparator.naming(&first).to_string());
            comparators.collect::<Vec<_>>().join(", ")
        };
        let text = self.groups.iter().map(|comparators| group(comparators)).collect::<Vec<_>>().join(" || ");
        Self::parse(&text).ok().filter(|naming| naming.groups != self.groups)
    }
}

impl Comparator {
    /// The same with `first` for a prerelease, where that includes and excludes no other version that is no prerelease.
    fn naming(&self, first: &Prerelease) -> Self {
        let takes = match (self.operator, self.precision) {
            (Operator::Caret | Operator::Tilde | Operator::GreaterOrEqual | Operator::Less, _) => true,
            (Operator::Equal | Operator::LessOrEqual, precision) => precision != Precision::Patch,
            (Operator::Greater, precision) => matches!(precision, Precision::Major | Precision::Minor),
            (Operator::NotEqual, _) => false,
        };
        let mut naming = self.clone();
        if takes && naming.version.pre.is_empty() {
            naming.version.pre = first.clone();
        }
        naming
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.operator {
            Operator::Equal => "",
            Operator::NotEqual => "!=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Tilde => "~",
            Operator::Caret => "^",
        })?;
        let version = &self.version;
        match self.precision {
            Precision::Nothing => f.write_str("*"),
            Precision::Major => write!(f, "{}", version.major),
            Precision::Minor => write!(f, "{}.{}", version.major, version.minor),
            Precision::Patch => write!(f, "{}.{}.{}", version.major, version.minor, version.patch),
        }?;
        if version.pre.is_empty() { Ok(()) } else { write!(f, "-{}", version.pre) }
    }
}
