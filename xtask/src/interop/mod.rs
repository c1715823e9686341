//! `cargo xtask interop`: the built `refs` against real servers and real peers, and the suite of refs-testkit over them.
//!
//! Every scenario runs at every place it is for, alone: it pushes what it needs, and a failure does not stop the rest.

mod bench;
pub(crate) mod certificates;
mod compare;
mod conformance;
mod figures;
mod images;
mod link;
mod long;
mod moto;
pub(crate) mod process;
mod rootfs;
mod scenarios;
pub(crate) mod servers;
mod summary;
mod token;
pub(crate) mod tools;
pub(crate) mod trees;

use std::time::Instant;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use bench::{Bench, Trees};
use scenarios::Scenario;
use servers::PlaceKind;
use summary::{Missing, Summary};
use tools::{Build, Tools};

/// How much to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change must pass.
    Short,
    /// Also what takes minutes, and weighs or hurries the program: in release.
    Long,
}

impl Extent {
    fn build(self) -> Build {
        match self {
            Self::Short => Build::Tested,
            Self::Long => Build::WithBuckets,
        }
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    extent: Extent,
    /// Only what has this in its name.
    only: Option<&'a str>,
}

impl<'a> Options<'a> {
    /// Reads the words after `interop`.
    pub(crate) fn parse(words: &[&'a str]) -> Option<Self> {
        let mut options = Self { extent: Extent::Short, only: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--long" => options.extent = Extent::Long,
                "--only" => options.only = Some(words.next()?),
                _ => return None,
            }
        }
        Some(options)
    }

    /// What is to run at this kind of place.
    fn at(&self, kind: PlaceKind) -> impl Iterator<Item = &'static Scenario> {
        Scenario::at(kind, self.extent).filter(move |it| self.wants(&full_name(kind, it)))
    }

    /// Whether what has this name is to run.
    fn wants(&self, name: &str) -> bool {
        self.only.is_none_or(|only| name.contains(only))
    }

    /// The names of all that is to run.
    fn names(&self) -> Vec<String> {
        let scenarios = PlaceKind::ALL.into_iter().flat_map(|kind| self.at(kind).map(move |it| full_name(kind, it)));
        let others = conformance::names().chain(figures::names()).filter(|name| self.wants(name));
        scenarios.chain(others).collect()
    }

    /// Makes sure that there is something to run.
    ///
    /// # Errors
    /// `NoScenario`, with the names of all scenarios.
    fn check(&self) -> Result<()> {
        match self.only {
            Some(only) if self.names().is_empty() => {
                let names = Scenario::names().map(str::to_owned).chain(conformance::names()).chain(figures::names());
                Err(Error::NoScenario { only: only.to_owned(), names: names.collect() })
            }
            _ => Ok(()),
        }
    }
}

fn full_name(kind: PlaceKind, scenario: &Scenario) -> String {
    format!("{}: {}", kind.name(), scenario.name)
}

/// Runs every scenario; the last line counts them.
pub(crate) fn run(options: &Options<'_>) -> Result<()> {
    options.check()?;
    let workspace = Workspace::load()?;
    let tools = Tools::gather(&workspace, options.extent.build())?;
    let trees = Trees::write(&workspace.root)?;
    let mut summary = Summary::new(Missing::from_environment());
    for kind in PlaceKind::ALL {
        run_at(kind, &tools, &trees, options, &mut summary);
    }
    conformance::run(&tools, options, &mut summary);
    figures::run(&tools, &trees, options, &mut summary);
    summary.close()
}

fn run_at(kind: PlaceKind, tools: &Tools, trees: &Trees, options: &Options<'_>, summary: &mut Summary) {
    let scenarios: Vec<_> = options.at(kind).collect();
    if scenarios.is_empty() {
        return;
    }
    let start = Instant::now();
    let place = match kind.start(tools) {
        Ok(place) => place,
        Err(error) => return summary.note(kind.name(), &Err(error), start.elapsed()),
    };
    for scenario in scenarios {
        let start = Instant::now();
        let result = Bench::new(tools, &place, trees).and_then(|bench| (scenario.run)(&bench));
        summary.note(&full_name(kind, scenario), &result, start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], runs: bool) {
        let checked = Options::parse(words).unwrap().check();
        assert_eq!(checked.is_ok(), runs, "{words:?}: {checked:?}");
    }

    #[test]
    fn what_no_scenario_is_called_is_an_error() {
        check(&[], true);
        check(&["--only", "pull by glob"], true);
        check(&["--only", "ocidir: list"], true);
        check(&["--only", "the suite of the distribution spec"], true);
        check(&["--only", "conformance: refs, serve"], true);
        check(&["--only", "a pull over a link that cuts"], true);
        check(&["--only", "no such thing"], false);
        check(&["--only", "pull killed at every call"], false);
        check(&["--long", "--only", "pull killed at every call"], true);
        let error = Options::parse(&["--only", "pul by glob"]).unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with("no scenario has `pul by glob` in its name; there are:\n"), "{error}");
        assert!(error.contains("\n  pull by glob\n"), "{error}");
    }
}
