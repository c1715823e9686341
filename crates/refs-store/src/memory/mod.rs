//! Repositories in memory.

mod contents;
mod repository;
mod set;
mod store;
mod upload;

pub use repository::Memory;
pub use set::Memories;
pub use store::MemoryStore;
