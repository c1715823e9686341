//! What this machine has of older versions of an artifact, so that it is not fetched again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::unpack::OldTree;

/// Bytes of files that a pull did not fetch, since this machine had them: each chunk of them has the digest that the table of
/// contents says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reused {
    /// Bytes that were read from the tree at the destination, which was then replaced.
    pub tree_bytes: u64,
}

/// Where to look for older versions, and what came of it.
#[derive(Debug)]
pub(crate) struct Older {
    pub(crate) tree: Option<OldTree>,
    tree_bytes: AtomicU64,
}

impl Older {
    pub(crate) fn new(tree: Option<OldTree>) -> Self {
        Self { tree, tree_bytes: AtomicU64::new(0) }
    }

    pub(crate) fn add_from_tree(&self, bytes: u64) {
        self.tree_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was found so far.
    pub(crate) fn reused(&self) -> Reused {
        Reused { tree_bytes: self.tree_bytes.load(Ordering::Relaxed) }
    }
}
