//! Reads one file of an eStargz layer from the ranges of the blob that hold it.

use std::{io::Write, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_estargz::{Piece, Plan, PlanOptions, RangeRead, Span, SpanDecoder};
use refs_registry::Descriptor;

use super::{
    fetch::requests,
    pipe::{PipeReader, PipeWriter, Unwanted, pipe},
    ranges::{Indexed, Ranges, read_error},
    spool::output_error,
};
use crate::{Error, Result};

/// Their answers are held in memory.
const REQUESTS_AT_ONCE: usize = 4;

/// A part of a file of a layer.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) archive: Arc<Indexed>,
    pub(crate) layer: Arc<Descriptor>,
    /// The entry of the file.
    pub(crate) index: usize,
    /// Its bytes.
    pub(crate) part: Range<u64>,
}

impl One {
    /// Writes the bytes to `output`, chunk by chunk as they are checked. The digest of the whole file is checked where all
    /// of it is read.
    ///
    /// # Errors
    /// `Estargz`, `Output`, and those of the source. A part may have been written.
    pub(crate) async fn write<W: Write + Send + 'static>(self, ranges: Ranges, output: W) -> Result<W> {
        let digest = self.layer.digest.clone();
        let plan = self.archive.plan_part(self.index, self.part.clone(), &PlanOptions::default());
        let plan = plan.map_err(|source| Error::Estargz { layer: digest.clone(), source })?;
        let held = match &plan.held {
            Some(span) => self.archive.read_span(span).await.map_err(|error| read_error(&digest, error))?,
            None => Bytes::new(),
        };
        let requests = requests(&plan.spans);
        let (writer, reader) = pipe();
        let worker = tokio::task::spawn_blocking(move || self.decode(plan, reader, held, output));
        let fetched = fetch(&ranges, requests, writer).await;
        let worked = worker.await.unwrap_or(Err(Error::Worker));
        match fetched {
            Err(error) => Err(error.into()),
            Ok(()) => worked,
        }
    }

    fn decode<W: Write>(&self, plan: Plan, mut fetched: PipeReader, held: Bytes, mut output: W) -> Result<W> {
        for span in plan.spans {
            let mut left = span.bytes();
            let chunks = std::iter::from_fn(|| next_chunk(&mut fetched, &mut left).transpose());
            self.decode_span(span, chunks, &mut output)?;
        }
        if let Some(span) = plan.held {
            self.decode_span(span, std::iter::once(Ok(held)), &mut output)?;
        }
        output.flush().map_err(|source| self.output_error(source))?;
        Ok(output)
    }

    fn decode_span(
        &self,
        span: Span,
        chunks: impl Iterator<Item = Result<Bytes>>,
        output: &mut impl Write,
    ) -> Result<()> {
        let estargz = |source| Error::Estargz { layer: self.layer.digest.clone(), source };
        let mut decoder = SpanDecoder::new(span);
        for chunk in chunks {
            decoder.push(chunk?);
            while let Some(piece) = decoder.next() {
                let wanted = part_of(piece.map_err(estargz)?, &self.part);
                output.write_all(wanted).map_err(|source| self.output_error(source))?;
            }
        }
        decoder.finish().map_err(estargz)
    }

    fn output_error(&self, source: std::io::Error) -> Error {
        output_error(self.archive.toc().path_at(self.index), source)
    }
}

/// Makes `requests`, several at once. Of a request that fails nothing is given to the writer.
async fn fetch(ranges: &Ranges, requests: Vec<Range<u64>>, writer: PipeWriter) -> refs_registry::Result<()> {
    let answers = requests.into_iter().map(|range| ranges.read(range));
    let mut answers = futures_util::stream::iter(answers).buffered(REQUESTS_AT_ONCE);
    while let Some(bytes) = answers.next().await {
        if let Err(Unwanted) = writer.write(bytes?).await {
            return Ok(());
        }
    }
    writer.finish();
    Ok(())
}

/// What a piece has of `wanted`, a range of its file.
fn part_of<'p>(piece: Piece<'p>, wanted: &Range<u64>) -> &'p [u8] {
    let within = |at: u64| at.saturating_sub(piece.offset).min(piece.bytes.len() as u64) as usize;
    let end = within(wanted.end);
    &piece.bytes[within(wanted.start).min(end)..end]
}

/// The next bytes, of `left` that are to come.
fn next_chunk(fetched: &mut PipeReader, left: &mut u64) -> Result<Option<Bytes>> {
    if *left == 0 {
        return Ok(None);
    }
    let chunk = fetched.next_chunk()?.ok_or(Error::Worker)?;
    *left = left.checked_sub(chunk.len() as u64).ok_or(Error::Worker)?;
    Ok(Some(chunk))
}
