//! Where the content of files lies in the blob.

use std::ops::Range;

/// A piece of a file, and the gzip member that holds it.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The index of the file among the entries.
    pub(crate) entry: usize,
    /// Where it starts in the file.
    pub(crate) file_offset: u64,
    /// How many bytes it has, inflated.
    pub(crate) bytes: u64,
    /// From the start of its member to that of the next, in the blob.
    pub(crate) member: Range<u64>,
    /// Where it starts in the inflated member.
    pub(crate) inner_offset: u64,
    /// The digest of its bytes.
    pub(crate) sha256: [u8; 32],
}

impl Chunk {
    /// Where it ends in the file.
    pub(crate) fn file_end(&self) -> u64 {
        self.file_offset.saturating_add(self.bytes)
    }

    /// Where it ends in the inflated member.
    pub(crate) fn inner_end(&self) -> u64 {
        self.inner_offset.saturating_add(self.bytes)
    }
}
