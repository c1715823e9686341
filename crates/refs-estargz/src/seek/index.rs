//! What is known of a gzip blob that was inflated once.

use std::{io::Read, ops::Range, sync::Arc};

use bytes::Bytes;
use flate2::read::DeflateDecoder;
use refs_url::Digest;

use super::{
    SeekFault, WINDOW_BYTES,
    extraction::Extraction,
    inflate::{Bits, Inflate},
};
use crate::{Entry, Result};

/// So many checkpoints an index has at most: enough for 256 GiB.
pub(super) const MAX_SPANS: usize = 1 << 16;

/// Where to find what in a gzip blob, so that a part of its archive can be read alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub(super) blob: Digest,
    pub(super) blob_bytes: u64,
    pub(super) inflated_bytes: u64,
    pub(super) names: Names,
    /// Each where the one before ends; the first at the start.
    pub(super) spans: Vec<Checkpoint>,
    pub(super) entries: Vec<Located>,
}

/// How the archive writes the names of its entries, which an index has without a slash at their start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// None begins with a slash.
    #[default]
    Relative,
    /// Some begin with a slash: whoever does not take the root of the archive for the root refuses them.
    FromRoot,
}

/// An entry of the archive, and where its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The entry. That of the root directory has the empty path.
    pub entry: Entry,
    /// What its modification time has beyond whole seconds, in nanoseconds.
    pub nanos: u32,
    /// Where its content starts, in bytes of the inflated archive.
    pub offset: u64,
}

/// A place from which to inflate, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The first byte of the blob that is not inflated before it.
    pub(super) compressed: u64,
    pub(super) inflated: u64,
    pub(super) start: Start,
    /// The digest of what is inflated from here to the next.
    pub(super) digest: Digest,
}

/// What it takes to inflate from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing: a member starts here.
    Member,
    /// The bits of the byte before, and what was inflated last, deflated.
    Block { bits: Bits, window: Bytes },
}

impl Located {
    /// The bytes of the inflated archive that are its content; `None` when they would end beyond any.
    pub fn content(&self) -> Option<Range<u64>> {
        Some(self.offset..self.offset.checked_add(self.entry.size())?)
    }
}

impl Checkpoint {
    pub(super) fn first() -> Self {
        Self { compressed: 0, inflated: 0, start: Start::Member, digest: Digest::sha256(b"") }
    }
}

impl Index {
    /// The same index, of an archive that writes names like this.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// How the archive writes the names of its entries.
    pub fn names(&self) -> Names {
        self.names
    }

    /// The entries of the archive, in its order: of several with one path, the last is what unpacking it leaves.
    pub fn entries(&self) -> &[Located] {
        &self.entries
    }

    /// How many bytes the blob has.
    pub fn blob_bytes(&self) -> u64 {
        self.blob_bytes
    }

    /// How many bytes the archive has.
    pub fn inflated_bytes(&self) -> u64 {
        self.inflated_bytes
    }

    /// Takes bytes `range` out of the archive. What of it is beyond the archive's end is left out.
    pub fn extraction(self: &Arc<Self>, range: Range<u64>) -> Extraction {
        let end = range.end.min(self.inflated_bytes);
        Extraction::new(Arc::clone(self), range.start.min(end)..end)
    }

    /// The spans that hold bytes `range` of the archive, which are at least one.
    pub(super) fn spans_of(&self, range: &Range<u64>) -> Range<usize> {
        let first = self.spans.partition_point(|span| span.inflated <= range.start).saturating_sub(1);
        let end = self.spans.partition_point(|span| span.inflated < range.end);
        first..end.max(first + 1)
    }

    /// The bytes of the blob that `spans` are inflated from.
    pub(super) fn compressed(&self, spans: &Range<usize>) -> Range<u64> {
        let at = |span: usize| self.spans.get(span).map_or(self.blob_bytes, |span| span.compressed);
        at(spans.start)..at(spans.end)
    }

    /// The bytes of the archive that a span has.
    pub(super) fn inflated(&self, span: usize) -> Range<u64> {
        let at = |span: usize| self.spans.get(span).map_or(self.inflated_bytes, |span| span.inflated);
        at(span)..at(span + 1)
    }

    /// Turns to the first byte of a span.
    pub(super) fn inflate_from(&self, span: usize) -> Result<Inflate> {
        let Some(Checkpoint { start: Start::Block { bits, window }, inflated, .. }) = self.spans.get(span) else {
            return Ok(Inflate::new());
        };
        let mut raw = Vec::new();
        let read = DeflateDecoder::new(window.as_ref()).take(WINDOW_BYTES as u64).read_to_end(&mut raw);
        read.ok().ok_or(SeekFault::Span { offset: *inflated })?;
        Ok(Inflate::resumed(*bits, &raw))
    }
}
