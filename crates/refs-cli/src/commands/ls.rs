//! `refs ls`

use std::fmt;

use refs_client::{Access, FileEntry, Kind, Listing};
use serde::{Serialize, Serializer};

use super::{Failure, branches};
use crate::{
    args::{Format, Ls},
    output::escape_path,
    wiring::{Session, read_options},
};

#[derive(Serialize)]
struct Listed<'l> {
    digest: String,
    /// `index` when no byte of a file was fetched, `stream` when a whole layer was.
    access: &'static str,
    #[serde(serialize_with = "lines")]
    files: &'l Listing,
}

#[derive(Serialize)]
pub(super) struct Line {
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
    match session.format() {
        Format::Json => {
            let digest = listing.descriptor.digest.to_string();
            output.object(&Listed { digest, access: access(listing.access), files: &listing })?;
        }
        Format::Text if args.tree => branches::print(&mut output, &listing)?,
        Format::Text if args.long => {
            let sizes = listing.entries().map(|entry| entry.size().to_string().len());
            let width = sizes.max().unwrap_or(1);
            for entry in listing.entries() {
                output.line(&Long { entry: &entry, width })?;
            }
        }
        Format::Text => {
            for entry in listing.entries() {
                output.line(&Short(&entry))?;
            }
        }
    }
    Ok(output.flush()?)
}

/// Writes the files one by one: there may be many.
fn lines<S: Serializer>(listing: &Listing, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(listing.entries().map(line))
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Index => "index",
        Access::Stream => "stream",
    }
}

pub(super) fn line(entry: FileEntry) -> Line {
    let size = entry.size();
    let (kind, link) = match entry.kind {
        Kind::Directory => ("directory", None),
        Kind::File { .. } => ("file", None),
        Kind::Symlink { target } => ("symlink", Some(target)),
        Kind::Hardlink { target } => ("hardlink", Some(target)),
        Kind::CharDevice { .. } => ("char", None),
        Kind::BlockDevice { .. } => ("block", None),
        Kind::Fifo => ("fifo", None),
    };
    let digest = entry.digest.map(|digest| digest.to_string());
    Line { path: entry.path, kind, size, mode: format!("{:04o}", entry.mode), mtime: entry.mtime, link, digest }
}

/// A path; a directory's with a slash behind it.
struct Short<'a>(&'a FileEntry);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.0.is_directory() { "/" } else { "" };
        write!(f, "{}{slash}", escape_path(&self.0.path))
    }
}

/// Mode, size, time and path, and where a link points.
struct Long<'a> {
    entry: &'a FileEntry,
    width: usize,
}

impl fmt::Display for Long<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entry, width) = (self.entry, self.width);
        let Line { kind, size, mode, mtime, link, .. } = line(entry.clone());
        let time = jiff::Timestamp::from_second(mtime).map_or_else(|_| mtime.to_string(), |at| at.to_string());
        write!(f, "{kind} {mode} {size:>width$} {time} {}", Short(entry))?;
        match link {
            Some(target) => write!(f, " -> {}", escape_path(&target)),
            None => Ok(()),
        }
    }
}
