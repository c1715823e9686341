//! Hands over an eStargz layer, or a part of it: few ranges of its blob, decoded by all cores.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    thread,
};

use refs_estargz::{ChunkId, Entry, Kind, Plan, PlanOptions, Span, SpanDecoder};
use refs_registry::{Descriptor, Source};
use tokio::select;

use super::{
    cutter::{Batch, Cutter},
    deliver::Delivery,
    fetch::{feed, fetch, requests},
    pipe::Unwanted,
    queue::{BatchQueue, Progress, queue},
    ranges::{Indexed, Ranges, read_error},
    stream::{drain, may_be_changed_on_the_way, open_blob},
};
use crate::{
    Error, Result,
    receive::{Hand, Receive},
};

/// A thread gets so many bytes of the blob at a time: enough to be worth waking it.
const BATCH_BYTES: u64 = 128 << 10;
/// More threads than this are not fed by one connection.
const MOST_THREADS: usize = 8;
/// The content of files may follow after so many entries more.
const ENTRIES_AT_ONCE: usize = 32;

/// What to hand over of a layer, and where it is.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(super) archive: Arc<Indexed>,
    pub(super) layer: Arc<Descriptor>,
    pub(super) plan: Plan,
    pub(super) wanted: Wanted,
    /// The chunks whose content was handed over before: they are not fetched.
    pub(super) has: HashSet<ChunkId>,
    /// How many bytes a request is worth.
    pub(super) request_cost: u64,
    /// Set when the entries were handed over before: the files that are known by other entries than their own.
    pub(super) taken: Option<BTreeMap<usize, Entry>>,
}

/// What is wanted of a layer.
#[derive(Debug)]
pub(super) enum Wanted {
    /// These entries, in order.
    Entries(Vec<usize>),
    /// The content of these files, each as the entry that it is to be known by.
    Files(BTreeMap<usize, Entry>),
}

impl Choice {
    /// What the selection of `delivery` means for the layer.
    pub(crate) fn new<R: Receive>(archive: Arc<Indexed>, layer: Arc<Descriptor>, delivery: &Delivery<R>) -> Self {
        let mut entries = Vec::new();
        for (index, entry) in archive.toc().entries().enumerate() {
            if delivery.means(&entry) {
                entries.push(index);
            }
        }
        Self::of(archive, layer, Wanted::Entries(entries))
    }

    /// The content of files, by their indexes in the table of contents.
    pub(crate) fn of_files(archive: Arc<Indexed>, layer: Arc<Descriptor>, files: BTreeMap<usize, Entry>) -> Self {
        Self::of(archive, layer, Wanted::Files(files))
    }

    fn of(archive: Arc<Indexed>, layer: Arc<Descriptor>, wanted: Wanted) -> Self {
        let options = PlanOptions::default();
        let (plan, request_cost) = (archive.plan(wanted.indexes(), &options), options.request_cost);
        Self { archive, layer, plan, wanted, has: HashSet::new(), request_cost, taken: None }
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

    /// Whether nothing is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.wanted {
            Wanted::Entries(entries) => entries.is_empty(),
            Wanted::Files(files) => files.is_empty(),
        }
    }

    /// How many bytes of the blob are not fetched.
    pub(crate) fn skipped_bytes(&self) -> u64 {
        if self.is_better_whole() { 0 } else { self.archive.held_from().saturating_sub(self.plan.fetch_bytes()) }
    }

    /// Whether to fetch the whole blob in one request: when the ranges cost as much, and when all entries are wanted, since
    /// only the whole has a digest that the manifest gives.
    fn is_better_whole(&self) -> bool {
        let requests = requests(&self.plan.spans).len() as u64;
        let costs_as_much =
            || requests * self.request_cost + self.plan.fetch_bytes() >= self.request_cost + self.layer.size;
        requests > 0 && (self.has.is_empty() && self.wants_all() || costs_as_much())
    }

    /// Whether all content is wanted.
    fn wants_all(&self) -> bool {
        let toc = self.archive.toc();
        match &self.wanted {
            Wanted::Entries(entries) => entries.len() == toc.len(),
            Wanted::Files(files) => {
                files.len() == (0..toc.len()).filter(|&index| toc.file_of(index) == Some(index)).count()
            }
        }
    }

    async fn whole<R: Receive>(self, source: &dyn Source, delivery: Delivery<R>) -> Result<Delivery<R>> {
        let mut stream = open_blob(source, &self.layer).await?;
        let has = |chunk| self.has.contains(&chunk);
        let plan = self.archive.toc().plan_without(self.wanted.indexes(), has, &PlanOptions::default());
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
        let fetched = fetch(&ranges, requests, &mut cutter, &writer);
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
        match (&self.wanted, &self.taken) {
            (wanted, Some(renamed)) => {
                self.decode(&mut delivery, queue, renamed, |_, progress| {
                    progress.reach(usize::MAX);
                    Ok(())
                })?;
                if let Wanted::Entries(entries) = wanted {
                    self.take_links(entries, &mut delivery)?;
                }
            }
            (Wanted::Entries(entries), None) => {
                self.count(&delivery)?;
                let names = self.names(entries);
                let renamed = self.renamed(&names);
                self.decode(&mut delivery, queue, &renamed, |delivery, progress| {
                    self.take_entries(entries, delivery, progress, names, &renamed)
                })?;
                self.take_links(entries, &mut delivery)?;
            }
            (Wanted::Files(files), None) => {
                self.decode(&mut delivery, queue, files, |delivery, progress| take_files(files, delivery, progress))?;
            }
        }
        Ok(delivery)
    }

    /// Counts all that the layer holds.
    pub(super) fn count<R: Receive>(&self, delivery: &Delivery<R>) -> Result<()> {
        self.archive.toc().entries().try_for_each(|entry| delivery.tally.count(&self.layer, &entry))
    }

    /// Lets threads decode content while `take` hands the entries over. Files of `renamed` are known by other entries than
    /// those of the table.
    fn decode<R: Receive>(
        &self,
        delivery: &mut Delivery<R>,
        queue: &BatchQueue,
        renamed: &BTreeMap<usize, Entry>,
        take: impl FnOnce(&mut Delivery<R>, &Progress) -> Result<()>,
    ) -> Result<()> {
        let progress = Progress::default();
        let hands = hands(delivery);
        let work = |hand| {
            let worked = self.write(hand, queue, &progress, renamed);
            if worked.is_err() {
                queue.fail();
            }
            worked
        };
        let work = &work;
        thread::scope(|scope| {
            // Fewer threads are slower; without any, nobody would take what is fetched.
            let spawn = |hand| thread::Builder::new().spawn_scoped(scope, move || work(hand)).ok();
            let workers: Vec<_> = hands.into_iter().filter_map(spawn).collect();
            let taken = if workers.is_empty() { Err(Error::Worker) } else { take(delivery, &progress) };
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
        })
    }

    /// Hands over everything but links, in order; files that are wanted by other names than their own at the end.
    pub(super) fn take_entries<R: Receive>(
        &self,
        entries: &[usize],
        delivery: &mut Delivery<R>,
        progress: &Progress,
        mut names: BTreeMap<usize, Vec<Entry>>,
        renamed: &BTreeMap<usize, Entry>,
    ) -> Result<()> {
        let toc = self.archive.toc();
        let mut hand = delivery.receiver.hand();
        for (position, &index) in entries.iter().enumerate() {
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

    fn take_links<R: Receive>(&self, entries: &[usize], delivery: &mut Delivery<R>) -> Result<()> {
        let entries = entries.iter().map(|&index| self.archive.toc().entry_at(index));
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
    pub(super) fn names(&self, entries: &[usize]) -> BTreeMap<usize, Vec<Entry>> {
        let toc = self.archive.toc();
        let mut names: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for &index in entries {
            let Some(file) = toc.file_of(index).filter(|&file| file != index) else { continue };
            let is_wanted = entries.binary_search(&file).is_ok();
            let known = names.entry(file).or_insert_with(|| Vec::from_iter(is_wanted.then(|| toc.entry_at(file))));
            known.push(toc.entry_at(index));
        }
        names
    }

    /// The files that are not wanted by their own names, each by the first of its others.
    pub(super) fn renamed(&self, names: &BTreeMap<usize, Vec<Entry>>) -> BTreeMap<usize, Entry> {
        let toc = self.archive.toc();
        let renamed = names.iter().filter_map(|(&file, names)| {
            let first = names.first().filter(|first| first.path != toc.path_at(file))?;
            Some((file, Entry { path: first.path.clone(), ..toc.entry_at(file) }))
        });
        renamed.collect()
    }
}

/// A hand for each thread.
pub(super) fn hands<R: Receive>(delivery: &Delivery<R>) -> Vec<R::Hand> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get().min(MOST_THREADS);
    (0..threads).map(|_| delivery.receiver.hand()).collect()
}

impl Wanted {
    pub(super) fn indexes(&self) -> Vec<usize> {
        match self {
            Self::Entries(entries) => entries.clone(),
            Self::Files(files) => files.keys().copied().collect(),
        }
    }
}

/// Hands over files without the content that they have.
pub(super) fn take_files<R: Receive>(
    files: &BTreeMap<usize, Entry>,
    delivery: &mut Delivery<R>,
    progress: &Progress,
) -> Result<()> {
    let mut hand = delivery.receiver.hand();
    for file in files.values() {
        take_file(file, None, delivery, &mut hand)?;
    }
    progress.reach(usize::MAX);
    Ok(())
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
