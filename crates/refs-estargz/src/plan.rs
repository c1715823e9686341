//! From wanted entries to the fewest and smallest ranges of the blob.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use refs_url::Digest;

use crate::{Error, Result, Toc, chunks::Chunk, contents::Contents};

/// What ranges cost, and how they may be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// How many bytes one more request is worth: two ranges with a smaller gap between them are fetched as one.
    /// Default: 256 KiB, what a request costs a registry and the round trip.
    pub request_cost: u64,
    /// Spans longer than this are cut, so that they can be fetched side by side; never inside a file. Default: no limit.
    pub span_bytes: u64,
    /// The bytes of the blob from here to its end are at hand and cost nothing. Default: none are.
    pub held_from: u64,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { request_cost: 256 << 10, span_bytes: u64::MAX, held_from: u64::MAX }
    }
}

/// Which ranges of the blob to fetch.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What must be fetched: in order, disjoint.
    pub spans: Vec<Span>,
    /// What lies in the bytes that are at hand already, from [`PlanOptions::held_from`] on.
    pub held: Option<Span>,
}

/// A range of the blob, and what is wanted from it.
///
/// A [`SpanDecoder`](crate::SpanDecoder) turns its bytes into pieces of files. It takes four bytes of memory a chunk, and
/// keeps the table of contents.
#[derive(Debug, Clone)]
pub struct Span {
    /// The bytes of the blob.
    pub range: Range<u64>,
    pub(crate) contents: Arc<Contents>,
    /// The chunks that are wanted, by index: ordered by place in the blob.
    pub(crate) wants: Vec<u32>,
    pub(crate) wholes: Wholes,
}

/// A piece of a file, as the table of contents tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChunk {
    /// Where it starts in the file.
    pub offset: u64,
    /// How many bytes it has, inflated.
    pub bytes: u64,
    /// The digest of these bytes.
    pub digest: Digest,
    /// The bytes of the blob that it is inflated from; other chunks may be in them, too.
    pub range: Range<u64>,
    /// What it is known by to [`Toc::plan_without`] of the same table.
    pub id: ChunkId,
}

/// Names a chunk of one table of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(u32);

/// What is done about the digests of files whose content is in the span, all of it, in more than one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wholes {
    Checked,
    /// They are left to whoever puts the pieces together.
    LeftOut,
}

impl Plan {
    /// How many bytes the requests ask for.
    pub fn fetch_bytes(&self) -> u64 {
        self.spans.iter().map(Span::bytes).sum()
    }
}

impl Span {
    /// How many bytes the range has.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The same in spans of about `bytes`, which can be decoded side by side. Members are not cut, and neither are chunks.
    ///
    /// Pieces of these spans are checked against the digests of their chunks. The digest of a file of several chunks is
    /// left to whoever puts the pieces together.
    pub fn split(self, bytes: u64) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for &chunk in &self.wants {
            let member = self.contents.chunk(chunk as usize).member;
            let is_full = |part: &Self| part.bytes() >= bytes && part.range.end <= member.start;
            if parts.last().is_none_or(is_full) {
                let wholes = Wholes::LeftOut;
                parts.push(Self { wholes, ..Self::empty_at(member.start, &self.contents) });
            }
            let last = parts.len() - 1;
            parts[last].range.end = member.end;
            parts[last].wants.push(chunk);
        }
        parts
    }

    /// The indexes of the files of which the span has content, in the order in which they come.
    pub fn entries(&self) -> impl Iterator<Item = usize> + '_ {
        let files = self.wants.chunk_by(|&left, &right| self.contents.are_of_one_file(left as usize, right as usize));
        files.map(|chunks| self.contents.chunks.place(chunks[0] as usize).entry as usize)
    }

    fn empty_at(start: u64, contents: &Arc<Contents>) -> Self {
        Self { range: start..start, contents: Arc::clone(contents), wants: Vec::new(), wholes: Wholes::Checked }
    }
}

impl Toc {
    /// Chooses the ranges that hold the content of all `wanted` entries, so that the sum of their bytes and of
    /// [`PlanOptions::request_cost`] for each is the smallest possible. One range over everything is the result where
    /// that is the cheapest.
    ///
    /// A hard link stands for its file. Entries without content, empty files among them, need no bytes and are passed
    /// over, as are indexes beyond the last entry.
    pub fn plan(&self, wanted: impl IntoIterator<Item = usize>, options: &PlanOptions) -> Plan {
        self.plan_without(wanted, |_| false, options)
    }

    /// As [`Toc::plan`], but for the chunks that someone has already.
    pub fn plan_without(
        &self,
        wanted: impl IntoIterator<Item = usize>,
        has: impl Fn(ChunkId) -> bool,
        options: &PlanOptions,
    ) -> Plan {
        // Each file once before its chunks are listed: many links to a file of many chunks would fill all memory.
        let files: BTreeSet<usize> = wanted.into_iter().filter_map(|index| self.file_of(index)).collect();
        let chunks = files.into_iter().flat_map(|file| self.contents().chunks_of(file));
        let chunks = chunks.map(|chunk| chunk as u32).filter(|&chunk| !has(ChunkId(chunk)));
        let mut chunks: Vec<u32> = chunks.collect();
        chunks.sort_unstable();
        self.plan_chunks(&chunks, options)
    }

    /// The chunks of a file, or of the file that a hard link names, in its order; none of what has no content.
    pub fn chunks_of(&self, index: usize) -> impl Iterator<Item = FileChunk> + '_ {
        let chunks = self.file_of(index).map_or(0..0, |file| self.contents().chunks_of(file));
        chunks.map(|index| {
            let Chunk { file_offset: offset, bytes, member: range, sha256, .. } = self.contents().chunk(index);
            FileChunk { offset, bytes, digest: Digest::from_sha256(sha256), range, id: ChunkId(index as u32) }
        })
    }

    /// Chooses the range that holds some bytes of the content of one file. Its pieces are whole chunks, so they start at
    /// or before the first byte and end at or behind the last.
    ///
    /// # Errors
    ///
    /// [`Error::NotFile`] when the entry has no content.
    pub fn plan_part(&self, index: usize, bytes: Range<u64>, options: &PlanOptions) -> Result<Plan> {
        let not_file = || {
            let path = if index < self.len() { self.path_at(index) } else { "" };
            Error::NotFile { path: path.to_owned() }
        };
        let file = self.file_of(index).ok_or_else(not_file)?;
        let overlaps = |&index: &usize| {
            let chunk = self.contents().chunk(index);
            chunk.file_offset < bytes.end && bytes.start < chunk.file_end()
        };
        let chunks = self.contents().chunks_of(file).filter(overlaps);
        let chunks: Vec<u32> = chunks.map(|chunk| chunk as u32).collect();
        Ok(self.plan_chunks(&chunks, options))
    }

    /// `wanted` are ordered indexes of chunks.
    fn plan_chunks(&self, wanted: &[u32], options: &PlanOptions) -> Plan {
        let contents = self.contents();
        let mut plan = Plan::default();
        for unit in wanted.chunk_by(|&left, &right| belong_together(contents, left as usize, right as usize)) {
            let member = |chunk: u32| contents.chunk(chunk as usize).member;
            let range = member(unit[0]).start..member(unit[unit.len() - 1]).end;
            let span = if range.start >= options.held_from {
                plan.held.get_or_insert_with(|| Span::empty_at(range.start, contents))
            } else {
                next_span(&mut plan.spans, &range, contents, options)
            };
            span.range.end = range.end;
            span.wants.extend_from_slice(unit);
        }
        plan
    }
}

/// Whether two chunks, in order, are never cut apart: they are in one member, or of one file with nothing between them.
fn belong_together(contents: &Contents, left: usize, right: usize) -> bool {
    left + 1 == right && contents.are_of_one_file(left, right) || contents.are_in_one_member(left, right)
}

/// The span that takes `range`: the last one when bridging the gap costs less than a request, else a new one.
fn next_span<'p>(
    spans: &'p mut Vec<Span>,
    range: &Range<u64>,
    contents: &Arc<Contents>,
    options: &PlanOptions,
) -> &'p mut Span {
    let extends = spans.last().is_some_and(|last| {
        range.start - last.range.end <= options.request_cost && range.end - last.range.start <= options.span_bytes
    });
    if !extends {
        spans.push(Span::empty_at(range.start, contents));
    }
    let last = spans.len() - 1;
    &mut spans[last]
}
