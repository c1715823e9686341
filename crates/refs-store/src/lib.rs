#![doc = include_str!("../README.md")]

mod admission;
mod memory;
mod part;
mod running;

pub use memory::{Memories, Memory};
