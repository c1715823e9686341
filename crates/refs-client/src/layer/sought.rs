//! Reads a layer that has no table of contents by the index that was made when it was streamed.

use std::{
    collections::HashMap,
    io::{BufRead, Write},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_estargz::seek::{Builder, Index, Located, Names};
use refs_registry::{ByteStream, Descriptor, ErrorKind, Source};

use super::{
    Access,
    contents::{Contents, Seeking},
    form::{Form, Layer},
    merge::Met,
    pipe::{PipeReader, pipe},
    ranges::Ranges,
    spool::output_error,
    stream::feed,
    tar::Slash,
};
use crate::{Error, Result, thread};

/// The index of a layer, and whether the layer had to be streamed to make it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    index: Arc<Index>,
    pub(crate) access: Access,
}

/// An index that was just made, and its bytes to keep.
#[derive(Debug)]
pub(super) struct Made {
    index: Index,
    bytes: Bytes,
}

impl Contents {
    /// The index of an archive that was streamed before, by this reader or by one whose index the source keeps.
    pub(super) async fn known(&self, layer: &Layer) -> Option<Known> {
        // The same blob may be an archive elsewhere.
        if matches!(layer.form, Form::File(_)) {
            return None;
        }
        // An index has lost the slashes for which names of an artifact are refused: the archive still has them.
        let is_as_read = |known: &Known| self.slash() == Slash::IsRoot || known.index.names() == Names::Relative;
        let kept = || async { Known::kept(self.source.as_ref(), &layer.descriptor).await.filter(is_as_read).ok_or(()) };
        layer.known.get_or_try_init(kept).await.ok().cloned()
    }

    /// Whether it is worth making an index.
    pub(super) fn makes_indexes(&self) -> bool {
        self.seeking == Seeking::AndMade && self.source.keeps_seek_indexes()
    }

    /// Leaves an index that was made of the verified bytes of `layer` for those who read it after this.
    pub(super) async fn keep_index(&self, layer: &Layer, made: Made) {
        self.source.keep_seek_index(&layer.descriptor.digest, made.bytes).await;
        let known = Known { index: Arc::new(made.index), access: Access::Stream };
        // Whoever made one at the same time made the same.
        let _ = layer.known.set(known);
    }
}

impl Known {
    /// What `source` keeps. What is damaged counts as none: it is made anew.
    async fn kept(source: &dyn Source, layer: &Arc<Descriptor>) -> Option<Self> {
        let bytes = source.seek_index(&layer.digest).await?;
        let layer = Arc::clone(layer);
        thread::run(move || Ok(Self::parse(&bytes, &layer))).await.ok()?
    }

    fn parse(bytes: &Bytes, layer: &Descriptor) -> Option<Self> {
        match Index::parse(bytes, &layer.digest) {
            Ok(index) if index.blob_bytes() == layer.size => {
                Some(Self { index: Arc::new(index), access: Access::Index })
            }
            Ok(_) => None,
            Err(fault) => {
                tracing::debug!(layer = %layer.digest, %fault, "the seek index is passed by");
                None
            }
        }
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Whether the archive has two entries of one path that are not both directories: who unpacks it as it comes refuses
    /// that.
    pub(super) fn repeats_a_path(&self) -> bool {
        let mut seen = HashMap::new();
        let mut entries = self.index.entries().iter().map(|located| &located.entry);
        entries.any(|entry| {
            let is_directory = entry.is_directory();
            seen.insert(entry.path.as_str(), is_directory).is_some_and(|was_directory| !(was_directory && is_directory))
        })
    }

    /// The entries of the archive, as they are met when it is streamed.
    pub(super) fn mets(&self) -> impl Iterator<Item = Met> {
        let met = |(index, located): (usize, &Located)| {
            let Located { entry, nanos, .. } = located.clone();
            Met { entry, nanos, index }
        };
        self.index.entries().iter().enumerate().map(met)
    }
}

impl Made {
    /// Of the archive of `layer` that `builder` has inflated to its end: with what was met in it, and the place of the content
    /// of each. `None` when there can't be one.
    pub(super) fn of<R: BufRead>(
        builder: Builder<R>,
        layer: &Descriptor,
        names: Names,
        mets: &[Met],
        offsets: &[u64],
    ) -> Option<Self> {
        let located = |(met, &offset): (&Met, &u64)| Located { entry: met.entry.clone(), nanos: met.nanos, offset };
        let index = builder.finish(&layer.digest, mets.iter().zip(offsets).map(located).collect())?.with_names(names);
        let bytes = index.to_bytes()?;
        Some(Self { index, bytes })
    }
}

/// A part of a file of a layer.
#[derive(Debug)]
pub(crate) struct Sought {
    index: Arc<Index>,
    layer: Arc<Descriptor>,
    path: String,
    /// Its bytes, in the archive.
    range: Range<u64>,
}

impl Sought {
    /// The bytes `part` of the file that is called `path`, the entry `index` of the layer; `None` when that is none.
    pub(crate) fn new(
        known: Known,
        layer: &Arc<Descriptor>,
        index: usize,
        path: &str,
        part: &Range<u64>,
    ) -> Option<Self> {
        let found = known.index.entries().get(index).filter(|located| located.entry.is_file())?;
        let content = found.content()?;
        let within = |at: u64| content.end.min(content.start.saturating_add(at));
        let range = within(part.start)..within(part.end);
        Some(Self { index: known.index, layer: Arc::clone(layer), path: path.to_owned(), range })
    }

    /// The bytes of the blob that hold it, as they come; `None` where the registry gives no parts of blobs.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) async fn open(&self, ranges: &Ranges) -> Result<Option<ByteStream>> {
        part(ranges, self.index.extraction(self.range.clone()).compressed(), &self.layer).await
    }

    /// Writes the bytes to `output`, span by span as they are checked, from what [`open`](Self::open) gave.
    ///
    /// # Errors
    /// `Estargz` when the index does not hold, `Output`, and those of the source. A part may have been written.
    pub(crate) async fn write<W>(self, mut stream: ByteStream, output: W) -> Result<W>
    where
        W: Write + Send + 'static,
    {
        let (writer, reader) = pipe();
        let worker = tokio::task::spawn_blocking(move || self.extract(reader, output));
        let fetched = feed(&mut stream, writer).await;
        let worked = worker.await.unwrap_or(Err(Error::Worker));
        fetched?;
        worked
    }

    fn extract<W: Write>(&self, mut fetched: PipeReader, mut output: W) -> Result<W> {
        let estargz = |source| Error::Estargz { layer: self.layer.digest.clone(), source };
        let output_error = |source| output_error(&self.path, source);
        let mut extraction = self.index.extraction(self.range.clone());
        while let Some(chunk) = fetched.next_chunk()? {
            extraction.push(chunk);
            while let Some(piece) = extraction.next() {
                output.write_all(piece.map_err(estargz)?).map_err(output_error)?;
            }
        }
        extraction.finish().map_err(estargz)?;
        output.flush().map_err(output_error)?;
        Ok(output)
    }
}

/// The bytes `compressed` of the blob of `layer`, as they come; `None` where the registry gives no parts of blobs.
///
/// # Errors
/// Those of the source.
pub(super) async fn part(ranges: &Ranges, compressed: Range<u64>, layer: &Descriptor) -> Result<Option<ByteStream>> {
    if compressed.is_empty() {
        return Ok(Some(futures_util::stream::empty().boxed()));
    }
    match ranges.stream(compressed).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            tracing::warn!("the registry gives no parts of blobs: all of layer {} is read", layer.digest);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
