//! From wanted entries to the fewest and smallest ranges of the blob.

use std::{collections::BTreeSet, ops::Range};

use refs_url::Digest;

use crate::{Error, Result, Toc, chunks::Chunk};

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
/// A [`SpanDecoder`](crate::SpanDecoder) turns its bytes into pieces of files.
#[derive(Debug, Clone)]
pub struct Span {
    /// The bytes of the blob.
    pub range: Range<u64>,
    pub(crate) files: Vec<SpanFile>,
    /// Ordered by place in the blob.
    pub(crate) wants: Vec<Want>,
}

/// A file that is wanted from a span.
#[derive(Debug, Clone)]
pub(crate) struct SpanFile {
    pub(crate) entry: usize,
    pub(crate) path: String,
    /// The digest of the whole content: only where all of it is in the span, in more than one chunk.
    pub(crate) whole: Option<Digest>,
}

/// A chunk that is wanted from a span.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    /// The index of its file in [`Span::files`].
    pub(crate) file: usize,
    pub(crate) chunk: Chunk,
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
        for Want { file, chunk } in self.wants {
            let is_full = |part: &Self| part.bytes() >= bytes && part.range.end <= chunk.member.start;
            if parts.last().is_none_or(is_full) {
                parts.push(Self::empty_at(chunk.member.start));
            }
            let last = parts.len() - 1;
            parts[last].add(&self.files[file], chunk);
        }
        parts
    }

    /// The indexes of the files of which the span has content, in the order in which they come.
    pub fn entries(&self) -> impl Iterator<Item = usize> + '_ {
        self.files.iter().map(|file| file.entry)
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
        // Each file once before its chunks are listed: many links to a file of many chunks would fill all memory.
        let files: BTreeSet<usize> = wanted.into_iter().filter_map(|index| self.file_of(index)).collect();
        let mut chunks: Vec<usize> = files.into_iter().flat_map(|file| self.chunks_of(file)).collect();
        chunks.sort_unstable();
        self.plan_chunks(&chunks, options)
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
            let chunk = self.chunk(index);
            chunk.file_offset < bytes.end && bytes.start < chunk.file_end()
        };
        let chunks: Vec<usize> = self.chunks_of(file).filter(overlaps).collect();
        Ok(self.plan_chunks(&chunks, options))
    }

    /// `wanted` are ordered indexes of chunks.
    fn plan_chunks(&self, wanted: &[usize], options: &PlanOptions) -> Plan {
        let mut plan = Plan::default();
        for unit in wanted.chunk_by(|&left, &right| self.belong_together(left, right)) {
            let range = self.chunk(unit[0]).member.start..self.chunk(unit[unit.len() - 1]).member.end;
            let span = if range.start >= options.held_from {
                plan.held.get_or_insert_with(|| Span::empty_at(range.start))
            } else {
                next_span(&mut plan.spans, &range, options)
            };
            span.range.end = range.end;
            self.want(span, unit);
        }
        plan
    }

    fn want(&self, span: &mut Span, chunks: &[usize]) {
        for &index in chunks {
            let chunk = self.chunk(index);
            if span.files.last().is_none_or(|file| file.entry != chunk.entry) {
                span.files.push(self.span_file(chunk.entry, index, chunks));
            }
            span.wants.push(Want { file: span.files.len() - 1, chunk });
        }
    }

    /// The file whose first wanted chunk is `first`; `chunks` are all that are wanted of it, and maybe of others.
    fn span_file(&self, entry: usize, first: usize, chunks: &[usize]) -> SpanFile {
        let all = self.chunks_of(entry);
        let before = |end: usize| chunks.partition_point(|&index| index < end);
        let wanted = before(all.end) - before(all.start);
        let is_whole = first == all.start && wanted == all.len() && wanted > 1;
        let whole = if is_whole { self.digest_of(entry) } else { None };
        SpanFile { entry, path: self.path_at(entry).to_owned(), whole }
    }
}

/// The span that takes `range`: the last one when bridging the gap costs less than a request, else a new one.
fn next_span<'p>(spans: &'p mut Vec<Span>, range: &Range<u64>, options: &PlanOptions) -> &'p mut Span {
    let extends = spans.last().is_some_and(|last| {
        range.start - last.range.end <= options.request_cost && range.end - last.range.start <= options.span_bytes
    });
    if !extends {
        spans.push(Span::empty_at(range.start));
    }
    let last = spans.len() - 1;
    &mut spans[last]
}

impl Span {
    fn empty_at(start: u64) -> Self {
        Self { range: start..start, files: Vec::new(), wants: Vec::new() }
    }

    fn add(&mut self, file: &SpanFile, chunk: Chunk) {
        if self.files.last().is_none_or(|last| last.entry != file.entry) {
            self.files.push(SpanFile { whole: None, ..file.clone() });
        }
        self.range.end = chunk.member.end;
        self.wants.push(Want { file: self.files.len() - 1, chunk });
    }
}
