//! The test doubles, tested: raw sockets see what a fault does, plain clients what a registry demands.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod access;
mod conformance;
mod faults;
mod invariants;
mod peer;
mod quirks;
mod registry;
mod scripted;
mod tree;
