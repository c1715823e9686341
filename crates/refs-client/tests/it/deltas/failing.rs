//! What a pull does with an older layer that its store can't read on.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use refs_registry::{
    Blob, Error, Part, Result, Resume,
    error::{Doing, Wanted},
};
use refs_store::{Checked, DiskStore, Fill, Origin, Store, TagRecord};
use refs_url::{Digest, Tag};

use super::cache::{Cache, second, tree};
use crate::setup::{anonymous, artifact, push};

/// A store that gives no part of one layer.
#[derive(Debug)]
struct Failing {
    store: DiskStore,
    layer: Digest,
    fault: fn(&Digest) -> Error,
    /// How often it was told to hash something.
    hashed: AtomicUsize,
}

/// Holds that a pull is right where its store fails so, and hashes the layer as a whole so many times.
async fn check(fault: fn(&Digest) -> Error, hashed: usize) {
    let cache = Cache::with(&tree()).await;
    let path = cache.layer();
    let layer = format!("sha256:{}", path.file_name().unwrap().display()).parse().unwrap();
    push(&anonymous(), &second(), &artifact(&cache.registry)).await;
    let store = Arc::new(Failing { store: cache.store(), layer, fault, hashed: AtomicUsize::new(0) });
    let client = anonymous().with_store(Arc::<Failing>::clone(&store));
    let pulled = cache.pull_with(&client, &artifact(&cache.registry), "new", &[]).await;
    assert_eq!(pulled.reused.cache_bytes, 0);
    assert_eq!(store.hashed.load(Ordering::Relaxed), hashed);
    assert!(path.exists());
}

#[tokio::test]
async fn only_bytes_that_are_wrong_have_an_older_layer_hashed() {
    check(|layer| Error::NotCached { wanted: Wanted::Blob(layer.clone()), of: None, lost: None }, 0).await;
    check(|_| Error::io(Doing::Read, "layer", io::ErrorKind::PermissionDenied.into()), 0).await;
    check(|layer| Error::Size { wanted: Wanted::Blob(layer.clone()), expected: 2, actual: 1 }, 1).await;
}

#[async_trait]
impl Store for Failing {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.store.stat(digest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.store.blob(digest, from).await
    }

    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        if *digest == self.layer { Err((self.fault)(digest)) } else { self.store.part(origin, digest, range).await }
    }

    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        self.store.fill(origin, digest, size).await
    }

    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>> {
        self.store.fill_part(origin, digest, range, total).await
    }

    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.store.remove(origin, digest).await
    }

    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        self.store.quarantine(origin, digest).await
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        self.store.record(origin, tag, record).await
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        self.store.recorded(origin, tag).await
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.store.add_member(origin, digest).await
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        self.store.is_member(origin, digest).await
    }

    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        self.store.members(origin, most).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.store.pin(digest).await
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.store.unpin(digest).await
    }
}
