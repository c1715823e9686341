//! Repositories in memory.

mod contents;
mod repository;
mod set;
mod upload;

pub use repository::Memory;
pub use set::Memories;
