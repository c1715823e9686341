//! What can be said about the cache on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{duration, values::size};

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Tell what the cache holds: images, blobs, beginnings, what is in quarantine
    Info,
    /// Hash all whole blobs in the cache; what is damaged goes to quarantine, and is fetched anew when it is wanted. Parts and
    /// indexes are checked whenever they are read
    Verify,
    /// Remove what is in quarantine and what killed runs have left, and what is asked for
    Prune(Prune),
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Remove what was not read for the longest time, until no more than these bytes are left, such as 500M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Remove what was not read for so long, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = duration::parse_age)]
    pub(crate) older_than: Option<Duration>,
    /// Remove everything
    #[arg(long, conflicts_with_all = ["max_size", "older_than"])]
    pub(crate) all: bool,
}
