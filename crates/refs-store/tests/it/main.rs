//! What every store promises, run over each of them, and what each promises beyond.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod cached;
mod conformance;
mod content;
mod layout;
mod memory;
mod spool;
mod store;
mod suite;
