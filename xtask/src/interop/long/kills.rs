//! `kill -9` at each call that changes a file.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use super::strace::{Event, Point, interrupted, points};
use super::subject::{Lost, Subject, Work};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};

/// The calls that change files, and those that a change waits for.
pub(super) const CALLS: &[&str] = &[
    "rename",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "syncfs",
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "utimensat",
    "fsetxattr",
    "lsetxattr",
    "mknodat",
    "copy_file_range",
];
/// How many of all points every run tries.
const SAMPLE: usize = 25;
const SIGKILL: i32 = 9;

pub(crate) fn pull(bench: &Bench<'_>) -> Result<()> {
    kill(bench, Work::Pull, usize::MAX)
}

pub(crate) fn push(bench: &Bench<'_>) -> Result<()> {
    kill(bench, Work::Push, usize::MAX)
}

pub(crate) fn unpack(bench: &Bench<'_>) -> Result<()> {
    kill(bench, Work::Unpack, usize::MAX)
}

/// A few points of unpacking, which does all that the others do.
pub(crate) fn sample(bench: &Bench<'_>) -> Result<()> {
    kill(bench, Work::Unpack, SAMPLE)
}

fn kill(bench: &Bench<'_>, work: Work, most: usize) -> Result<()> {
    let subject = Subject::new(bench, work)?;
    let root = bench.path("traced");
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    let points = points(&subject.command(&root), CALLS, &bench.path("trace"))?;
    let step = points.len().div_ceil(most);
    let mut killed = 0;
    for point in points.iter().step_by(step) {
        killed += usize::from(kill_at(bench, &subject, point)?);
    }
    // With other timing a thread may not make as many calls; where none was killed, nothing was tried.
    require_equal("whether anything was killed", "true", &(killed > 0).to_string())
}

/// Whether it came so far.
fn kill_at(bench: &Bench<'_>, subject: &Subject<'_>, point: &Point) -> Result<bool> {
    let root = bench.path(&format!("killed-{}-{}", point.call, point.nth));
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    let output = interrupted(&subject.command(&root), point, Event::Kill)?;
    let checked = subject.require_sound(&root, Lost::Nothing).and_then(|()| subject.require_again(&root));
    checked
        .map_err(|source| Error::At { at: format!("killed at {} {}", point.call, point.nth), source: source.into() })?;
    fs::remove_dir_all(&root).map_err(Error::file("remove", &root))?;
    Ok(output.status.signal() == Some(SIGKILL))
}
