//! What this machine has of older versions of an artifact, so that it is not fetched again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use futures_util::TryStreamExt;
use refs_registry::{
    Descriptor, Manifest, MediaType, Resume,
    spec::{Document, ImageManifest},
};
use refs_store::{Origin, Store};
use refs_url::Digest;

use crate::{Client, Location, artifact::Artifact, layer::vouched_layers, unpack::OldTree};

/// So much of what a repository is known to have is looked at in search of manifests.
const MOST_MEMBERS: usize = 64;
/// Larger content is taken for no manifest.
const MANIFEST_BYTES: u64 = 1 << 20;
/// So many layers of older versions are searched.
const MOST_LAYERS: usize = 4;

/// Bytes of files that a pull did not fetch, since this machine had them: each chunk of them has the digest that the table of
/// contents says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reused {
    /// Bytes that were read from the tree at the destination, which was then replaced.
    pub tree_bytes: u64,
    /// Bytes that came out of the client's store, from layers of other versions of the same repository.
    pub cache_bytes: u64,
}

/// Where to look for older versions, and what came of it.
#[derive(Debug)]
pub(crate) struct Older {
    pub(crate) tree: Option<OldTree>,
    pub(crate) kept: Option<Kept>,
    tree_bytes: AtomicU64,
    cache_bytes: AtomicU64,
}

/// Layers that a store holds as a whole.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) origin: Origin,
    /// Those with a table of contents that their manifest vouches for; not empty.
    pub(crate) layers: Vec<Descriptor>,
}

impl Older {
    pub(crate) fn new(tree: Option<OldTree>, kept: Option<Kept>) -> Self {
        Self { tree, kept, tree_bytes: AtomicU64::new(0), cache_bytes: AtomicU64::new(0) }
    }

    pub(crate) fn add_from_cache(&self, bytes: u64) {
        self.cache_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_from_tree(&self, bytes: u64) {
        self.tree_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was found so far.
    pub(crate) fn reused(&self) -> Reused {
        let load = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        Reused { tree_bytes: load(&self.tree_bytes), cache_bytes: load(&self.cache_bytes) }
    }
}

impl Kept {
    /// What `store` has of other versions of `image`, which is in the repository `origin`. A store that can't tell has none.
    pub(crate) async fn of(store: &Arc<dyn Store>, origin: &Origin, image: &ImageManifest) -> Option<Self> {
        let mut layers: Vec<Descriptor> = Vec::new();
        let mut seen: BTreeSet<Digest> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
        for member in store.members(origin, MOST_MEMBERS).await.unwrap_or_default() {
            let Some(older) = manifest(store.as_ref(), &member).await else { continue };
            for layer in vouched_layers(&older) {
                let is_whole = matches!(store.stat(&layer.digest).await, Ok(Some(size)) if size == layer.size);
                if is_whole && seen.insert(layer.digest.clone()) {
                    layers.push(layer);
                }
            }
            if layers.len() >= MOST_LAYERS {
                break;
            }
        }
        layers.truncate(MOST_LAYERS);
        let (store, origin) = (Arc::clone(store), origin.clone());
        (!layers.is_empty()).then_some(Self { store, origin, layers })
    }

    /// Has the store look at `layer`, in which something was found that can't be: if it is damaged, it goes out of the way.
    pub(crate) async fn distrust(&self, layer: &Descriptor) {
        if let Err(error) = self.store.quarantine(&self.origin, &layer.digest).await {
            tracing::debug!(digest = %layer.digest, %error, "an older layer stays in the cache");
        }
    }
}

impl Client {
    /// What need not be fetched of `artifact`, which is at `at`: `tree` may be an older version of it, and the store may have
    /// some. What is on this machine as it is needs none of it.
    pub(crate) async fn older(&self, at: &Location, artifact: &Artifact, tree: Option<OldTree>) -> Option<Arc<Older>> {
        let Location::Registry(reference) = at else { return None };
        let image = &artifact.image;
        if vouched_layers(image).is_empty() {
            return None;
        }
        let kept = match &self.store {
            Some(store) if has_all(store.as_ref(), image).await => return None,
            Some(store) => Kept::of(store, &self.origin(reference), image).await,
            None => None,
        };
        (tree.is_some() || kept.is_some()).then(|| Arc::new(Older::new(tree, kept)))
    }
}

/// Whether `store` has all layers of `image`, so that nothing of them is fetched.
async fn has_all(store: &dyn Store, image: &ImageManifest) -> bool {
    for layer in &image.layers {
        if !matches!(store.stat(&layer.digest).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// The content `digest`, if it is here and the manifest of an image.
async fn manifest(store: &dyn Store, digest: &Digest) -> Option<ImageManifest> {
    store.stat(digest).await.ok().flatten().filter(|&size| size <= MANIFEST_BYTES)?;
    let blob = store.blob(digest, Resume::START).await.ok()?;
    let raw = blob.stream.try_fold(BytesMut::new(), |mut raw, chunk| async move {
        raw.extend_from_slice(&chunk);
        Ok(raw)
    });
    let raw = raw.await.ok()?.freeze();
    let manifest = Manifest { descriptor: Descriptor::of(MediaType::OCI_MANIFEST, &raw), raw };
    match manifest.parse().ok()? {
        Document::Image(image) => Some(*image),
        Document::Index(_) => None,
    }
}
