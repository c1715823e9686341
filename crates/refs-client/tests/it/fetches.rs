//! Images that are fetched as a whole into a store, by one client and by many processes.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use refs_client::{Client, Error, FetchOptions, Location, LocationFault, PullOptions, ReadOptions, UnpackOptions};
use refs_registry::{ErrorKind, Manifest, MediaType, Platform, spec::Document};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{FakeRegistry, Image, Tree, image::push_index, require_layout};
use refs_url::Digest;
use tempfile::TempDir;

use crate::setup::{anonymous, at, memory, noise};

/// A registry, and a cache for what is fetched of it.
struct Place {
    registry: FakeRegistry,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        Self { registry: FakeRegistry::start().await, folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn store(&self) -> DiskStore {
        store(&self.cache())
    }

    /// A client, as another process would have it.
    fn client(&self) -> Client {
        anonymous().with_store(Arc::new(self.store()))
    }

    fn at(&self, tag: &str) -> Location {
        at(&format!("{}/o/r:{tag}", self.registry.host()))
    }

    async fn push(&self, image: &Image, tag: &str) -> Manifest {
        image.push(&*self.registry.repository("o/r"), &[tag]).await.unwrap()
    }

    /// How often each path ending in a digest was asked for since the last time.
    fn asked(&self) -> BTreeMap<String, usize> {
        let mut asked = BTreeMap::new();
        for request in self.registry.take_requests() {
            *asked.entry(request.to_string().replace("/v2/o/r/", "")).or_default() += 1;
        }
        asked
    }
}

fn store(cache: &Path) -> DiskStore {
    DiskStore::new(cache, &DiskOptions::default())
}

fn layer(seed: u64, bytes: usize) -> Vec<u8> {
    noise(bytes, seed)
}

fn image(seeds: &[u64]) -> Image {
    seeds.iter().fold(Image::new(), |image, &seed| image.layer(MediaType::OCI_LAYER, layer(seed, 200_000)))
}

#[tokio::test]
async fn a_second_fetch_is_one_request_and_by_digest_none() {
    let place = Place::new().await;
    let manifest = place.push(&image(&[1, 2, 2]), "v1").await;
    let first = place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    assert_eq!((&first.manifest, &first.index, first.blobs.len()), (&manifest.descriptor, &None, 4));
    assert!(first.fetched_bytes > 400_000);
    assert_eq!((first.new, first.present), (3, 0));
    // The manifest, the config, and each layer once.
    assert_eq!(place.asked().values().collect::<Vec<_>>(), [&1; 4]);

    let again = place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    assert_eq!((again.manifest, again.fetched_bytes), (first.manifest.clone(), 0));
    assert_eq!((again.new, again.present), (0, 3));
    assert_eq!(place.asked(), BTreeMap::from([("HEAD manifests/v1".to_owned(), 1)]));

    let by_digest = place.at("v1").at_digest(first.manifest.digest.clone());
    place.client().fetch(&by_digest, &FetchOptions::default()).await.unwrap();
    assert_eq!(place.asked(), BTreeMap::new());
    let names: Vec<_> = place.store().images().await.unwrap().into_iter().map(|image| image.name).collect();
    let host = place.registry.host();
    assert_eq!(names, [format!("{host}/o/r:v1"), format!("{host}/o/r@{}", first.manifest.digest)]);
    require_layout(&place.cache());
}

#[tokio::test]
async fn images_with_a_layer_in_common_fetch_it_once() {
    let place = Place::new().await;
    for (tag, seeds) in [("a", [1, 2]), ("b", [1, 3])] {
        place.push(&image(&seeds), tag).await;
    }
    place.client().fetch(&place.at("a"), &FetchOptions::default()).await.unwrap();
    place.registry.take_requests();
    place.client().fetch(&place.at("b"), &FetchOptions::default()).await.unwrap();
    let own = format!("GET blobs/{}", Digest::sha256(&layer(3, 200_000)));
    assert_eq!(place.asked(), BTreeMap::from([("GET manifests/b".to_owned(), 1), (own, 1)]));
}

#[tokio::test]
async fn both_digests_of_an_image_of_an_index_are_found_again_without_a_request() {
    let place = Place::new().await;
    let platforms = ["amd64", "arm64"].map(|processor| Platform::new("linux", processor));
    let images: Vec<_> = platforms.iter().cloned().zip([image(&[1]), image(&[2])]).collect();
    let index = push_index(&*place.registry.repository("o/r"), &images, &["v1"]).await.unwrap();
    let options = FetchOptions { platform: Some(platforms[1].clone()) };
    let fetched = place.client().fetch(&place.at("v1"), &options).await.unwrap();
    assert_eq!(fetched.index.as_ref(), Some(&index.descriptor));
    assert_eq!(fetched.manifest.digest, images[1].1.manifest().unwrap().descriptor.digest);
    let [listed] = place.store().images().await.unwrap().try_into().unwrap();
    assert_eq!((&listed.manifest.digest, listed.index), (&fetched.manifest.digest, Some(index.descriptor.digest)));

    place.registry.take_requests();
    for digest in [fetched.manifest.digest, listed.manifest.digest] {
        place.client().fetch(&place.at("v1").at_digest(digest), &options).await.unwrap();
    }
    assert_eq!(place.asked(), BTreeMap::new());
    require_layout(&place.cache());
}

#[tokio::test]
async fn images_of_one_tag_are_opened_in_the_cache_by_the_names_that_it_lists() {
    let place = Place::new().await;
    let platforms = [Platform::linux_here(), Platform::new("linux", "s390x")];
    let trees = [1, 2].map(|seed| Tree::new().file("own", layer(seed, 1_000)));
    let images: Vec<_> = platforms.iter().cloned().zip(trees.clone().map(|tree| Image::new().tree(&tree))).collect();
    push_index(&*place.registry.repository("o/r"), &images, &["v1"]).await.unwrap();
    for platform in &platforms {
        let options = FetchOptions { platform: Some(platform.clone()) };
        place.client().fetch(&place.at("v1"), &options).await.unwrap();
    }
    let listed = place.store().images().await.unwrap();
    let name = format!("{}/o/r:v1", place.registry.host());
    assert_eq!(listed.iter().map(|image| &image.name).collect::<Vec<_>>(), [&name, &format!("{name}--linux-s390x")]);

    place.registry.take_requests();
    for ((image, tree), number) in listed.iter().zip(&trees).zip(0..) {
        let kept = at(&format!("ocidir://{}:{}", place.cache().display(), image.name));
        let client = anonymous();
        let files = client.list_files(&kept, &ReadOptions::default()).await.unwrap();
        assert_eq!((files.len(), client.get_digest(&kept).await.unwrap()), (1, image.manifest.digest.clone()));
        let destination = place.folder.path().join(format!("here-{number}"));
        client.pull(&kept, &destination, &PullOptions::default()).await.unwrap();
        assert!(Tree::read(&destination).unwrap() == *tree);
        let over = client.pull(&kept, &place.cache(), &PullOptions::default()).await;
        assert!(matches!(over, Err(Error::Destination { .. })), "{over:?}");
    }
    let unlisted = at(&format!("ocidir://{}:{}/o/r:v2", place.cache().display(), place.registry.host()));
    let failed = anonymous().list_files(&unlisted, &ReadOptions::default()).await;
    assert!(matches!(&failed, Err(Error::Registry(error)) if error.kind() == ErrorKind::NotFound), "{failed:?}");
    assert_eq!(place.asked(), BTreeMap::new());
}

#[tokio::test]
async fn a_pull_lists_an_image_that_is_there_as_a_whole_then() {
    let place = Place::new().await;
    let tree = |seed| Tree::new().file(&format!("file-{seed}"), layer(seed, 1_000));
    place.push(&Image::new().tree(&tree(1)).tree(&tree(2)), "v1").await;
    let pull = async |number: usize| {
        let destination = place.folder.path().join(number.to_string());
        place.client().pull(&place.at("v1"), &destination, &PullOptions::default()).await.unwrap();
        place.store().images().await.unwrap().len()
    };
    // It has no use for the config.
    assert_eq!(pull(0).await, 0);
    place.client().inspect(&place.at("v1"), &ReadOptions::default()).await.unwrap();
    assert_eq!(pull(1).await, 1);
    require_layout(&place.cache());
}

#[tokio::test]
async fn what_a_tag_leads_to_is_asked_once_and_just_that_is_fetched() {
    let place = Place::new().await;
    let old = place.push(&image(&[1]), "v1").await;
    let fetched = place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    assert_eq!(fetched.manifest, old.descriptor);
    let new = place.push(&image(&[2]), "v1").await;
    let fetched = place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    assert_eq!(fetched.manifest, new.descriptor);
    let [listed] = place.store().images().await.unwrap().try_into().unwrap();
    assert_eq!(listed.manifest, new.descriptor);
    require_layout(&place.cache());
}

#[tokio::test]
async fn only_images_of_registries_are_fetched_and_only_into_a_store() {
    let (_, without_store) = memory();
    let fetch = async |client: &Client, place: &str| client.fetch(&at(place), &FetchOptions::default()).await;
    assert!(matches!(fetch(&without_store, "a.io/o/r:v1").await, Err(Error::NoStore { at }) if at == "a.io/o/r:v1"));
    let not_registry = |error| matches!(error, Err(Error::Location { fault: LocationFault::NotRegistry, .. }));
    assert!(not_registry(fetch(&without_store, "ocidir://here:v1").await));
}

#[tokio::test]
async fn an_image_that_the_store_can_not_hold_is_an_error_and_not_listed() {
    let place = Place::new().await;
    place.push(&image(&[1, 2]), "v1").await;
    let options = DiskOptions { max_bytes: 250_000, ..DiskOptions::default() };
    let small = DiskStore::new(place.cache(), &options);
    let client = anonymous().with_store(Arc::new(small.clone()));
    let failed = client.fetch(&place.at("v1"), &FetchOptions::default()).await;
    assert!(matches!(&failed, Err(Error::Registry(error)) if error.kind() == ErrorKind::NotCached), "{failed:?}");
    assert_eq!(small.images().await.unwrap(), []);
    require_layout(&place.cache());
}

#[tokio::test]
async fn a_tag_that_can_not_be_written_down_is_an_error() {
    let place = Place::new().await;
    place.push(&image(&[1]), "v1").await;
    let tags = place.cache().join(format!("origins/open/{}/o/r/_tags", place.registry.host()));
    place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    fs::remove_dir_all(&tags).unwrap();
    fs::create_dir_all(tags.join("v1/in the way")).unwrap();
    let failed = place.client().fetch(&place.at("v1"), &FetchOptions::default()).await;
    assert!(matches!(&failed, Err(Error::Registry(error)) if error.kind() == ErrorKind::NotCached), "{failed:?}");
}

/// A place that has fetched an image and lost its layer, with that one's bytes, digest and path.
async fn without_its_layer() -> (Place, Vec<u8>, Digest, PathBuf) {
    let place = Place::new().await;
    place.push(&image(&[1]), "v1").await;
    place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    let wanted = layer(1, 200_000);
    let digest = Digest::sha256(&wanted);
    let path = place.cache().join("blobs/sha256").join(digest.encoded());
    fs::remove_file(&path).unwrap();
    (place, wanted, digest, path)
}

async fn heals(harm: impl Fn(&Path)) {
    let (place, wanted, digest, path) = without_its_layer().await;
    harm(&path);
    place.registry.take_requests();
    place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    assert_eq!(place.asked().get(&format!("GET blobs/{digest}")), Some(&1));
    assert!(fs::read(&path).unwrap() == wanted);
    require_layout(&place.cache());
}

#[tokio::test]
async fn m140_a_blob_that_names_and_sizes_show_to_be_damaged_is_fetched_again() {
    heals(|_| ()).await;
    heals(|path| fs::write(path, "").unwrap()).await;
    heals(|path| fs::write(path, "cut off").unwrap()).await;
    heals(|path| fs::create_dir(path).unwrap()).await;
    heals(|path| std::os::unix::fs::symlink("/dev/null", path).unwrap()).await;
}

#[tokio::test]
async fn m140_a_damaged_beginning_of_a_blob_is_fetched_again() {
    let (place, wanted, digest, path) = without_its_layer().await;
    let beginnings = place.cache().join(format!("origins/open/{}/o/r/_partials/sha256", place.registry.host()));
    fs::create_dir_all(&beginnings).unwrap();
    fs::write(beginnings.join(format!("{}-200000", digest.encoded())), vec![0; 150_000]).unwrap();
    place.registry.take_requests();
    place.client().fetch(&place.at("v1"), &FetchOptions::default()).await.unwrap();
    // The rest of what is damaged, and all of it.
    assert_eq!(place.asked().get(&format!("GET blobs/{digest}")), Some(&2));
    assert!(fs::read(&path).unwrap() == wanted);
    assert_eq!(fs::read_dir(&beginnings).unwrap().count(), 0);
    require_layout(&place.cache());
}

/// What a process of the crowd is told by: a cache, and a location behind a space.
const TASK: &str = "REFS_TEST_FETCH";

/// One process of [`m147_twenty_processes_fetch_each_blob_once`]. Without a task there is nothing to do.
#[tokio::test]
async fn one_of_many_processes() {
    let Ok(task) = env::var(TASK) else { return };
    let (cache, location) = task.split_once(' ').unwrap();
    let client = anonymous().with_store(Arc::new(store(Path::new(cache))));
    client.fetch(&at(location), &FetchOptions::default()).await.unwrap();
}

#[tokio::test]
async fn m147_twenty_processes_fetch_each_blob_once() {
    const IMAGES: u64 = 4;
    let place = Place::new().await;
    let base = Tree::new().file("base", noise(2 << 20, 9));
    for number in 0..IMAGES {
        let own = Tree::new().file("own", noise(1 << 20, number));
        place.push(&Image::new().tree(&base).tree(&own), &format!("v{number}")).await;
    }
    let processes: Vec<_> = (0..20)
        .map(|number| {
            let task = format!("{} {}", place.cache().display(), place.at(&format!("v{}", number % IMAGES)));
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["--exact", "fetches::one_of_many_processes"]).env(TASK, task);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for process in processes {
        let ended = tokio::task::spawn_blocking(|| process.wait_with_output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    let asked = place.asked();
    let blobs: Vec<_> = asked.iter().filter(|(request, _)| request.contains("/sha256:")).collect();
    // The base, and of each image its own layer and its config.
    assert_eq!(blobs.len() as u64, 1 + 2 * IMAGES, "{asked:#?}");
    assert!(blobs.iter().all(|(_, times)| **times == 1), "{asked:#?}");
    let mut names: Vec<_> = place.store().images().await.unwrap().into_iter().map(|image| image.name).collect();
    names.sort();
    let expected: Vec<_> = (0..IMAGES).map(|number| format!("{}/o/r:v{number}", place.registry.host())).collect();
    assert_eq!(names, expected);
    require_layout(&place.cache());
}

#[tokio::test]
async fn an_unpacked_image_is_listed_and_only_what_is_damaged_of_it_comes_again() {
    let place = Place::new().await;
    let tree = |seed| Tree::new().file(&format!("file-{seed}"), noise(100_000, seed));
    let manifest = place.push(&Image::new().tree(&tree(1)).tree(&tree(2)), "v1").await;
    let unpack = async |name: &str| {
        let destination = place.folder.path().join(name);
        let unpacked = place.client().unpack(&place.at("v1"), &destination, &UnpackOptions::default()).await.unwrap();
        let both = Tree::new().file("file-1", noise(100_000, 1)).file("file-2", noise(100_000, 2));
        assert_eq!(Tree::read(&destination).unwrap(), both, "{unpacked:?}");
    };
    unpack("first").await;
    let images = place.store().images().await.unwrap();
    let [image] = images.as_slice() else { panic!("{images:?}") };
    assert_eq!(
        (&image.name, &image.manifest.digest),
        (&format!("{}/o/r:v1", place.registry.host()), &manifest.descriptor.digest)
    );
    place.registry.take_requests();
    unpack("second").await;
    assert_eq!(place.asked().len(), 1);

    let Document::Image(parsed) = manifest.parse().unwrap() else { panic!("an image") };
    let damaged = &parsed.layers[1].digest;
    let path = place.cache().join("blobs/sha256").join(damaged.encoded());
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    unpack("third").await;
    let blobs: Vec<_> = place.asked().into_keys().filter(|request| request.contains("blobs/")).collect();
    assert_eq!(blobs, [format!("GET blobs/{damaged}")]);
}

#[tokio::test]
async fn only_what_is_damaged_of_an_image_that_is_read_comes_again() {
    let place = Place::new().await;
    let tree = |seed| Tree::new().file(&format!("file-{seed}"), noise(200_000, seed));
    let manifest = place.push(&Image::new().tree(&tree(1)).tree(&tree(2)), "v1").await;
    place.push(&Image::new().tree(&tree(1)), "v2").await;
    for tag in ["v1", "v2"] {
        place.client().fetch(&place.at(tag), &FetchOptions::default()).await.unwrap();
    }
    let Document::Image(parsed) = manifest.parse().unwrap() else { panic!("an image") };
    let damaged = &parsed.layers[1].digest;
    let path = place.cache().join("blobs/sha256").join(damaged.encoded());
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000..100_004].copy_from_slice(b"harm");
    for read in ["list", "read", "pull"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        place.registry.take_requests();
        let (client, at, options) = (place.client(), place.at("v1"), ReadOptions::default());
        match read {
            "list" => assert_eq!(client.list_files(&at, &options).await.unwrap().entries().count(), 2),
            "read" => {
                let read = client.read_file(&at, "file-2", &options, Vec::new()).await.unwrap();
                assert!(read == noise(200_000, 2));
            }
            _ => drop(client.pull(&at, &place.folder.path().join("here"), &PullOptions::default()).await.unwrap()),
        }
        let blobs: Vec<_> = place.asked().into_keys().filter(|request| request.starts_with("GET")).collect();
        assert_eq!(blobs, [format!("GET blobs/{damaged}")], "{read}");
        let whole = format!("{}/o/r:v2", place.registry.host());
        assert!(place.store().images().await.unwrap().iter().any(|image| image.name == whole), "{read}");
    }
}
