//! A disk that fails a call.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::strace::{Event, Point, interrupted, points};
use super::subject::{Lost, Subject, Work};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};

/// A call, and what it fails with. `write` is not among them: it wakes threads, too.
const FAULTS: &[(&str, &str)] = &[
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("syncfs", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
    ("mkdirat", "ENOSPC"),
    ("symlinkat", "ENOSPC"),
    ("linkat", "ENOSPC"),
    ("rename", "ENOSPC"),
    ("renameat", "ENOSPC"),
    ("renameat2", "ENOSPC"),
    ("ftruncate", "EIO"),
    ("fchmod", "EIO"),
    ("utimensat", "EIO"),
];
/// The exit code of a disk that is full or fails.
const OTHER: i32 = 1;

pub(crate) fn pull(bench: &Bench<'_>) -> Result<()> {
    fail(bench, Work::Pull)
}

pub(crate) fn push(bench: &Bench<'_>) -> Result<()> {
    fail(bench, Work::Push)
}

pub(crate) fn unpack(bench: &Bench<'_>) -> Result<()> {
    fail(bench, Work::Unpack)
}

fn fail(bench: &Bench<'_>, work: Work) -> Result<()> {
    let subject = Subject::new(bench, work)?;
    let root = bench.path("traced");
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    let mut calls: Vec<&str> = FAULTS.iter().map(|(call, _)| *call).collect();
    calls.dedup();
    let points = points(&subject.command(&root), &calls, &bench.path("trace"))?;
    for (call, error) in FAULTS {
        for point in points.iter().filter(|point| point.call == *call) {
            let at = || format!("{error} at {} {}", point.call, point.nth);
            fail_at(bench, &subject, point, error).map_err(|source| Error::At { at: at(), source: source.into() })?;
        }
    }
    Ok(())
}

fn fail_at(bench: &Bench<'_>, subject: &Subject<'_>, point: &Point, error: &'static str) -> Result<()> {
    let root = bench.path(&format!("failed-{}-{}-{error}", point.call, point.nth));
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    let output = interrupted(&subject.command(&root), point, Event::Fails(error))?;
    subject.require_sound(&root, Lost::Nothing)?;
    require_honest(subject, &root, &output)?;
    // The last sync is that of the folder which shows the destination, whole, already.
    if !output.status.success() && point.call != "fsync" {
        require_absent(&root.join("dest"))?;
    }
    subject.require_again(&root)?;
    fs::remove_dir_all(&root).map_err(Error::file("remove", &root))
}

/// Success means that all is there; anything else is an error in words with its exit code.
pub(super) fn require_honest(subject: &Subject<'_>, root: &Path, output: &Output) -> Result<()> {
    if output.status.success() {
        return subject.require_result(root);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_told = stderr.lines().any(|line| line.starts_with("error: ")) && !stderr.contains("panicked");
    let found = format!("{:?}, told {is_told}", output.status.code());
    require_equal(&format!("after `{}`", stderr.trim()), &format!("{:?}, told true", Some(OTHER)), &found)
}

/// What failed left nothing to be seen.
pub(super) fn require_absent(dest: &Path) -> Result<()> {
    require_equal("whether there is a destination", "false", &dest.exists().to_string())
}
