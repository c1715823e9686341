//! What a client with a store asks a registry for, and that the store is never believed more than the registry.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_client::{
    Client, CopyOptions, DestinationFault, Error, FetchOptions, Location, PullOptions, PushOptions, Pushed,
    ReadOptions, copy::Mode,
};
use refs_store::{DiskOptions, DiskStore, Memories};
use refs_testkit::{FakeRegistry, Image, Tree};
use refs_url::Digest;
use tempfile::TempDir;

use crate::{
    faulty_store::FaultyStore,
    setup::{
        IN_MEMORY, MANIFEST, anonymous, artifact, at, directory, names, noise, paths, patterns, pull_of, push, pushed,
    },
};

/// A registry, and a cache for what is read of it.
struct Place {
    memories: Memories,
    registry: FakeRegistry,
    pushed: Pushed,
    folder: TempDir,
}

impl Place {
    /// With `tree` in the repository `o/r`, under `v1`.
    async fn with(tree: &Tree) -> Self {
        let (memories, _, pushed) = pushed(tree).await;
        let registry = FakeRegistry::builder().store(Arc::new(memories.clone())).start().await;
        Self { memories, registry, pushed, folder: tempfile::tempdir().unwrap() }
    }

    /// A client, as another process would have it.
    fn client(&self) -> Client {
        anonymous().with_store(Arc::new(DiskStore::new(self.cache(), &DiskOptions::default())))
    }

    /// What a pull of `at` writes, by a client of its own, and how many bytes it says that it fetched.
    async fn pull(&self, at: &Location) -> (Tree, u64) {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("here");
        let report = self.client().pull(at, &destination, &PullOptions::default()).await.unwrap();
        (Tree::read(&destination).unwrap(), report.fetched_bytes)
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn tagged(&self) -> Location {
        artifact(&self.registry)
    }

    /// Asserts that the registry was asked for `expected` since the last time.
    #[track_caller]
    fn asked(&self, expected: &[&str]) {
        assert_eq!(self.registry.take_requests(), expected);
    }

    fn get_layer(&self) -> String {
        format!("GET /v2/o/r/blobs/{}", self.pushed.layer.digest)
    }

    /// The layer, as the cache has it.
    fn kept_layer(&self) -> PathBuf {
        self.cache().join("blobs/sha256").join(self.pushed.layer.digest.encoded())
    }
}

const GET_TAG: &str = "GET /v2/o/r/manifests/v1";
const HEAD_TAG: &str = "HEAD /v2/o/r/manifests/v1";

/// A layer that is pulled as one stream.
fn small() -> Tree {
    Tree::new().file(".sow-ref.yaml", MANIFEST).file("a/1", "one").file("a/2", "two").file("b/3", noise(64 << 10, 3))
}

/// A layer whose table of contents is asked for first.
fn large() -> Tree {
    (0..10).fold(small(), |tree, i| tree.file(&format!("c/{i}"), noise(512 << 10, i)))
}

/// Inverts a bit at `part` of a hundred of the file.
fn damage(path: &Path, part: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = (bytes.len() - 1) * part / 100;
    bytes[at] ^= 4;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn check_pulls(tree: Tree, first: &[&str]) {
    let place = Place::with(&tree).await;
    let get_layer = place.get_layer();
    let first: Vec<&str> = first.iter().map(|&asked| if asked.is_empty() { &get_layer } else { asked }).collect();
    for asked in [&first[..], &[HEAD_TAG]] {
        let (found, fetched) = place.pull(&place.tagged()).await;
        assert!(found == with_directories(&tree));
        assert_eq!(fetched, place.registry.requests().iter().map(|request| request.sent).sum::<u64>());
        place.asked(asked);
    }
    let by_digest = place.tagged().at_digest(place.pushed.descriptor.digest.clone());
    assert!(place.pull(&by_digest).await.0 == with_directories(&tree));
    place.asked(&[]);
}

/// The tree as it is found on a disk.
fn with_directories(tree: &Tree) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    tree.write(folder.path()).unwrap();
    Tree::read(folder.path()).unwrap()
}

#[tokio::test]
async fn second_pull_of_a_small_artifact_is_one_request_and_by_digest_none() {
    check_pulls(small(), &[GET_TAG, ""]).await;
}

#[tokio::test]
async fn second_pull_of_a_large_artifact_is_one_request_and_by_digest_none() {
    check_pulls(large(), &[GET_TAG, "", ""]).await;
}

#[tokio::test]
async fn second_list_is_one_request_and_a_pull_after_it_one_more() {
    let place = Place::with(&large()).await;
    let get_layer = place.get_layer();
    for asked in [&[GET_TAG, get_layer.as_str()][..], &[HEAD_TAG], &[HEAD_TAG]] {
        let listing = place.client().list_files(&place.tagged(), &ReadOptions::default()).await.unwrap();
        assert!(paths(&listing).contains(&"c/9"), "{listing:?}");
        place.asked(asked);
    }
    place.client().get_manifest(&place.tagged(), &ReadOptions::default()).await.unwrap();
    place.asked(&[HEAD_TAG]);
    place.pull(&place.tagged()).await;
    place.asked(&[HEAD_TAG, &get_layer]);
    place.client().list_files(&place.tagged(), &patterns(&["a/**"])).await.unwrap();
    let part = place.folder.path().join("part");
    place.client().pull(&place.tagged(), &part, &pull_of(&["c/3"])).await.unwrap();
    place.asked(&[HEAD_TAG, HEAD_TAG]);
}

#[tokio::test]
async fn what_came_without_tls_is_kept_apart() {
    let place = Place::with(&small()).await;
    place.pull(&place.tagged()).await;
    let wires: Vec<_> =
        fs::read_dir(place.cache().join("origins")).unwrap().map(|wire| wire.unwrap().file_name()).collect();
    assert_eq!(wires, ["open"]);
}

#[tokio::test]
async fn second_inspection_is_one_request() {
    let place = Place::with(&small()).await;
    let first = place.client().inspect(&place.tagged(), &ReadOptions::default()).await.unwrap();
    place.registry.take_requests();
    assert_eq!(place.client().inspect(&place.tagged(), &ReadOptions::default()).await.unwrap(), first);
    place.asked(&[HEAD_TAG]);
}

#[tokio::test]
async fn tag_that_moved_gives_new_files() {
    let place = Place::with(&small()).await;
    assert!(place.pull(&place.tagged()).await.0 == with_directories(&small()));
    let moved = small().file("a/new", "new");
    let in_memory = Client::new(Arc::new(place.memories.clone()));
    let new = push(&in_memory, &moved, &at(IN_MEMORY)).await;
    place.registry.take_requests();
    assert!(place.pull(&place.tagged()).await.0 == with_directories(&moved));
    place.asked(&[HEAD_TAG, GET_TAG, &format!("GET /v2/o/r/blobs/{}", new.layer.digest)]);
}

async fn check_damage(tree: Tree) {
    let place = Place::with(&tree).await;
    let expected = with_directories(&tree);
    let listed = place.client().list_files(&place.tagged(), &ReadOptions::default()).await.unwrap();
    for part in [0, 1, 50, 99, 100] {
        place.pull(&place.tagged()).await;
        damage(&place.kept_layer(), part);
        assert!(place.pull(&place.tagged()).await.0 == expected, "at {part} %");
        damage(&place.kept_layer(), part);
        let again = place.client().list_files(&place.tagged(), &ReadOptions::default()).await.unwrap();
        assert!(again.entries().eq(listed.entries()), "at {part} %");
    }
}

#[tokio::test]
async fn pull_from_a_damaged_small_layer_is_right() {
    check_damage(small()).await;
}

#[tokio::test]
async fn pull_from_a_damaged_large_layer_is_right() {
    check_damage(large()).await;
}

#[tokio::test]
async fn files_from_a_damaged_cache_are_right() {
    let place = Place::with(&large()).await;
    for part in [10, 50, 99] {
        place.pull(&place.tagged()).await;
        damage(&place.kept_layer(), part);
        for (seed, path) in (0..10).map(|i| (i, format!("c/{i}"))) {
            let read = place.client().read_file(&place.tagged(), &path, &ReadOptions::default(), Vec::new()).await;
            assert!(read.unwrap() == noise(512 << 10, seed));
        }
    }
}

#[tokio::test]
async fn a_blob_from_a_damaged_cache_is_saved_right() {
    let place = Place::with(&small()).await;
    let at = place.tagged().at_digest(place.pushed.layer.digest.clone());
    let to = place.folder.path().join("blob");
    assert_eq!(place.client().save_blob(&at, &to).await.unwrap(), place.pushed.layer.size);
    let expected = fs::read(&to).unwrap();
    let junk = |path: &Path| fs::remove_file(path).and_then(|()| fs::write(path, "junk")).unwrap();
    for spoil in [&junk as &dyn Fn(&Path), &|path| damage(path, 50)] {
        spoil(&place.kept_layer());
        fs::write(&to, "old").unwrap();
        assert_eq!(place.client().save_blob(&at, &to).await.unwrap(), place.pushed.layer.size);
        assert!(fs::read(&to).unwrap() == expected);
    }
}

#[tokio::test]
async fn an_edit_of_what_was_pulled_is_not_in_the_cache() {
    let place = Place::with(&small()).await;
    for number in 0..3 {
        let destination = place.folder.path().join(format!("here-{number}"));
        place.client().pull(&place.tagged(), &destination, &PullOptions::default()).await.unwrap();
        assert!(Tree::read(&destination).unwrap() == with_directories(&small()));
        for file in ["a/1", "a/2", "b/3"] {
            fs::write(destination.join(file), "edited").unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_is_a_blob_is_copied_out_of_the_cache_and_checked() {
    let place = Place::with(&small()).await;
    let content = noise(300_000, 1);
    let image = Image::new().file("alone.bin", content.clone()).file("empty", "");
    image.push(&*place.registry.repository("o/r"), &["v1"]).await.unwrap();
    let kept = place.cache().join("blobs/sha256").join(Digest::sha256(&content).encoded());
    for number in 0..4 {
        let destination = place.folder.path().join(number.to_string());
        place.registry.take_requests();
        place.client().pull(&place.tagged(), &destination, &PullOptions::default()).await.unwrap();
        let file = destination.join("alone.bin");
        assert!(fs::read(&file).unwrap() == content, "in pull {number}");
        assert_eq!(names(&destination), ["alone.bin", "empty"]);
        let (theirs, ours) = (fs::metadata(&file).unwrap(), fs::metadata(&kept).unwrap());
        assert_eq!((theirs.permissions().mode() & 0o777, theirs.mtime()), (0o644, 0));
        assert_ne!(theirs.ino(), ours.ino());
        fs::write(&file, "edited").unwrap();
        // The first and the third find nothing that is right.
        assert_eq!(place.registry.requests().len(), [3, 1, 2, 1][number]);
        if number == 1 {
            damage(&kept, 50);
        }
    }
}

#[tokio::test]
async fn pulls_at_the_same_time_all_come_out_right() {
    let place = Place::with(&large()).await;
    let pulls = (0..4).map(|_| async { place.pull(&place.tagged()).await.0 == with_directories(&large()) });
    assert_eq!(futures_util::future::join_all(pulls).await, [true; 4]);
    place.registry.take_requests();
    place.pull(&place.tagged()).await;
    place.asked(&[HEAD_TAG]);
}

#[tokio::test]
async fn a_push_and_a_layout_pass_the_cache_by() {
    let place = Place::with(&small()).await;
    push(&place.client(), &small(), &at(&format!("{}/o/other:v1", place.registry.host()))).await;
    let layout = at(&format!("ocidir://{}:v1", place.folder.path().join("layout").display()));
    push(&place.client(), &small(), &layout).await;
    place.pull(&layout).await;
    assert!(!place.cache().exists());
}

#[track_caller]
fn refused<T>(done: Result<T, Error>) {
    let error = done.err().unwrap();
    assert!(matches!(error, Error::Destination { fault: DestinationFault::Cache, .. }), "{error:?}");
}

#[tokio::test]
async fn a_cache_is_no_layout_to_write_to() {
    let (place, folder) = (Place::with(&small()).await, directory(&small()));
    let client = place.client();
    let layout = |path: &str| at(&format!("ocidir://{}{path}", place.folder.path().display()));
    // It is not there yet, too.
    for path in ["/cache:v1", "/cache/deep:v1", "/other/../cache:v1", "/cache:ghcr.io/o/r:v1"] {
        refused(client.push(folder.path(), &layout(path), &PushOptions::default()).await);
    }
    assert!(!place.cache().exists());
    client.fetch(&place.tagged(), &FetchOptions::default()).await.unwrap();
    let before = names(&place.cache());
    let digest = format!("/cache@{}", place.pushed.descriptor.digest);
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    for options in [&CopyOptions::default(), &dry] {
        refused(client.copy(&place.tagged(), &layout("/cache:v2"), options).await);
    }
    refused(client.put_file(&layout("/cache"), &folder.path().join("a/1")).await);
    refused(client.set_tags(&layout(&digest), &["v2".parse().unwrap()]).await);
    refused(client.delete(&layout(&digest)).await);
    assert_eq!(names(&place.cache()), before);
    client.list_files(&layout(&digest), &ReadOptions::default()).await.unwrap();
    client.copy(&layout(&digest), &layout("/beside:v1"), &CopyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_spares_a_folder_writes_nothing_into_it() {
    let (place, folder) = (Place::with(&small()).await, directory(&small()));
    let client = anonymous().sparing(&place.cache());
    let layout = |path: &str| at(&format!("ocidir://{}{path}", place.folder.path().display()));
    for path in ["/cache:v1", "/cache/deep:v1", "/other/../cache:v1"] {
        refused(client.push(folder.path(), &layout(path), &PushOptions::default()).await);
        refused(client.copy(&place.tagged(), &layout(path), &CopyOptions::default()).await);
    }
    refused(client.pull(&place.tagged(), &place.cache().join("here"), &PullOptions::default()).await);
    assert!(!place.cache().exists());
    client.copy(&place.tagged(), &layout("/beside:v1"), &CopyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_blob_is_not_saved_into_the_cache() {
    let place = Place::with(&small()).await;
    place.client().fetch(&place.tagged(), &FetchOptions::default()).await.unwrap();
    let blob = place.tagged().at_digest(place.pushed.layer.digest.clone());
    let manifest = format!("blobs/sha256/{}", place.pushed.descriptor.digest.encoded());
    for name in ["index.json", "new", &manifest] {
        let before = fs::read(place.cache().join(name)).ok();
        for client in [place.client(), anonymous().sparing(&place.cache())] {
            refused(client.save_blob(&blob, &place.cache().join(name)).await);
        }
        assert_eq!(fs::read(place.cache().join(name)).ok(), before, "{name}");
    }
    let beside = place.folder.path().join("beside");
    assert_eq!(place.client().save_blob(&blob, &beside).await.unwrap(), place.pushed.layer.size);
}

#[tokio::test]
async fn fifty_readers_of_one_file_are_one_manifest_one_table_and_one_part() {
    let tree = large();
    let place = Place::with(&tree).await;
    let store = DiskStore::new(place.cache(), &DiskOptions::default());
    let store = FaultyStore { gate: Some(tokio::sync::Barrier::new(50)), ..FaultyStore::new(store) };
    let one = anonymous().with_store(Arc::new(store));
    let reads = (0..50).map(|_| {
        let (client, here) = (one.clone(), place.tagged());
        async move { client.read_file(&here, "a/2", &ReadOptions::default(), Vec::new()).await.unwrap() }
    });
    for read in futures_util::future::join_all(reads).await {
        assert_eq!(read, b"two");
    }
    place.asked(&[GET_TAG, &place.get_layer(), &place.get_layer()]);
}
