//! Layers that lie on each other. All of them are read before it is known what they show together, and those that are
//! streams are read once more for the content of what is shown, so that nothing is handed over that a layer above hides.

use std::{
    collections::{BTreeMap, HashMap},
    io::BufRead,
    sync::Arc,
};

use futures_util::FutureExt;
use refs_estargz::{
    Entry,
    seek::{Builder, Names},
};
use refs_registry::Descriptor;

use super::{
    archive::{self, Compression},
    contents::Contents,
    deliver::{Delivery, check_below},
    form::{Form, Layer, Purpose},
    merge::{Met, Origin},
    passes::{self, Tally},
    portions::Portions,
    read::{self, Held, Read},
    runs::Runs,
    sought::{Known, Made},
    spans::Choice,
    spool::{Capture, Spool},
    stream::read_blob,
    survey::Survey,
    tar::{Slash, Walk},
};
use crate::{Result, receive::Receive, select::Selection, thread};

impl Contents {
    /// Whether layers are to be read twice, as streams, when content of them is wanted.
    ///
    /// # Errors
    /// Those of the source and of tables of contents.
    pub(crate) async fn is_streamed_twice(&self) -> Result<bool> {
        if self.layers.len() < 2 {
            return Ok(false);
        }
        for layer in &self.layers {
            if !matches!(layer.form, Form::File(_)) && self.index(layer).await?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What all layers show together, and the content of the file that was to be captured, if it came by.
    ///
    /// # Errors
    /// Those of the source and of the layers' formats; `UnsafePath` and `UnsafeLink` for what layers can't make of each
    /// other.
    pub(super) async fn merged(&self, capture: Option<Capture>) -> Result<(Survey, Option<Spool>)> {
        let (tally, capture) = (Arc::<Tally>::default(), capture.map(Arc::new));
        let layers = self.layers.iter().enumerate();
        let reads = layers.map(|(at, layer)| self.read(at, layer, Arc::clone(&tally), capture.clone()).boxed());
        let (merge, captured) = read::merged(reads.collect()).await?;
        let tables = self.tables();
        let survey = thread::run(move || Ok(Survey { found: merge.into_shown(), tables })).await?;
        Ok((survey, captured))
    }

    /// All that a layer holds; what comes from an archive is counted in `tally`.
    ///
    /// # Errors
    /// Those of the source and of the layer's format.
    pub(super) async fn read(
        &self,
        at: usize,
        layer: &Layer,
        tally: Arc<Tally>,
        capture: Option<Arc<Capture>>,
    ) -> Result<Read> {
        let (held, captured) = match (&layer.form, self.index(layer).await?) {
            (_, Some(index)) => (Held::Table(index), None),
            (Form::File(entry), None) => (Held::Files(vec![Met { entry: entry.clone(), nanos: 0, index: 0 }]), None),
            (_, None) => {
                let (mets, captured) = self.streamed(at, layer, tally, capture).await?;
                let held = if layer.root().is_empty() { Held::Changes(mets) } else { Held::Files(mets) };
                (held, captured)
            }
        };
        Ok(Read { layer: Arc::clone(&layer.descriptor), held, captured })
    }

    /// All entries of a layer that is read as a stream, and the content of the file that was to be captured.
    async fn streamed(
        &self,
        at: usize,
        layer: &Layer,
        tally: Arc<Tally>,
        capture: Option<Arc<Capture>>,
    ) -> Result<(Vec<Met>, Option<Spool>)> {
        let descriptor = Arc::clone(&layer.descriptor);
        let mut seen = Seen { layer: at, root: layer.root().to_owned(), capture, captured: None };
        if let Some(known) = self.known(layer).await {
            let mets = thread::run(move || seen.by_index(&known, &descriptor, &tally)).await?;
            return Ok((mets, None));
        }
        let (makes_index, slash) = (self.makes_indexes(), self.slash());
        let work = move |bytes| {
            let packed = archive::look(bytes, &descriptor)?;
            if makes_index && packed.compression == Compression::Gzip {
                let archive = Walk::new(Builder::new(packed.bytes), descriptor.digest.clone()).with(slash);
                let (mut offsets, mut names) = (Vec::new(), Names::Relative);
                let (mets, builder) = passes::entries(archive, &descriptor, &tally, |met, archive| {
                    offsets.push(archive.content_offset());
                    names = archive.names();
                    seen.see(met, archive)
                })?;
                let made = Made::of(builder, &descriptor, names, &mets, &offsets);
                return Ok((mets, seen.captured, made));
            }
            let archive = Walk::new(packed.inflated(), descriptor.digest.clone()).with(slash);
            let (mets, _) = passes::entries(archive, &descriptor, &tally, |met, archive| seen.see(met, archive))?;
            Ok((mets, seen.captured, None))
        };
        let (mets, captured, made) = read_blob(self.streams.as_ref(), &layer.descriptor, work).await?;
        if let Some(made) = made {
            self.keep_index(layer, made).await;
        }
        Ok((mets, captured))
    }

    /// What a slash at the start of a name means: layers that lie on each other are read as those of an image.
    pub(super) fn slash(&self) -> Slash {
        if self.purpose == Purpose::Image || self.layers.len() > 1 { Slash::IsRoot } else { Slash::LeadsOut }
    }

    /// The content of a file of a layer that is read as a stream.
    ///
    /// # Errors
    /// Those of the source and of the archive.
    pub(super) async fn spooled(&self, origin: Origin, path: &str, layer: &Layer) -> Result<Spool> {
        let (descriptor, mut spool) = (Arc::clone(&layer.descriptor), Spool::new(origin, path));
        let slash = self.slash();
        let work = move |bytes| {
            let mut archive = archive::open(bytes, &descriptor)?.with(slash);
            while let Some(met) = archive.next_met()? {
                if met.index == origin.index {
                    return archive.content(|bytes| spool.take(bytes)).map(|()| spool);
                }
            }
            Err(archive.changed())
        };
        read_blob(self.streams.as_ref(), &layer.descriptor, work).await
    }

    /// Hands over what is shown and selected: what has no content first, then files by layer, further names of them last.
    ///
    /// # Errors
    /// Those of the receiver, the source and the layers' formats.
    pub(super) async fn extract_merged<R: Receive>(&self, selection: &Selection, receiver: R) -> Result<R> {
        let (survey, _) = self.survey(None).await?;
        let (mut delivery, purpose) = (Delivery::new(selection.clone(), receiver), self.purpose);
        let (mut delivery, portions) = thread::run(move || {
            let Delivery { selection, receiver, .. } = &mut delivery;
            let portions = Portions::of(survey, selection, purpose, |entry| receiver.entry(entry))?;
            Ok((delivery, portions))
        })
        .await?;
        for (at, layer) in self.layers.iter().enumerate() {
            delivery = self.deliver_files(layer, portions.files(at), delivery).await?;
        }
        thread::run(move || {
            portions.names().try_for_each(|name| delivery.receiver.entry(&name))?;
            Ok(delivery.receiver)
        })
        .await
    }

    /// Hands over files of a layer, each by its index there.
    async fn deliver_files<R: Receive>(
        &self,
        layer: &Layer,
        mut files: BTreeMap<usize, Entry>,
        delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        if let Form::File(_) = layer.form {
            let Some((_, file)) = files.pop_first() else { return Ok(delivery) };
            return self.deliver_file(layer, file, delivery).await;
        }
        let Some(index) = self.index(layer).await? else { return self.deliver_streamed(layer, files, delivery).await };
        let choice = Choice::of_files(index, Arc::clone(&layer.descriptor), files);
        if choice.is_empty() {
            self.meter.add_skipped(choice.skipped_bytes());
            return Ok(delivery);
        }
        self.deliver_chosen(layer, choice, delivery).await
    }

    async fn deliver_streamed<R: Receive>(
        &self,
        layer: &Layer,
        files: BTreeMap<usize, Entry>,
        mut delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        if files.is_empty() {
            return Ok(delivery);
        }
        if let Some(known) = self.known(layer).await
            && let Some(runs) = Runs::of(&known, &layer.descriptor, &files)
            && let ranges = self.ranges(layer)
            && let Some(first) = runs.open(&ranges).await?
        {
            self.meter.add_skipped(layer.descriptor.size - runs.fetch_bytes());
            return runs.deliver(first, &ranges, delivery).await;
        }
        let (descriptor, slash) = (Arc::clone(&layer.descriptor), self.slash());
        let work = move |bytes| {
            let archive = archive::open(bytes, &descriptor)?.with(slash);
            files.values().try_for_each(|file| delivery.receiver.entry(file))?;
            let hands = std::array::from_fn(|_| delivery.receiver.hand());
            passes::contents(archive, HashMap::from_iter(files), hands)?;
            Ok(delivery)
        };
        read_blob(self.streams.as_ref(), &layer.descriptor, work).await
    }
}

/// What is looked for in an archive.
struct Seen {
    layer: usize,
    root: String,
    capture: Option<Arc<Capture>>,
    captured: Option<Spool>,
}

impl Seen {
    /// Checks an entry, and captures its content if it is the file that is wanted.
    fn see<R: BufRead>(&mut self, met: &Met, archive: &mut Walk<R>) -> Result<()> {
        self.check(met)?;
        if self.capture.as_ref().is_some_and(|capture| capture.means(&met.entry)) {
            let mut spool = Spool::new(Origin { layer: self.layer, index: met.index }, &met.entry.path);
            archive.content(|bytes| spool.take(bytes))?;
            self.captured = Some(spool);
        }
        Ok(())
    }

    /// All entries of an archive whose index is known.
    fn by_index(&self, known: &Known, layer: &Descriptor, tally: &Tally) -> Result<Vec<Met>> {
        known.mets().map(|met| tally.count(layer, &met.entry).and_then(|()| self.check(&met)).map(|()| met)).collect()
    }

    fn check(&self, met: &Met) -> Result<()> {
        if met.entry.path.is_empty() { Ok(()) } else { check_below(&met.entry.path, &self.root) }
    }
}
