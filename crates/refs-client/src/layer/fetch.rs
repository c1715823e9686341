//! Fetches a blob, or ranges of it, for threads that decode it meanwhile.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_estargz::Span;
use refs_registry::ByteStream;
use tokio::{select, sync::mpsc, task::JoinSet};

use super::{cutter::Cutter, pipe::Unwanted, queue::BatchWriter, ranges::Ranges};
use crate::{Error, Result};

/// A longer span is fetched in several requests, so that several connections share the work.
const REQUEST_BYTES: u64 = 4 << 20;
const REQUESTS_AT_ONCE: usize = 8;

/// The requests that fetch `spans`, in order.
pub(crate) fn requests(spans: &[Span]) -> Vec<Range<u64>> {
    let cut = |range: Range<u64>| {
        let end = range.end;
        range.step_by(REQUEST_BYTES as usize).map(move |start| start..end.min(start + REQUEST_BYTES))
    };
    spans.iter().flat_map(|span| cut(span.range.clone())).collect()
}

/// Moves all bytes of the blob, to the end, where they are known to be the right ones, or until nobody wants more batches.
pub(super) async fn feed(
    stream: &mut ByteStream,
    mut cutter: Cutter,
    writer: BatchWriter,
) -> refs_registry::Result<()> {
    let mut at = 0;
    loop {
        let chunk = select! {
            biased;
            () = writer.unwanted() => return Ok(()),
            chunk = stream.next() => chunk,
        };
        let Some(chunk) = chunk.transpose()? else { break };
        let start = at;
        at += chunk.len() as u64;
        for batch in cutter.push(start, chunk) {
            if let Err(Unwanted) = writer.write(batch).await {
                return Ok(());
            }
        }
    }
    writer.finish();
    Ok(())
}

/// Makes `requests`, several at once, and puts what they bring into batches as it comes, in order, as long as they are wanted.
/// Every answer is read from when it begins: answers that share a connection share how much may be on its way, so that one
/// which nobody reads would hold up the others.
pub(super) async fn fetch(
    ranges: &Ranges,
    requests: Vec<Range<u64>>,
    cutter: &mut Cutter,
    writer: &BatchWriter,
) -> Result<()> {
    let mut requests = requests.into_iter();
    let mut readers = JoinSet::new();
    let mut answers = VecDeque::new();
    loop {
        while answers.len() < REQUESTS_AT_ONCE
            && let Some(range) = requests.next()
        {
            let (sender, answer) = mpsc::unbounded_channel();
            readers.spawn(read_all(ranges.clone(), range.clone(), sender));
            answers.push_back((range, answer));
        }
        let Some((Range { start: mut at, end }, mut answer)) = answers.pop_front() else { return Ok(()) };
        while let Some(bytes) = answer.recv().await {
            let bytes = bytes?;
            let start = at;
            at += bytes.len() as u64;
            for batch in cutter.push(start, bytes) {
                if let Err(Unwanted) = writer.write(batch).await {
                    return Ok(());
                }
            }
        }
        if at < end {
            return Err(Error::Worker);
        }
    }
}

/// Sends all bytes of `range` on, or what they failed of, as long as somebody takes them.
async fn read_all(ranges: Ranges, range: Range<u64>, answer: mpsc::UnboundedSender<refs_registry::Result<Bytes>>) {
    let mut stream = match ranges.stream(range).await {
        Ok(stream) => stream,
        Err(error) => return drop(answer.send(Err(error))),
    };
    while let Some(bytes) = stream.next().await {
        if answer.send(bytes).is_err() {
            return;
        }
    }
}
