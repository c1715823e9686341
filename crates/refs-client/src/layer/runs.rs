//! Files of a layer that has no table of contents, by the index that was made when it was streamed: fetched in few runs of
//! files that lie close to each other.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use refs_estargz::{
    Entry, PlanOptions,
    seek::{Index, Located},
};
use refs_registry::{ByteStream, Descriptor};

use super::{
    contents::Contents,
    deliver::Delivery,
    form::{Form, Layer},
    pipe::{PipeReader, pipe},
    portions::Portions,
    ranges::Ranges,
    sought::{Known, part},
    stream::feed,
};
use crate::{
    Error, Result,
    receive::{Hand, Receive},
    select::Selection,
    thread,
};

/// Files of a layer, and where they are.
#[derive(Debug)]
pub(super) struct Runs {
    index: Arc<Index>,
    layer: Arc<Descriptor>,
    files: Vec<Entry>,
    runs: Vec<Run>,
}

/// Files that are inflated together.
#[derive(Debug)]
struct Run {
    /// Their content and what lies between, in bytes of the archive.
    range: Range<u64>,
    files: Vec<(Range<u64>, Entry)>,
}

impl Contents {
    /// Whether all that `selection` means of an artifact's only layer is better fetched by an index than with the layer. One
    /// that has a path twice is always streamed, so that it is refused by what refuses it without an index.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) async fn is_better_by_runs(&self, layer: &Layer, selection: &Selection) -> Result<bool> {
        if !matches!((&layer.form, selection), (Form::Archive { .. }, Selection::Some(_))) {
            return Ok(false);
        }
        let Some(known) = self.known(layer).await else { return Ok(false) };
        let (survey, _) = self.survey(None).await?;
        let (layer, selection, purpose) = (Arc::clone(&layer.descriptor), selection.clone(), self.purpose);
        thread::run(move || {
            if known.repeats_a_path() {
                return Ok(false);
            }
            let portions = Portions::of(survey, &selection, purpose, |_| Ok(()))?;
            Ok(Runs::of(&known, &layer, &portions.files(0)).is_some())
        })
        .await
    }
}

impl Runs {
    /// The runs that hold `files`, by their indexes in the archive; `None` when one of them is no such file, and when it is as
    /// well to fetch the whole layer: a request is not free, and a layer that is fetched is kept.
    pub(super) fn of(known: &Known, layer: &Arc<Descriptor>, files: &BTreeMap<usize, Entry>) -> Option<Self> {
        let index = known.index();
        let located = |(at, file): (&usize, &Entry)| {
            let located = index.entries().get(*at).filter(|located| located.entry.kind == file.kind);
            located.and_then(Located::content).map(|content| (content, file.clone()))
        };
        let mut placed = files.iter().map(located).collect::<Option<Vec<_>>>()?;
        placed.sort_by_key(|(content, _)| content.start);
        let mut runs: Vec<Run> = Vec::new();
        for (content, file) in placed.into_iter().filter(|(content, _)| !content.is_empty()) {
            let start = compressed(index, &content).start;
            match runs.last_mut().filter(|run| compressed(index, &run.range).end >= start) {
                Some(run) => {
                    run.range.end = run.range.end.max(content.end);
                    run.files.push((content, file));
                }
                None => runs.push(Run { range: content.clone(), files: vec![(content, file)] }),
            }
        }
        let runs =
            Self { index: Arc::clone(index), layer: Arc::clone(layer), files: files.values().cloned().collect(), runs };
        let requests_cost = runs.runs.len() as u64 * PlanOptions::default().request_cost;
        (requests_cost + runs.fetch_bytes() <= layer.size / 2).then_some(runs)
    }

    /// How many bytes of the blob are fetched.
    pub(super) fn fetch_bytes(&self) -> u64 {
        self.runs.iter().map(|run| compressed(&self.index, &run.range)).map(|range| range.end - range.start).sum()
    }

    /// The bytes of the first run, as they come; `None` where the registry gives no parts of blobs.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) async fn open(&self, ranges: &Ranges) -> Result<Option<ByteStream>> {
        let first = self.runs.first().map_or(0..0, |run| compressed(&self.index, &run.range));
        part(ranges, first, &self.layer).await
    }

    /// Hands the files over, from what [`open`](Runs::open) gave on, each span of the blob once it was checked.
    ///
    /// # Errors
    /// Those of the receiver and its hands, and of the source; `Estargz` when the index does not hold.
    pub(super) async fn deliver<R: Receive>(
        self,
        first: ByteStream,
        ranges: &Ranges,
        mut delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        let Self { index, layer, files, runs } = self;
        delivery = thread::run(move || {
            let mut hand = delivery.receiver.hand();
            for file in &files {
                delivery.receiver.entry(file)?;
                // Of a file without bytes no piece comes.
                if file.size() == 0 {
                    hand.piece(file, 0, &[])?;
                }
            }
            Ok(delivery)
        })
        .await?;
        let mut opened = Some(first);
        for run in runs {
            let mut stream = match opened.take() {
                Some(first) => first,
                None => ranges.stream(compressed(&index, &run.range)).await?,
            };
            let ((writer, reader), hand) = (pipe(), delivery.receiver.hand());
            let (index, layer) = (Arc::clone(&index), Arc::clone(&layer));
            let worker = tokio::task::spawn_blocking(move || run.hand_over(&index, &layer, reader, hand));
            let fetched = feed(&mut stream, writer).await;
            let worked = worker.await.unwrap_or(Err(Error::Worker));
            fetched?;
            worked?;
        }
        Ok(delivery)
    }
}

impl Run {
    fn hand_over(
        &self,
        index: &Arc<Index>,
        layer: &Descriptor,
        mut fetched: PipeReader,
        mut hand: impl Hand,
    ) -> Result<()> {
        let estargz = |source| Error::Estargz { layer: layer.digest.clone(), source };
        let mut extraction = index.extraction(self.range.clone());
        let mut at = self.range.start;
        while let Some(chunk) = fetched.next_chunk()? {
            extraction.push(chunk);
            while let Some(piece) = extraction.next() {
                let piece = piece.map_err(estargz)?;
                self.take(at, piece, &mut hand)?;
                at += piece.len() as u64;
            }
        }
        extraction.finish().map_err(estargz)
    }

    /// Gives each file what it has of `piece`, which begins `at` this byte of the archive.
    fn take(&self, at: u64, piece: &[u8], hand: &mut impl Hand) -> Result<()> {
        let end = at + piece.len() as u64;
        let passed = self.files.partition_point(|(content, _)| content.end <= at);
        for (content, file) in self.files[passed..].iter().take_while(|(content, _)| content.start < end) {
            let part = content.start.max(at)..content.end.min(end);
            let bytes = &piece[(part.start - at) as usize..(part.end - at) as usize];
            hand.piece(file, part.start - content.start, bytes)?;
        }
        Ok(())
    }
}

/// The bytes of the blob that bytes `range` of the archive are inflated from.
fn compressed(index: &Arc<Index>, range: &Range<u64>) -> Range<u64> {
    index.extraction(range.clone()).compressed()
}
