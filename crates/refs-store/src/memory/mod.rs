//! Repositories in memory.

mod contents;
mod flights;
mod recency;
mod repository;
mod set;
mod store;
mod upload;

pub use repository::Memory;
pub use set::Memories;
pub use store::MemoryStore;
