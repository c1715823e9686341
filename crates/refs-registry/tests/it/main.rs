//! The registry client against peers on loopback.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has to end its test")]

mod auth;
mod blobs;
mod bounds;
mod certificates;
mod changed;
mod cuts;
mod demands;
mod docker_config;
mod early;
mod fake;
mod faults;
mod helpers;
mod listing;
mod manifests;
mod mirrors;
mod names;
mod noted;
mod notices;
mod once;
mod origins;
mod pace;
mod peer;
mod pieces;
mod ping;
mod redirects;
mod referrers;
mod resolvers;
mod resumed;
mod retry;
mod saved;
mod scopes;
mod settings;
mod setup;
mod sources;
mod spec_musts;
mod spec_shoulds;
mod steady;
mod tls;
mod token_service;
mod uploads;
mod ways;
