//! From the bytes of a span to pieces of files, each checked before anyone sees it.

use std::{collections::VecDeque, fmt};

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use refs_url::{Digest, Hasher};

use crate::{
    Error, MemberFault, Result,
    chunks::Chunk,
    footer::Packing,
    gzip::{HeaderReader, NoHeader},
    plan::{Span, Wholes},
    zstd::{Decoded, Frame},
};

/// Some bytes of a file, checked against their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'d> {
    /// The index of the file in [`Toc::entries`](crate::Toc::entries).
    pub entry: usize,
    /// Where in the file the bytes belong.
    pub offset: u64,
    /// The bytes: one whole chunk.
    pub bytes: &'d [u8],
}

/// Decodes one [`Span`] from bytes that arrive in any portions.
///
/// Push a portion, take pieces until there is none, push the next; call [`SpanDecoder::finish`] when the bytes have
/// ended. It holds one chunk and what was pushed and not yet decoded. [`SpanDecoder::start`] goes on with another span
/// and keeps the buffers.
///
/// Pieces come in the order of the blob; those of one file follow each other, in its order. The last piece of a file that
/// has several, all wanted, is given only if the digest of the whole file holds too.
#[derive(Debug)]
pub struct SpanDecoder {
    span: Span,
    /// The chunk that is being decoded, an index into what the span wants.
    next: usize,
    /// Bytes that were pushed and not taken, and where in the blob the first of them is.
    pushed: VecDeque<Bytes>,
    position: u64,
    member: Member,
    inflater: Inflater,
    /// The bytes of the chunk, as far as `filled`.
    chunk: Vec<u8>,
    filled: usize,
    /// The digest so far of a file that is wanted whole.
    whole: Option<Hasher>,
    /// What ended the decoding.
    failed: Option<Error>,
}

/// What inflates members; it is kept for the next.
enum Inflater {
    Gzip(Decompress),
    Zstd(Box<Frame>),
}

/// How far the decoder is in the member of its chunk.
#[derive(Debug)]
enum Member {
    /// Before its first byte.
    Before,
    /// In its header.
    Header(HeaderReader),
    /// Behind its header; so many bytes of it are inflated.
    Inside { inflated: u64 },
}

/// What one step of decoding came to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Forward,
    /// Nothing happens without more bytes.
    Starved,
}

/// Chunks up to this size get their buffer at once; for larger ones it grows with what is really there.
const TRUSTED_BYTES: usize = 1 << 20;
/// So many bytes that nobody wants are inflated at a time.
const SKIP_BYTES: usize = 64 << 10;

impl SpanDecoder {
    /// A decoder for the bytes of `span`, from the first on.
    pub fn new(span: Span) -> Self {
        Self {
            position: span.range.start,
            next: 0,
            pushed: VecDeque::new(),
            member: Member::Before,
            inflater: Inflater::new(span.contents.packing),
            span,
            chunk: Vec::new(),
            filled: 0,
            whole: None,
            failed: None,
        }
    }

    /// Turns to another span, and forgets all about the one before.
    pub fn start(&mut self, span: Span) {
        self.position = span.range.start;
        if self.inflater.packing() != span.contents.packing {
            self.inflater = Inflater::new(span.contents.packing);
        }
        self.span = span;
        self.next = 0;
        self.pushed.clear();
        self.member = Member::Before;
        self.filled = 0;
        self.whole = None;
        self.failed = None;
    }

    /// Takes the next bytes of the span.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.is_done() {
            self.pushed.push_back(bytes);
        }
    }

    /// The next piece, or `None` when that needs more bytes, or when all pieces were given.
    ///
    /// # Errors
    ///
    /// [`Error::Member`] and [`Error::ContentDigest`] when the bytes are not what the table of contents says. The error
    /// stays: no more pieces come.
    #[expect(clippy::should_implement_trait, reason = "a piece borrows the decoder, which an Iterator's item can't")]
    pub fn next(&mut self) -> Option<Result<Piece<'_>>> {
        let advanced = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.advance(),
        };
        match advanced {
            Ok(done) => done.map(|done| {
                let Chunk { entry, file_offset: offset, .. } = done;
                Ok(Piece { entry, offset, bytes: &self.chunk[..done.bytes as usize] })
            }),
            Err(error) => {
                self.failed = Some(error.clone());
                self.pushed.clear();
                Some(Err(error))
            }
        }
    }

    /// Whether all pieces were given; the rest of the span's bytes are of no interest then.
    pub fn is_done(&self) -> bool {
        self.next == self.span.wants.len() || self.failed.is_some()
    }

    /// Says that there are no more bytes, after all pieces that they gave were taken.
    ///
    /// # Errors
    ///
    /// [`Error::SpanCut`] when pieces are missing, or the error that stopped the decoder.
    pub fn finish(&self) -> Result<()> {
        match (&self.failed, self.wanted()) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(chunk)) => Err(Error::SpanCut { offset: chunk.member.start }),
            (None, None) => Ok(()),
        }
    }

    /// The chunk that is being decoded.
    fn wanted(&self) -> Option<Chunk> {
        self.span.wants.get(self.next).map(|&chunk| self.span.contents.chunk(chunk as usize))
    }

    /// Decodes until a chunk is complete, and says which; `None` when the pushed bytes are used up.
    fn advance(&mut self) -> Result<Option<Chunk>> {
        let Some(chunk) = self.wanted() else { return Ok(None) };
        while (self.filled as u64) < chunk.bytes {
            let step = self.step(&chunk).map_err(|fault| self.fault(&chunk, fault))?;
            if step == Step::Starved {
                return if self.position >= chunk.member.end {
                    Err(self.fault(&chunk, MemberFault::Short))
                } else {
                    Ok(None)
                };
            }
        }
        self.check_chunk(&chunk)?;
        self.complete();
        Ok(Some(chunk))
    }

    /// Turns to the chunk after this one, which is complete.
    fn complete(&mut self) {
        let Span { contents, wants, .. } = &self.span;
        let is_in_same_member = |next: &u32| contents.are_in_one_member(wants[self.next] as usize, *next as usize);
        if !wants.get(self.next + 1).is_some_and(is_in_same_member) {
            self.member = Member::Before;
        }
        self.filled = 0;
        self.next += 1;
    }

    fn step(&mut self, chunk: &Chunk) -> Result<Step, MemberFault> {
        let input = self.input(chunk.member.end);
        let taken = match &mut self.member {
            Member::Inside { inflated } => {
                let inflated = *inflated;
                return self.inflate(&input, chunk, inflated);
            }
            _ if input.is_empty() => return Ok(Step::Starved),
            Member::Before if self.position < chunk.member.start => {
                to_usize(chunk.member.start - self.position).min(input.len())
            }
            Member::Before => {
                self.member = self.inflater.start();
                0
            }
            Member::Header(reader) => {
                let taken = reader.take(&input).map_err(|NoHeader| MemberFault::Header)?;
                if reader.is_done() {
                    self.member = Member::Inside { inflated: 0 };
                }
                taken
            }
        };
        self.consume(taken);
        Ok(Step::Forward)
    }

    /// Inflates up to the chunk, or some of it. What is pushed may be used up and still give bytes.
    fn inflate(&mut self, input: &[u8], chunk: &Chunk, inflated: u64) -> Result<Step, MemberFault> {
        let skip = to_usize(chunk.inner_offset.saturating_sub(inflated));
        let output = match skip {
            0 => self.filled..to_usize(chunk.bytes).min(TRUSTED_BYTES.max(2 * self.filled)),
            _ => 0..skip.min(SKIP_BYTES),
        };
        if self.chunk.len() < output.end {
            self.chunk.resize(output.end, 0);
        }
        let Decoded { taken, made, is_end } = self.inflater.decode(input, &mut self.chunk[output])?;
        if skip == 0 {
            self.filled += made;
        }
        self.member = Member::Inside { inflated: inflated + made as u64 };
        self.consume(taken);
        match (made, taken) {
            _ if is_end && (skip > 0 || (self.filled as u64) < chunk.bytes) => Err(MemberFault::Short),
            (0, 0) if input.is_empty() => Ok(Step::Starved),
            (0, 0) => Err(MemberFault::Inflate),
            _ => Ok(Step::Forward),
        }
    }

    /// The first pushed bytes, as far as they are of the member that ends at `end`.
    fn input(&mut self, end: u64) -> Bytes {
        while self.pushed.front().is_some_and(Bytes::is_empty) {
            self.pushed.pop_front();
        }
        let left = to_usize(end.saturating_sub(self.position));
        self.pushed.front().map_or_else(Bytes::new, |front| front.slice(..front.len().min(left)))
    }

    fn consume(&mut self, taken: usize) {
        if let Some(front) = self.pushed.front_mut() {
            front.advance(taken);
        }
        self.position += taken as u64;
    }

    /// Checks a chunk against its digest, and its file against its own where this is its last.
    fn check_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        let bytes = &self.chunk[..self.filled];
        if Hasher::sha256_hash(bytes) != chunk.sha256 {
            return Err(self.fault(chunk, MemberFault::Digest));
        }
        let Some((expected, last)) = self.whole_of(chunk) else { return Ok(()) };
        let mut hasher = self.whole.take().filter(|_| chunk.file_offset > 0).unwrap_or_else(Hasher::sha256);
        hasher.update(bytes);
        if self.next < last {
            self.whole = Some(hasher);
            return Ok(());
        }
        let actual = hasher.finish();
        if actual == expected {
            Ok(())
        } else {
            Err(Error::ContentDigest { path: self.path_of(chunk), expected, actual })
        }
    }

    /// The digest of a chunk's file, and the last of the file's chunks, an index into what the span wants: only when all of
    /// the file is wanted, in more than one chunk, and its digest to be checked.
    fn whole_of(&self, chunk: &Chunk) -> Option<(Digest, usize)> {
        let Span { contents, wants, wholes, .. } = &self.span;
        let all = contents.chunks_of(chunk.entry);
        if *wholes == Wholes::LeftOut || all.len() < 2 {
            return None;
        }
        let first = self.next.checked_sub(wants[self.next] as usize - all.start)?;
        let last = first + all.len() - 1;
        let is = |want: usize, chunk: usize| wants.get(want).is_some_and(|&wanted| wanted as usize == chunk);
        let digest = contents.digest_of(chunk.entry)?;
        (is(first, all.start) && is(last, all.end - 1)).then_some((digest, last))
    }

    fn path_of(&self, chunk: &Chunk) -> String {
        self.span.contents.records.path(chunk.entry).to_owned()
    }

    fn fault(&self, chunk: &Chunk, fault: MemberFault) -> Error {
        Error::Member { path: self.path_of(chunk), offset: chunk.member.start, fault }
    }
}

impl Inflater {
    fn new(packing: Packing) -> Self {
        match packing {
            Packing::Gzip => Self::Gzip(Decompress::new(false)),
            Packing::Zstd => Self::Zstd(Box::new(Frame::new())),
        }
    }

    fn packing(&self) -> Packing {
        match self {
            Self::Gzip(_) => Packing::Gzip,
            Self::Zstd(_) => Packing::Zstd,
        }
    }

    /// Turns to the first byte of a member.
    fn start(&mut self) -> Member {
        match self {
            Self::Gzip(inflate) => {
                inflate.reset(false);
                Member::Header(HeaderReader::default())
            }
            Self::Zstd(frame) => {
                frame.reset();
                Member::Inside { inflated: 0 }
            }
        }
    }

    /// Inflates some of `input` to some of `output`. What was taken before may still give bytes.
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, MemberFault> {
        let inflate = match self {
            Self::Gzip(inflate) => inflate,
            Self::Zstd(frame) => return frame.decode(input, output).ok().ok_or(MemberFault::Inflate),
        };
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(input, output, FlushDecompress::None).ok().ok_or(MemberFault::Inflate)?;
        let taken = to_usize(inflate.total_in() - before_in);
        let made = to_usize(inflate.total_out() - before_out);
        Ok(Decoded { taken, made, is_end: status == Status::StreamEnd })
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.packing().fmt(f)
    }
}

/// Lengths that are larger than memory are cut: they are only ever minima with lengths of real buffers.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
