//! Images that are in no index: of what they are for, and of their configs that are none.

use bytes::Bytes;
use refs_client::{
    Client, CopyOptions, Error, FetchOptions, PullOptions, ReadOptions, Side, UnpackOptions, copy::Platforms,
};
use refs_registry::{
    Descriptor, Error as RegistryError, Manifest, MediaType, Platform, Sink, error::ConfigFault, spec::ImageManifest,
};
use refs_store::{DiskOptions, DiskStore, Layout};
use refs_testkit::{FakeRegistry, Tree, image::gzip};
use refs_url::Digest;
use std::{collections::BTreeMap, fs, sync::Arc};

use crate::setup::{IN_MEMORY, anonymous, artifact, at, memory, push};

const ON_AMD64: &str = r#""architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z""#;

/// Puts an image of one file, with a config that says `said` beside its layers.
pub(crate) async fn put(sink: &dyn Sink, said: &str) -> Manifest {
    let diff_id = Digest::sha256(&tree().tar());
    let comma = if said.is_empty() { "" } else { "," };
    let config = format!(r#"{{{said}{comma}"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
    put_config(sink, &config).await
}

async fn put_config(sink: &dyn Sink, config: &str) -> Manifest {
    let layer = gzip(&tree().tar());
    let mut descriptors = Vec::new();
    for (media_type, bytes) in
        [(MediaType::OCI_CONFIG, Bytes::from(config.to_owned())), (MediaType::OCI_LAYER_GZIP, layer)]
    {
        let descriptor = Descriptor::of(media_type, &bytes);
        sink.put_blob(&descriptor, bytes.into()).await.unwrap();
        descriptors.push(descriptor);
    }
    let manifest = Manifest::image(&ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config: descriptors.remove(0),
        layers: descriptors,
        subject: None,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    })
    .unwrap();
    sink.put_manifest(&manifest, &["v1".parse().unwrap()]).await.unwrap();
    manifest
}

fn tree() -> Tree {
    Tree::parse("644 a \"a\"\n")
}

/// A client of an image whose config says `said`.
async fn client_of(said: &str) -> Client {
    let (memories, client) = memory();
    put(&memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap()), said).await;
    client
}

/// What each verb makes of the platform `wanted`, by its name.
async fn verbs(client: &Client, wanted: &str) -> Vec<(&'static str, Result<(), Error>)> {
    let (image, platform) = (at(IN_MEMORY), Platform::parse(wanted).unwrap());
    let read = ReadOptions { platform: Some(platform.clone()), ..ReadOptions::default() };
    let pull = PullOptions { read: read.clone(), ..PullOptions::default() };
    let unpack = UnpackOptions { platform: Some(platform.clone()), ..UnpackOptions::default() };
    let ground = tempfile::tempdir().unwrap();
    let [pulled, unpacked] = ["pulled", "unpacked"].map(|name| ground.path().join(name));
    vec![
        ("list", client.list_files(&image, &read).await.map(drop)),
        ("read", client.read_file(&image, "a", &read, Vec::new()).await.map(drop)),
        ("inspect", client.inspect(&image, &read).await.map(drop)),
        ("pull", client.pull(&image, &pulled, &pull).await.map(drop)),
        ("unpack", client.unpack(&image, &unpacked, &unpack).await.map(drop)),
        ("resolve", client.resolve_platform(&image, &platform).await.map(drop)),
        ("copy", copy(client, Platforms::Image(Box::new(platform.clone()))).await),
        ("copy sparse", copy(client, Platforms::Sparse(vec![platform.clone(), platform.clone()])).await),
        ("copy rewritten", copy(client, Platforms::Rewritten(vec![platform])).await),
    ]
}

/// What a copy of `platforms` beside the image comes to.
async fn copy(client: &Client, platforms: Platforms) -> Result<(), Error> {
    let options = CopyOptions { platforms, ..CopyOptions::default() };
    client.copy(&at(IN_MEMORY), &at("localhost/o/copy:v1"), &options).await.map(drop)
}

/// Whether an image whose config says `said` suits `wanted`, by all verbs.
async fn check(said: &str, wanted: &str, available: Result<(), &str>) {
    for (verb, result) in verbs(&client_of(said).await, wanted).await {
        let told = match result {
            Ok(()) => Ok(()),
            Err(Error::PlatformNotFound { available, .. }) => Err(available[0].to_string()),
            Err(error) => panic!("{verb}: {error:?}"),
        };
        assert_eq!(told.as_ref().map_err(String::as_str), available.as_ref().map_err(|it| *it), "{verb} {wanted}");
    }
}

#[tokio::test]
async fn what_the_config_contradicts_is_not_found() {
    check(ON_AMD64, "linux/arm64", Err("linux/amd64")).await;
    check(ON_AMD64, "windows/amd64", Err("linux/amd64")).await;
    check(r#""architecture":"arm","os":"linux","variant":"v7","created":null"#, "linux/arm/v6", Err("linux/arm/v7"))
        .await;
    check(r#""architecture":"amd64","config":{"Cmd":["sh"]}"#, "linux/arm64", Err("/amd64")).await;
}

#[tokio::test]
async fn what_runs_there_or_says_nothing_suits() {
    check(ON_AMD64, "linux/amd64", Ok(())).await;
    check(ON_AMD64, "Linux/x86_64/v3", Ok(())).await;
    check(r#""created":"2026-01-02T03:04:05Z""#, "plan9/mips", Ok(())).await;
    check(r#""architecture":"amd64","config":{"Cmd":["sh"]}"#, "windows/amd64", Ok(())).await;
}

#[tokio::test]
async fn copy_for_several_platforms_wants_one_that_suits() {
    let client = client_of(ON_AMD64).await;
    let wanted = |names: &[&str]| names.iter().map(|name| Platform::parse(name).unwrap()).collect::<Vec<_>>();
    for platforms in [Platforms::Sparse, Platforms::Rewritten] {
        copy(&client, platforms(wanted(&["linux/arm64", "linux/amd64"]))).await.unwrap();
        let refused = copy(&client, platforms(wanted(&["linux/arm64", "linux/mips"]))).await.unwrap_err();
        let told = format!("no image for platform linux/arm64 in {IN_MEMORY}: it has linux/amd64");
        assert_eq!(refused.to_string(), told);
        copy(&client, platforms(Vec::new())).await.unwrap();
    }
}

#[tokio::test]
async fn bare_config_of_an_image_counts() {
    check(r#""architecture":"amd64","os":"linux""#, "linux/arm64", Err("linux/amd64")).await;
    check(r#""architecture":"amd64","os":"linux""#, "linux/amd64", Ok(())).await;
}

#[tokio::test]
async fn files_that_were_pushed_suit_any_platform() {
    let (_, client) = memory();
    push(&client, &tree(), &at(IN_MEMORY)).await;
    for (verb, result) in verbs(&client, "plan9/mips").await {
        assert!(result.is_ok(), "{verb}: {result:?}");
    }
}

#[tokio::test]
async fn config_that_is_large_counts_and_one_that_is_too_large_is_an_error() {
    let padded = |bytes| format!(r#"{ON_AMD64},"pad":"{}""#, "x".repeat(bytes));
    check(&padded(2 << 20), "linux/arm64", Err("linux/amd64")).await;
    check(&padded(2 << 20), "linux/amd64", Ok(())).await;
    for (verb, result) in verbs(&client_of(&padded(4 << 20)).await, "linux/amd64").await {
        let cause = match result {
            Err(Error::Registry(cause)) => cause,
            Err(Error::Copy { side: Side::Source, source, .. }) => *source,
            other => panic!("{verb}: {other:?}"),
        };
        assert!(matches!(cause, RegistryError::TooLarge { limit, .. } if limit == 4 << 20), "{verb}: {cause:?}");
    }
}

#[tokio::test]
async fn malformed_config_is_an_error_when_a_platform_was_asked_for() {
    for said in [r#""architecture":5,"os":"linux""#, r#""architecture":"arm","os":"linux","variant":7"#] {
        for (verb, result) in verbs(&client_of(said).await, "linux/amd64").await {
            assert!(matches!(result, Err(Error::Config { .. })), "{verb} {said}: {result:?}");
        }
    }
}

#[tokio::test]
async fn platform_that_a_layout_lists_an_image_with_counts() {
    let ground = tempfile::tempdir().unwrap();
    let folder = ground.path().join("layout");
    put(&Layout::create(&folder).await.unwrap(), r#""created":null"#).await;
    let index = folder.join("index.json");
    let mut listed: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    listed["manifests"][0]["platform"] = serde_json::json!({"architecture": "arm64", "os": "linux"});
    fs::write(&index, listed.to_string()).unwrap();
    let (_, client) = memory();
    let here = at(&format!("ocidir://{}:v1", folder.display()));
    for (wanted, is_found) in [("linux/arm64", true), ("linux/amd64", false)] {
        let read = ReadOptions { platform: Platform::parse(wanted), ..ReadOptions::default() };
        assert_eq!(client.list_files(&here, &read).await.is_ok(), is_found, "{wanted}");
        let unpack = UnpackOptions { platform: Platform::parse(wanted), ..UnpackOptions::default() };
        assert_eq!(client.unpack(&here, &ground.path().join("d"), &unpack).await.is_ok(), is_found, "{wanted}");
    }
}

#[tokio::test]
async fn nothing_asked_is_no_contradiction() {
    let client = client_of(r#""architecture":"mips","os":"plan9","created":null"#).await;
    assert_eq!(client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap().len(), 1);
    assert!(client.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap().image.is_some());
    let ground = tempfile::tempdir().unwrap();
    client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &UnpackOptions::default()).await.unwrap();
}

#[tokio::test]
async fn contradicted_image_is_not_fetched() {
    let registry = FakeRegistry::start().await;
    put(&*registry.repository("o/r"), ON_AMD64).await;
    let cache = tempfile::tempdir().unwrap();
    let store = Arc::new(DiskStore::new(cache.path(), &DiskOptions::default()));
    let options = FetchOptions { platform: Platform::parse("linux/arm64") };
    let error = anonymous().with_store(store).fetch(&artifact(&registry), &options).await.unwrap_err();
    let told = format!("no image for platform linux/arm64 in {}: it has linux/amd64", artifact(&registry));
    assert_eq!(error.to_string(), told);
    assert_eq!(registry.requests().len(), 2, "manifest and config: {:?}", registry.requests());
}

#[tokio::test]
async fn config_that_is_none_is_refused_with_the_reason() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    for (config, reason) in [
        ("[]", "invalid type: sequence, expected an object at line 1 column 0"),
        (r#""x""#, r#"invalid type: string "x", expected an object at line 1 column 3"#),
        (r#"{"os":"linux""#, "EOF while parsing an object at line 1 column 13"),
        ("", "EOF while parsing a value at line 1 column 0"),
    ] {
        put_config(&repository, config).await;
        let ground = tempfile::tempdir().unwrap();
        let unpacked = client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &UnpackOptions::default()).await;
        let Err(Error::Config { fault: ConfigFault::Json(told), .. }) = unpacked else { panic!("{config}") };
        assert_eq!(&*told, reason, "{config}");
        let listed = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
        assert_eq!(listed.len(), 1, "who asks for files needs no config");
    }
}
