//! Inflates a gzip blob from its first byte to its last, and notes where it could go on from.

use std::{
    io::{self, BufRead, Read, Write},
    ops::Range,
};

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};
use refs_url::{Digest, Hasher};

use super::{
    MAX_SPAN_BYTES, SPAN_BYTES,
    index::{Checkpoint, Index, Located, MAX_SPANS, Names, Start},
    inflate::{Inflate, Step, Stop},
};

/// Reads what a gzip blob of one member or several inflates to, and takes the notes for its [`Index`].
///
/// It is slower than flate2 by the digests of spans and a slower inflater; each member's checksum is verified. It holds
/// 256 KiB, and some ten KiB for each 4 MiB that were read.
///
/// # Errors
/// Reading fails with `InvalidData` where the blob is no gzip, `UnexpectedEof` where it ends too early, and with what the
/// reader beneath it fails with. Nothing can be read after that.
#[derive(Debug)]
pub struct Builder<R> {
    reader: R,
    inflate: Inflate,
    /// What is inflated and was not read yet.
    ready: Range<usize>,
    /// So many bytes of the blob are inflated.
    compressed: u64,
    notes: Notes,
}

/// What is known for the index.
#[derive(Debug)]
struct Notes {
    /// All but the last are complete.
    spans: Vec<Checkpoint>,
    /// What the last has so far.
    hasher: Hasher,
    inflated: u64,
    span_bytes: u64,
    /// There can't be an index of this blob.
    is_given_up: bool,
}

impl<R: BufRead> Builder<R> {
    /// Reads `blob` from its first byte on.
    pub fn new(blob: R) -> Self {
        Self { reader: blob, inflate: Inflate::new(), ready: 0..0, compressed: 0, notes: Notes::new() }
    }

    /// Takes a checkpoint at the first chance after so many inflated bytes, at most 32 MiB, instead of 4 MiB: with more of them,
    /// less is read for little, and the index is larger.
    #[must_use]
    pub fn span_bytes(mut self, bytes: u64) -> Self {
        self.notes.span_bytes = bytes.min(MAX_SPAN_BYTES / 2);
        self
    }

    /// The index of the blob, whose digest is `blob`, with the entries that its archive was found to have, in its order.
    ///
    /// `None` when not all of the blob was read; when it offers no place to stop at for 64 MiB; and when it or its entries
    /// are beyond what an index may have.
    ///
    /// # Security
    /// The index is as true as the bytes that were read: make it only after they were verified against the digest.
    pub fn finish(self, blob: &Digest, entries: Vec<Located>) -> Option<Index> {
        if !self.inflate.is_between_members() || !self.ready.is_empty() {
            return None;
        }
        let inflated_bytes = self.notes.inflated;
        let is_inside = |located: &Located| located.content().is_some_and(|content| content.end <= inflated_bytes);
        if !entries.iter().all(is_inside) {
            return None;
        }
        let spans = self.notes.finish()?;
        Some(Index {
            blob: blob.clone(),
            blob_bytes: self.compressed,
            inflated_bytes,
            names: Names::default(),
            spans,
            entries,
        })
    }

    /// Inflates until there is something to read, or the blob has ended.
    fn inflate(&mut self) -> io::Result<()> {
        while self.ready.is_empty() {
            let input = self.reader.fill_buf()?;
            if input.is_empty() {
                let is_end = self.inflate.is_between_members();
                return if is_end { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let step = self.inflate.step(input);
            let Step { taken, made, stop } = step.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
            self.reader.consume(taken);
            self.compressed += taken as u64;
            self.notes.take(self.inflate.bytes(made.clone()));
            if let Some(stop) = stop {
                self.notes.stop(self.compressed, stop, &self.inflate);
            }
            self.ready = made;
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Builder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inflate()?;
        Ok(self.inflate.bytes(self.ready.clone()))
    }

    fn consume(&mut self, bytes: usize) {
        self.ready.start = self.ready.end.min(self.ready.start + bytes);
    }
}

impl<R: BufRead> Read for Builder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl Notes {
    fn new() -> Self {
        Self {
            spans: vec![Checkpoint::first()],
            hasher: Hasher::sha256(),
            inflated: 0,
            span_bytes: SPAN_BYTES,
            is_given_up: false,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.inflated += bytes.len() as u64;
        if self.is_given_up {
            return;
        }
        self.hasher.update(bytes);
        self.is_given_up = self.bytes_in_span() > MAX_SPAN_BYTES || self.spans.len() > MAX_SPANS;
    }

    /// Takes a checkpoint, if it is time.
    fn stop(&mut self, compressed: u64, stop: Stop, inflate: &Inflate) {
        if self.is_given_up || self.bytes_in_span() < self.span_bytes.max(1) {
            return;
        }
        let start = match stop {
            Stop::Member => Some(Start::Member),
            Stop::Block(bits) => deflated(inflate.window()).map(|window| Start::Block { bits, window }),
        };
        let Some(start) = start else { return };
        self.end_span();
        self.spans.push(Checkpoint { compressed, inflated: self.inflated, start, digest: Digest::sha256(b"") });
    }

    fn bytes_in_span(&self) -> u64 {
        self.inflated - self.spans.last().map_or(0, |last| last.inflated)
    }

    fn end_span(&mut self) {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::sha256());
        if let Some(last) = self.spans.last_mut() {
            last.digest = hasher.finish();
        }
    }

    fn finish(mut self) -> Option<Vec<Checkpoint>> {
        // What follows the last checkpoint may hold nothing: the span before it takes that in.
        if self.bytes_in_span() == 0 && self.spans.len() > 1 {
            self.spans.pop();
        } else {
            self.end_span();
        }
        (!self.is_given_up).then_some(self.spans)
    }
}

fn deflated(window: &[u8]) -> Option<Bytes> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(window).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
