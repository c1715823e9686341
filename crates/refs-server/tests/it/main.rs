//! The server over loopback, driven by a plain HTTP client.

mod client;
mod pull;
mod push;
