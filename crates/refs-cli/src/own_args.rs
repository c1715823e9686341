//! What can be said to the commands that serve, and that tell of refs itself.

use std::path::PathBuf;

use clap::Args;

use crate::examples;

#[derive(Debug, Args)]
#[command(after_help = examples::SERVE)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 for any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub(crate) listen: String,
    /// The directory to keep repositories in [default: refs/registry in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
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
