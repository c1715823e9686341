//! Hands over a part of an eStargz layer from few ranges of its blob.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_estargz::{Entry, Kind, Plan, PlanOptions, RangeRead, Span, SpanDecoder};
use refs_registry::Descriptor;

use super::{
    deliver::Delivery,
    pipe::{PipeReader, PipeWriter, Unwanted, pipe},
    ranges::{Indexed, Ranges, read_error},
};
use crate::{
    Error, Result,
    receive::{Content, Receive},
};

/// Spans are fetched in requests of at most this size, so that few bytes wait in memory.
const REQUEST_BYTES: u64 = 4 << 20;
const REQUESTS_AT_ONCE: usize = 8;

/// What to hand over of a layer, and where it is.
#[derive(Debug)]
pub(crate) struct Choice {
    archive: Arc<Indexed>,
    layer: Arc<Descriptor>,
    plan: Plan,
    /// Which entries are wanted.
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
        for (index, entry) in archive.entries().iter().enumerate() {
            if delivery.union.shows(&layer, entry)? && delivery.selection.contains(entry) {
                entries.push(index);
            }
        }
        let plan = archive.plan(entries.iter().copied(), &PlanOptions::default());
        Ok(Self { archive, layer, plan, entries })
    }

    /// The one entry at `index`.
    pub(crate) fn one(archive: Arc<Indexed>, layer: Arc<Descriptor>, index: usize) -> Self {
        let plan = archive.plan([index], &PlanOptions::default());
        Self { archive, layer, plan, entries: vec![index] }
    }

    /// Whether the whole blob in one request costs no more than the ranges.
    pub(crate) fn is_whole_cheaper(&self) -> bool {
        let request_cost = PlanOptions::default().request_cost;
        let requests = self.plan.spans.iter().map(|span| span.bytes().div_ceil(REQUEST_BYTES)).sum::<u64>();
        requests > 0 && requests * request_cost + self.plan.fetch_bytes() >= request_cost + self.layer.size
    }

    /// Fetches, checks and hands over: directories and whatever has no content first, then files as they lie in the
    /// blob, then symbolic links.
    pub(crate) async fn deliver<R: Receive>(self, ranges: Ranges, delivery: Delivery<R>) -> Result<Delivery<R>> {
        let digest = self.layer.digest.clone();
        let held = match &self.plan.held {
            Some(span) => self.archive.read_span(span).await.map_err(|error| read_error(&digest, error))?,
            None => Bytes::new(),
        };
        let requests = requests(&self.plan.spans);
        let (writer, reader) = pipe();
        let worker = tokio::task::spawn_blocking(move || self.hand_over(delivery, reader, held));
        let fetched = fetch(&ranges, requests, writer).await;
        let worked = worker.await.unwrap_or(Err(Error::Worker));
        match fetched {
            Err(error) => Err(error.into()),
            Ok(()) => worked,
        }
    }

    fn hand_over<R: Receive>(
        self,
        mut delivery: Delivery<R>,
        mut fetched: PipeReader,
        held: Bytes,
    ) -> Result<Delivery<R>> {
        let toc = self.archive.entries();
        for entry in toc {
            delivery.union.admit(&self.layer, entry)?;
        }
        self.hand_over_if(&mut delivery, |kind| !has_link_or_content(kind))?;
        let mut files = Files { names: self.names(), delivery: &mut delivery, toc, current: None };
        files.empty(&self.empty_files())?;
        for span in self.plan.spans.iter() {
            let mut left = span.bytes();
            let chunks = std::iter::from_fn(|| next_chunk(&mut fetched, &mut left).transpose());
            self.decode(span, chunks, &mut files)?;
        }
        if let Some(span) = &self.plan.held {
            self.decode(span, std::iter::once(Ok(held)), &mut files)?;
        }
        self.hand_over_if(&mut delivery, |kind| matches!(kind, Kind::Symlink { .. }))?;
        Ok(delivery)
    }

    fn hand_over_if<R: Receive>(&self, delivery: &mut Delivery<R>, is_meant: impl Fn(&Kind) -> bool) -> Result<()> {
        let entries = self.entries.iter().map(|&index| &self.archive.entries()[index]);
        for entry in entries.filter(|entry| is_meant(&entry.kind)) {
            delivery.receiver.entry(entry)?;
        }
        Ok(())
    }

    /// The files without content that are wanted, by whatever name.
    fn empty_files(&self) -> BTreeSet<usize> {
        let toc = self.archive.toc();
        let files = self.entries.iter().filter_map(|&index| toc.file_of(index));
        files.filter(|&file| toc.entries()[file].size() == 0).collect()
    }

    /// For each file that is wanted by other names, these names; its own comes first where it is wanted, too.
    fn names(&self) -> HashMap<usize, Vec<Entry>> {
        let toc = self.archive.toc();
        let mut names: HashMap<usize, Vec<Entry>> = HashMap::new();
        for &index in &self.entries {
            let entry = &toc.entries()[index];
            let Some(file) = toc.file_of(index).filter(|&file| file != index) else { continue };
            let is_wanted = self.entries.binary_search(&file).is_ok();
            let known =
                names.entry(file).or_insert_with(|| Vec::from_iter(is_wanted.then(|| toc.entries()[file].clone())));
            known.push(entry.clone());
        }
        names
    }

    fn decode<R: Receive>(
        &self,
        span: &Span,
        chunks: impl Iterator<Item = Result<Bytes>>,
        files: &mut Files<'_, R>,
    ) -> Result<()> {
        let estargz = |source| Error::Estargz { layer: self.layer.digest.clone(), source };
        let mut decoder = SpanDecoder::new(span.clone());
        for chunk in chunks {
            decoder.push(chunk?);
            while let Some(piece) = decoder.next() {
                let piece = piece.map_err(estargz)?;
                files.piece(piece.entry, piece.offset, piece.bytes)?;
            }
        }
        decoder.finish().map_err(estargz)
    }
}

/// Puts pieces together to files.
struct Files<'a, R> {
    delivery: &'a mut Delivery<R>,
    toc: &'a [Entry],
    names: HashMap<usize, Vec<Entry>>,
    /// The file whose pieces come, and whether they are wanted.
    current: Option<Content>,
}

impl<R: Receive> Files<'_, R> {
    fn piece(&mut self, index: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let content = match self.current {
            Some(content) if offset > 0 => content,
            _ => self.begin(index)?,
        };
        let is_last = offset + bytes.len() as u64 == self.toc[index].size();
        if content == Content::Take {
            self.delivery.receiver.content(bytes)?;
            if is_last {
                self.delivery.receiver.end_of_file()?;
            }
        }
        self.current = (!is_last).then_some(content);
        Ok(())
    }

    /// Announces the file by the first of its names; the others become links to that, for the end.
    fn begin(&mut self, index: usize) -> Result<Content> {
        let file = &self.toc[index];
        let mut names = self.names.remove(&index).unwrap_or_else(|| vec![file.clone()]).into_iter();
        let first = names.next().map_or_else(|| file.path.clone(), |name| name.path);
        for name in names {
            self.delivery.link(Entry { kind: Kind::Hardlink { target: first.clone() }, ..name });
        }
        self.delivery.receiver.entry(&Entry { path: first, ..file.clone() })
    }

    /// Hands over files of which no piece comes.
    fn empty(&mut self, indexes: &BTreeSet<usize>) -> Result<()> {
        for &index in indexes {
            if self.begin(index)? == Content::Take {
                self.delivery.receiver.end_of_file()?;
            }
        }
        Ok(())
    }
}

fn has_link_or_content(kind: &Kind) -> bool {
    matches!(kind, Kind::File { .. } | Kind::Symlink { .. } | Kind::Hardlink { .. })
}

/// The requests that fetch `spans`, in order.
fn requests(spans: &[Span]) -> Vec<Range<u64>> {
    let cut = |range: Range<u64>| {
        let end = range.end;
        range.step_by(REQUEST_BYTES as usize).map(move |start| start..end.min(start + REQUEST_BYTES))
    };
    spans.iter().flat_map(|span| cut(span.range.clone())).collect()
}

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

/// The next bytes, of `left` that are to come.
fn next_chunk(fetched: &mut PipeReader, left: &mut u64) -> Result<Option<Bytes>> {
    if *left == 0 {
        return Ok(None);
    }
    let chunk = fetched.next_chunk()?.ok_or(Error::Worker)?;
    *left = left.checked_sub(chunk.len() as u64).ok_or(Error::Worker)?;
    Ok(Some(chunk))
}
