//! What the words after `cargo xtask bench` ask for.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Which series, and how often each.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Three rounds instead of five.
    pace: Pace,
    /// Only series whose name contains this.
    only: Option<String>,
    /// Where to put the report as JSON.
    pub(crate) json: Option<PathBuf>,
    extent: Extent,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Pace {
    #[default]
    Full,
    Quick,
}

/// Whether cost is also shown at 1, 10 and 100 times the size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Extent {
    #[default]
    Usual,
    Scale,
}

const USAGE: &str = "usage: cargo xtask bench [--quick] [--scale] [--only NAME] [--json FILE]";

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => options.pace = Pace::Quick,
                "--scale" => options.extent = Extent::Scale,
                "--only" => options.only = Some(words.next().ok_or(Error::Usage(USAGE))?.to_string()),
                "--json" => options.json = Some(words.next().ok_or(Error::Usage(USAGE))?.into()),
                _ => return Err(Error::Usage(USAGE)),
            }
        }
        Ok(options)
    }

    /// Whether the series `name` is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        match &self.only {
            Some(part) => name.contains(part.as_str()),
            None => self.extent == Extent::Scale || !name.starts_with("scale"),
        }
    }

    /// How many timed rounds a series gets whose runs are of this size; one more goes before, to warm up.
    pub(crate) fn rounds(&self, weight: Weight) -> usize {
        match (self.pace, weight) {
            (Pace::Full, Weight::Tiny) => 31,
            (Pace::Quick, Weight::Tiny) => 11,
            (Pace::Full, Weight::Light | Weight::Medium) => 5,
            (Pace::Full, Weight::Heavy) | (Pace::Quick, _) => 3,
        }
    }

    /// Whether the large trees are left small and the slow peers out.
    pub(crate) fn is_quick(&self) -> bool {
        self.pace == Pace::Quick
    }
}

/// How long one round of a series takes, more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Milliseconds.
    Tiny,
    /// A second or two.
    Light,
    /// Some seconds.
    Medium,
    /// More.
    Heavy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, series: &str, wanted: bool) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(Options::parse(&words).unwrap().wants(series), wanted, "{line}");
    }

    #[test]
    fn a_series_is_chosen_by_a_part_of_its_name() {
        check("", "pull many", true);
        check("--only pull", "pull many", true);
        check("--quick --only push", "pull many", false);
        check("", "scale x10", false);
        check("--scale", "scale x10", true);
        check("--only scale", "scale x10", true);
    }

    #[test]
    fn unknown_words_are_refused() {
        for line in ["--only", "--json", "--fast", "push"] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(matches!(Options::parse(&words), Err(Error::Usage(_))), "{line}");
        }
    }
}
