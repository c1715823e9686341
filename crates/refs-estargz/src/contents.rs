//! Entries, and where their content is: what tables of contents and the spans that were planned with them share.

use std::ops::Range;

use refs_url::Digest;

use crate::{
    chunks::{Chunk, Chunks, Part},
    footer::Packing,
    record::{NONE, Records, What},
};

/// What a layer holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Ordered by path.
    pub(crate) records: Records,
    /// Ordered by place in the blob; those of one file follow each other.
    pub(crate) chunks: Chunks,
    /// How many bytes of the blob come before the table of contents.
    pub(crate) payload_bytes: u64,
    pub(crate) packing: Packing,
}

impl Contents {
    /// The digest of a file, where the table says one.
    pub(crate) fn digest_of(&self, file: usize) -> Option<Digest> {
        match self.records.rows[file].what {
            What::File { sha256, .. } => sha256.map(Digest::from_sha256),
            _ => None,
        }
    }

    /// The chunks of a file, by index; none of anything else.
    pub(crate) fn chunks_of(&self, file: usize) -> Range<usize> {
        match self.records.rows[file].what {
            What::File { chunk, .. } if chunk != NONE => {
                let first = chunk as usize;
                first..self.chunks.end_of(first, |first, other| first.entry == other.entry)
            }
            _ => 0..0,
        }
    }

    /// A chunk of an entry.
    pub(crate) fn chunk(&self, index: usize) -> Chunk {
        let place = self.chunks.place(index);
        let Part { file_offset, bytes, inner_offset, sha256 } = self.chunks.part_in(&self.records, index);
        let end = match self.chunks.end_of(index, |chunk, other| chunk.member == other.member) {
            next if next < self.chunks.len() => self.chunks.place(next).member,
            _ => self.payload_bytes,
        };
        Chunk { entry: place.entry as usize, file_offset, bytes, member: place.member..end, inner_offset, sha256 }
    }

    /// Whether two chunks are of one file.
    pub(crate) fn are_of_one_file(&self, left: usize, right: usize) -> bool {
        self.chunks.place(left).entry == self.chunks.place(right).entry
    }

    /// Whether two chunks are in one member.
    pub(crate) fn are_in_one_member(&self, left: usize, right: usize) -> bool {
        self.chunks.place(left).member == self.chunks.place(right).member
    }
}
