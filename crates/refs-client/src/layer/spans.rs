//! Hands over an eStargz layer, or a part of it: few ranges of its blob, decoded by all cores.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    ops::Range,
    sync::Arc,
    thread,
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_estargz::{Entry, Kind, Plan, PlanOptions, Span, SpanDecoder};
use refs_registry::{ByteStream, Descriptor, Resume, Source};
use tokio::{select, sync::mpsc, task::JoinSet};

use super::{
    cutter::{Batch, Cutter},
    deliver::Delivery,
    pipe::Unwanted,
    queue::{BatchQueue, BatchWriter, Progress, queue},
    ranges::{Indexed, Ranges, read_error},
    stream::{drain, may_be_changed_on_the_way},
};
use crate::{
    Error, Result,
    receive::{Hand, Receive},
};

/// A thread gets so many bytes of the blob at a time: enough to be worth waking it.
const BATCH_BYTES: u64 = 128 << 10;
/// A longer span is fetched in several requests, so that several connections share the work.
const REQUEST_BYTES: u64 = 4 << 20;
const REQUESTS_AT_ONCE: usize = 8;
/// More threads than this are not fed by one connection.
const MOST_THREADS: usize = 8;
/// The content of files may follow after so many entries more.
const ENTRIES_AT_ONCE: usize = 32;

/// What to hand over of a layer, and where it is.
#[derive(Debug)]
pub(crate) struct Choice {
    archive: Arc<Indexed>,
    layer: Arc<Descriptor>,
    plan: Plan,
    /// Which entries are wanted, in order.
    entries: Vec<usize>,
}

impl Choice {
    /// What the selection of `delivery` means for the layer.
    pub(crate) fn new<R: Receive>(
        archive: Arc<Indexed>,
        layer: Arc<Descriptor>,
        delivery: &Delivery<R>,
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for (index, entry) in archive.toc().entries().enumerate() {
            if delivery.union.shows(&layer, &entry)? && delivery.selection.contains(&entry) {
                entries.push(index);
            }
        }
        let plan = archive.plan(entries.iter().copied(), &PlanOptions::default());
        Ok(Self { archive, layer, plan, entries })
    }

    /// Fetches, checks and hands over: entries in their order, symbolic links last, and content as it comes.
    pub(crate) async fn deliver<R: Receive>(
        self,
        source: &dyn Source,
        ranges: Ranges,
        delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        if self.is_better_whole() { self.whole(source, delivery).await } else { self.parts(ranges, delivery).await }
    }

    /// How many bytes of the blob are not fetched.
    pub(crate) fn skipped_bytes(&self) -> u64 {
        if self.is_better_whole() { 0 } else { self.archive.held_from().saturating_sub(self.plan.fetch_bytes()) }
    }

    /// Whether to fetch the whole blob in one request: when the ranges cost as much, and when all entries are wanted, since
    /// only the whole has a digest that the manifest gives.
    fn is_better_whole(&self) -> bool {
        let request_cost = PlanOptions::default().request_cost;
        let requests = requests(&self.plan.spans).len() as u64;
        let costs_as_much = || requests * request_cost + self.plan.fetch_bytes() >= request_cost + self.layer.size;
        requests > 0 && (self.entries.len() == self.archive.toc().len() || costs_as_much())
    }

    async fn whole<R: Receive>(self, source: &dyn Source, delivery: Delivery<R>) -> Result<Delivery<R>> {
        let mut stream = source.blob(&self.layer.digest, Resume::START).await?.stream;
        let plan = self.archive.toc().plan(self.entries.iter().copied(), &PlanOptions::default());
        let cutter = Cutter::new(batches(plan.spans));
        let (writer, queue) = queue();
        let worker = tokio::task::spawn_blocking(move || self.hand_over(delivery, &queue));
        let fed = feed(&mut stream, cutter, writer).await;
        let worked = worker.await.unwrap_or(Err(Error::Worker));
        fed?;
        if worked.as_ref().is_err_and(may_be_changed_on_the_way) {
            drain(&mut stream).await?;
        }
        worked
    }

    async fn parts<R: Receive>(mut self, ranges: Ranges, delivery: Delivery<R>) -> Result<Delivery<R>> {
        let digest = self.layer.digest.clone();
        let held = match self.plan.held.take() {
            Some(span) => {
                let bytes = self.archive.read_span(&span).await.map_err(|error| read_error(&digest, error))?;
                Some(Batch { span, bytes: vec![bytes] })
            }
            None => None,
        };
        let requests = requests(&self.plan.spans);
        let mut cutter = Cutter::new(batches(std::mem::take(&mut self.plan.spans)));
        let (writer, queue) = queue();
        let worker = tokio::task::spawn_blocking(move || self.hand_over(delivery, &queue));
        let fetched = fetch(&ranges, requests, async |at, bytes| {
            for batch in cutter.push(at, bytes) {
                writer.write(batch).await?;
            }
            Ok(())
        });
        let fetched = select! {
            biased;
            () = writer.unwanted() => Ok(()),
            fetched = fetched => fetched,
        };
        if let Ok(()) = fetched {
            if let Some(held) = held
                && writer.write(held).await == Err(Unwanted)
            {
                tracing::debug!("a thread has failed, and has an error to tell");
            }
            writer.finish();
        } else {
            drop(writer);
        }
        let worked = worker.await.unwrap_or(Err(Error::Worker));
        match fetched {
            Err(error) => Err(error),
            Ok(()) => worked,
        }
    }

    /// Hands over entries from this thread, and content from others while they follow.
    fn hand_over<R: Receive>(self, mut delivery: Delivery<R>, queue: &BatchQueue) -> Result<Delivery<R>> {
        for entry in self.archive.toc().entries() {
            delivery.union.admit(&self.layer, &entry)?;
        }
        let names = self.names();
        let renamed = self.renamed(&names);
        let progress = Progress::default();
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get().min(MOST_THREADS);
        let hands: Vec<R::Hand> = (0..threads).map(|_| delivery.receiver.hand()).collect();
        let work = |hand| {
            let worked = self.write(hand, queue, &progress, &renamed);
            if worked.is_err() {
                queue.fail();
            }
            worked
        };
        let work = &work;
        thread::scope(|scope| {
            let workers: Vec<_> = hands.into_iter().map(|hand| scope.spawn(move || work(hand))).collect();
            let taken = self.take_entries(&mut delivery, &progress, names, &renamed);
            if taken.is_err() {
                progress.fail();
                queue.fail();
            }
            let worked = workers.into_iter().map(|worker| worker.join().unwrap_or(Err(Error::Worker)));
            // A thread that only waited for another has no error of its own to tell.
            let worked = worked.fold(taken, |first, next| match (first, next) {
                (Ok(()) | Err(Error::Worker), Err(error)) => Err(error),
                (first, _) => first,
            });
            worked.and_then(|()| queue.check_complete())
        })?;
        self.take_links(&mut delivery)?;
        Ok(delivery)
    }

    /// Hands over everything but links, in order; files that are wanted by other names than their own at the end.
    fn take_entries<R: Receive>(
        &self,
        delivery: &mut Delivery<R>,
        progress: &Progress,
        mut names: BTreeMap<usize, Vec<Entry>>,
        renamed: &BTreeMap<usize, Entry>,
    ) -> Result<()> {
        let toc = self.archive.toc();
        let mut hand = delivery.receiver.hand();
        for (position, &index) in self.entries.iter().enumerate() {
            let entry = &toc.entry_at(index);
            match entry.kind {
                Kind::Symlink { .. } | Kind::Hardlink { .. } => {}
                Kind::File { .. } => take_file(entry, names.remove(&index), delivery, &mut hand)?,
                _ => delivery.receiver.entry(entry)?,
            }
            if position % ENTRIES_AT_ONCE == 0 {
                progress.reach(index + 1);
            }
        }
        for (index, entry) in renamed {
            take_file(entry, names.remove(index), delivery, &mut hand)?;
        }
        progress.reach(usize::MAX);
        Ok(())
    }

    fn take_links<R: Receive>(&self, delivery: &mut Delivery<R>) -> Result<()> {
        let entries = self.entries.iter().map(|&index| self.archive.toc().entry_at(index));
        for entry in entries.filter(|entry| matches!(entry.kind, Kind::Symlink { .. })) {
            delivery.receiver.entry(&entry)?;
        }
        Ok(())
    }

    /// Decodes batches, as long as there are any, and hands their content over.
    fn write(
        &self,
        mut hand: impl Hand,
        queue: &BatchQueue,
        progress: &Progress,
        renamed: &BTreeMap<usize, Entry>,
    ) -> Result<()> {
        let estargz = |source| Error::Estargz { layer: self.layer.digest.clone(), source };
        let mut decoder: Option<SpanDecoder> = None;
        let mut taken = 0;
        while let Some(queued) = queue.next() {
            let (span, bytes) = (queued.batch.span.clone(), queued.batch.bytes.clone());
            let decoder = match &mut decoder {
                Some(decoder) => {
                    decoder.start(span);
                    decoder
                }
                none => none.insert(SpanDecoder::new(span)),
            };
            bytes.into_iter().for_each(|bytes| decoder.push(bytes));
            while let Some(piece) = decoder.next() {
                let piece = piece.map_err(estargz)?;
                let (file, needed) = match renamed.get(&piece.entry) {
                    Some(file) => (Cow::Borrowed(file), usize::MAX),
                    None => (Cow::Owned(self.archive.toc().entry_at(piece.entry)), piece.entry + 1),
                };
                if taken < needed {
                    taken = progress.wait_for(needed)?;
                }
                hand.piece(&file, piece.offset, piece.bytes)?;
            }
            decoder.finish().map_err(estargz)?;
        }
        Ok(())
    }

    /// For each file that is wanted by other names, these names; its own comes first where it is wanted, too.
    fn names(&self) -> BTreeMap<usize, Vec<Entry>> {
        let toc = self.archive.toc();
        let mut names: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for &index in &self.entries {
            let Some(file) = toc.file_of(index).filter(|&file| file != index) else { continue };
            let is_wanted = self.entries.binary_search(&file).is_ok();
            let known = names.entry(file).or_insert_with(|| Vec::from_iter(is_wanted.then(|| toc.entry_at(file))));
            known.push(toc.entry_at(index));
        }
        names
    }

    /// The files that are not wanted by their own names, each by the first of its others.
    fn renamed(&self, names: &BTreeMap<usize, Vec<Entry>>) -> BTreeMap<usize, Entry> {
        let toc = self.archive.toc();
        let renamed = names.iter().filter_map(|(&file, names)| {
            let first = names.first().filter(|first| first.path != toc.path_at(file))?;
            Some((file, Entry { path: first.path.clone(), ..toc.entry_at(file) }))
        });
        renamed.collect()
    }
}

/// Hands over a file by the first of its names; the others become links to that, for the end.
fn take_file<R: Receive>(
    file: &Entry,
    names: Option<Vec<Entry>>,
    delivery: &mut Delivery<R>,
    hand: &mut R::Hand,
) -> Result<()> {
    for name in names.into_iter().flatten().skip(1) {
        delivery.link(Entry { kind: Kind::Hardlink { target: file.path.clone() }, ..name });
    }
    delivery.receiver.entry(file)?;
    // Of a file without bytes no piece comes.
    if file.size() == 0 { hand.piece(file, 0, &[]) } else { Ok(()) }
}

fn batches(spans: Vec<Span>) -> Vec<Span> {
    spans.into_iter().flat_map(|span| span.split(BATCH_BYTES)).collect()
}

/// The requests that fetch `spans`, in order.
pub(crate) fn requests(spans: &[Span]) -> Vec<Range<u64>> {
    let cut = |range: Range<u64>| {
        let end = range.end;
        range.step_by(REQUEST_BYTES as usize).map(move |start| start..end.min(start + REQUEST_BYTES))
    };
    spans.iter().flat_map(|span| cut(span.range.clone())).collect()
}

/// Moves all bytes of the blob, to the end, where they are known to be the right ones, or until nobody wants more batches.
async fn feed(stream: &mut ByteStream, mut cutter: Cutter, writer: BatchWriter) -> refs_registry::Result<()> {
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

/// Makes `requests`, several at once, and gives what they bring to `take` as it comes, in order and with its place in the
/// blob, as long as it is wanted. Every answer is read from when it begins: answers that share a connection share how much
/// may be on its way, so that one which nobody reads would hold up the others.
async fn fetch(
    ranges: &Ranges,
    requests: Vec<Range<u64>>,
    mut take: impl AsyncFnMut(u64, Bytes) -> Result<(), Unwanted>,
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
            if let Err(Unwanted) = take(start, bytes).await {
                return Ok(());
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
