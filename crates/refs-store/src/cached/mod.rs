//! Repositories whose content is kept on this side.

mod arriving;
mod aside;
mod fetches;
mod freshness;
mod keeping;
mod local;
mod manifests;
mod nowhere;
mod resolver;
mod shared;
mod source;
mod tee;
mod touched;

pub use fetches::Fetches;
pub use freshness::{CachedOptions, Freshness};
pub use resolver::CachedResolver;
pub use source::{Cached, Kept};
