//! Layers written, opened and read; and lies told to the reader.

#![expect(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it panics")]

mod behaviours;
mod chunked;
mod footer;
mod golden;
mod lies;
mod plan;
mod read;
mod reference;
mod support;
mod threads;
mod write;
mod zstd;
