//! A file system that is full.

use std::process::Output;

use super::faults::{require_absent, require_honest};
use super::mounted::Mounted;
use super::subject::{Lost, Subject, Work};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};

/// KiB, from next to nothing to more than enough.
const SIZES: [u32; 16] = [4, 8, 16, 32, 48, 64, 80, 100, 140, 200, 300, 340, 380, 420, 700, 4096];
/// The most inodes that are tried, by which everything can be done.
const INODES: u32 = 120;
const ENOUGH: [&str; 2] = ["size=64m", "nr_inodes=10000"];

pub(crate) fn pull(bench: &Bench<'_>) -> Result<()> {
    fill(bench, Work::Pull)
}

pub(crate) fn push(bench: &Bench<'_>) -> Result<()> {
    fill(bench, Work::Push)
}

pub(crate) fn unpack(bench: &Bench<'_>) -> Result<()> {
    fill(bench, Work::Unpack)
}

fn fill(bench: &Bench<'_>, work: Work) -> Result<()> {
    let subject = Subject::new(bench, work)?;
    let sizes = SIZES.iter().map(|kibibytes| format!("size={kibibytes}k"));
    // The first inode is the root's.
    let inodes = (2..INODES).map(|number| format!("nr_inodes={number}"));
    let mut last = None;
    for room in sizes.chain(inodes) {
        let tried = within(bench, &subject, &room).map_err(|source| Error::At { at: room, source: source.into() })?;
        last = Some(tried);
    }
    // Else nothing but failures would have been seen.
    let enough = last.is_some_and(|output| output.status.success());
    require_equal("whether the most room was enough", "true", &enough.to_string())
}

fn within(bench: &Bench<'_>, subject: &Subject<'_>, room: &str) -> Result<Output> {
    let mounted = Mounted::memory(&bench.path(&room.replace('=', "-")), room)?;
    let root = mounted.path();
    let output = subject.command(root).output();
    let output = output.map_err(|source| Error::Spawn { line: "refs".to_owned(), source })?;
    subject.require_sound(root, Lost::Nothing)?;
    require_honest(subject, root, &output)?;
    if !output.status.success() {
        require_absent(&root.join("dest"))?;
    }
    ENOUGH.iter().try_for_each(|room| mounted.widen(room))?;
    subject.require_again(root)?;
    Ok(output)
}
