//! One comparison of a constraint: an operator, and the version that it compares with.

use std::cmp::Ordering;

use semver::Version;

/// Numbers that are left out or wildcards are zero in `version`; `precision` says which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Comparator {
    pub(super) operator: Operator,
    pub(super) version: Version,
    pub(super) precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// How many numbers are given before the first wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Precision {
    Nothing,
    Major,
    Minor,
    Patch,
}

impl Comparator {
    /// Whether `version` is in the range, be it a prerelease or not. Build metadata makes no difference.
    pub(super) fn includes(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        let (major, minor) = (version.major == self.version.major, version.minor == self.version.minor);
        match (self.operator, self.precision) {
            (Operator::Equal, Precision::Patch) => order.is_eq(),
            (Operator::Equal | Operator::Tilde, _) => order.is_ge() && self.is_near(version),
            (Operator::Caret, _) => order.is_ge() && self.is_compatible(version),
            (Operator::NotEqual, Precision::Major) => !major,
            (Operator::NotEqual, Precision::Minor) => !(major && minor && version.pre == self.version.pre),
            (Operator::NotEqual, _) => order.is_ne(),
            (Operator::Greater, Precision::Major | Precision::Minor) => self.order_of_numbers(version).is_gt(),
            (Operator::Greater, _) => order.is_gt(),
            (Operator::GreaterOrEqual, _) => order.is_ge(),
            (Operator::Less, _) => order.is_lt(),
            (Operator::LessOrEqual, Precision::Patch) => order.is_le(),
            (Operator::LessOrEqual, _) => self.order_of_numbers(version).is_le(),
        }
    }

    /// For `~`, of a version that is not lower: up to the next minor version, or the next major one when no minor is given.
    fn is_near(&self, version: &Version) -> bool {
        let is_origin = (self.version.major, self.version.minor, self.version.patch) == (0, 0, 0);
        match self.precision {
            Precision::Nothing => true,
            // Masterminds documents that `~0.0.0` takes all.
            Precision::Patch if is_origin => true,
            _ => self.order_of_numbers(version).is_eq(),
        }
    }

    /// For `^`, of a version that is not lower: up to where the first number that is not zero, or the last that is given,
    /// changes.
    fn is_compatible(&self, version: &Version) -> bool {
        let given = &self.version;
        match (self.precision, given.major, given.minor) {
            (Precision::Nothing, ..) => true,
            (Precision::Major, ..) | (_, 1.., _) => version.major == given.major,
            (Precision::Minor, ..) | (_, _, 1..) => (version.major, version.minor) == (0, given.minor),
            _ => (version.major, version.minor, version.patch) == (0, 0, given.patch),
        }
    }

    /// The order by the numbers above the patch that are given.
    fn order_of_numbers(&self, version: &Version) -> Ordering {
        let minor = match self.precision {
            Precision::Major => Ordering::Equal,
            _ => version.minor.cmp(&self.version.minor),
        };
        version.major.cmp(&self.version.major).then(minor)
    }
}
