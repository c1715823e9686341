//! From the bytes of some spans to a range of the archive, each span checked before anyone sees what is in it.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use refs_url::Hasher;

use super::{
    Index, SeekFault,
    inflate::{Inflate, Step},
};
use crate::{Error, Result};

/// Takes a range out of an archive, from the bytes of the blob that hold it, which may arrive in any portions.
///
/// Push a portion, take pieces until there is none, push the next; call [`finish`](Extraction::finish) when the bytes have
/// ended. It holds what is wanted of one span, and what was pushed and not yet inflated.
#[derive(Debug)]
pub struct Extraction {
    index: Arc<Index>,
    wanted: Range<u64>,
    /// Those that are still to be inflated.
    spans: Range<usize>,
    pushed: VecDeque<Bytes>,
    /// None before the first byte.
    inflate: Option<Inflate>,
    /// How far in the archive it is inflated.
    inflated: u64,
    /// Of the current span.
    hasher: Hasher,
    piece: Vec<u8>,
    failed: Option<Error>,
}

impl Extraction {
    pub(super) fn new(index: Arc<Index>, wanted: Range<u64>) -> Self {
        let spans = if wanted.is_empty() { 0..0 } else { index.spans_of(&wanted) };
        Self {
            inflated: index.inflated(spans.start).start,
            index,
            wanted,
            spans,
            pushed: VecDeque::new(),
            inflate: None,
            hasher: Hasher::sha256(),
            piece: Vec::new(),
            failed: None,
        }
    }

    /// The bytes of the blob to push; empty when nothing is wanted.
    pub fn compressed(&self) -> Range<u64> {
        if self.spans.is_empty() { 0..0 } else { self.index.compressed(&self.spans) }
    }

    /// Takes the next bytes of [`compressed`](Extraction::compressed), as it was at first.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.spans.is_empty() {
            self.pushed.push_back(bytes);
        }
    }

    /// The next bytes of the range, in order, checked; `None` when it takes more bytes to know them, or there are no more.
    ///
    /// # Errors
    /// [`Error::Seek`] when the blob does not hold what the index says. It is given again at each further call.
    #[expect(
        clippy::should_implement_trait,
        reason = "a piece is lent, and more bytes may give more pieces after `None`"
    )]
    pub fn next(&mut self) -> Option<Result<&[u8]>> {
        if self.failed.is_none() {
            self.failed = self.fill().err();
        }
        match &self.failed {
            Some(error) => Some(Err(error.clone())),
            None if self.piece.is_empty() || !self.is_checked() => None,
            None => Some(Ok(&self.piece)),
        }
    }

    /// Makes sure that all of the range was given.
    ///
    /// # Errors
    /// [`Error::Seek`] when bytes are missing.
    pub fn finish(self) -> Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None if self.spans.is_empty() => Ok(()),
            None => Err(SeekFault::Short { offset: self.inflated }.into()),
        }
    }

    /// Whether `piece` was found to be right: it is the end of a span.
    fn is_checked(&self) -> bool {
        self.spans.is_empty() || self.inflated == self.index.inflated(self.spans.start).start
    }

    /// Inflates up to the end of a span of which something is wanted, or as far as the pushed bytes go.
    fn fill(&mut self) -> Result<()> {
        if self.is_checked() {
            self.piece.clear();
        }
        while !self.spans.is_empty() {
            let span = self.index.inflated(self.spans.start);
            if self.inflated == span.end {
                self.end_span()?;
                if !self.piece.is_empty() {
                    return Ok(());
                }
            } else if !self.step(span)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Inflates some of `span`; says whether there was anything to inflate.
    fn step(&mut self, span: Range<u64>) -> Result<bool> {
        while self.pushed.front().is_some_and(Bytes::is_empty) {
            self.pushed.pop_front();
        }
        let Some(input) = self.pushed.front_mut() else { return Ok(false) };
        let inflate = match &mut self.inflate {
            Some(inflate) => inflate,
            none => none.insert(self.index.inflate_from(self.spans.start)?),
        };
        let fault = SeekFault::Span { offset: span.start };
        let Step { taken, made, .. } = inflate.step(input).ok().ok_or(fault)?;
        input.advance(taken);
        let bytes = inflate.bytes(made);
        if bytes.len() as u64 > span.end - self.inflated {
            return Err(fault.into());
        }
        self.hasher.update(bytes);
        let within = |at: u64| at.saturating_sub(self.inflated).min(bytes.len() as u64) as usize;
        self.piece.extend_from_slice(&bytes[within(self.wanted.start)..within(self.wanted.end)]);
        self.inflated += bytes.len() as u64;
        Ok(true)
    }

    fn end_span(&mut self) -> Result<()> {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::sha256());
        let span = self.spans.start;
        if hasher.finish() != self.index.spans[span].digest {
            return Err(SeekFault::Span { offset: self.index.inflated(span).start }.into());
        }
        self.spans.start += 1;
        if self.spans.is_empty() {
            self.pushed.clear();
        }
        Ok(())
    }
}
