//! Writing entries below a root: never outside it, never more than allowed.
//!
//! [`Staging`] is a tree beside the destination, which takes its place when complete; [`Unpack`] fills it, within a
//! [`Budget`]. A [`StagedFile`] is a file in the same way. `confine` has the rules for names, `plan` and `links` those for
//! what entries make together; only `root`, `file` and `remove` touch the tree; `old` reads the one that was there before.

mod attributes;
mod budget;
mod confine;
mod file;
mod large;
mod links;
mod old;
mod plan;
mod remove;
mod root;
mod rootfs;
mod scratch;
mod special;
mod staged_file;
mod staging;
mod tree;

pub(crate) use budget::Budget;
pub use budget::Limits;
pub(crate) use confine::LEADS_OUT;
pub(crate) use file::FileWriter;
pub(crate) use links::check_tree;
pub(crate) use old::{OldFile, OldTree};
pub(crate) use rootfs::{Rootfs, Written};
pub(crate) use staged_file::{StagedFile, Wanted};
pub use staging::Existing;
pub(crate) use staging::Staging;
pub(crate) use tree::Unpack;

#[cfg(test)]
mod tests;
