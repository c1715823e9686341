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
pub(crate) mod process;
mod rootfs;
mod scenarios;
pub(crate) mod servers;
mod summary;
mod token;
pub(crate) mod tools;
pub(crate) mod trees;

use std::time::Instant;

use crate::error::Result;
use crate::workspace::Workspace;
use bench::{Bench, Trees};
use scenarios::Scenario;
use servers::PlaceKind;
use summary::{Missing, Summary};
use tools::Tools;

/// How much to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change must pass.
    Short,
    /// Also what takes minutes.
    Long,
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    extent: Extent,
    /// Only what has this in its name, without the suites and the figures.
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

    fn includes(&self, name: &str) -> bool {
        self.only.is_none_or(|only| name.contains(only))
    }
}

/// Runs every scenario; the last line counts them.
pub(crate) fn run(options: &Options<'_>) -> Result<()> {
    let workspace = Workspace::load()?;
    let tools = Tools::gather(&workspace)?;
    let trees = Trees::write(&workspace.root)?;
    let mut summary = Summary::new(Missing::from_environment());
    for kind in PlaceKind::ALL {
        run_at(kind, &tools, &trees, options, &mut summary);
    }
    if options.only.is_none() {
        conformance::run(&tools, &mut summary);
        figures::run(&tools, &trees, &mut summary);
    }
    summary.close()
}

fn run_at(kind: PlaceKind, tools: &Tools, trees: &Trees, options: &Options<'_>, summary: &mut Summary) {
    let name = |scenario: &Scenario| format!("{}: {}", kind.name(), scenario.name);
    let scenarios: Vec<_> = Scenario::at(kind, options.extent).filter(|it| options.includes(&name(it))).collect();
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
        summary.note(&name(scenario), &result, start.elapsed());
    }
}
