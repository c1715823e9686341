//! A part of the archive that becomes one member.

use std::{
    io::{self, Read},
    sync::Arc,
};

use refs_url::Digest;

use crate::{ActualSize, Error, NewEntry, Result, gzip::Deflater};

/// Bytes of the archive from one cut to the next: a chunk of a file or nothing, then padding and headers.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    raw: Vec<u8>,
    chunk: Option<SegmentChunk>,
    /// How many bytes the chunk has.
    chunk_bytes: usize,
}

/// The chunk at the start of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentChunk {
    /// The element of the table of contents that describes it.
    pub(crate) element: usize,
    pub(crate) of: ChunkOf,
}

/// What a chunk is of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkOf {
    /// All of it, so both have one digest.
    File,
    Part,
}

/// Why a chunk could not be read.
#[derive(Debug)]
pub(crate) enum ContentFault {
    Unreadable(io::Error),
    Ended { after: u64 },
}

impl Segment {
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The bytes so far.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Where padding and headers are appended.
    pub(crate) fn tar(&mut self) -> &mut Vec<u8> {
        &mut self.raw
    }

    /// How many bytes of padding and headers there are behind the chunk.
    pub(crate) fn run_bytes(&self) -> usize {
        self.raw.len() - self.chunk_bytes
    }

    /// Starts the segment, which is empty, with the next `bytes` of `content`. Memory grows with what is really there.
    pub(crate) fn read_chunk(
        &mut self,
        chunk: SegmentChunk,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<&[u8], ContentFault> {
        content.take(bytes).read_to_end(&mut self.raw).map_err(ContentFault::Unreadable)?;
        if (self.raw.len() as u64) < bytes {
            return Err(ContentFault::Ended { after: self.raw.len() as u64 });
        }
        self.chunk = Some(chunk);
        self.chunk_bytes = self.raw.len();
        Ok(&self.raw)
    }

    /// Makes a member of the segment in place of what `member` held, and gives the digest of the chunk.
    ///
    /// Nothing but the segment goes into it, so segments can be deflated in any order.
    pub(crate) fn deflate(
        &self,
        deflater: &mut Deflater,
        member: &mut Vec<u8>,
    ) -> io::Result<Option<(SegmentChunk, Digest)>> {
        member.clear();
        deflater.member(&self.raw, member)?;
        Ok(self.chunk.map(|chunk| (chunk, Digest::sha256(&self.raw[..self.chunk_bytes]))))
    }

    pub(crate) fn clear(&mut self) {
        self.raw.clear();
        (self.chunk, self.chunk_bytes) = (None, 0);
    }
}

impl ContentFault {
    /// The error of an entry of which the chunk at `offset` could not be read.
    pub(crate) fn of(self, entry: &NewEntry, declared: u64, offset: u64) -> Error {
        let path = entry.path.clone();
        match self {
            Self::Unreadable(source) => Error::Content { path, source: Arc::new(source) },
            Self::Ended { after } => Error::SizeChanged { path, declared, actual: ActualSize::Ended(offset + after) },
        }
    }
}
