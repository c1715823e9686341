//! `refs pull`

use std::{fmt, path::PathBuf};

use refs_client::{Existing, Limits, PullOptions};
use serde::Serialize;

use super::Failure;
use crate::{
    args::Pull,
    output::{Bytes, escape},
    wiring::{Session, read_options},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    digest: String,
    destination: String,
    files: u64,
    directories: u64,
    links: u64,
    fetched_bytes: u64,
    written_bytes: u64,
}

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, s) = (self.files, if self.files == 1 { "" } else { "s" });
        let (fetched, written) = (Bytes(self.fetched_bytes), Bytes(self.written_bytes));
        write!(f, "{}: {files} file{s}, {fetched} fetched, {written} written", escape(&self.destination))
    }
}

pub(super) async fn run(session: &Session, args: Pull) -> Result<(), Failure> {
    let destination = match args.destination {
        Some(destination) => destination,
        None => PathBuf::from(args.at.short_name().ok_or_else(|| Failure::Usage("name a destination".to_owned()))?),
    };
    let defaults = Limits::default();
    let options = PullOptions {
        read: read_options(args.read, args.patterns),
        limits: Limits {
            file_bytes: args.max_file_size.unwrap_or(defaults.file_bytes),
            total_bytes: args.max_total_size.unwrap_or(defaults.total_bytes),
            entries: args.max_files.unwrap_or(defaults.entries),
        },
        existing: if args.force { Existing::Replace } else { Existing::Refuse },
    };
    let pulled = session.showing("pulling", session.client().pull(&args.at, &destination, &options)).await?;
    let mut output = session.output();
    output.result(&Pulled {
        digest: pulled.descriptor.digest.to_string(),
        destination: destination.display().to_string(),
        files: pulled.files,
        directories: pulled.directories,
        links: pulled.links,
        fetched_bytes: pulled.fetched_bytes,
        written_bytes: pulled.written_bytes,
    })?;
    Ok(output.flush()?)
}
