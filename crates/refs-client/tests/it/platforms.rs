//! Which image of an index is read.

use refs_client::{Client, Error, ReadOptions};
use refs_registry::{Manifest, Platform, Sink};
use refs_testkit::{
    FakeRegistry, Image, Tree,
    image::{index, push_index},
};

use crate::setup::{IN_MEMORY, anonymous, artifact, at, memory, patterns, pull, pull_of, push};

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

/// An image with one file, which is named like its platform.
fn image_for(text: &str) -> (Platform, Image) {
    let tree = Tree::new().file(&text.replace('/', "-"), text.to_owned()).file(".sow-ref.yaml", text.to_owned());
    (platform(text), Image::new().tree(&tree))
}

fn on(text: &str) -> ReadOptions {
    ReadOptions { platform: Some(platform(text)), ..ReadOptions::default() }
}

/// A client of an index with these platforms.
async fn client_of(platforms: &[&str]) -> Client {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let images: Vec<_> = platforms.iter().map(|text| image_for(text)).collect();
    push_index(&repository, &images, &["v1"]).await.unwrap();
    client
}

/// The file of the image that is taken of `platforms` for `wanted`.
async fn check(platforms: &[&str], wanted: &str, expected: Result<&str, &str>) {
    let listed = client_of(platforms).await.list_files(&at(IN_MEMORY), &on(wanted)).await;
    let file = listed.map(|listing| listing.path_at(1).to_owned()).map_err(|error| error.to_string());
    assert_eq!(file.as_deref().map_err(String::as_str), expected, "{wanted} of {platforms:?}");
}

const MANY: [&str; 6] =
    ["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64", "unknown/unknown"];

#[tokio::test]
async fn image_for_the_platform_is_taken() {
    check(&MANY, "linux/amd64", Ok("linux-amd64")).await;
    check(&MANY, "linux/arm64", Ok("linux-arm64")).await;
    check(&MANY, "linux/arm/v7", Ok("linux-arm-v7")).await;
    check(&MANY, "linux/arm", Ok("linux-arm-v6")).await;
    check(&MANY, "windows/amd64", Ok("windows-amd64")).await;
}

#[tokio::test]
async fn arm64_has_one_variant() {
    check(&MANY, "linux/arm64/v8", Ok("linux-arm64")).await;
    check(&["linux/arm64/v8"], "linux/arm64", Ok("linux-arm64-v8")).await;
}

#[tokio::test]
async fn platforms_that_there_are_instead_are_told() {
    let words = "no image for platform linux/s390x in localhost/o/r:v1: it has linux/amd64, linux/arm64, linux/arm/v6, \
                 linux/arm/v7, windows/amd64";
    check(&MANY, "linux/s390x", Err(words)).await;
    check(
        &["linux/arm/v6"],
        "linux/arm/v7",
        Err("no image for platform linux/arm/v7 in localhost/o/r:v1: it has linux/arm/v6"),
    )
    .await;
}

#[tokio::test]
async fn error_names_what_was_wanted() {
    let error = client_of(&MANY).await.resolve_platform(&at(IN_MEMORY), &platform("plan9/mips")).await.unwrap_err();
    let Error::PlatformNotFound { at, wanted, available } = error else { panic!("{error:?}") };
    assert_eq!((at.as_str(), *wanted, available.len()), (IN_MEMORY, platform("plan9/mips"), 5));
}

#[tokio::test]
async fn linux_on_this_processor_is_taken_unasked() {
    let here = Platform::linux_here().to_string();
    let client = client_of(&["plan9/mips", &here]).await;
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!(listing.path_at(1), here.replace('/', "-"));
    assert_eq!(client.get_manifest(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap(), here);
    let resolved = client.resolve_platform(&at(IN_MEMORY), &Platform::linux_here()).await.unwrap();
    assert_eq!(resolved.digest, listing.descriptor.digest);
    assert_ne!(client.get_digest(&at(IN_MEMORY)).await.unwrap(), resolved.digest, "the index has a digest of its own");
}

#[tokio::test]
async fn lone_image_is_taken_for_any_platform() {
    let (_, client) = memory();
    push(&client, &Tree::parse(r#"644 a "a""#), &at(IN_MEMORY)).await;
    let options = ReadOptions { platform: Some(platform("plan9/mips")), ..patterns(&["a"]) };
    assert_eq!(client.list_files(&at(IN_MEMORY), &options).await.unwrap().len(), 1);
}

#[tokio::test]
async fn artifact_in_an_index_that_names_no_platform_is_taken() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let image = Image::new().file("a", "a").push(&*repository, &[]).await.unwrap();
    nested(&*repository, image, 1).await;
    assert_eq!(pull(&anonymous(), &artifact(&registry), &pull_of(&["a"])).await.unwrap().1.files, 1);
}

/// Puts `innermost` into so many indexes, one within the other, and tags the outermost.
async fn nested(repository: &dyn Sink, innermost: Manifest, indexes: u32) {
    let mut manifest = innermost;
    for _ in 0..indexes {
        manifest = index(vec![manifest.descriptor]).unwrap();
        repository.put_manifest(&manifest, &["v1".parse().unwrap()]).await.unwrap();
    }
}

async fn manifests_of_nested(indexes: u32) -> (Result<usize, Error>, usize) {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let image = Image::new().file("a", "a").push(&*repository, &[]).await.unwrap();
    nested(&*repository, image, indexes).await;
    let listed = anonymous().list_files(&artifact(&registry), &ReadOptions::default()).await;
    (listed.map(|listing| listing.len()), registry.requests().len())
}

#[tokio::test]
async fn four_nested_indexes_are_followed() {
    let (listed, requests) = manifests_of_nested(4).await;
    assert_eq!((listed.unwrap(), requests), (1, 5));
}

#[tokio::test]
async fn five_nested_indexes_are_too_deep() {
    let (listed, requests) = manifests_of_nested(5).await;
    let error = listed.unwrap_err();
    let Error::IndexTooDeep { limit, .. } = error else { panic!("{error:?}") };
    assert_eq!((limit, requests), (4, 5), "what is too deep is not asked for");
}
