//! The server over loopback, driven by a plain HTTP client.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod access;
mod broken;
mod client;
mod conditions;
mod direct;
mod lists;
mod manifests;
#[cfg(feature = "metrics")]
mod metrics;
mod mirror;
mod mounts;
mod operation;
mod pull;
mod push;
mod restart;
mod serve;
mod tls;
mod told;
