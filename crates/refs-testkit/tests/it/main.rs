//! The test doubles, tested: raw sockets see what a fault does, plain clients what a registry demands.

mod access;
mod conformance;
mod faults;
mod peer;
mod quirks;
mod registry;
mod tree;
