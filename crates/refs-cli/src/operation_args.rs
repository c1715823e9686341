//! The flags of `refs serve` for who runs it for others.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::listen_args;

#[derive(Debug, Args)]
pub(crate) struct Operation {
    /// Read what to serve from this TOML file; flags beat it, and `--mirror` replaces all mirrors of it
    #[arg(long, value_name = "FILE")]
    pub(crate) server_config: Option<PathBuf>,
    /// Give figures for Prometheus at /metrics, and /healthz, on this address, which strangers must not reach
    #[arg(long, value_name = "ADDRESS", value_parser = listen_args::parse)]
    pub(crate) metrics: Option<String>,
    /// Write a line for each answer to stderr [default: none]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_log: Option<AccessLog>,
    /// Append these lines to a file instead, as text unless `--access-log` says otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log_file: Option<PathBuf>,
}

/// How a line of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessLog {
    /// Fields parted by spaces
    Text,
    /// One object a line
    Json,
    /// Not at all
    None,
}
