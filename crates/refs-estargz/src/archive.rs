//! A layer that can be read by ranges, wherever it is.

use std::{io, ops::Range};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{
    ChunkId, Error, Expected, Footer, Limits, Piece, Plan, PlanOptions, Result, STORAGE_ZSTD_FOOTER_BYTES, Span,
    SpanDecoder, Toc, TocPart, TocPosition, footer::TocPlace, pieces::Pieces,
};

/// Bytes of a blob, by range. Nothing is trusted to be right about them but the length.
#[async_trait]
pub trait RangeRead: Send + Sync {
    /// Why a range could not be read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// How many bytes the blob has.
    fn blob_bytes(&self) -> u64;

    /// Reads the bytes of `range`, which is never empty and lies within the blob.
    ///
    /// # Errors
    ///
    /// Whatever kept it from reading all of them.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, Self::Error>;
}

#[async_trait]
impl RangeRead for Bytes {
    type Error = io::Error;

    fn blob_bytes(&self) -> u64 {
        self.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Self> {
        let within = |at: u64| usize::try_from(at).ok().filter(|&at| at <= self.len());
        match (within(range.start), within(range.end)) {
            (Some(start), Some(end)) if start <= end => Ok(self.slice(start..end)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[async_trait]
impl<R: RangeRead + ?Sized> RangeRead for &R {
    type Error = R::Error;

    fn blob_bytes(&self) -> u64 {
        (**self).blob_bytes()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, R::Error> {
        (**self).read(range).await
    }
}

/// Why a layer could not be opened or read by ranges.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E: std::error::Error + 'static> {
    /// The bytes could not be read.
    #[error("can't read bytes {}..{} of the layer", range.start, range.end)]
    Read {
        /// The bytes that were asked for.
        range: Range<u64>,
        /// Why not.
        source: E,
    },
    /// Another number of bytes was read than was asked for.
    #[error("{actual} bytes were read for {}..{} of the layer", range.start, range.end)]
    Length {
        /// The bytes that were asked for.
        range: Range<u64>,
        /// How many there were.
        actual: usize,
    },
    /// The bytes are not what they should be.
    #[error(transparent)]
    Layer(#[from] Error),
}

/// How to open an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// How many bytes at the end of the blob to read first, as [`TAIL_ANNOTATION`](crate::TAIL_ANNOTATION) says; it is
    /// only a hint. Default: a guess from the size of the blob, after which one more read may be necessary.
    pub tail_bytes: Option<u64>,
    /// Where the table of contents of a zstd:chunked layer is, as its manifest says. It is then read from there, and the
    /// footer is not looked at. Default: the footer says it.
    pub toc_position: Option<TocPosition>,
    /// What the table of contents may claim.
    pub limits: Limits,
}

/// An eStargz or zstd:chunked layer whose table of contents is known, and whose content is read by ranges.
#[derive(Debug, Clone)]
pub struct Archive<R> {
    source: R,
    toc: Toc,
    /// The end of the payload, as far as it was read to find the table behind it.
    tail: Bytes,
    tail_offset: u64,
}

const LONGEST_FOOTER_BYTES: u64 = STORAGE_ZSTD_FOOTER_BYTES as u64;
/// Blobs up to this size are read whole at once.
const SMALL_BLOB_BYTES: u64 = 1 << 20;
/// The guess at how many bytes at the end hold table and footer: a part of the blob, within bounds.
const TAIL_FRACTION: u64 = 128;
const TAIL_MIN_BYTES: u64 = 64 << 10;
const TAIL_MAX_BYTES: u64 = 512 << 10;
/// What a hint may ask for beyond the largest table of contents: the files that lie before it.
const HOT_MAX_BYTES: u64 = 1 << 20;

impl<R: RangeRead> Archive<R> {
    /// Reads the table of contents, in one read when its position is given, or when the tail hint or the guess covers it,
    /// else in two.
    ///
    /// # Errors
    ///
    /// [`ReadError::Read`] and [`ReadError::Length`] of `source`; [`Error::NotEstargz`] when it is another kind of
    /// blob; [`Error::ExternalToc`]; and the errors of [`Footer::parse`] and [`Toc::parse`].
    pub async fn open(source: R, expected: Expected<'_>, options: &OpenOptions) -> Result<Self, ReadError<R::Error>> {
        let blob_bytes = source.blob_bytes();
        let (place, tail_offset, mut tail) = match options.toc_position {
            Some(position) => {
                let place = within(position.place(blob_bytes)?, &options.limits)?;
                let toc = read(&source, place.toc.clone()).await?;
                (place.clone(), place.toc.start, toc)
            }
            None => find(&source, blob_bytes, options).await?,
        };
        let at = |offset: u64| offset.saturating_sub(tail_offset) as usize;
        // A long table goes as what is read of it comes: slices of the tail would keep all of it.
        let toc = Pieces::copied(&tail[at(place.toc.start)..at(place.toc.end)]);
        tail = Bytes::copy_from_slice(&tail[..at(place.payload_bytes)]);
        let tail_offset = tail_offset.min(place.payload_bytes);
        Ok(Self { source, toc: Toc::parse_pieces(toc, expected, &place, &options.limits)?, tail, tail_offset })
    }

    /// The table of contents.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// As [`Toc::plan`], with the bytes that were read to open the archive as [`PlanOptions::held_from`].
    pub fn plan(&self, wanted: impl IntoIterator<Item = usize>, options: &PlanOptions) -> Plan {
        self.toc.plan(wanted, &self.with_tail(options))
    }

    /// As [`Toc::plan_without`], with the bytes that were read to open the archive as [`PlanOptions::held_from`].
    pub fn plan_without(
        &self,
        wanted: impl IntoIterator<Item = usize>,
        has: impl Fn(ChunkId) -> bool,
        options: &PlanOptions,
    ) -> Plan {
        self.toc.plan_without(wanted, has, &self.with_tail(options))
    }

    /// As [`Toc::plan_part`], with the bytes that were read to open the archive as [`PlanOptions::held_from`].
    ///
    /// # Errors
    ///
    /// [`Error::NotFile`] when the entry has no content.
    pub fn plan_part(&self, index: usize, bytes: Range<u64>, options: &PlanOptions) -> Result<Plan> {
        self.toc.plan_part(index, bytes, &self.with_tail(options))
    }

    /// Where the bytes begin that were read to open the archive; they reach to the end of the blob.
    pub fn held_from(&self) -> u64 {
        self.tail_offset
    }

    /// The bytes of a span: from memory when it was read to open the archive, else with one read.
    ///
    /// # Errors
    ///
    /// [`ReadError::Read`] and [`ReadError::Length`].
    pub async fn read_span(&self, span: &Span) -> Result<Bytes, ReadError<R::Error>> {
        match self.held(&span.range) {
            Some(bytes) => Ok(bytes),
            None => read(&self.source, span.range.clone()).await,
        }
    }

    /// The whole content of a file, or of the file that a hard link names.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotFile`]; [`ReadError::Read`] and [`ReadError::Length`]; [`Error::Member`] and
    /// [`Error::ContentDigest`] when the content is not what the table of contents says.
    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>, ReadError<R::Error>> {
        self.read_range(path, 0..u64::MAX).await
    }

    /// Some bytes of the content of a file; fewer where the range goes beyond its end.
    ///
    /// # Errors
    ///
    /// As [`Archive::read_file`]. The digest of the whole file is checked only where all of it was read.
    pub async fn read_range(&self, path: &str, bytes: Range<u64>) -> Result<Vec<u8>, ReadError<R::Error>> {
        let index = self.toc.index_of(path).ok_or_else(|| Error::NotFound { path: path.to_owned() })?;
        let plan = self.plan_part(index, bytes.clone(), &PlanOptions::default())?;
        let mut content = Vec::new();
        for span in plan.spans.into_iter().chain(plan.held) {
            let encoded = self.read_span(&span).await?;
            let mut decoder = SpanDecoder::new(span);
            decoder.push(encoded);
            while let Some(piece) = decoder.next() {
                content.extend_from_slice(part_of(piece?, &bytes));
            }
            decoder.finish()?;
        }
        Ok(content)
    }

    fn with_tail(&self, options: &PlanOptions) -> PlanOptions {
        PlanOptions { held_from: options.held_from.min(self.tail_offset), ..options.clone() }
    }

    /// Bytes of the payload that are at hand.
    fn held(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start.checked_sub(self.tail_offset)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.tail_offset)?).ok()?;
        (start <= end && end <= self.tail.len()).then(|| self.tail.slice(start..end))
    }
}

/// Finds the table of contents by the footer: its place, and the end of the blob from there or from before there.
async fn find<R: RangeRead>(
    source: &R,
    blob_bytes: u64,
    options: &OpenOptions,
) -> Result<(TocPlace, u64, Bytes), ReadError<R::Error>> {
    let tail_offset = blob_bytes - tail_bytes(blob_bytes, options);
    let tail = read(source, tail_offset..blob_bytes).await?;
    let place = Footer::parse(&tail, blob_bytes)?.place(blob_bytes)?.ok_or(Error::ExternalToc)?;
    let place = within(place, &options.limits)?;
    if place.toc.start >= tail_offset {
        return Ok((place, tail_offset, tail));
    }
    let start = read(source, place.toc.start..tail_offset).await?;
    Ok((place.clone(), place.toc.start, joined(&start, &tail)))
}

fn within(place: TocPlace, limits: &Limits) -> Result<TocPlace> {
    let limit = limits.toc_compressed;
    if place.toc.end - place.toc.start > limit {
        return Err(Error::TocLimit { part: TocPart::Compressed, limit });
    }
    Ok(place)
}

async fn read<R: RangeRead>(source: &R, range: Range<u64>) -> Result<Bytes, ReadError<R::Error>> {
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    let bytes = source.read(range.clone()).await.map_err(|source| ReadError::Read { range: range.clone(), source })?;
    if bytes.len() as u64 == range.end - range.start {
        Ok(bytes)
    } else {
        Err(ReadError::Length { range, actual: bytes.len() })
    }
}

/// How many bytes at the end of a blob to read first.
fn tail_bytes(blob_bytes: u64, options: &OpenOptions) -> u64 {
    let largest = options.limits.toc_compressed.saturating_add(HOT_MAX_BYTES);
    let wanted = match options.tail_bytes {
        Some(hint) => hint.clamp(LONGEST_FOOTER_BYTES, largest.max(LONGEST_FOOTER_BYTES)),
        None if blob_bytes <= SMALL_BLOB_BYTES => blob_bytes,
        None => (blob_bytes / TAIL_FRACTION).clamp(TAIL_MIN_BYTES, TAIL_MAX_BYTES),
    };
    wanted.min(blob_bytes)
}

fn joined(start: &[u8], end: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(start.len() + end.len());
    joined.extend_from_slice(start);
    joined.extend_from_slice(end);
    joined.freeze()
}

/// What a piece has of `wanted`, a range of its file.
fn part_of<'p>(piece: Piece<'p>, wanted: &Range<u64>) -> &'p [u8] {
    let within = |at: u64| at.saturating_sub(piece.offset).min(piece.bytes.len() as u64) as usize;
    let end = within(wanted.end);
    &piece.bytes[within(wanted.start).min(end)..end]
}
