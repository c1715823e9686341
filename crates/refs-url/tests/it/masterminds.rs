//! Constraints as Go's Masterminds/semver reads them, in all rows but those that are listed here with a reason.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::cmp::Ordering;

use refs_url::{
    ParseErrorKind, Tag,
    version::{ChoiceOptions, Constraint, Partial, Prereleases, matching_tags},
};

/// Made with the reference program; the first lines say how it is read.
const GOLDEN: &str = include_str!("../vectors/constraints.txt");

/// What we do with a constraint instead.
#[derive(Debug)]
enum Ours {
    /// The same as Masterminds does with another.
    Like(&'static str),
    Refused,
}
use Ours::*;

/// The constraints that we take otherwise, and why.
const DIFFERENCES: &[(&[(&str, Ours)], &str)] = &[
    (
        &[("", Like("*")), (" ", Like("*")), ("\t\n", Like("*"))],
        "no condition is no error: its own parser of single comparators takes it for `*`",
    ),
    (&[("^*", Like("*")), ("^x", Like("*"))], "its documentation says so, and `0.0.0` alone is never meant"),
    (
        &[
            ("<2 1.0 - 3", Like("<2, 1.0 - 3")),
            ("!=1.2.3 1 - 2", Like("!=1.2.3, 1 - 2")),
            ("1||2 - 3", Like("1 || 2 - 3")),
            ("1 ||2 - 3", Like("1 || 2 - 3")),
        ],
        "ranges are rewritten there before anything else is read, with what stands around them",
    ),
    (
        &[("1 - 2>1.5", Refused), ("1 - 2v1", Refused), ("1 - 2!=1.2.3", Refused)],
        "the same: the space that its rewriting adds divides what is not divided",
    ),
    (
        &[
            ("x.1|2", Refused),
            ("x.xx", Refused),
            ("x.1x", Refused),
            ("1.x.3x", Refused),
            ("1.x.*|", Refused),
            ("*.|.|", Refused),
        ],
        "what follows a wildcard is not looked at there, so that mistakes are not found",
    ),
];

/// A version that Masterminds compares otherwise: what does not fit into 64 bits is a text to it, and to us a number, as
/// <https://semver.org/spec/v2.0.0.html#spec-item-11> has it.
const COMPARED_OTHERWISE: &str = "1.0.0-99999999999999999999";

/// Of the longest ones some are beyond one bound alone: ours are in bytes and comparators, theirs in bytes, groups and bytes
/// of a version.
const THEIR_LEN: usize = 512;
const THEIR_GROUPS: usize = 32;
const THEIR_VERSION_LEN: usize = 256;

struct Golden {
    versions: Vec<Tag>,
    order: Vec<Vec<Tag>>,
    rows: Vec<(String, Row)>,
}

/// The marks for all versions, and those with prereleases included; none when the constraint is an error.
type Row = Option<[String; 2]>;

fn golden() -> Golden {
    let mut lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let mut words = |name: &str| lines.next().unwrap().strip_prefix(name).unwrap().split_whitespace();
    let versions = words("versions ").map(|tag| tag.parse().unwrap()).collect();
    let order = words("order ").map(|equal| equal.split('=').map(|tag| tag.parse().unwrap()).collect()).collect();
    let rows = lines.map(|line| {
        let (text, row) = match line.strip_suffix(" error") {
            Some(text) => (text, None),
            None => {
                let mut parts = line.rsplitn(3, ' ');
                let mut part = || parts.next().unwrap().to_owned();
                let (included, named) = (part(), part());
                (parts.next().unwrap(), Some([named, included]))
            }
        };
        (serde_json::from_str(text).unwrap(), row)
    });
    Golden { versions, order, rows: rows.collect() }
}

impl Golden {
    fn row(&self, constraint: &str) -> &Row {
        &self.rows.iter().find(|(text, _)| text == constraint).unwrap_or_else(|| panic!("no row for `{constraint}`")).1
    }

    /// What is expected of us for a constraint.
    fn expected(&self, constraint: &str) -> &Row {
        match DIFFERENCES.iter().flat_map(|(rows, _)| *rows).find(|(text, _)| *text == constraint) {
            None => self.row(constraint),
            Some((_, Like(other))) => self.row(other),
            Some((_, Refused)) => &None,
        }
    }

    /// The marks that we give.
    fn found(&self, constraint: &str) -> Row {
        let constraint: Constraint = constraint.parse().ok()?;
        Some([Prereleases::WhereNamed, Prereleases::Included].map(|prereleases| {
            let options = ChoiceOptions { prereleases, partial: Partial::Completed };
            let mark = |tag: &Tag| if constraint.accepts(tag, &options) { '#' } else { '.' };
            self.versions.iter().map(mark).collect()
        }))
    }
}

/// Whether only one of the two programs could take a constraint, for its length.
fn differs_in_bounds(constraint: &str) -> bool {
    let theirs = constraint.len() > THEIR_LEN
        || constraint.split("||").count() > THEIR_GROUPS
        || constraint.len() > THEIR_VERSION_LEN + 1 && !constraint.contains([' ', ',', '|']);
    let ours = Constraint::parse(constraint).err().map(|error| error.kind());
    theirs != matches!(ours, Some(ParseErrorKind::ConstraintTooLong | ParseErrorKind::TooManyComparators))
}

/// The versions that have other marks in one row than in the other.
fn differing<'a>(golden: &'a Golden, one: &Row, other: &Row) -> Vec<&'a str> {
    let differs = |index: usize| {
        let mark = |row: &Row, which: usize| row.as_ref().map(|marks| marks[which].as_bytes()[index]);
        (0..2).any(|which| mark(one, which) != mark(other, which))
    };
    golden.versions.iter().enumerate().filter(|(index, _)| differs(*index)).map(|(_, tag)| tag.as_str()).collect()
}

#[test]
fn every_row_is_as_masterminds_has_it_or_listed() {
    let golden = golden();
    assert_eq!((golden.versions.len(), golden.rows.len()), (161, 520));
    let mut otherwise = 0;
    for (constraint, _) in golden.rows.iter().filter(|(text, _)| !differs_in_bounds(text)) {
        let (expected, found) = (golden.expected(constraint), golden.found(constraint));
        assert_eq!(found.is_none(), expected.is_none(), "{constraint:?}: {:?}", Constraint::parse(constraint));
        match differing(&golden, expected, &found)[..] {
            [] => {}
            [COMPARED_OTHERWISE] => otherwise += 1,
            ref wrong => panic!("{constraint:?} with {wrong:?}"),
        }
    }
    assert_eq!(otherwise, 3, "rows in which `{COMPARED_OTHERWISE}` is compared otherwise");
}

#[test]
fn every_listed_difference_is_one() {
    let golden = golden();
    for (rows, reason) in DIFFERENCES {
        for (constraint, ours) in *rows {
            assert_ne!(golden.expected(constraint), golden.row(constraint), "{constraint:?} is {ours:?}: {reason}");
        }
    }
    let bounds = golden.rows.iter().filter(|(text, _)| differs_in_bounds(text));
    let taken_by_one = bounds.filter(|(text, row)| row.is_none() != Constraint::parse(text).is_err());
    assert_eq!(taken_by_one.count(), 6, "constraints too long for one of the two");
}

#[test]
fn order_is_that_of_masterminds_and_has_no_ties() {
    let golden = golden();
    let all: Constraint = "*-0".parse().unwrap();
    let options = ChoiceOptions { prereleases: Prereleases::Included, partial: Partial::Completed };
    let rank = |tag: &Tag| golden.order.iter().position(|equal| equal.contains(tag)).unwrap();
    let sorted = matching_tags(&golden.versions, &all, &options);
    assert_eq!(sorted.len(), golden.versions.len());
    let sorted: Vec<_> = sorted.iter().filter(|tag| **tag != COMPARED_OTHERWISE).collect();
    assert!(sorted.is_sorted_by(|a, b| rank(a).cmp(&rank(b)) != Ordering::Greater), "{sorted:?}");
}
