//! What takes too long for every change: programs that are killed, many at once.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::Bench;
use crate::interop::compare::{Closely, Tree};
use crate::interop::process::Server;

/// After how many milliseconds a program is killed.
const MOMENTS: [u64; 8] = [2, 5, 10, 20, 40, 80, 160, 320];

/// No push that is cut may stand in the way of the next, and the last must be whole.
pub(super) fn push_killed(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/killed", "v1");
    for moment in MOMENTS {
        kill_after(moment, bench, &["push".as_ref(), bench.trees.many.as_os_str(), reference.as_ref()])?;
    }
    bench.push(&bench.trees.many, &reference)?;
    bench.trees.many_tree.require(&bench.pull(&reference, &[])?, Closely::Times, "pull")
}

/// A destination is complete or absent, whenever the pull is cut.
pub(super) fn pull_killed(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/many", "v1");
    bench.push(&bench.trees.many, &reference)?;
    for moment in MOMENTS {
        let destination = bench.path(&format!("after-{moment}"));
        kill_after(moment, bench, &["pull".as_ref(), reference.as_ref(), destination.as_os_str()])?;
        complete_or_absent(&bench.trees.many_tree, &destination)?;
        bench.refs(&["pull".as_ref(), reference.as_ref(), destination.as_os_str(), OsStr::new("--force")])?.stdout()?;
        bench.trees.many_tree.require(&Tree::read(&destination)?, Closely::Times, "pull after a kill")?;
    }
    Ok(())
}

/// Several processes work side by side on one machine, with whatever they share.
pub(super) fn at_once(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let pull = |number: usize| {
        let destination = bench.path(&format!("pulled-{number}"));
        bench.refs(&["pull".as_ref(), reference.as_ref(), destination.as_os_str()])?.stdout()?;
        bench.trees.sample_tree.require(&Tree::read(&destination)?, Closely::Times, "one pull of eight")
    };
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..8).map(|number| scope.spawn(move || pull(number))).collect();
        pulls.into_iter().try_for_each(|pull| pull.join().unwrap_or(Err(Error::Usage("a thread ended early"))))
    })
}

fn kill_after(milliseconds: u64, bench: &Bench<'_>, words: &[&OsStr]) -> Result<()> {
    let logs = bench.path("logs");
    fs::create_dir_all(&logs).map_err(Error::file("create", &logs))?;
    let mut command = bench.refs_command(&bench.place.credentials.right, words);
    let mut running = Server::start("killed", &mut command, &logs)?;
    thread::sleep(Duration::from_millis(milliseconds));
    running.kill();
    Ok(())
}

fn complete_or_absent(expected: &Tree, destination: &Path) -> Result<()> {
    match fs::symlink_metadata(destination) {
        Ok(_) => expected.require(&Tree::read(destination)?, Closely::Times, "what a killed pull left"),
        Err(_) => Ok(()),
    }
}
