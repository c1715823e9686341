//! `refs ls`

use std::fmt;

use refs_client::{Access, FileEntry, Kind};
use serde::Serialize;

use super::{Failure, branches};
use crate::{
    args::{Format, Ls},
    output::escape,
    wiring::{Session, read_options},
};

#[derive(Serialize)]
struct Listed {
    digest: String,
    /// `index` when no byte of a file was fetched, `stream` when a whole layer was.
    access: &'static str,
    files: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    /// Octal, as `chmod` takes it.
    mode: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    mtime: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

pub(super) async fn run(session: &Session, args: Ls) -> Result<(), Failure> {
    let options = read_options(args.read, args.patterns);
    let listing = session.showing("listing", session.client().list_files(&args.at, &options)).await?;
    let mut output = session.output();
    if args.tree && session.format() == Format::Text {
        branches::print(&mut output, &listing.entries)?;
        return Ok(output.flush()?);
    }
    let files: Vec<Line> = listing.entries.iter().map(line).collect();
    match (session.format(), args.long) {
        (Format::Json, _) => output.object(&Listed {
            digest: listing.descriptor.digest.to_string(),
            access: access(listing.access),
            files,
        })?,
        (Format::Text, true) => {
            let width = files.iter().map(|file| file.size.to_string().len()).max().unwrap_or(1);
            for file in &files {
                output.line(&Long { file, width })?;
            }
        }
        (Format::Text, false) => {
            for file in &files {
                output.line(&Short(file))?;
            }
        }
    }
    Ok(output.flush()?)
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Index => "index",
        Access::Stream => "stream",
    }
}

fn line(entry: &FileEntry) -> Line {
    let (kind, link) = match &entry.kind {
        Kind::Directory => ("directory", None),
        Kind::File { .. } => ("file", None),
        Kind::Symlink { target } => ("symlink", Some(target.clone())),
        Kind::Hardlink { target } => ("hardlink", Some(target.clone())),
        Kind::CharDevice { .. } => ("char", None),
        Kind::BlockDevice { .. } => ("block", None),
        Kind::Fifo => ("fifo", None),
    };
    Line {
        path: entry.path.clone(),
        kind,
        size: entry.size(),
        mode: format!("{:04o}", entry.mode),
        mtime: entry.mtime,
        link,
        digest: entry.digest.as_ref().map(ToString::to_string),
    }
}

/// A path; a directory's with a slash behind it.
struct Short<'a>(&'a Line);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.0.kind == "directory" { "/" } else { "" };
        write!(f, "{}{slash}", escape(&self.0.path))
    }
}

/// Mode, size, time and path, and where a link points.
struct Long<'a> {
    file: &'a Line,
    width: usize,
}

impl fmt::Display for Long<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, width) = (self.file, self.width);
        let time =
            jiff::Timestamp::from_second(file.mtime).map_or_else(|_| file.mtime.to_string(), |at| at.to_string());
        write!(f, "{} {} {:>width$} {time} {}", file.kind, file.mode, file.size, Short(file))?;
        match &file.link {
            Some(target) => write!(f, " -> {}", escape(target)),
            None => Ok(()),
        }
    }
}
