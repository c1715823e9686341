//! Fetches an image as a whole into the store.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, ErrorKind, Platform, Source};
use refs_store::{Cached, Kept, Origin, Store, StoredImage};
use refs_url::Target;

use crate::{
    Children, Client, Error, Location, Meter, Result,
    artifact::Artifact,
    error::LocationFault,
    graph::{members, sorted},
    healed::healed,
};

/// What to fetch of an image.
#[derive(Debug, Clone, Default)]
pub struct FetchOptions {
    /// The platform to choose from an index, and that of an image which is in none; Linux on this machine's processor, and
    /// any, when not set.
    pub platform: Option<Platform>,
}

/// An image that the store has as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// The index that the image was chosen from, if its tag or digest led to one.
    pub index: Option<Descriptor>,
    /// The image's manifest.
    pub manifest: Descriptor,
    /// Its config, and then its layers, the lowest first.
    pub blobs: Vec<Descriptor>,
    /// How many of its blobs were fetched, each counted once.
    pub new: u64,
    /// How many of them were there before.
    pub present: u64,
    /// The bytes of manifests and blobs that were fetched for it.
    pub fetched_bytes: u64,
}

/// So many blobs come at once.
const MAX_CONCURRENT: usize = 6;
/// How often it is begun again when somebody empties the store meanwhile.
const ATTEMPTS: u32 = 3;

impl Client {
    /// Fetches an image as a whole into the client's store: what it does not have of manifests, config and layers. The
    /// store lists it then by what `at` says. What is there costs no request: for all of it that is one by tag, and none by
    /// digest. What a tag leads to is asked once, and just that is fetched.
    ///
    /// # Errors
    /// `NoStore` when the client has none; `Location` when `at` is not of a registry, or names no tag and no digest;
    /// `PlatformNotFound` and `IndexTooDeep` of an index; `Registry`, with the kind `NotCached` when the store can't hold
    /// all of the image at once, and with the store's failure when it can't write down where the tag leads. What has come by then stays, and is not fetched again.
    pub async fn fetch(&self, at: &Location, options: &FetchOptions) -> Result<Fetched> {
        let Location::Registry(reference) = at else { return Err(at.fault(LocationFault::NotRegistry)) };
        let target = at.needs_target()?;
        let Some(store) = &self.store else { return Err(Error::NoStore { at: at.to_string() }) };
        let meter = Arc::new(Meter::part_of(self.meter()));
        let (cached, origin) = self.cached(reference, store, &meter)?;
        let (cached, name) = (Arc::new(cached), at.to_string());
        let place = Fetching { cached: &cached, origin: &origin, store: store.as_ref() };
        let source: Arc<dyn Source> = Arc::<Cached>::clone(&cached);
        // What an earlier fetch has left of a blob may be damaged, which shows at the end of its rest.
        let fetched = healed(&source, |_| place.image(&name, &target, options).boxed()).await?;
        Ok(Fetched { fetched_bytes: meter.fetched(), ..fetched })
    }

    /// Lets the store list an image that was read through it, if it has kept all of it: whoever reads layouts finds it then.
    pub(crate) async fn list(&self, at: &Location, image: &StoredImage) {
        let (Location::Registry(reference), Some(store)) = (at, &self.store) else { return };
        if let Err(error) = store.list_image(&self.origin(reference), image).await {
            tracing::debug!(%error, "the store does not list the image");
        }
    }
}

/// A repository to fetch from, and the store that it is read through.
struct Fetching<'a> {
    cached: &'a Cached,
    origin: &'a Origin,
    store: &'a dyn Store,
}

impl Fetching<'_> {
    /// Fetches what the store does not have of the image at `target`, and lists it there.
    async fn image(&self, at: &str, target: &Target, options: &FetchOptions) -> Result<Fetched> {
        let manifest = self.cached.manifest(target).await?;
        let index = manifest.descriptor.media_type.is_index().then(|| manifest.descriptor.clone());
        let wanted = options.platform.clone().unwrap_or_else(Platform::linux_here);
        let found = Artifact::follow(self.cached, at, manifest, &wanted).await?;
        if options.platform.is_some() {
            found.require(self.cached, &wanted).await?;
        }
        let stored = found.stored(target.clone());
        let Artifact { manifest, image, .. } = found;
        let children = sorted(members(&manifest)?)?;
        let (mut new, mut present) = self.keep(&children).await?;
        let mut attempt = 1;
        while let Err(error) = self.store.list_image(self.origin, &stored).await {
            if error.kind() != ErrorKind::NotCached || attempt == ATTEMPTS {
                return Err(error.into());
            }
            attempt += 1;
            for known in index.iter().chain([&manifest.descriptor]) {
                self.cached.manifest(&Target::Digest(known.digest.clone())).await?;
            }
            let (again, left) = self.keep(&children).await?;
            (new, present) = (new.max(again), present.min(left));
        }
        if let Target::Tag(tag) = target {
            self.cached.require_tag(tag).await?;
        }
        let blobs = std::iter::once(image.config).chain(image.layers).collect();
        Ok(Fetched { index, manifest: manifest.descriptor, blobs, new, present, fetched_bytes: 0 })
    }

    /// Brings the blobs of `children` into the store, and gives how many came and how many were there. Those that are to be
    /// fetched from elsewhere are not of the registry.
    async fn keep(&self, children: &Children) -> Result<(u64, u64)> {
        let unlinked = children.foreign.iter().filter(|layer| layer.urls.is_empty());
        let mut own: Vec<&Descriptor> = children.blobs.iter().chain(unlinked).collect();
        // The largest first, so that none is left alone at the end.
        own.sort_by_key(|blob| (std::cmp::Reverse(blob.size), &blob.digest));
        // Boxed: what they borrow from would else be lost to the type of the verb's future, which could not go to another thread.
        let kept: Vec<_> = own.into_iter().map(|blob| self.keep_blob(blob).boxed()).collect();
        let kept = stream::iter(kept).buffer_unordered(MAX_CONCURRENT);
        let count = |(new, present): (u64, u64), kept| match kept {
            Some(Kept::Now) => (new + 1, present),
            Some(Kept::Before) => (new, present + 1),
            None => (new, present),
        };
        kept.try_fold((0, 0), |counts, kept| std::future::ready(Ok(count(counts, kept)))).await
    }

    /// Brings `blob` into the store; `None` for one that is foreign, and that the registry does not have.
    async fn keep_blob(&self, blob: &Descriptor) -> Result<Option<Kept>> {
        match self.cached.keep(blob).await {
            Err(error) if blob.is_foreign() && is_absent(error.kind()) => Ok(None),
            kept => Ok(Some(kept?)),
        }
    }
}

/// Whether it is not there, or not known to be by a client that asks nobody.
const fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotCached)
}
