//! What a pull takes of older versions that the client's store holds.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use refs_client::{Client, Location, PullOptions, Pulled};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{FakeRegistry, Tree};
use tempfile::TempDir;

use super::files;
use crate::setup::{anonymous, artifact, at, noise, push};

/// A registry, and a cache that has the first version of what is there.
struct Cache {
    registry: FakeRegistry,
    folder: TempDir,
}

impl Cache {
    async fn with(old: &Tree) -> Self {
        let cache = Self { registry: FakeRegistry::start().await, folder: tempfile::tempdir().unwrap() };
        push(&anonymous(), old, &artifact(&cache.registry)).await;
        cache.pull(&artifact(&cache.registry), "old").await;
        cache
    }

    fn client(&self) -> Client {
        anonymous().with_store(Arc::new(DiskStore::new(self.folder.path().join("cache"), &DiskOptions::default())))
    }

    /// Pulls to a place that is not there yet, through the cache; the tree must be that of a pull without.
    async fn pull(&self, at: &Location, name: &str) -> Pulled {
        let (here, fresh) = (self.folder.path().join(name), self.folder.path().join("fresh"));
        let pulled = self.client().pull(at, &here, &PullOptions::default()).await.unwrap();
        anonymous().pull(at, &fresh, &PullOptions::default()).await.unwrap();
        assert!(Tree::read_with_times(&here).unwrap() == Tree::read_with_times(&fresh).unwrap());
        fs::remove_dir_all(fresh).unwrap();
        pulled
    }

    /// The largest blob that is kept.
    fn layer(&self) -> PathBuf {
        let blobs = fs::read_dir(self.folder.path().join("cache/blobs/sha256")).unwrap();
        blobs.map(|blob| blob.unwrap().path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap()
    }
}

/// More than is fetched in one stream, so that the tree of the second version is read by its table.
fn tree() -> Tree {
    files(300, |_| false).file("large", noise(3 << 20, 77))
}

#[tokio::test]
async fn what_an_older_version_in_the_cache_has_is_not_fetched() {
    let cache = Cache::with(&tree()).await;
    let mut changed = noise(3 << 20, 77);
    changed[(1 << 20) + 5] ^= 1;
    let pushed =
        push(&anonymous(), &tree().file("large", changed).file("new", "new"), &artifact(&cache.registry)).await;
    let pulled = cache.pull(&artifact(&cache.registry), "new").await;
    assert!(pulled.reused.cache_bytes >= 2 << 20, "{pulled:?}");
    assert!(pulled.fetched_bytes < (1 << 20) + 60_000, "{pulled:?}");
    assert!(pulled.fetched_bytes < pushed.layer.size / 2);
}

#[tokio::test]
async fn damaged_older_version_is_fetched_and_not_believed() {
    let cache = Cache::with(&tree()).await;
    let path = cache.layer();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
    push(&anonymous(), &tree().file("new", "new"), &artifact(&cache.registry)).await;
    let pulled = cache.pull(&artifact(&cache.registry), "new").await;
    assert!(pulled.reused.cache_bytes < pulled.written_bytes);
}

#[tokio::test]
async fn what_another_repository_brought_is_not_used() {
    let cache = Cache::with(&tree()).await;
    let other = at(&format!("{}/o/other:v1", cache.registry.host()));
    let pushed = push(&anonymous(), &tree().file("new", "new"), &other).await;
    let pulled = cache.pull(&other, "new").await;
    assert_eq!(pulled.reused.cache_bytes, 0);
    assert!(pulled.fetched_bytes >= pushed.layer.size);
}

#[tokio::test]
async fn what_is_kept_as_it_is_needs_no_older_version() {
    let cache = Cache::with(&tree()).await;
    push(&anonymous(), &tree().file("new", "new"), &artifact(&cache.registry)).await;
    push(&anonymous(), &tree(), &artifact(&cache.registry)).await;
    let pulled = cache.pull(&artifact(&cache.registry), "again").await;
    assert_eq!((pulled.reused.cache_bytes, pulled.reused.tree_bytes), (0, 0));
    assert!(pulled.fetched_bytes < 2_000, "{pulled:?}");
}
