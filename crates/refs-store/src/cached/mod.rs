//! Repositories whose content is kept on this side.

mod aside;
mod keeping;
mod local;
mod resolver;
mod source;
mod tee;

pub use resolver::CachedResolver;
pub use source::{Cached, Kept};
