//! A disk that loses its power: what has not reached it is gone.

use std::fs;
use std::path::Path;

use super::kills::CALLS;
use super::mounted::{Mounted, format};
use super::strace::{Event, Point, interrupted, points};
use super::subject::{Lost, Subject, Work};
use crate::error::{Error, Result};
use crate::interop::bench::Bench;
use crate::interop::process::Outcome;

/// How many moments are tried, spread over the work.
const MOMENTS: usize = 40;

pub(crate) fn pull(bench: &Bench<'_>) -> Result<()> {
    cut(bench, Work::Pull)
}

pub(crate) fn push(bench: &Bench<'_>) -> Result<()> {
    cut(bench, Work::Push)
}

pub(crate) fn unpack(bench: &Bench<'_>) -> Result<()> {
    cut(bench, Work::Unpack)
}

fn cut(bench: &Bench<'_>, work: Work) -> Result<()> {
    let subject = Subject::new(bench, work)?;
    let root = bench.path("traced");
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    let points = points(&subject.command(&root), CALLS, &bench.path("trace"))?;
    let step = points.len().div_ceil(MOMENTS);
    for point in points.iter().step_by(step) {
        let at = |source: Error| Error::At {
            at: format!("power cut at {} {}", point.call, point.nth),
            source: source.into(),
        };
        cut_at(bench, &subject, Some(point)).map_err(at)?;
    }
    cut_at(bench, &subject, None)
        .map_err(|source| Error::At { at: "power cut at the end".to_owned(), source: source.into() })
}

/// Cuts the power at `point`, or once the work is done.
fn cut_at(bench: &Bench<'_>, subject: &Subject<'_>, point: Option<&Point>) -> Result<()> {
    let (disk, path) = (bench.path("disk"), bench.path("mounted"));
    format(&disk)?;
    let mounted = Mounted::disk(&path, &disk)?;
    match point {
        Some(point) => drop(interrupted(&subject.command(&path), point, Event::Kill)?),
        None => drop(Outcome::of(&mut subject.command(&path))?.stdout()?),
    }
    bench.shut_down(&path)?;
    drop(mounted);
    let _mounted = Mounted::disk(&path, &disk)?;
    check(subject, &path, point)
}

fn check(subject: &Subject<'_>, root: &Path, point: Option<&Point>) -> Result<()> {
    subject.require_sound(root, Lost::Unsynced)?;
    if point.is_none() {
        subject.require_result(root)?;
    }
    subject.require_again(root)
}
