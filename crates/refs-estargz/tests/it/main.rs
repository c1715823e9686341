//! Layers written, opened and read; and lies told to the reader.

mod footer;
mod golden;
mod lies;
mod plan;
mod read;
mod support;
mod write;
