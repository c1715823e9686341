//! What can be said of container images.

use std::path::PathBuf;

use clap::Args;
use refs_client::Location;
use refs_registry::Platform;

use crate::examples;
use crate::values::{count, platform, size};

#[derive(Debug, Args)]
#[command(after_help = examples::UNPACK)]
pub(crate) struct Unpack {
    /// The image
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// The directory that becomes the root
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    /// Which image of an index, such as linux/arm64, arm64 or linux/arm/v7 [default: linux on this machine's processor]; one
    /// that is in no index is taken as it is, unless this is given: then it must be for it, by its config
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
    /// Delete what is at the destination, all of it, and put the new tree in its place
    #[arg(long)]
    pub(crate) force: bool,
    /// Bytes that one file may have, such as 500M; K, M and G are of 1024, KB, MB and GB of 1000; 0 for any [default: any]
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    pub(crate) max_file_size: Option<u64>,
    /// Bytes that the files of all layers may have together, such as 2G; 0 for any [default: 64G]
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    pub(crate) max_total_size: Option<u64>,
    /// How many files, directories and links all layers may have; 0 for as many as refs can hold [default: 1000000]
    #[arg(long, value_name = "N", value_parser = count::<u64>, allow_hyphen_values = true)]
    pub(crate) max_files: Option<u64>,
}
