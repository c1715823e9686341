//! One suite over the traits, for every place of content: in memory, on disk, behind a registry, behind a cache.
//!
//! Each function panics at the first promise of [`Source`](refs_registry::Source) or [`Sink`](refs_registry::Sink) that is
//! not kept, and returns the errors that no promise is about.

mod check;
mod fixture;
mod reads;
mod writes;

pub use fixture::Fixture;
pub use reads::reads;
pub use writes::{mounts, writes};
