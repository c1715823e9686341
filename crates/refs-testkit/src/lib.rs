#![doc = include_str!("../README.md")]

mod access;
mod deviations;
pub mod faults;
mod listener;
mod log;
pub mod quirks;
mod registry;
mod wire;

pub use faults::{Close, Fault, On};
pub use log::Seen;
pub use quirks::Quirks;
pub use registry::{Builder, FakeRegistry};
