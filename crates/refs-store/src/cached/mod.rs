//! Repositories whose content is kept on this side.

mod arriving;
mod aside;
mod fetches;
mod flow;
mod freshness;
mod keeping;
mod lead;
mod local;
mod manifests;
mod nowhere;
mod part_fetches;
mod parts;
mod resolver;
mod shared;
mod source;
mod tee;
mod touched;
mod waiting;

pub use fetches::Fetches;
pub use freshness::{CachedOptions, Freshness};
pub use parts::FetchedPart;
pub use resolver::CachedResolver;
pub use source::{Cached, Kept};
