//! What can be said about the cache on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};
use refs_client::Location;
use refs_registry::Platform;

use crate::{
    duration,
    values::{platform, size},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Fetch whole images into the cache, without unpacking them: what is there already is not fetched
    Fetch(Fetch),
    /// Tell what the cache holds: images, blobs, partial downloads, what is in quarantine
    Info,
    /// Hash all whole blobs in the cache; what is damaged goes to quarantine, and is fetched anew when it is wanted. Parts and
    /// indexes are checked whenever they are read
    Verify,
    /// Remove what is in quarantine and what killed runs have left, and what is asked for
    Prune(Prune),
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The images, one after the other
    #[arg(value_name = "REF", required = true)]
    pub(crate) at: Vec<Location>,
    /// Which image of an index, such as linux/arm64 [default: linux on this machine's processor]
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Remove what was not read for the longest time, until no more than these bytes are left, such as 500M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Remove what was not read for so long, such as 12h or 30d; 0 for everything
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Remove everything
    #[arg(long, conflicts_with_all = ["max_size", "older_than"])]
    pub(crate) all: bool,
    /// Tell what would go, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        other => duration::parse_age(other),
    }
}
