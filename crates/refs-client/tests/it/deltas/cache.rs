//! What a pull takes of older versions that the client's store holds.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use refs_client::{Client, Error, Existing, Location, PullOptions, Pulled, ReadOptions};
use refs_registry::ErrorKind;
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{FakeRegistry, Tree};
use tempfile::TempDir;

use super::files;
use crate::setup::{anonymous, artifact, at, noise, patterns, push};

/// A registry, and a cache that has the first version of what is there.
pub(super) struct Cache {
    pub(super) registry: FakeRegistry,
    folder: TempDir,
}

impl Cache {
    pub(super) async fn with(old: &Tree) -> Self {
        let cache = Self { registry: FakeRegistry::start().await, folder: tempfile::tempdir().unwrap() };
        push(&anonymous(), old, &artifact(&cache.registry)).await;
        cache.pull(&artifact(&cache.registry), "old").await;
        cache
    }

    fn client(&self) -> Client {
        anonymous().with_store(Arc::new(self.store()))
    }

    /// Pulls to the place `name` through the cache; the tree must be that of a pull to an empty place without.
    async fn pull(&self, at: &Location, name: &str) -> Pulled {
        self.pull_of(at, name, &[]).await
    }

    /// The same, of what is `chosen`.
    async fn pull_of(&self, at: &Location, name: &str, chosen: &[&str]) -> Pulled {
        self.pull_with(&self.client(), at, name, chosen).await
    }

    /// The same, by `client`.
    pub(super) async fn pull_with(&self, client: &Client, at: &Location, name: &str, chosen: &[&str]) -> Pulled {
        let (here, fresh) = (self.folder.path().join(name), self.folder.path().join("fresh"));
        let options = PullOptions { read: patterns(chosen), existing: Existing::Replace, ..PullOptions::default() };
        let pulled = client.pull(at, &here, &options).await.unwrap();
        anonymous().pull(at, &fresh, &options).await.unwrap();
        // Directories that a selection does not name are of the time at which they were made.
        let read = if chosen.is_empty() { Tree::read_with_times } else { Tree::read };
        assert!(read(&here).unwrap() == read(&fresh).unwrap());
        fs::remove_dir_all(fresh).unwrap();
        pulled
    }

    pub(super) fn store(&self) -> DiskStore {
        DiskStore::new(self.folder.path().join("cache"), &DiskOptions::default())
    }

    /// The largest blob that is kept.
    pub(super) fn layer(&self) -> PathBuf {
        let blobs = fs::read_dir(self.folder.path().join("cache/blobs/sha256")).unwrap();
        blobs.map(|blob| blob.unwrap().path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap()
    }
}

/// More than is fetched in one stream, so that the tree of the second version is read by its table.
pub(super) fn tree() -> Tree {
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
    assert!(!path.exists(), "it goes to quarantine, and no later pull reads it");
    assert!(cache.store().verify(&Arc::default()).await.unwrap().is_sound());
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

/// The second version of [`tree`]: of the large file one chunk of three, and a file more.
pub(super) fn second() -> Tree {
    let mut changed = noise(3 << 20, 77);
    changed[(1 << 20) + 5] ^= 1;
    tree().file("large", changed).file("new", "new")
}

#[tokio::test]
async fn selection_takes_what_the_cache_has_of_it() {
    let cache = Cache::with(&tree()).await;
    push(&anonymous(), &second(), &artifact(&cache.registry)).await;
    let pulled = cache.pull_of(&artifact(&cache.registry), "some", &["large", "d001/**"]).await;
    assert_eq!(pulled.files, 101);
    assert!(pulled.reused.cache_bytes >= (2 << 20) + 100 * 900, "{pulled:?}");
    assert!(pulled.fetched_bytes < (1 << 20) + 60_000, "{pulled:?}");
    let pulled = cache.pull_of(&artifact(&cache.registry), "others", &["d002/**"]).await;
    assert!(pulled.reused.cache_bytes >= 100 * 900 && pulled.fetched_bytes < 2_000, "{pulled:?}");
}

#[tokio::test]
async fn selection_takes_of_the_tree_what_it_has_and_of_the_cache_the_rest() {
    let cache = Cache::with(&tree()).await;
    cache.pull_of(&artifact(&cache.registry), "here", &["d001/**"]).await;
    push(&anonymous(), &second(), &artifact(&cache.registry)).await;
    let pulled = cache.pull_of(&artifact(&cache.registry), "here", &["large", "d001/**"]).await;
    assert!(pulled.reused.tree_bytes >= 100 * 900, "{pulled:?}");
    assert_eq!(pulled.reused.cache_bytes, 2 << 20);
    assert!(pulled.fetched_bytes < (1 << 20) + 60_000, "{pulled:?}");
}

#[tokio::test]
async fn what_came_as_a_delta_is_not_called_whole() {
    let cache = Cache::with(&tree()).await;
    let pushed = push(&anonymous(), &second(), &artifact(&cache.registry)).await;
    cache.pull(&artifact(&cache.registry), "new").await;
    let info = cache.store().info().await.unwrap();
    assert!(info.parts.files > 0 && info.blobs.bytes < 2 * pushed.layer.size, "{info:?}");
    assert!(info.images.iter().all(|image| image.manifest.digest != pushed.descriptor.digest), "{info:?}");
    assert!(cache.store().verify(&Arc::default()).await.unwrap().is_sound());
    // The table of contents is here, and what else came is not kept.
    let offline = cache.client().offline();
    let listed = offline.list_files(&artifact(&cache.registry), &ReadOptions::default()).await.unwrap();
    assert_eq!(listed.descriptor.digest, pushed.descriptor.digest);
    let again = cache.folder.path().join("again");
    match offline.pull(&artifact(&cache.registry), &again, &PullOptions::default()).await.unwrap_err() {
        Error::Registry(error) => {
            assert_eq!(error.kind(), ErrorKind::NotCached);
            assert!(error.to_string().contains(&pushed.layer.digest.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!again.exists());
}
