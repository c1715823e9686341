//! `refs unpack`

use std::fmt;

use refs_client::{Existing, Limits, UnpackOptions};
use serde::Serialize;

use super::{Failure, pull::Count};
use crate::{
    args::Unpack,
    output::{Bytes, escape},
    wiring::Session,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unpacked {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    digest: String,
    destination: String,
    files: u64,
    directories: u64,
    links: u64,
    pipes: u64,
    /// Empty files in the place of devices.
    placeholders: u64,
    unset_xattrs: u64,
    fetched_bytes: u64,
    written_bytes: u64,
}

impl fmt::Display for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escape(&self.destination), Count(self.files, "file", "files"))?;
        let others = [
            Count(self.directories, "directory", "directories"),
            Count(self.links, "link", "links"),
            Count(self.pipes, "named pipe", "named pipes"),
            Count(self.placeholders, "empty file for a device", "empty files for devices"),
        ];
        for count in others.iter().filter(|count| count.0 > 0) {
            write!(f, ", {count}")?;
        }
        let (fetched, written) = (Bytes(self.fetched_bytes), Bytes(self.written_bytes));
        write!(f, ", {fetched} fetched, {written} written")
    }
}

pub(super) async fn run(session: &Session, args: Unpack) -> Result<(), Failure> {
    let defaults = UnpackOptions::default();
    let options = UnpackOptions {
        platform: args.platform,
        limits: Limits {
            file_bytes: args.max_file_size.unwrap_or(defaults.limits.file_bytes),
            total_bytes: args.max_total_size.unwrap_or(defaults.limits.total_bytes),
            entries: args.max_files.unwrap_or(defaults.limits.entries),
        },
        existing: if args.force { Existing::Replace } else { Existing::Refuse },
    };
    let unpacking = session.client().unpack(&args.at, &args.destination, &options);
    let unpacked = session.showing("unpacking", unpacking).await?;
    let mut output = session.output();
    output.result(&Unpacked {
        index: unpacked.index.map(|index| index.digest.to_string()),
        digest: unpacked.manifest.digest.to_string(),
        destination: args.destination.display().to_string(),
        files: unpacked.files,
        directories: unpacked.directories,
        links: unpacked.links,
        pipes: unpacked.pipes,
        placeholders: unpacked.placeholders,
        unset_xattrs: unpacked.unset_xattrs,
        fetched_bytes: unpacked.fetched_bytes,
        written_bytes: unpacked.written_bytes,
    })?;
    Ok(output.flush()?)
}
