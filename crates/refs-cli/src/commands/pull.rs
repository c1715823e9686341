//! `refs pull`

use std::{fmt, path::PathBuf};

use refs_client::{Existing, Limits, PullOptions};
use serde::Serialize;

use super::Failure;
use crate::{
    args::Pull,
    output::{Bytes, escape},
    recorded::Recorded,
    wiring::{Session, read_options},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    digest: String,
    /// The digest of the index that led to the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    destination: String,
    files: u64,
    directories: u64,
    links: u64,
    fetched_bytes: u64,
    /// What an older version had, at the destination or in the cache.
    reused_bytes: u64,
    written_bytes: u64,
    #[serde(flatten)]
    recorded: Option<Recorded>,
}

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escape(&self.destination), Count(self.files, "file", "files"))?;
        let others = [Count(self.directories, "directory", "directories"), Count(self.links, "link", "links")];
        for count in others.iter().filter(|count| count.0 > 0) {
            write!(f, ", {count}")?;
        }
        let (fetched, written) = (Bytes(self.fetched_bytes), Bytes(self.written_bytes));
        write!(f, ", {fetched} fetched, ")?;
        if self.reused_bytes > 0 {
            write!(f, "{} reused, ", Bytes(self.reused_bytes))?;
        }
        write!(f, "{written} written")
    }
}

/// So many of what has these words for one and for others.
pub(super) struct Count(pub(super) u64, pub(super) &'static str, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { self.1 } else { self.2 })
    }
}

const UNNAMED: &str =
    "name a destination: without one it is the name of a registry's repository, and this is on the disk";

pub(super) async fn run(session: &Session, args: Pull) -> Result<(), Failure> {
    let destination = match args.destination {
        Some(destination) => destination,
        None => PathBuf::from(args.at.short_name().ok_or_else(|| Failure::Usage(UNNAMED.to_owned()))?),
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
    let recorded = Recorded::of(session, &args.at).await?;
    recorded.iter().for_each(|recorded| recorded.tell(session));
    let mut output = session.output();
    output.result(&Pulled {
        digest: pulled.descriptor.digest.to_string(),
        index: pulled.index.map(|index| index.digest.to_string()),
        destination: destination.display().to_string(),
        files: pulled.files,
        directories: pulled.directories,
        links: pulled.links,
        fetched_bytes: pulled.fetched_bytes,
        reused_bytes: pulled.reused.tree_bytes + pulled.reused.cache_bytes,
        written_bytes: pulled.written_bytes,
        recorded,
    })?;
    Ok(output.flush()?)
}
