//! The registry client against peers on loopback.

mod auth;
mod blobs;
mod docker_config;
mod listing;
mod manifests;
mod peer;
mod redirects;
mod retry;
mod setup;
mod uploads;
