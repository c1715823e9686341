//! The file of `--server-config`.

mod bucket;
mod entry;
mod fault;
mod file;
mod mirror;
mod values;

#[cfg(feature = "bucket")]
pub(crate) use bucket::Shared;
pub(crate) use fault::Fault;
pub(crate) use file::{Limits, ServerConfig};
pub(crate) use mirror::Planned;

#[cfg(test)]
mod tests;
