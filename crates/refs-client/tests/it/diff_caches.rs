//! What `diff` makes of a cache that is damaged.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_client::{Client, Diff, DiffOptions, Error, FetchOptions, Location};
use refs_registry::ErrorKind;
use refs_store::{DiskOptions, DiskStore, Memories};
use refs_testkit::{FakeRegistry, Image, Tree};
use refs_url::Digest;
use tempfile::TempDir;

use crate::setup::{anonymous, at, kind, memory, noise, push};

/// A registry with two versions, and a cache for what is read of them.
struct Place {
    registry: FakeRegistry,
    /// The layers of both.
    layers: [Digest; 2],
    folder: TempDir,
}

/// The file that differs, beside one that is larger than what is read with the end of a layer.
fn tree(content: &'static str) -> Tree {
    Tree::new().file("a", content).file("large", noise(300 << 10, 1))
}

impl Place {
    /// With layers that have tables of contents.
    async fn packed() -> Self {
        let (memories, client) = memory();
        let one = push(&client, &tree("one"), &at("localhost/o/r:v1")).await.layer.digest;
        let two = push(&client, &tree("two"), &at("localhost/o/r:v2")).await.layer.digest;
        Self::of(memories, [one, two]).await
    }

    /// With layers whose files have to be hashed.
    async fn plain() -> Self {
        let memories = Memories::new();
        let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
        let mut layers = Vec::new();
        for (tag, content) in [("v1", "one"), ("v2", "two")] {
            let manifest = Image::new().tree(&tree(content)).push(&repository, &[tag]).await.unwrap();
            let refs_registry::spec::Document::Image(image) = manifest.parse().unwrap() else { panic!("an image") };
            layers.push(image.layers[0].digest.clone());
        }
        Self::of(memories, layers.try_into().unwrap()).await
    }

    async fn of(memories: Memories, layers: [Digest; 2]) -> Self {
        let registry = FakeRegistry::builder().store(Arc::new(memories)).start().await;
        Self { registry, layers, folder: tempfile::tempdir().unwrap() }
    }

    /// A client, as another process would have it.
    fn client(&self) -> Client {
        anonymous().with_store(Arc::new(DiskStore::new(self.folder.path().join("cache"), &DiskOptions::default())))
    }

    fn version(&self, number: usize) -> Location {
        at(&format!("{}/o/r:v{}", self.registry.host(), number + 1))
    }

    async fn diff(&self, client: &Client) -> Result<Diff, Error> {
        client.diff(&self.version(0), &self.version(1), &DiffOptions::default()).await
    }

    async fn fetch(&self) {
        for number in [0, 1] {
            self.client().fetch(&self.version(number), &FetchOptions::default()).await.unwrap();
        }
    }

    /// Asserts that what differs is told at the first time.
    async fn check(&self, what: &str) {
        let diff = self.diff(&self.client()).await;
        let diff = diff.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(diff.changes.iter().map(refs_client::Change::path).collect::<Vec<_>>(), ["a"], "{what}");
    }

    fn layer(&self, number: usize) -> PathBuf {
        self.folder.path().join("cache/blobs/sha256").join(self.layers[number].encoded())
    }
}

/// Inverts a bit, so many bytes before the end of the file.
fn damage(path: &Path, before_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - before_end;
    bytes[at] ^= 4;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The files in `folder` and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn damaged_tables_of_either_or_both_are_fetched_again() {
    let place = Place::packed().await;
    for damaged in [&[0][..], &[1], &[0, 1]] {
        place.fetch().await;
        damaged.iter().for_each(|&number| damage(&place.layer(number), 400));
        place.check(&format!("{damaged:?}")).await;
    }
}

#[tokio::test]
async fn damaged_parts_are_fetched_again() {
    let place = Place::packed().await;
    place.diff(&place.client()).await.unwrap();
    let is_part = |path: &PathBuf| path.to_str().is_some_and(|path| path.contains("/_parts/"));
    let parts: Vec<PathBuf> = files(&place.folder.path().join("cache")).into_iter().filter(is_part).collect();
    assert!(!parts.is_empty(), "{:?}", files(place.folder.path()));
    parts.iter().for_each(|part| damage(part, 400));
    place.check("parts").await;
}

#[tokio::test]
async fn damaged_layers_that_are_hashed_are_fetched_again() {
    let place = Place::plain().await;
    for damaged in [&[0][..], &[1], &[0, 1]] {
        place.fetch().await;
        damaged.iter().for_each(|&number| damage(&place.layer(number), 1000));
        place.check(&format!("{damaged:?}")).await;
    }
}

#[tokio::test]
async fn what_is_damaged_where_nothing_is_asked_is_gone_from_the_cache_and_can_be_fetched() {
    for (place, before_end) in [(Place::packed().await, 400), (Place::plain().await, 1000)] {
        place.fetch().await;
        damage(&place.layer(1), before_end);
        let offline = || place.client().offline();
        let error = place.diff(&offline()).await.unwrap_err();
        assert!(!matches!(&error, Error::Registry(error) if error.kind() == ErrorKind::NotCached), "{error:?}");
        assert_eq!(kind(&place.diff(&offline()).await.unwrap_err()), ErrorKind::NotCached);
        place.fetch().await;
        assert_eq!(place.diff(&offline()).await.unwrap().changes.len(), 1);
    }
}
