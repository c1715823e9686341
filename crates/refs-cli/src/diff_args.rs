//! What can be said of two artifacts.

use clap::Args;
use refs_client::Location;
use refs_url::Host;

use crate::{args::Read, examples};

#[derive(Debug, Args)]
#[command(after_help = examples::DIFF)]
pub(crate) struct Diff {
    /// The artifact to compare with
    #[arg(value_name = "OLD")]
    pub(crate) old: Location,
    /// The artifact
    #[arg(value_name = "NEW")]
    pub(crate) new: Location,
    /// Only paths that match
    #[arg(long = "path", value_name = "GLOB")]
    pub(crate) patterns: Vec<String>,
    /// Other modification times are a difference, too
    #[arg(long)]
    pub(crate) times: bool,
    #[command(flatten)]
    pub(crate) read: Read,
}

impl Diff {
    /// The registries that both are in, each once.
    pub(crate) fn registries(&self) -> Vec<Host> {
        let host = |at: &Location| match at {
            Location::Registry(reference) => Some(reference.host().clone()),
            Location::Layout { .. } | Location::File(_) => None,
        };
        let mut hosts: Vec<Host> = [&self.old, &self.new].into_iter().filter_map(host).collect();
        hosts.dedup();
        hosts
    }
}
