//! Manifests that say another size of a blob than it has. The numbers in the names of tests are those of the attacks.

use std::sync::Arc;

use refs_client::{Client, Error, Location, PullOptions, ReadOptions, UnpackOptions};
use refs_registry::{Descriptor, Error as RegistryError, Manifest, Sink, error::Wanted, spec::Document};
use refs_store::{DiskOptions, DiskStore, Layout};
use refs_testkit::{Image, Tree};

use crate::setup::{IN_MEMORY, artifact, at, client, directory, guarded, memory, names, noise, timeless};

const TAG: &str = "v1";

/// Which blob a manifest lies about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Liar {
    Layer,
    Config,
}

/// Sizes that are not `size`.
fn others(size: u64) -> [u64; 4] {
    [1, size - 1, size + 1, 1 << 62]
}

/// The manifest, with the size of the first layer, or of the config, changed, under the same tag; and what is there in truth.
async fn lie(sink: &dyn Sink, image: &Manifest, liar: Liar, size: u64) -> Descriptor {
    let Document::Image(mut image) = image.parse().unwrap() else { panic!("an index") };
    let blob = if liar == Liar::Layer { &mut image.layers[0] } else { &mut image.config };
    let truth = blob.clone();
    blob.size = size;
    sink.put_manifest(&Manifest::image(&image).unwrap(), &[TAG.parse().unwrap()]).await.unwrap();
    truth
}

/// What all verbs that read layers make of it.
async fn verbs(client: &Client, image: &Location) -> Vec<(&'static str, Result<(), Error>)> {
    let ground = tempfile::tempdir().unwrap();
    let [pulled, unpacked] = ["pulled", "unpacked"].map(|name| ground.path().join(name));
    let verbs = vec![
        ("list", client.list_files(image, &ReadOptions::default()).await.map(drop)),
        ("read", client.read_file(image, "a", &ReadOptions::default(), Vec::new()).await.map(drop)),
        ("pull", client.pull(image, &pulled, &PullOptions::default()).await.map(drop)),
        ("unpack", client.unpack(image, &unpacked, &UnpackOptions::default()).await.map(drop)),
    ];
    assert_eq!(names(ground.path()), [] as [&str; 0]);
    verbs
}

#[track_caller]
fn refuses(result: Result<(), Error>, truth: &Descriptor, said: u64, context: &str) {
    let Err(told) = result else { panic!("{context}: not refused") };
    let Error::Registry(RegistryError::Size { wanted, expected, actual }) = &told else {
        panic!("{context}: {told:?}")
    };
    assert_eq!((wanted, *expected, *actual), (&Wanted::Blob(truth.digest.clone()), said, truth.size), "{context}");
}

fn container() -> Image {
    Image::new().tree(&Tree::new().file("a", noise(50_000, 1)))
}

#[tokio::test]
async fn m066_m077_a_layer_of_another_size_than_said_is_refused_wherever_it_is() {
    let (memories, in_memory) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let honest = container().push(&repository, &[TAG]).await.unwrap();
    let ground = tempfile::tempdir().unwrap();
    let layout = Layout::create(&ground.path().join("layout")).await.unwrap();
    container().push(&layout, &[TAG]).await.unwrap();
    let registry = guarded(&memories).start().await;
    let cached =
        || client(&registry).with_store(Arc::new(DiskStore::new(ground.path().join("cache"), &DiskOptions::default())));
    let on_disk = at(&format!("ocidir://{}:{TAG}", ground.path().join("layout").display()));
    let Document::Image(image) = honest.parse().unwrap() else { panic!("an index") };
    for said in others(image.layers[0].size) {
        let truth = lie(&repository, &honest, Liar::Layer, said).await;
        lie(&layout, &honest, Liar::Layer, said).await;
        for (client, place) in [
            (in_memory.clone(), at(IN_MEMORY)),
            (in_memory.clone(), on_disk.clone()),
            (client(&registry), artifact(&registry)),
            (cached(), artifact(&registry)),
            (cached(), artifact(&registry)),
        ] {
            for (verb, result) in verbs(&client, &place).await {
                refuses(result, &truth, said, &format!("{verb} {said} {place}"));
            }
        }
    }
}

#[tokio::test]
async fn m066_a_config_of_another_size_than_said_is_not_unpacked() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let honest = container().push(&repository, &[TAG]).await.unwrap();
    let Document::Image(image) = honest.parse().unwrap() else { panic!("an index") };
    let size = image.config.size;
    for said in [1, size - 1, size + 1, 4 << 20] {
        let truth = lie(&repository, &honest, Liar::Config, said).await;
        let ground = tempfile::tempdir().unwrap();
        let destination = ground.path().join("rootfs");
        let unpacked = client.unpack(&at(IN_MEMORY), &destination, &UnpackOptions::default()).await;
        refuses(unpacked.map(drop), &truth, said, &format!("{said}"));
    }
}

#[tokio::test]
async fn m066_m077_parts_of_a_layer_of_another_size_than_said_are_refused() {
    let (memories, in_memory) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let files = directory(&Tree::new().file("a", noise(300_000, 1)).file("b", noise(300_000, 2)));
    let pushed = in_memory.push(files.path(), &at(IN_MEMORY), &timeless()).await.unwrap();
    let target = refs_url::Target::Digest(pushed.descriptor.digest.clone());
    let honest = refs_registry::Source::manifest(&repository, &target).await.unwrap();
    let Document::Image(image) = honest.parse().unwrap() else { panic!("an index") };
    let registry = guarded(&memories).start().await;
    for said in others(image.layers[0].size) {
        let truth = lie(&repository, &honest, Liar::Layer, said).await;
        let read = ReadOptions::default();
        let listed = client(&registry).list_files(&artifact(&registry), &read).await.map(drop);
        refuses(listed, &truth, said, &format!("list {said}"));
        let one = client(&registry).read_file(&artifact(&registry), "a", &read, Vec::new()).await.map(drop);
        refuses(one, &truth, said, &format!("read {said}"));
    }
}
