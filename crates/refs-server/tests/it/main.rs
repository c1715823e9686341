//! The server over loopback, driven by a plain HTTP client.

mod broken;
mod client;
mod lists;
mod manifests;
mod pull;
mod push;
mod serve;
