//! What is fetched of a layer without a table of contents, once it was streamed.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use refs_client::{Access, ByteRange, Client, FileEntry, ReadOptions};
use refs_estargz::seek::{Builder, Index};
use refs_registry::MediaType;
use refs_store::{DiskOptions, DiskStore, Memories};
use refs_testkit::{
    FakeRegistry, Image, Quirks, Tree,
    image::{gzip, zstd},
    quirks::Ranges,
};
use refs_url::Digest;
use tempfile::TempDir;

use crate::setup::{anonymous, artifact, noise, paths, pull_of};

const GET_TAG: &str = "GET /v2/o/r/manifests/v1";
const HEAD_TAG: &str = "HEAD /v2/o/r/manifests/v1";
/// More than a span has when it is compressed, as noise does not get smaller.
const SPAN_BYTES: u64 = (4 << 20) + (1 << 18);
/// Room for indexes, and not for the layer.
const SMALL_CACHE: u64 = 10 << 20;
const LARGE_CACHE: u64 = 1 << 30;

/// A registry with an image of one layer under `o/r:v1`, and a cache.
struct Place {
    registry: FakeRegistry,
    layer: Bytes,
    cache_bytes: u64,
    folder: TempDir,
}

impl Place {
    async fn with(media_type: MediaType, layer: Bytes, cache_bytes: u64) -> Self {
        Self::behaving(Quirks::default(), media_type, layer, cache_bytes).await
    }

    async fn behaving(quirks: Quirks, media_type: MediaType, layer: Bytes, cache_bytes: u64) -> Self {
        let image = Image::new().layer(media_type, layer.clone());
        Self::of(quirks, image, layer, cache_bytes).await
    }

    /// With `image`, one of whose layers is `layer`.
    async fn of(quirks: Quirks, image: Image, layer: Bytes, cache_bytes: u64) -> Self {
        let memories = Memories::new();
        let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
        image.push(&repository, &["v1"]).await.unwrap();
        let registry = FakeRegistry::builder().store(Arc::new(memories)).quirks(quirks).start().await;
        Self { registry, layer, cache_bytes, folder: tempfile::tempdir().unwrap() }
    }

    /// A client, as another process would have it.
    fn client(&self) -> Client {
        let options = DiskOptions { max_bytes: self.cache_bytes, ..DiskOptions::default() };
        anonymous().with_store(Arc::new(DiskStore::new(self.folder.path().join("cache"), &options)))
    }

    async fn list(&self) -> (Vec<FileEntry>, Access) {
        let listing = self.client().list_files(&artifact(&self.registry), &ReadOptions::default()).await.unwrap();
        (listing.entries().collect(), listing.access)
    }

    async fn cat(&self, path: &str) -> Vec<u8> {
        let at = artifact(&self.registry);
        self.client().read_file(&at, path, &ReadOptions::default(), Vec::new()).await.unwrap()
    }

    /// Asserts that the registry was asked for `expected` since the last time; gives how many bytes of layers it sent.
    #[track_caller]
    fn asked(&self, expected: &[&str]) -> u64 {
        let requests = self.registry.requests();
        let sent = requests.iter().filter(|request| request.path.contains("/blobs/")).map(|request| request.sent).sum();
        assert_eq!(self.registry.take_requests(), expected);
        sent
    }

    fn digest(&self) -> Digest {
        Digest::sha256(&self.layer)
    }

    fn get_layer(&self) -> String {
        format!("GET /v2/o/r/blobs/{}", self.digest())
    }

    fn indexes(&self) -> PathBuf {
        self.folder.path().join("cache/indexes/sha256")
    }

    /// Puts `index` in the place of the one that the cache has.
    fn replace_index(&self, index: &[u8]) {
        let path = self.indexes().join(self.digest().encoded());
        fs::remove_file(&path).unwrap();
        fs::write(path, index).unwrap();
    }
}

/// 20 MiB in a few files, and a link.
fn tree() -> Tree {
    let tree = Tree::parse("777 data/link -> 7").file("small", "a small file");
    (0..10).fold(tree, |tree, at| tree.file(&format!("data/{at}"), noise(2 << 20, at)))
}

/// `tree` in blocks of deflate that leave it as it is, which takes little time.
fn stored(tree: &Tree) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&tree.tar()).unwrap();
    encoder.finish().unwrap().into()
}

#[tokio::test]
async fn second_cat_of_an_ordinary_layer_fetches_only_its_bytes_and_second_list_nothing() {
    let place = Place::with(MediaType::OCI_LAYER_GZIP, stored(&tree()), SMALL_CACHE).await;
    let get_layer = place.get_layer();
    let (listed, access) = place.list().await;
    assert_eq!((listed.len(), access), (12, Access::Stream));
    assert_eq!(place.asked(&[GET_TAG, &get_layer]), place.layer.len() as u64);

    assert_eq!(place.list().await, (listed, Access::Index));
    place.asked(&[HEAD_TAG]);
    assert!(place.cat("data/7").await == noise(2 << 20, 7));
    let fetched = place.asked(&[HEAD_TAG, &get_layer]);
    assert!((1..2 * SPAN_BYTES).contains(&fetched), "{fetched} bytes of {}", place.layer.len());
    assert!(place.cat("data/link").await == noise(2 << 20, 7));
    assert_eq!(place.cat("small").await, b"a small file");
}

#[tokio::test]
async fn first_cat_leaves_an_index_and_a_range_is_a_part_of_a_span() {
    let place = Place::with(MediaType::OCI_LAYER_GZIP, stored(&tree()), SMALL_CACHE).await;
    let get_layer = place.get_layer();
    assert_eq!(place.cat("small").await, b"a small file");
    place.asked(&[GET_TAG, &get_layer]);
    let range = ByteRange::Between { first: 1_000_000, last: 1_000_009 };
    let at = artifact(&place.registry);
    let read = place.client().read_range(&at, "data/3", range, &ReadOptions::default(), Vec::new()).await.unwrap();
    assert_eq!(read, noise(2 << 20, 3)[1_000_000..1_000_010]);
    let fetched = place.asked(&[HEAD_TAG, &get_layer]);
    assert!((1..2 * SPAN_BYTES).contains(&fetched), "{fetched} bytes of {}", place.layer.len());
}

#[tokio::test]
async fn what_is_cached_whole_is_read_by_its_index_without_a_request() {
    let place = Place::with(MediaType::DOCKER_LAYER_GZIP, stored(&tree()), LARGE_CACHE).await;
    assert!(place.cat("data/link").await == noise(2 << 20, 7), "the link is followed by the new index");
    place.asked(&[GET_TAG, &place.get_layer()]);
    assert!(place.cat("data/9").await == noise(2 << 20, 9));
    assert_eq!(place.list().await.1, Access::Index);
    place.asked(&[HEAD_TAG, HEAD_TAG]);
}

#[tokio::test]
async fn layers_that_lie_on_each_other_are_each_known_by_their_index() {
    let below = stored(&tree());
    let above = Tree::new().file("data/.wh.3", "").file("small", "replaced").file("data/7", "another");
    let image = Image::new().layer(MediaType::OCI_LAYER_GZIP, below.clone());
    let image = image.layer(MediaType::OCI_LAYER_GZIP, gzip(&above.tar()));
    let place = Place::of(Quirks::default(), image, below, SMALL_CACHE).await;
    let (listed, access) = place.list().await;
    assert_eq!((listed.iter().any(|entry| entry.path == "data/3"), access), (false, Access::Stream));
    place.registry.take_requests();

    assert_eq!(place.list().await, (listed, Access::Index));
    assert_eq!(place.cat("small").await, b"replaced");
    assert_eq!(place.cat("data/link").await, b"another");
    place.asked(&[HEAD_TAG; 3]);
    assert!(place.cat("data/8").await == noise(2 << 20, 8));
    let fetched = place.asked(&[HEAD_TAG, &place.get_layer()]);
    assert!((1..2 * SPAN_BYTES).contains(&fetched), "{fetched} bytes of {}", place.layer.len());
}

#[tokio::test]
async fn a_pull_of_some_files_fetches_only_what_holds_them() {
    let tree = tree().file("data/empty", "").file("data/last", "the last file");
    for image in [Image::new(), Image::new().diff_id(Digest::sha256(b""))] {
        let layer = stored(&tree);
        let image = image.layer(MediaType::OCI_LAYER_GZIP, layer.clone());
        let place = Place::of(Quirks::default(), image, layer, SMALL_CACHE).await;
        let get_layer = place.get_layer();
        let pull = async |chosen: &[&str]| {
            let parent = tempfile::tempdir().unwrap();
            let destination = parent.path().join("here");
            place.client().pull(&artifact(&place.registry), &destination, &pull_of(chosen)).await.unwrap();
            Tree::read(&destination).unwrap()
        };
        place.list().await;
        place.registry.take_requests();

        let near = pull(&["data/0", "data/empty", "small"]).await;
        let expected = Tree::parse("755 data/").file("data/0", noise(2 << 20, 0)).file("data/empty", "");
        assert_eq!(near, expected.clone().file("small", "a small file"));
        let fetched = place.asked(&[HEAD_TAG, &get_layer, &get_layer]);
        assert!((1..2 * SPAN_BYTES).contains(&fetched), "{fetched} bytes of {}", place.layer.len());
        assert_eq!(pull(&["data/empty"]).await, Tree::parse("755 data/").file("data/empty", ""));
        place.asked(&[HEAD_TAG]);
        // What is nearly all of it comes with the layer.
        assert_eq!(pull(&["data/**"]).await.to_string().lines().count(), 14);
        assert_eq!(place.asked(&[HEAD_TAG, &get_layer]), place.layer.len() as u64);
    }
}

#[tokio::test]
async fn a_pull_of_some_files_is_right_without_ranges_and_with_a_wrong_index() {
    let quirks = Quirks { ranges: Ranges::Ignored, ..Quirks::default() };
    for (quirks, is_wrong) in [(quirks, false), (Quirks::default(), true)] {
        let place = Place::behaving(quirks, MediaType::OCI_LAYER_GZIP, stored(&tree()), SMALL_CACHE).await;
        place.list().await;
        if is_wrong {
            let right = fs::read(place.indexes().join(place.digest().encoded())).unwrap();
            place.replace_index(&wrong(&place, right));
        }
        let destination = place.folder.path().join("here");
        place.client().pull(&artifact(&place.registry), &destination, &pull_of(&["data/7"])).await.unwrap();
        let expected = Tree::parse("755 data/").file("data/7", noise(2 << 20, 7));
        assert_eq!(Tree::read(&destination).unwrap(), expected);
    }
}

/// The index of another layer with the same entries, under the name of the right one.
fn wrong(place: &Place, right: Vec<u8>) -> Vec<u8> {
    let entries = Index::parse(&right.into(), &place.digest()).unwrap().entries().to_vec();
    let other = stored(&tree().file("data/6", noise(2 << 20, 99)));
    assert_eq!(other.len(), place.layer.len());
    let mut builder = Builder::new(&other[..]);
    io::copy(&mut builder, &mut io::sink()).unwrap();
    builder.finish(&place.digest(), entries).unwrap().to_bytes().unwrap().to_vec()
}

/// Reads by an index that was replaced by `index`, and asserts that the layer is read once more.
async fn check_healed(index: impl FnOnce(&Place, Vec<u8>) -> Vec<u8>, asked: &[&str]) {
    let place = Place::with(MediaType::OCI_LAYER_GZIP, stored(&tree()), SMALL_CACHE).await;
    let get_layer = place.get_layer();
    place.list().await;
    let right = fs::read(place.indexes().join(place.digest().encoded())).unwrap();
    place.replace_index(&index(&place, right.clone()));
    place.registry.take_requests();
    assert!(place.cat("data/7").await == noise(2 << 20, 7));
    let asked: Vec<&str> = asked.iter().map(|&asked| if asked.is_empty() { &get_layer } else { asked }).collect();
    place.asked(&asked);
    assert!(fs::read(place.indexes().join(place.digest().encoded())).unwrap() == right);
}

#[tokio::test]
async fn damaged_index_counts_as_none() {
    let damage = |_: &Place, mut index: Vec<u8>| {
        let middle = index.len() / 2;
        index[middle] ^= 1;
        index
    };
    check_healed(damage, &[HEAD_TAG, ""]).await;
    check_healed(|_, _| Vec::new(), &[HEAD_TAG, ""]).await;
}

#[tokio::test]
async fn index_that_proves_wrong_is_dropped_and_the_layer_is_read_once_more() {
    // By the wrong index; then as a stream, by the manifest in the cache, which is as it was.
    check_healed(wrong, &[HEAD_TAG, "", HEAD_TAG, ""]).await;
}

#[tokio::test]
async fn registry_without_ranges_gives_the_whole_layer_again() {
    let quirks = Quirks { ranges: Ranges::Ignored, ..Quirks::default() };
    let place = Place::behaving(quirks, MediaType::OCI_LAYER_GZIP, stored(&tree()), SMALL_CACHE).await;
    place.list().await;
    assert!(place.cat("data/7").await == noise(2 << 20, 7));
    assert_eq!(place.cat("small").await, b"a small file");
}

#[tokio::test]
async fn no_index_is_made_of_other_layers_or_by_a_pull() {
    let small = Tree::new().file("a", "one").file("b", "two");
    for (media_type, layer) in
        [(MediaType::OCI_LAYER, small.tar().into()), (MediaType::OCI_LAYER_ZSTD, zstd(&small.tar()))]
    {
        let place = Place::with(media_type, layer, LARGE_CACHE).await;
        place.list().await;
        assert_eq!(place.cat("b").await, b"two");
        assert!(!place.indexes().exists());
    }
    let place = Place::with(MediaType::OCI_LAYER_GZIP, gzip(&small.tar()), LARGE_CACHE).await;
    let destination = place.folder.path().join("here");
    place.client().pull(&artifact(&place.registry), &destination, &pull_of(&[])).await.unwrap();
    assert!(!place.indexes().exists());
}

#[tokio::test]
async fn short_layer_of_several_members_is_listed_by_its_index_as_by_its_stream() {
    let small = Tree::parse("777 l -> /d/b").file("a", "one").file("d/b", "two").file("d/empty", "");
    let members: Vec<Bytes> = small.tar().chunks(700).map(gzip).collect();
    let place = Place::with(MediaType::OCI_LAYER_GZIP, members.concat().into(), LARGE_CACHE).await;
    for _ in 0..2 {
        let at = artifact(&place.registry);
        let listing = place.client().list_files(&at, &ReadOptions::default()).await.unwrap();
        assert_eq!(paths(&listing), ["a", "d/b", "d/empty", "l"]);
        assert_eq!(place.cat("l").await, b"two");
        assert_eq!(place.cat("d/empty").await, b"");
    }
}
