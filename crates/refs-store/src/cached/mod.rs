//! Repositories whose content is kept on this side.

mod local;
mod source;
mod tee;

pub use source::Cached;
