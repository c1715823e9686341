//! What can be said of two artifacts.

use clap::Args;
use refs_client::Location;

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
