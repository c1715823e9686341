//! Parts of the archive that become members, together as one thread takes them.

use std::{
    io::{self, Read},
    sync::Arc,
};

use refs_url::Digest;

use crate::{ActualSize, Error, NewEntry, Result, gzip::Deflater};

/// Segments, one after the other, and the members that are made of them. Each segment goes from one cut to the next: a
/// chunk of a file or nothing, then padding and headers.
///
/// A batch has no meaning in the blob, and where one ends does not change a byte: it only makes giving small segments
/// to another thread worth the trouble.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    raw: Vec<u8>,
    /// Where the segment starts that is not cut yet.
    start: usize,
    /// How many bytes its chunk has.
    chunk_bytes: usize,
    segments: Vec<Segment>,
    members: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    raw_bytes: usize,
    /// How many bytes the chunk has at its start; 0 when there is none.
    chunk_bytes: usize,
    member: Member,
}

/// What was made of a segment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    /// How many bytes it has.
    pub(crate) bytes: usize,
    /// The digest of the chunk it starts with.
    pub(crate) chunk: Option<Digest>,
}

/// Whether a file goes on behind a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    More,
    /// The content must end here.
    Nothing,
}

/// Why a chunk could not be read.
#[derive(Debug)]
pub(crate) enum ContentFault {
    Unreadable(io::Error),
    Ended { after: u64 },
    GoesOn,
}

/// So much is made ready for content at a time: memory grows with what is really there.
const READ_BYTES: usize = 1 << 20;

impl Batch {
    /// An empty batch with room for a chunk of `chunk_bytes` and what goes with it, so that neither the segments nor the
    /// members outgrow it and leave as much again unused. Room costs nothing until it is used.
    pub(crate) fn with_room(chunk_bytes: usize) -> Self {
        const MOST_BYTES: usize = 1 << 20;
        let room = chunk_bytes.min(MOST_BYTES) + (256 << 10);
        Self { raw: Vec::with_capacity(room), members: Vec::with_capacity(room), ..Self::default() }
    }

    /// The bytes so far.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The members of all segments, which [`deflate`](Self::deflate) has made.
    pub(crate) fn members(&self) -> (&[u8], impl Iterator<Item = &Member>) {
        (&self.members, self.segments.iter().map(|segment| &segment.member))
    }

    /// Where padding and headers are appended.
    pub(crate) fn tar(&mut self) -> &mut Vec<u8> {
        &mut self.raw
    }

    /// How many bytes of padding and headers there are behind the chunk of the last segment.
    pub(crate) fn run_bytes(&self) -> usize {
        self.raw.len() - self.start - self.chunk_bytes
    }

    /// Starts the last segment, which is empty, with the next `bytes` of `content`.
    pub(crate) fn read_chunk(
        &mut self,
        bytes: u64,
        behind: Behind,
        content: &mut dyn Read,
    ) -> Result<&[u8], ContentFault> {
        let end = self.start + bytes as usize;
        // A byte more is asked for where none may be, so that one read brings the content and another its end.
        let most = match behind {
            Behind::More => end,
            Behind::Nothing => end + 1,
        };
        let read = fill(&mut self.raw, most, content);
        let filled = self.raw.len();
        self.raw.truncate(end);
        read.map_err(ContentFault::Unreadable)?;
        if filled < end {
            return Err(ContentFault::Ended { after: (filled - self.start) as u64 });
        }
        if filled > end {
            return Err(ContentFault::GoesOn);
        }
        self.chunk_bytes = bytes as usize;
        Ok(&self.raw[self.start..])
    }

    /// Ends the last segment, unless it is empty, and starts another.
    pub(crate) fn cut(&mut self) {
        let raw_bytes = self.raw.len() - self.start;
        if raw_bytes > 0 {
            self.segments.push(Segment { raw_bytes, chunk_bytes: self.chunk_bytes, member: Member::default() });
            (self.start, self.chunk_bytes) = (self.raw.len(), 0);
        }
    }

    /// Makes a member of each segment. Nothing but the segment goes into it, so batches can be deflated in any order.
    pub(crate) fn deflate(&mut self, deflater: &mut Deflater) -> io::Result<()> {
        let mut rest = self.raw.as_slice();
        for segment in &mut self.segments {
            let (raw, behind) = rest.split_at(segment.raw_bytes);
            let before = self.members.len();
            deflater.member(raw, &mut self.members)?;
            let chunk = &raw[..segment.chunk_bytes];
            segment.member = Member {
                bytes: self.members.len() - before,
                chunk: (!chunk.is_empty()).then(|| Digest::sha256(chunk)),
            };
            rest = behind;
        }
        Ok(())
    }

    /// An empty batch with the same room.
    pub(crate) fn cleared(mut self) -> Self {
        self.raw.clear();
        self.segments.clear();
        self.members.clear();
        Self { start: 0, chunk_bytes: 0, ..self }
    }
}

/// Appends to `raw` until it has `most` bytes or `content` ends.
fn fill(raw: &mut Vec<u8>, most: usize, content: &mut dyn Read) -> io::Result<()> {
    let mut filled = raw.len();
    let filling = loop {
        if filled == most {
            break Ok(());
        }
        if filled == raw.len() {
            raw.resize(most.min(filled + READ_BYTES), 0);
        }
        match content.read(&mut raw[filled..]) {
            Ok(0) => break Ok(()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    raw.truncate(filled);
    filling
}

impl ContentFault {
    /// The error of an entry of which the chunk at `offset` could not be read.
    pub(crate) fn of(self, entry: &NewEntry, declared: u64, offset: u64) -> Error {
        let path = entry.path.clone();
        let changed = |path, actual| Error::SizeChanged { path, declared, actual };
        match self {
            Self::Unreadable(source) => Error::Content { path, source: Arc::new(source) },
            Self::Ended { after } => changed(path, ActualSize::Ended(offset + after)),
            Self::GoesOn => changed(path, ActualSize::GoesOn),
        }
    }
}
