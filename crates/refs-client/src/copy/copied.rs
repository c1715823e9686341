//! What came of a copy.

use refs_registry::Descriptor;
use refs_url::{Digest, Tag};

/// What came of a copy, or, of a dry run, what would.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    /// Whether there was anything to do.
    pub outcome: Outcome,
    /// The manifest that was asked for, as it is at the destination.
    pub manifest: Descriptor,
    /// The tag that leads to it there, if one was asked for.
    pub tag: Option<Tag>,
    /// The manifests that were written.
    pub manifests: Tally,
    /// The manifests that the destination had. Where a registry had an image, its blobs are there, too, and are not looked at.
    pub manifests_present: u64,
    /// The blobs that were looked at, each digest once: those of manifests that the destination did not have, and in a layout
    /// on disk those of all. One that has another size there than its descriptor says is not there.
    pub blobs: Vec<CopiedBlob>,
    /// How many of the manifests, written or not, refer to others of them.
    pub referrers: u64,
    /// What was not taken along, as it refers to an index of which only images were copied; `None` where nothing does, where
    /// referrers were not wanted, and where the source does not tell.
    pub left_behind: Option<LeftBehind>,
}

/// What refers to an index that is not copied itself, such as its signature: it is about that digest, and not about what is
/// copied out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The index.
    pub index: Digest,
    /// How much refers to it, of the type that was wanted.
    pub referrers: u64,
}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was, and it was done.
    Copied,
    /// There is, and it was not done: this was a dry run.
    Planned,
    /// The destination had all of it.
    Present,
    /// Source and destination are the same: there was nothing to copy.
    Itself,
}

/// A blob, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CopiedBlob {
    /// The blob.
    pub descriptor: Descriptor,
    /// What became of it.
    pub fate: Fate,
    /// The bytes of it that were moved, or, of a dry run, that would be: not those that the destination had from a
    /// copy that was cut off.
    pub moved_bytes: u64,
}

/// What became of a blob, or, of a dry run, what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The destination had it.
    Present,
    /// It was made part of the destination by its registry: no byte was moved.
    Mounted,
    /// Its bytes were moved.
    Copied,
}

/// So many of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}

impl Copied {
    /// The blobs with this fate, together. Of those that were copied, the bytes are those that were moved.
    #[must_use]
    pub fn tally(&self, fate: Fate) -> Tally {
        let mut tally = Tally::default();
        self.blobs.iter().filter(|blob| blob.fate == fate).for_each(|blob| tally.add(blob.counted()));
        tally
    }
}

impl CopiedBlob {
    /// One of which no byte was moved.
    pub(super) const fn unmoved(descriptor: Descriptor, fate: Fate) -> Self {
        Self { descriptor, fate, moved_bytes: 0 }
    }

    /// One of which `moved_bytes` were moved: what was moved twice counts once.
    pub(super) fn copied(descriptor: Descriptor, moved_bytes: u64) -> Self {
        let moved_bytes = moved_bytes.min(descriptor.size);
        Self { descriptor, fate: Fate::Copied, moved_bytes }
    }

    const fn counted(&self) -> u64 {
        match self.fate {
            Fate::Copied => self.moved_bytes,
            Fate::Mounted | Fate::Present => self.descriptor.size,
        }
    }
}

impl Tally {
    pub(super) const fn add(&mut self, bytes: u64) {
        self.count += 1;
        // Sizes are what manifests claim.
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
