//! The verbs of a client, over registries on loopback, memory and layouts on disk.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod caches;
mod chunked;
mod copies;
mod determinism;
mod doubles;
mod errors;
mod exclusions;
mod fetches;
mod foreign;
mod globs;
mod graphs;
mod hostile;
mod inspections;
mod lies;
mod limits;
mod lone;
mod lone_images;
mod manifest_files;
mod namespaces;
mod packed;
mod platforms;
mod pulls;
mod pushes;
mod refusals;
mod requests;
mod setup;
mod sizes;
mod sources;
mod spawned;
mod stacks;
mod streamed;
mod threads;
mod trees;
mod unpacks;
mod windows;
