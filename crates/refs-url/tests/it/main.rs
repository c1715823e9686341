//! What refs-url promises, seen from outside.

mod detection;
mod digests;
mod errors;
#[cfg(feature = "hash")]
mod hashing;
#[cfg(feature = "semver")]
mod masterminds;
mod names;
mod properties;
mod references;
#[cfg(feature = "serde")]
mod serialised;
mod vectors;
#[cfg(feature = "semver")]
mod versions;
