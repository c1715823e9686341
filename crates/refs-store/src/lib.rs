#![doc = include_str!("../README.md")]

mod admission;
mod file;
mod ingest;
mod layout;
mod layouts;
mod lock;
mod memory;
mod part;
mod running;

pub use layout::Layout;
pub use layouts::Layouts;
pub use memory::{Memories, Memory};
