//! The layers of a container image, read twice: each is checked as a whole and against the image's config before anything
//! of it is used, and what a layer above hides is not read out at all.

use std::{collections::HashMap, sync::Arc};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use refs_estargz::Entry;
use refs_registry::{Descriptor, ErrorKind, Source, spec::ImageManifest};
use refs_url::{Digest, Hasher};

use super::{
    archive::{self, inflated, unsupported},
    blocks::WRITERS,
    form::{MAX_LAYERS, too_many},
    merge::{Merge, Met},
    passes::{self, Hashed, Tally},
    pipe::PipeReader,
    read::{self, Held, LAYERS_AT_ONCE, Read},
    stream::read_blob,
    tar::{Slash, Walk},
};
use crate::{Error, Result, receive::Hand, unpack::Budget};

/// The layers of an image, the lowest first.
#[derive(Debug)]
pub(crate) struct ImageLayers {
    source: Arc<dyn Source>,
    layers: Vec<ImageLayer>,
}

#[derive(Debug, Clone)]
struct ImageLayer {
    descriptor: Arc<Descriptor>,
    /// The digest that its archive must have.
    diff_id: Digest,
}

impl ImageLayers {
    /// The layers of `image`, each with the diff ID that its config has for it.
    ///
    /// # Errors
    /// `LayerLimit`; `UnsupportedLayer` for what is no tar archive, what is encrypted, and what can't be checked.
    pub(crate) fn of(source: Arc<dyn Source>, image: &ImageManifest, diff_ids: &[Digest]) -> Result<Self> {
        if let Some(beyond) = image.layers.get(MAX_LAYERS) {
            return Err(too_many(beyond));
        }
        let layers =
            image.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| ImageLayer::new(descriptor, diff_id));
        Ok(Self { source, layers: layers.collect::<Result<_>>()? })
    }

    /// The first pass: what all layers show together, once each was read to its end and is what manifest and config say. All
    /// entries and sizes of files count against `budget`, also those that a layer above hides.
    ///
    /// # Errors
    /// `DiffId`; a limit; those of the source, and of archives as in a pull.
    pub(crate) async fn merged(&self, budget: &Arc<Budget>) -> Result<Merge> {
        let tally = Arc::<Tally>::default();
        // Boxed, as are those of the second pass: what they borrow from would else be lost to the type of the verb's future.
        let reads = self.layers.iter().cloned();
        let reads = reads.map(|layer| meet(self.source(), layer, Arc::clone(&tally), Arc::clone(budget)).boxed());
        Ok(read::merged(reads.collect()).await?.0)
    }

    /// The second pass: hands over the content of `wanted` files, by the index of their layer and of their entry in it. Each
    /// thread gets hands of its own, and lets go of what they keep when it is done.
    ///
    /// # Errors
    /// Those of hands, of the source, and of archives.
    pub(crate) async fn contents<H: Hand + 'static>(
        &self,
        wanted: impl IntoIterator<Item = (usize, HashMap<usize, Entry>)>,
        hand: impl Fn() -> H,
    ) -> Result<()> {
        let mut reads = Vec::new();
        for (at, files) in wanted {
            let layer = self.layers.get(at).ok_or(Error::Worker)?;
            let (source, descriptor) = (self.source(), Arc::clone(&layer.descriptor));
            let hands = std::array::from_fn(|_| hand());
            reads.push(read_out(source, descriptor, files, hands).boxed());
        }
        stream::iter(reads).buffer_unordered(LAYERS_AT_ONCE).try_collect().await
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source)
    }
}

/// All entries of a layer.
async fn meet(source: Arc<dyn Source>, layer: ImageLayer, tally: Arc<Tally>, budget: Arc<Budget>) -> Result<Read> {
    let reading = layer.clone();
    let work = move |bytes| reading.entries(bytes, &tally, &budget);
    match read_blob(source.as_ref(), &layer.descriptor, work).await {
        Ok(met) => Ok(Read { layer: layer.descriptor, held: Held::Changes(met), captured: None }),
        Err(Error::Registry(error)) if error.kind() == ErrorKind::NotFound && layer.descriptor.is_foreign() => {
            Err(unsupported(&layer.descriptor, "it is foreign: the registry does not have it"))
        }
        Err(error) => Err(error),
    }
}

/// Gives the content of `files` of a layer to `hands`.
async fn read_out<H: Hand + 'static>(
    source: Arc<dyn Source>,
    layer: Arc<Descriptor>,
    files: HashMap<usize, Entry>,
    hands: [H; WRITERS],
) -> Result<()> {
    let descriptor = Arc::clone(&layer);
    let work = move |bytes| passes::contents(archive::open(bytes, &descriptor)?.with(Slash::IsRoot), files, hands);
    read_blob(source.as_ref(), &layer, work).await
}

impl ImageLayer {
    fn new(descriptor: &Descriptor, diff_id: &Digest) -> Result<Self> {
        if descriptor.media_type.is_encrypted() {
            return Err(unsupported(descriptor, "it is encrypted"));
        }
        if descriptor.media_type.layer_format().is_none() {
            return Err(unsupported(descriptor, "it is no layer of a container image"));
        }
        if Hasher::for_digest(diff_id).is_none() {
            return Err(unsupported(descriptor, "its diff ID is of an algorithm that is not known here"));
        }
        Ok(Self { descriptor: Arc::new(descriptor.clone()), diff_id: diff_id.clone() })
    }

    fn entries(&self, bytes: PipeReader, tally: &Tally, budget: &Budget) -> Result<Vec<Met>> {
        let hasher = Hasher::for_digest(&self.diff_id).ok_or(Error::Worker)?;
        let archive = Hashed::new(inflated(bytes, &self.descriptor)?, hasher);
        let walk = Walk::new(archive, self.descriptor.digest.clone()).with(Slash::IsRoot);
        let (met, archive) = passes::entries(walk, &self.descriptor, tally, |met, _| {
            budget.entry()?;
            budget.declared(&met.entry.path, met.entry.size())
        })?;
        let actual = archive.digest();
        if actual == self.diff_id {
            return Ok(met);
        }
        let (layer, expected) = (self.descriptor.digest.clone(), self.diff_id.clone());
        Err(Error::DiffId { layer, expected, actual })
    }
}
