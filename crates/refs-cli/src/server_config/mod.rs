//! The file of `--server-config`.

mod entry;
mod fault;
mod file;
mod mirror;
mod values;

pub(crate) use fault::Fault;
pub(crate) use file::{Limits, ServerConfig};
pub(crate) use mirror::Planned;

#[cfg(test)]
mod tests;
