//! Opens an artifact, lists it, and hands its files over.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use refs_estargz::Entry;
use refs_registry::Source;

use super::{
    agreement::Agreement,
    archive,
    deliver::{Delivery, Names},
    form::{self, Form, Layer, Purpose, Vouched},
    listed::Listed,
    ranges::{Indexed, Ranges},
    spans::Choice,
    stream::read_blob,
    survey::Survey,
};
use crate::{Meter, Result, artifact::Artifact, older::Older, receive::Receive, select::Selection, thread};

/// All files of a layer up to this size are taken from one stream: to ask for its table of contents first would take longer
/// than several threads could save.
const SHORT_LAYER_BYTES: u64 = 4 << 20;

/// What must vouch for the part of a layer that is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// The manifest: by the digest of the table of contents, or of the whole blob.
    #[default]
    Verified,
    /// Nothing, if there is nothing: the table of contents is taken as it is.
    Unverified,
}

/// What had to be fetched to list an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Tables of contents, descriptors, or what was noted when a layer was streamed before: no byte of a file.
    Index,
    /// At least one whole layer, as it has no table of contents that could be read.
    Stream,
}

/// What becomes of the seek indexes of layers that have no table of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seeking {
    /// Those that the source keeps are used. None are made: who wants all of the content gains nothing by them.
    IfKept,
    /// As well, and those that it does not have are made and left there.
    AndMade,
}

/// The files of an artifact.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(super) source: Arc<dyn Source>,
    /// The same, for layers that are read as streams, and may have to be once more.
    pub(super) streams: Arc<dyn Source>,
    pub(super) at: String,
    pub(super) purpose: Purpose,
    pub(super) meter: Arc<Meter>,
    /// What need not be fetched.
    pub(super) older: Option<Arc<Older>>,
    /// The lowest first.
    pub(super) layers: Vec<Layer>,
    pub(super) seeking: Seeking,
    /// What there is in them, once that is known.
    pub(super) surveyed: OnceLock<Arc<Survey>>,
}

impl Contents {
    /// Decides how each layer is to be read. Nothing is requested yet.
    ///
    /// # Errors
    /// `UnsupportedLayer`; `UnsafePath` for a file whose title is no path.
    pub(crate) fn open(source: Arc<dyn Source>, artifact: &Artifact, trust: Trust) -> Result<Self> {
        let layers = form::layers(&artifact.image, trust)?;
        let streams = Arc::clone(&source);
        let (at, purpose, meter) = (artifact.at.clone(), Purpose::of(&artifact.image), Arc::default());
        let (seeking, surveyed) = (Seeking::IfKept, OnceLock::new());
        Ok(Self { source, streams, at, purpose, meter, older: None, layers, seeking, surveyed })
    }

    /// The same, which leaves indexes of layers that have no table of contents where the source keeps them.
    pub(crate) fn seeking(self) -> Self {
        Self { seeking: Seeking::AndMade, ..self }
    }

    /// The same, which tells `meter` of what it skips. What passes is counted by the source.
    pub(crate) fn metered(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// The same, which reads from `streams`, another way to the same blobs, what has to be read twice.
    pub(crate) fn with_streams(self, streams: Arc<dyn Source>) -> Self {
        Self { streams, ..self }
    }

    /// The entries that `selection` means.
    ///
    /// # Errors
    /// Those of the source and of the layers' formats.
    pub(crate) async fn list(&self, selection: &Selection) -> Result<Listed> {
        if let ([layer], Purpose::Artifact) = (self.layers.as_slice(), self.purpose)
            && let Some(index) = self.index(layer).await?
        {
            return Ok(Listed::of_layer(index, selection));
        }
        let (survey, _) = self.survey(None).await?;
        Ok(Listed::of_survey(survey, selection, self.purpose))
    }

    /// Reads the tables of contents, so that nothing else is left to be read before a file is.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub(crate) async fn index_all(&self) -> Result<()> {
        for layer in self.layers.iter().rev() {
            self.index(layer).await?;
        }
        Ok(())
    }

    /// As [`list`](Self::list), if that can be known before what is meant is fetched.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub(crate) async fn foreseen(&self, selection: &Selection) -> Result<Option<Listed>> {
        let is_known = match self.layers.as_slice() {
            _ if self.surveyed.get().is_some() => true,
            [Layer { form: Form::File(_), .. }] => true,
            [layer] => self.is_better_by_index(layer, selection) && self.index(layer).await?.is_some(),
            // What they show together is worked out before anything is handed over.
            _ => true,
        };
        if is_known { self.list(selection).await.map(Some) } else { Ok(None) }
    }

    /// How the entries were found, once they were asked for.
    pub(crate) fn access(&self) -> Access {
        let by_index = |layer: &Layer| match &layer.form {
            Form::Indexed { index, .. } if matches!(index.get(), Some(Some(_))) => true,
            Form::File(_) => true,
            Form::Indexed { .. } | Form::Archive { .. } => {
                layer.known.get().is_some_and(|known| known.access == Access::Index)
            }
        };
        if self.layers.iter().all(by_index) { Access::Index } else { Access::Stream }
    }

    /// Hands over what is meant to one of `receivers`, and gives that back once all of it was verified. Directories of files
    /// that are meant are not made up; hard links come last.
    ///
    /// It is the first one but for an image of one layer whose entries change what came before them in it: this is known once
    /// they have come, and all is handed over anew, to the next.
    ///
    /// # Errors
    /// Those of the receivers, the source and the layers' formats. What was handed over before an error may be anything.
    pub(crate) async fn extract<'r, R: Receive>(
        &self,
        selection: &Selection,
        mut receivers: impl FnMut() -> BoxFuture<'r, Result<R>>,
    ) -> Result<R> {
        if let [layer] = self.layers.as_slice()
            && !self.is_known_before(layer, selection).await?
        {
            let delivery = self.deliver(layer, Delivery::new(selection.clone(), receivers().await?)).await?;
            if let Some(receiver) = self.delivered(layer, delivery).await? {
                return Ok(receiver);
            }
        }
        self.extract_merged(selection, receivers().await?).await
    }

    /// Hands over the hard links of the only layer, whose files have been. `None` when it turned out to show something else
    /// than what was handed over.
    async fn delivered<R: Receive>(&self, layer: &Layer, mut delivery: Delivery<R>) -> Result<Option<R>> {
        if let Some(merge) = delivery.bent() {
            let work = move || {
                // What the receiver has written goes with it, which takes time.
                drop(delivery);
                Ok(Survey { found: merge.into_shown(), tables: Vec::new() })
            };
            let survey = thread::run(work).await?;
            // A table of contents has an order of its own.
            if let Form::Archive { .. } = layer.form {
                // Whoever asked at the same time has found the same.
                let _ = self.surveyed.set(Arc::new(survey));
            }
            return Ok(None);
        }
        let names = delivery.missing();
        if !names.is_empty() {
            delivery = self.deliver_renamed(layer, names, delivery).await?;
        }
        thread::run(move || delivery.links().map(|()| Some(delivery.receiver))).await
    }

    /// Whether it is known what the only layer shows before its archive is read, or worth to be found out.
    async fn is_known_before(&self, layer: &Layer, selection: &Selection) -> Result<bool> {
        let is_known = match self.purpose {
            Purpose::Artifact => false,
            Purpose::Image if self.surveyed.get().is_some() || matches!(layer.form, Form::File(_)) => true,
            Purpose::Image => self.is_better_by_index(layer, selection) && self.index(layer).await?.is_some(),
        };
        Ok(is_known || self.is_better_by_runs(layer, selection).await?)
    }

    async fn deliver<R: Receive>(&self, layer: &Layer, mut delivery: Delivery<R>) -> Result<Delivery<R>> {
        let descriptor = Arc::clone(&layer.descriptor);
        if let Form::File(entry) = &layer.form {
            return if delivery.means(entry) {
                self.deliver_file(layer, entry.clone(), delivery).await
            } else {
                Ok(delivery)
            };
        }
        if self.is_better_by_index(layer, &delivery.selection)
            && let Some(index) = self.index(layer).await?
        {
            let choice = Choice::new(index, Arc::clone(&descriptor), &delivery);
            return self.deliver_chosen(layer, choice, delivery).await;
        }
        let (root, agreement, purpose) = (layer.root().to_owned(), layer.agreement(), self.purpose);
        let (slash, source) = (self.slash(), self.lone_source(&delivery.selection));
        let work = move |bytes| {
            let archive = archive::open(bytes, &descriptor)?.with(slash);
            let undecided = match purpose {
                Purpose::Artifact => delivery.archive(&descriptor, archive, &root, agreement)?,
                Purpose::Image => delivery.image(&descriptor, archive, agreement)?,
            };
            Ok((delivery, undecided))
        };
        let (delivery, undecided) = read_blob(source.as_ref(), &layer.descriptor, work).await?;
        if let Some(agreement) = undecided
            && let Some(index) = self.index(layer).await?
        {
            agreement.compare(index.toc(), &layer.descriptor)?;
        }
        Ok(delivery)
    }

    /// Hands over a layer that is one file, as `entry`.
    pub(super) async fn deliver_file<R: Receive>(
        &self,
        layer: &Layer,
        entry: Entry,
        mut delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        let descriptor = Arc::clone(&layer.descriptor);
        if let Some(content) = self.source.blob_file(&descriptor.digest).await {
            return thread::run(move || delivery.copied(&entry, &descriptor, content).map(|()| delivery)).await;
        }
        // The blob is verified as it is read: nobody need compare its digest with the file's once more.
        let entry = Entry { digest: None, ..entry };
        let work = move |bytes| delivery.file(&entry, bytes).map(|()| delivery);
        read_blob(self.source.as_ref(), &layer.descriptor, work).await
    }

    /// Reads a layer again for files that are wanted by another name than their own, which came too late.
    async fn deliver_renamed<R: Receive>(
        &self,
        layer: &Layer,
        names: Names,
        mut delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        let (descriptor, slash) = (Arc::clone(&layer.descriptor), self.slash());
        let work =
            move |bytes| delivery.renamed(archive::open(bytes, &descriptor)?.with(slash), names).map(|()| delivery);
        read_blob(self.streams.as_ref(), &layer.descriptor, work).await
    }

    /// What the only layer is read from. Only its end tells whether it must be read again: that of an image for what changed
    /// on the way, and a part of an artifact for hard links whose files are not meant. Of a whole artifact all is written as
    /// it comes, and nothing need be kept beside.
    fn lone_source(&self, selection: &Selection) -> &Arc<dyn Source> {
        match (self.purpose, selection) {
            (Purpose::Artifact, Selection::All) => &self.source,
            (Purpose::Image, _) | (Purpose::Artifact, Selection::Some(_)) => &self.streams,
        }
    }

    /// The table of contents of a layer that has one, which is read once.
    pub(super) async fn index(&self, layer: &Layer) -> Result<Option<Arc<Indexed>>> {
        let Form::Indexed { vouched, index } = &layer.form else { return Ok(None) };
        let ranges = self.ranges(layer);
        let open = || async { Ok(ranges.open(&layer.descriptor, vouched.expected()).await?.map(Arc::new)) };
        index.get_or_try_init(open).await.cloned()
    }

    pub(super) fn ranges(&self, layer: &Layer) -> Ranges {
        Ranges::new(Arc::clone(&self.source), &layer.descriptor)
    }
}

impl Layer {
    /// Whether a table of contents is worth asking for: a selection is cheaper by it, and many files are written faster,
    /// if it is vouched for.
    pub(super) fn is_better_by_index(&self, selection: &Selection) -> bool {
        match (&self.form, selection) {
            (Form::Indexed { vouched, .. }, Selection::All) => {
                *vouched != Vouched::Nothing && self.descriptor.size > SHORT_LAYER_BYTES
            }
            _ => true,
        }
    }

    /// What the archive of a layer is to be compared with: a table that the manifest vouches for.
    fn agreement(&self) -> Option<Agreement> {
        match &self.form {
            Form::Indexed { vouched: Vouched::Json(digest), .. } => Some(Agreement::new(Some(digest.clone()))),
            Form::Indexed { vouched: Vouched::Compressed(_), .. } => Some(Agreement::new(None)),
            _ => None,
        }
    }

    pub(super) fn root(&self) -> &str {
        match &self.form {
            Form::Archive { root } => root,
            Form::Indexed { .. } | Form::File(_) => "",
        }
    }
}
