//! One suite over the traits, for every place of content: in memory, on disk, behind a registry, behind a cache.
//!
//! [`Suite`] runs all of it on a place; [`reads`] the part that a [`Source`](refs_registry::Source) alone can pass. What a
//! place does otherwise than the traits promise at best is stated beforehand, as [`Capabilities`]: a place that does less
//! fails, and so does one that does more. Every check runs, and the [`Report`] names those that failed.

mod blobs;
mod capabilities;
mod check;
mod deletes;
mod fixture;
mod lists;
mod manifests;
mod mounts;
mod reads;
mod refusals;
mod report;
mod sha512;
mod subjects;
mod suite;
mod uploads;

pub use capabilities::{Capabilities, Listed, Mounts, Referrers, Support, Unknown, Writers};
pub use fixture::Fixture;
pub use reads::reads;
pub use report::{Broken, Failure, Report};
pub use suite::{Door, Suite};
