//! With `--offline` no socket is opened, by the kernel's own count.

use std::ffi::OsStr;

use super::round_trip::pushed;
use crate::error::Result;
use crate::interop::bench::{Bench, require_equal};
use crate::interop::compare::{Closely, Tree};
use crate::interop::long::points;

/// A socketpair is none: tokio tells itself of signals by one.
const CALLS: [&str; 4] = ["socket", "connect", "sendto", "sendmsg"];

/// All commands that can be offline, each after what it needs was pulled, and one that is not, as it must be seen.
pub(super) fn no_socket(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let before = bench.path("before");
    let online = ["pull".as_ref(), reference.as_ref(), before.as_os_str()];
    require_equal("whether a pull opens sockets", "true", &(calls(bench, &online)? > 0).to_string())?;
    let (after, offline) = (bench.path("after"), OsStr::new("--offline"));
    let repository = bench.place.repository("interop/sample");
    let lines: [&[&OsStr]; 6] = [
        &["pull".as_ref(), reference.as_ref(), after.as_os_str()],
        &["ls".as_ref(), reference.as_ref()],
        &["cat".as_ref(), reference.as_ref(), "README.md".as_ref()],
        &["resolve".as_ref(), reference.as_ref()],
        &["manifest".as_ref(), reference.as_ref()],
        &["tags".as_ref(), repository.as_ref()],
    ];
    for line in lines {
        let words = [line, &[offline]].concat();
        require_equal(&format!("calls of {line:?}"), "0", &calls(bench, &words)?.to_string())?;
    }
    bench.trees.sample_tree.require(&Tree::read(&after)?, Closely::Times, "the pull")
}

/// How many calls a run with these words makes that have to do with the network; it must end well.
fn calls(bench: &Bench<'_>, words: &[&OsStr]) -> Result<usize> {
    let command = bench.refs_command(&bench.place.credentials.right, words);
    Ok(points(&command, &CALLS, &bench.path("strace.log"))?.len())
}
