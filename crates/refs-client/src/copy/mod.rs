//! Copies artifacts from one repository to another: all that a manifest leads to, and what refers to it.
//!
//! What has to be there for a manifest to be read is there before it, so that an interrupted copy leaves nothing broken
//! behind, and the next one moves what is missing, and goes on in what was on its way. [`Client::copy`](crate::Client::copy) begins one, by locations;
//! [`Namespace`](crate::Namespace), by references.

mod blobs;
mod chosen;
mod copied;
mod ends;
mod gather;
mod graph;
mod journal;
mod manifests;
mod noted;
mod options;
mod referrers;
mod unmounted;
mod verb;

pub use copied::{Copied, CopiedBlob, Fate, LeftBehind, Outcome, Tally};
pub use options::{ChildrenBy, CopyOptions, Foreign, Mode, Platforms, Referrers};

pub(crate) use blobs::copy_blob;
pub(crate) use ends::{Ends, Relation};
pub(crate) use verb::{Named, copy_named};
