//! The program itself: what it prints, what it leaves behind, and the code it exits with.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod api;
mod blobs;
mod bounded;
mod cache;
mod care;
mod cat;
mod completed;
mod cp;
mod credentials;
mod demo;
mod diff;
mod doctor;
mod errors;
mod files;
mod generated;
mod hostile;
mod hosts;
mod inspect;
mod listings;
mod login;
mod ls;
mod manifests;
mod mirror;
mod names;
mod naming;
mod offline;
mod operation;
mod output;
mod pack;
mod pull;
mod push;
mod resolve;
mod resume;
mod serve;
mod signals;
mod stacks;
mod support;
mod tags;
mod trees;
mod unpack;
mod unprivileged;
mod usage;
mod versions;
mod whole;
