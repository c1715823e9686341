//! `refs diff`

use std::fmt;

use refs_client::{Access, Aspect, Change, DiffOptions, DiffSide, FileEntry, Times};
use serde::Serialize;

use super::{Failure, ls};
use crate::{
    args::Format,
    diff_args::Diff,
    output::{Output, escape_path},
    wiring::{Session, read_options},
};

#[derive(Serialize)]
struct Differences<'d> {
    old: Side,
    new: Side,
    changes: Vec<Line<'d>>,
}

#[derive(Serialize)]
struct Side {
    digest: String,
    /// `index` when no byte of a file was fetched, `stream` when a whole layer was.
    access: &'static str,
}

#[derive(Serialize)]
struct Line<'d> {
    path: &'d str,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// What differs of what changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aspects: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<ls::Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<ls::Line>,
}

/// Ends with [`Failure::Different`] when the two differ.
pub(super) async fn run(session: &Session, args: Diff) -> Result<(), Failure> {
    compare(session, args).await.map_err(|failure| match failure {
        Failure::Different => Failure::Different,
        trouble => Failure::Comparing(trouble.into()),
    })
}

async fn compare(session: &Session, args: Diff) -> Result<(), Failure> {
    let times = if args.times { Times::Compared } else { Times::Ignored };
    let options = DiffOptions { read: read_options(args.read, args.patterns), times };
    let diff = session.showing("comparing", session.client().diff(&args.old, &args.new, &options)).await?;
    let mut output = session.output();
    match session.format() {
        Format::Json => {
            let changes = diff.changes.iter().map(line).collect();
            output.object(&Differences { old: side(&diff.old), new: side(&diff.new), changes })?;
        }
        Format::Text => print(&mut output, &diff.changes)?,
    }
    output.flush()?;
    if diff.changes.is_empty() { Ok(()) } else { Err(Failure::Different) }
}

fn print(output: &mut Output, changes: &[Change]) -> Result<(), Failure> {
    for change in changes {
        output.line(&Short(change))?;
    }
    Ok(())
}

fn side(side: &DiffSide) -> Side {
    let access = match side.access {
        Access::Index => "index",
        Access::Stream => "stream",
    };
    Side { digest: side.descriptor.digest.to_string(), access }
}

fn line(change: &Change) -> Line<'_> {
    let listed = |entry: &FileEntry| Some(ls::line(entry.clone()));
    let (name, aspects, old, new) = match change {
        Change::Added(new) => ("added", Vec::new(), None, listed(new)),
        Change::Removed(old) => ("removed", Vec::new(), listed(old), None),
        Change::Changed { old, new, aspects } => {
            ("changed", aspects.iter().map(aspect).collect(), listed(old), listed(new))
        }
    };
    Line { path: change.path(), change: name, aspects, old, new }
}

fn aspect(aspect: &Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "kind",
        Aspect::Content => "content",
        Aspect::Mode => "mode",
        Aspect::Target => "target",
        Aspect::Time => "time",
        _ => "other",
    }
}

/// A letter and a path, as `git diff --name-status` has them.
struct Short<'c>(&'c Change);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Change::Added(_) => 'A',
            Change::Removed(_) => 'D',
            Change::Changed { aspects, .. } if aspects.contains(&Aspect::Kind) => 'T',
            Change::Changed { .. } => 'M',
        };
        write!(f, "{letter}\t{}", escape_path(self.0.path()))
    }
}
