//! `cargo xtask interop`: the built `refs` against real servers and real peers, and the suite of refs-testkit over them.
//!
//! Every scenario runs at every place it is for, alone: it pushes what it needs, and a failure does not stop the rest.

mod bench;
pub(crate) mod certificates;
mod compare;
mod conformance;
mod figures;
mod link;
pub(crate) mod process;
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
use servers::{Place, PlaceKind};
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

/// Runs every scenario; the last line counts them.
pub(crate) fn run(extent: Extent) -> Result<()> {
    let workspace = Workspace::load()?;
    let tools = Tools::gather(&workspace)?;
    let trees = Trees::write(&workspace.root)?;
    let mut summary = Summary::new(Missing::from_environment());
    for kind in PlaceKind::ALL {
        let start = Instant::now();
        let place = kind.start(&tools);
        match &place {
            Ok(place) => run_at(place, &tools, &trees, extent, &mut summary),
            Err(_) => summary.note(kind.name(), &place.map(|_| ()), start.elapsed()),
        }
    }
    conformance::run(&tools, &mut summary);
    figures::run(&tools, &trees, &mut summary);
    summary.close()
}

fn run_at(place: &Place, tools: &Tools, trees: &Trees, extent: Extent, summary: &mut Summary) {
    for scenario in Scenario::at(place.kind, extent) {
        let start = Instant::now();
        let result = Bench::new(tools, place, trees).and_then(|bench| (scenario.run)(&bench));
        summary.note(&format!("{}: {}", place.kind.name(), scenario.name), &result, start.elapsed());
    }
}
