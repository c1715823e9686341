//! Which image of an index is read.

use refs_client::{Client, Error, PullOptions, ReadOptions};
use refs_registry::{Descriptor, Manifest, Platform, Sink};
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
    check(&MANY, "linux/arm", Ok("linux-arm-v7")).await;
    check(&MANY, "linux/arm/v6", Ok("linux-arm-v6")).await;
    check(&MANY, "windows/amd64", Ok("windows-amd64")).await;
    check(&MANY, "Linux/x86_64", Ok("linux-amd64")).await;
}

#[tokio::test]
async fn best_is_taken_and_not_the_first() {
    let levels = ["linux/386", "linux/amd64", "linux/amd64/v2", "linux/amd64/v4"];
    check(&levels, "linux/amd64/v3", Ok("linux-amd64-v2")).await;
    check(&levels, "linux/amd64", Ok("linux-amd64")).await;
    check(&["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm64", Ok("linux-arm-v7")).await;
    let windows = ["windows(10.0.20348.9)/amd64", "windows(10.0.20348.10)/amd64", "windows(10.0.26100.1)/amd64"];
    check(&windows, "windows(10.0.20348)/amd64", Ok("windows(10.0.20348.10)-amd64")).await;
    check(&windows, "windows(10.0.26100.1)/amd64", Ok("windows(10.0.26100.1)-amd64")).await;
    let features = ["linux(+gpu)/amd64", "linux/amd64"];
    check(&features, "linux/amd64", Ok("linux-amd64")).await;
    check(&features, "linux(+gpu+sse4)/amd64", Ok("linux(+gpu)-amd64")).await;
}

#[tokio::test]
async fn arm64_has_one_variant() {
    check(&MANY, "linux/arm64/v8", Ok("linux-arm64")).await;
    check(&["linux/arm64/v8"], "linux/arm64", Ok("linux-arm64-v8")).await;
}

#[tokio::test]
async fn platforms_that_there_are_instead_are_told() {
    let words = "no image for platform linux/s390x in localhost/o/r:v1: it has linux/amd64, linux/arm/v6, \
                 linux/arm/v7, linux/arm64, windows/amd64";
    check(&MANY, "linux/s390x", Err(words)).await;
    let words = "no image for platform linux/arm/v5 in localhost/o/r:v1: it has linux/arm/v6, linux/arm/v7";
    check(&["linux/arm/v7", "linux/arm/v6", "linux/arm/v7", "unknown/unknown"], "linux/arm/v5", Err(words)).await;
    let windows = ["windows(10.0.26100.1)/amd64", "windows(10.0.20348.9)/amd64"];
    let words = "no image for platform windows(10.0.17763.1)/amd64 in localhost/o/r:v1: it has \
                 windows(10.0.20348.9)/amd64, windows(10.0.26100.1)/amd64";
    check(&windows, "windows(10.0.17763.1)/amd64", Err(words)).await;
    let words = "the index localhost/o/r:v1 lists no image";
    check(&["unknown/unknown"], "linux/amd64", Err(words)).await;
    check(&[], "linux/amd64", Err(words)).await;
    let inspection = client_of(&[]).await.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!((inspection.manifests.len(), inspection.image), (0, None));
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
async fn both_digests_are_told() {
    let client = client_of(&["linux/386", "linux/arm64"]).await;
    let index = client.resolve_tag(&at(IN_MEMORY)).await.unwrap();
    let options = on("linux/arm64");
    let image = client.resolve_platform(&at(IN_MEMORY), &platform("linux/arm64")).await.unwrap();
    let listing = client.list_files(&at(IN_MEMORY), &options).await.unwrap();
    assert_eq!((listing.index.as_ref(), &listing.descriptor.digest), (Some(&index), &image.digest));
    let inspection = client.inspect(&at(IN_MEMORY), &options).await.unwrap();
    assert_eq!(
        (inspection.descriptor, inspection.image.unwrap().descriptor.digest),
        (index.clone(), image.digest.clone())
    );
    let (_, pulled) =
        pull(&client, &at(IN_MEMORY), &PullOptions { read: options, ..PullOptions::default() }).await.unwrap();
    assert_eq!((pulled.index, pulled.descriptor.digest), (Some(index), image.digest));
}

#[tokio::test]
async fn lone_image_is_in_no_index() {
    let (_, client) = memory();
    push(&client, &Tree::parse(r#"644 a "a""#), &at(IN_MEMORY)).await;
    assert_eq!(client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap().index, None);
}

#[tokio::test]
async fn config_of_a_lone_image_is_read_only_when_a_platform_was_asked_for() {
    let registry = FakeRegistry::start().await;
    let tree = Tree::parse(r#"644 a "a""#);
    Image::new().tree(&tree).push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    let client = anonymous();
    for (options, requests) in [(ReadOptions::default(), 2), (on("linux/amd64"), 3)] {
        registry.take_requests();
        assert_eq!(client.list_files(&artifact(&registry), &options).await.unwrap().len(), 1);
        assert_eq!(registry.requests().len(), requests, "{:?}", registry.requests());
    }
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

#[tokio::test]
async fn artifact_beside_attestations_is_taken() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let image = Image::new().file("a", "a").push(&*repository, &[]).await.unwrap().descriptor;
    let mut attestation = Image::new().file("b", "b").push(&*repository, &[]).await.unwrap().descriptor;
    attestation.annotations.insert("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned());
    let mut unknown = Image::new().file("c", "c").push(&*repository, &[]).await.unwrap().descriptor;
    unknown.platform = Some(platform("unknown/unknown"));
    for platform in [None, Some(Platform::new("", ""))] {
        let image = Descriptor { platform, ..image.clone() };
        let index = index(vec![unknown.clone(), attestation.clone(), image]).unwrap();
        repository.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
        let listing = anonymous().list_files(&artifact(&registry), &ReadOptions::default()).await.unwrap();
        assert_eq!(listing.path_at(0), "a");
    }
}

#[tokio::test]
async fn several_artifacts_without_platforms_are_not_guessed_at() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let mut manifests = Vec::new();
    for name in ["a", "b"] {
        manifests.push(Image::new().file(name, name).push(&*repository, &[]).await.unwrap().descriptor);
    }
    let put = async |manifests: Vec<_>| {
        repository.put_manifest(&index(manifests).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
        anonymous().list_files(&artifact(&registry), &ReadOptions::default()).await
    };
    let error = put(manifests.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("none of the 2 manifests in {} names its platform", artifact(&registry)));
    let inspection = anonymous().inspect(&artifact(&registry), &ReadOptions::default()).await.unwrap();
    assert_eq!((inspection.manifests.len(), inspection.image), (2, None));
    let twice = vec![manifests[0].clone(), manifests[0].clone()];
    assert_eq!(put(twice).await.unwrap().path_at(0), "a", "it is one, listed twice");
    manifests[1].platform = Some(platform("plan9/mips"));
    let error = put(manifests).await.unwrap_err();
    assert!(matches!(error, Error::PlatformNotFound { .. }), "{error:?}");
}

/// An index of images for `platforms`, which itself names none.
async fn index_of(repository: &dyn Sink, platforms: &[&str]) -> Descriptor {
    let images: Vec<_> = platforms.iter().map(|text| image_for(text)).collect();
    push_index(repository, &images, &[]).await.unwrap().descriptor
}

async fn file_beneath(registry: &FakeRegistry, manifests: Vec<Descriptor>, wanted: &str) -> (String, usize) {
    let top = index(manifests).unwrap();
    registry.repository("o/r").put_manifest(&top, &["v1".parse().unwrap()]).await.unwrap();
    registry.take_requests();
    let listing = anonymous().list_files(&artifact(registry), &on(wanted)).await.unwrap();
    assert_eq!(listing.index.as_ref(), Some(&top.descriptor), "the outermost index");
    let requests = registry.take_requests();
    (listing.path_at(1).to_owned(), requests.iter().filter(|request| request.path.contains("/manifests/")).count())
}

#[tokio::test]
async fn nested_indexes_are_looked_through_for_the_best() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let old = index_of(&*repository, &["linux/386", "linux/arm/v6"]).await;
    let new = index_of(&*repository, &["linux/amd64", "linux/arm/v7"]).await;
    let both = vec![old, new];
    assert_eq!(file_beneath(&registry, both.clone(), "linux/arm/v7").await, ("linux-arm-v7".to_owned(), 4));
    assert_eq!(file_beneath(&registry, both.clone(), "linux/amd64").await, ("linux-amd64".to_owned(), 4));
    assert_eq!(
        file_beneath(&registry, both, "linux/386").await,
        ("linux-386".to_owned(), 3),
        "the second is not asked for"
    );
}

#[tokio::test]
async fn index_for_another_platform_is_not_asked_for() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let (name, image) = image_for("plan9/mips");
    let unnamed = index(vec![image.push(&*repository, &[]).await.unwrap().descriptor]).unwrap();
    repository.put_manifest(&unnamed, &[]).await.unwrap();
    let of =
        |descriptor: Descriptor, platform: &Platform| Descriptor { platform: Some(platform.clone()), ..descriptor };
    let other = index_of(&*repository, &["linux/amd64"]).await;
    let both = vec![of(other, &platform("linux/amd64")), of(unnamed.descriptor, &name)];
    assert_eq!(file_beneath(&registry, both, "plan9/mips").await, ("plan9-mips".to_owned(), 3));
}

#[tokio::test]
async fn no_more_indexes_are_asked_for_than_anyone_needs() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let image = Image::new().file("a", "a").push(&*repository, &[]).await.unwrap().descriptor;
    let mut manifests = Vec::new();
    for number in 0..40 {
        let os = format!("os-{number}");
        let nested = index(vec![Descriptor { platform: Some(Platform::new(&os, "mips")), ..image.clone() }]).unwrap();
        repository.put_manifest(&nested, &[]).await.unwrap();
        manifests.push(nested.descriptor);
    }
    let top = index(manifests).unwrap();
    repository.put_manifest(&top, &["v1".parse().unwrap()]).await.unwrap();
    registry.take_requests();
    let error = anonymous().list_files(&artifact(&registry), &ReadOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} leads to more than 32 indexes", artifact(&registry)));
    assert_eq!(registry.requests().len(), 33);
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
    assert_eq!((limit, requests), (4, 4), "what is too deep is not asked for");
}
