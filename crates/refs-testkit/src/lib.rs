#![doc = include_str!("../README.md")]

mod access;
pub mod conformance;
mod counted;
mod crowd;
mod deviations;
pub mod faults;
pub mod http2;
pub mod image;
pub mod invariants;
mod listener;
mod log;
mod port;
pub mod quirks;
pub mod raw;
mod registry;
pub mod scripted;
pub mod tls;
mod tree;
mod until;
mod wire;

pub use faults::{Close, Fault, On};
pub use http2::Http2Peer;
pub use image::Image;
pub use invariants::{Flaw, check_layout, require_layout};
pub use log::{Seen, open_uploads};
pub use quirks::Quirks;
pub use raw::RawPeer;
pub use registry::{Builder, FakeRegistry};
pub use tree::Tree;
pub use until::until;
