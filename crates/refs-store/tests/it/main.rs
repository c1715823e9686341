//! What every store promises, run over each of them, and what each promises beyond.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod begun;
mod bounds;
#[cfg(feature = "object-store")]
mod bucket;
#[cfg(feature = "object-store")]
mod bucket_faults;
mod cache_faults;
mod cached;
mod care;
mod conformance;
mod content;
mod debris;
mod disk;
mod emptied;
mod evictions;
#[cfg(feature = "object-store")]
mod faulty;
mod fetches;
mod flights;
mod freshness;
mod gone;
mod images;
mod layout;
mod memory;
mod names;
mod parts;
mod place;
mod races;
mod readings;
mod resumed;
mod scan;
mod slow;
mod spool;
mod store;
mod suite;
mod threads;
mod unreadable;
mod uploads;
