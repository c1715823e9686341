//! What can be said to the commands that serve, and that tell of refs itself.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args};
use refs_url::Host;

use crate::{
    access_args::Entry,
    duration, examples, listen_args,
    mirror_args::{self, Mirrored},
    operation_args::Operation,
    size,
};

#[derive(Debug, Args)]
#[command(after_help = examples::SERVE)]
#[command(group(ArgGroup::new("mirrored").args(["mirrors", "server_config"]).multiple(true)))]
pub(crate) struct Serve {
    /// The address to listen on; port 0 for any free one
    /// [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_args::parse)]
    pub(crate) listen: Option<String>,
    /// The directory to keep repositories in, or what mirrors give [default: refs/registry or refs/mirror in the user's data
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// A registry to read through a cache: names that begin with PREFIX lead to it, or all others where PREFIX is empty.
    /// Nothing can be pushed then
    #[arg(long = "mirror", value_name = "PREFIX=URL", value_parser = mirror_args::parse)]
    pub(crate) mirrors: Vec<Mirrored>,
    /// How long a mirror believes what it knows of a tag; with 0s it asks each time [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_none, requires = "mirrored")]
    pub(crate) tag_ttl: Option<Duration>,
    /// How much a mirror keeps on disk, such as 40GiB [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = size::parse, requires = "mirrored")]
    pub(crate) store_size: Option<u64>,
    /// Share what a mirror keeps with others by a bucket, such as s3://NAME/PREFIX; the root is the disk in front of it. The
    /// credentials are those of AWS_ACCESS_KEY_ID and its like
    #[cfg(feature = "bucket")]
    #[arg(long, value_name = "URL", requires = "mirrored")]
    pub(crate) bucket: Option<String>,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) entry: Entry,
}

impl Serve {
    /// The registries that are mirrored, each once.
    pub(crate) fn registries(&self) -> Vec<Host> {
        let mut hosts: Vec<Host> = self.mirrors.iter().map(|mirror| mirror.route.host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

#[derive(Debug, Args)]
#[command(after_help = examples::COMPLETIONS)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = examples::MAN)]
pub(crate) struct Man {
    /// Write a page for each command into this directory instead
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
