//! What a push sends, in which order, and what it leaves when it fails.

mod again;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_client::{
    Client, Error, Limits, Location, LocationFault, MANIFEST_FILE, PackOptions, PushOptions, Pushed, ReadOptions, Sent,
};
use refs_estargz::TOC_DIGEST_ANNOTATION;
use refs_registry::{
    ErrorKind, Filter, MediaType, Resume, Sink,
    spec::{Document, ImageConfig, ImageManifest},
};
use refs_store::Memories;
use refs_testkit::{Close, FakeRegistry, Fault, On, Quirks, Seen, Tree};
use refs_url::Tag;

use crate::setup::{
    IN_MEMORY, MANIFEST, anonymous, artifact, at, client, directory, guarded, kind, memory, noise, packed_as, push,
    timeless, timeless_pack,
};

const SMALL: &str = "644 .sow-ref.yaml \"schema_version: 1.0.0\\nref: {title: Guide, link: guide}\\ncontent: {description: d, tags: [t], classifications: [{type: runbook}]}\\n\"\n644 a \"a\"";

fn large() -> Tree {
    Tree::new().file("noise", noise(5 << 20, 3))
}

async fn manifest(client: &Client, at: &Location) -> ImageManifest {
    let manifest = client.source(at).await.unwrap().manifest(&at.target().unwrap()).await.unwrap();
    match manifest.parse().unwrap() {
        Document::Image(image) => *image,
        Document::Index(index) => panic!("an index: {index:?}"),
    }
}

/// The digest of the config of the image at `v1`.
async fn config(repository: &dyn Sink) -> refs_url::Digest {
    let manifest = repository.manifest(&"v1".parse().unwrap()).await.unwrap();
    match manifest.parse().unwrap() {
        Document::Image(image) => image.config.digest,
        Document::Index(index) => panic!("an index: {index:?}"),
    }
}

async fn blob(client: &Client, at: &Location, digest: &refs_url::Digest) -> Bytes {
    let blob = client.source(at).await.unwrap().blob(digest, Resume::START).await.unwrap();
    let chunks: Vec<Bytes> = blob.stream.try_collect().await.unwrap();
    chunks.concat().into()
}

fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn manifest_is_sent_last_with_all_its_tags() {
    let registry = guarded(&Memories::new()).start().await;
    let options = PushOptions { tags: vec![Tag::parse("latest").unwrap()], ..timeless() };
    let source = directory(&Tree::parse(SMALL));
    let pushed = client(&registry).push(source.path(), &artifact(&registry), &options).await.unwrap();
    let head_layer = format!("HEAD /v2/o/r/blobs/{}", pushed.layer.digest);
    let head_config = format!("HEAD /v2/o/r/blobs/{}", config(&*registry.repository("o/r")).await);
    let (begin, end) = ("POST /v2/o/r/blobs/uploads/", "PUT /v2/o/r/blobs/uploads/ID");
    let seen = registry.take_requests();
    let (layer, rest) = seen.split_at(5);
    assert_eq!(layer, [&head_layer, "GET /token", &head_layer, begin, end]);
    let (config, manifest) = rest.split_at(3);
    assert_eq!(config, [&head_config, begin, end]);
    assert_eq!(manifest, [format!("PUT /v2/o/r/manifests/{}", pushed.descriptor.digest)]);
    assert!(seen[1..].iter().all(|request| request.had_authorization));
    for tag in ["v1", "latest"] {
        let at = at(&format!("{}/o/r:{tag}", registry.host()));
        assert_eq!(client(&registry).get_digest(&at).await.unwrap(), pushed.descriptor.digest);
    }
}

#[tokio::test]
async fn upload_whose_layer_cannot_be_asked_for_is_cancelled() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    registry.fault(On::new(http::Method::HEAD, "/blobs/").always(), Fault::Status { status: 403, headers: Vec::new() });
    let error = client.push(directory(&large()).path(), &at, &timeless()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Denied, "{error}");
    let seen = lines(&registry.requests());
    assert_eq!(seen.iter().filter(|line| line.starts_with("DELETE /v2/o/r/blobs/uploads/")).count(), 1, "{seen:?}");
}

#[tokio::test]
async fn broken_upload_is_packed_and_sent_again() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    registry
        .fault(On::new(http::Method::PATCH, "/uploads/"), Fault::CutRequest { after: 1 << 20, close: Close::Reset });
    let pushed = push(&client, &large(), &at).await;
    assert_eq!(pushed.layer_sent, Sent::Uploaded);
    let begun = lines(&registry.requests()).iter().filter(|line| line.starts_with("PATCH")).count();
    assert_eq!(begun, 2);
    assert_eq!(client.get_digest(&at).await.unwrap(), pushed.descriptor.digest);
    assert!(client.meter().packed() <= client.meter().expected(), "{:?}", client.meter());
    let (_, elsewhere) = memory();
    assert_eq!(push(&elsewhere, &large(), &at_memory()).await.descriptor, pushed.descriptor);
}

#[tokio::test]
async fn layer_that_is_too_long_for_one_request_goes_in_pieces() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    let too_long = Fault::Status { status: 413, headers: Vec::new() };
    registry.fault(On::new(http::Method::PATCH, "/uploads/"), too_long);
    let pushed = push(&client, &large(), &at).await;
    assert_eq!(pushed.layer_sent, Sent::Uploaded);
    let sent = lines(&registry.requests()).iter().filter(|line| line.starts_with("PATCH")).count();
    assert!(sent > 2, "{sent}");
    assert_eq!(blob(&client, &at, &pushed.layer.digest).await.len() as u64, pushed.layer.size);
}

#[tokio::test]
async fn a_registry_that_is_full_is_sent_a_layer_once() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    let full = Fault::Status { status: 507, headers: Vec::new() };
    registry.fault(On::new(http::Method::PATCH, "/uploads/").always(), full);
    let error = client.push(directory(&large()).path(), &at, &timeless()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable, "{error}");
    assert_eq!(lines(&registry.requests()).iter().filter(|line| line.starts_with("PATCH")).count(), 1);
}

fn at_memory() -> Location {
    at(IN_MEMORY)
}

#[tokio::test]
async fn m097_upload_that_breaks_every_time_moves_no_tag() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    let before = push(&client, &Tree::parse(SMALL), &at).await;
    let cut = Fault::CutRequest { after: 1 << 20, close: Close::Fin };
    registry.fault(On::new(http::Method::PATCH, "/uploads/").always(), cut);
    registry.take_requests();
    let error = client.push(directory(&large()).path(), &at, &timeless()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
    let seen = lines(&registry.take_requests());
    assert!(!seen.iter().any(|line| line.starts_with("PUT")), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("PATCH")).count(), 3, "{seen:?}");
    assert_eq!(client.get_digest(&at).await.unwrap(), before.descriptor.digest);
}

#[tokio::test]
async fn refused_manifest_moves_no_tag() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    registry.fault(On::put("/manifests/"), Fault::Status { status: 400, headers: Vec::new() });
    let error = client.push(directory(&Tree::parse(SMALL)).path(), &at, &timeless()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Protocol);
    assert_eq!(kind(&client.resolve_tag(&at).await.unwrap_err()), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_has_a_subject_is_listed_among_its_referrers() {
    for quirks in [Quirks::default(), Quirks::docker_hub(), Quirks::old_spec()] {
        let registry = FakeRegistry::builder().quirks(quirks).start().await;
        let (client, subject) = (anonymous(), artifact(&registry));
        let first = push(&client, &Tree::parse("644 a \"a\""), &subject).await.descriptor;
        let at = at(&format!("{}/o/r:about-v1", registry.host()));
        let kind = MediaType::new("application/vnd.example.sbom");
        let options = PushOptions { subject: Some(subject), artifact_type: Some(kind.clone()), ..timeless() };
        let pushed = client.push(directory(&Tree::parse("644 b \"b\"")).path(), &at, &options).await.unwrap();
        assert_eq!(manifest(&client, &at).await.subject, Some(first.clone()));
        let source = client.source(&at).await.unwrap();
        let listed: Vec<_> = source.referrers(&first.digest, Filter::default()).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].digest, &listed[0].artifact_type), (&pushed.descriptor.digest, &Some(kind)));
    }
}

#[tokio::test]
async fn subject_must_be_there_and_in_the_same_repository() {
    let registry = FakeRegistry::start().await;
    let source = directory(&Tree::parse("644 a \"a\""));
    let host = registry.host();
    let push = async |subject: &str| {
        let options = PushOptions { subject: Some(at(subject)), ..timeless() };
        anonymous().push(source.path(), &artifact(&registry), &options).await.unwrap_err()
    };
    for elsewhere in ["other.test/o/r:v1".to_owned(), format!("{host}/o/other:v1"), "ocidir://o/r:v1".to_owned()] {
        let error = push(&elsewhere).await;
        assert!(matches!(error, Error::Location { fault: LocationFault::OtherRepository, .. }), "{error:?}");
    }
    let error = push(&format!("{host}/o/r")).await;
    assert!(matches!(error, Error::Location { fault: LocationFault::NoTarget, .. }), "{error:?}");
    assert!(registry.requests().is_empty());
    let error = push(&format!("{host}/o/r:absent")).await;
    assert_eq!(kind(&error), ErrorKind::NotFound);
    assert_eq!(lines(&registry.requests()), ["HEAD /v2/o/r/manifests/absent"]);
}

#[tokio::test]
async fn options_show_in_the_manifest() {
    let (_, client) = memory();
    let options = PushOptions {
        annotations: BTreeMap::from([("org.example.key".to_owned(), "value".to_owned())]),
        artifact_type: Some(MediaType::new("application/vnd.example.docs")),
        layer_type: MediaType::DOCKER_LAYER_GZIP,
        config_type: MediaType::new("application/vnd.example.config+json"),
        ..timeless()
    };
    let pushed = client.push(directory(&Tree::parse("644 a \"a\"")).path(), &at_memory(), &options).await.unwrap();
    let image = manifest(&client, &at_memory()).await;
    assert_eq!(image.annotations, options.annotations);
    assert_eq!(image.artifact_type, options.artifact_type);
    assert_eq!(image.config.media_type, options.config_type);
    assert_eq!(image.layers.as_slice(), std::slice::from_ref(&pushed.layer));
    assert_eq!(pushed.layer.media_type, options.layer_type);
    let listing = client.list_files(&at_memory(), &ReadOptions::default()).await.unwrap();
    assert_eq!(listing.len(), 1);
}

#[tokio::test]
async fn image_is_one_that_other_tools_read() {
    let (_, client) = memory();
    let tree = Tree::parse("755 d/\n644 d/a \"a\"\n777 link -> d/a");
    let pushed = push(&client, &tree, &at_memory()).await;
    let image = manifest(&client, &at_memory()).await;
    assert_eq!(image.media_type, Some(MediaType::OCI_MANIFEST));
    assert_eq!(
        (&image.config.media_type, &image.layers[0].media_type),
        (&MediaType::OCI_CONFIG, &MediaType::OCI_LAYER_GZIP)
    );
    let layer = blob(&client, &at_memory(), &pushed.layer.digest).await;
    let mut inflated = Vec::new();
    std::io::copy(&mut flate2::read::MultiGzDecoder::new(&layer[..]), &mut inflated).unwrap();
    let config = blob(&client, &at_memory(), &image.config.digest).await;
    let config: ImageConfig = serde_json::from_slice(&config).unwrap();
    assert_eq!(config.rootfs.diff_ids, [refs_url::Digest::sha256(&inflated)]);
    let mut archive = tar::Archive::new(&inflated[..]);
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, [".no.prefetch.landmark", "d/", "d/a", "link", "stargz.index.json"]);
}

#[tokio::test]
async fn files_that_are_read_first_lie_last() {
    let (_, client) = memory();
    let tree = Tree::parse("644 README.md \"r\"\n644 README.empty \"\"\n644 a/README \"s\"\n644 z \"z\"")
        .file(MANIFEST_FILE, MANIFEST)
        .file("b/README.large", noise((16 << 10) + 1, 1))
        .file("c/README.limit", noise(16 << 10, 2));
    let pushed = push(&client, &tree, &at_memory()).await;
    let layer = blob(&client, &at_memory(), &pushed.layer.digest).await;
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&layer[..]));
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .filter(|name| !name.ends_with('/') && !name.contains("landmark"))
        .collect();
    let cold = ["README.empty", "b/README.large", "z"];
    let hot = [".sow-ref.yaml", "README.md", "a/README", "c/README.limit", "stargz.index.json"];
    assert_eq!(names, [&cold[..], &hot[..]].concat());
    let tail: u64 = pushed.layer.annotations["dev.refs.estargz.tail"].parse().unwrap();
    assert!(tail > 16 << 10 && tail < 18 << 10, "{tail}");
}

#[tokio::test]
async fn manifest_file_can_be_demanded() {
    let (_, client) = memory();
    let options = packed_as(PackOptions { require_manifest: true, ..timeless_pack() });
    let without = directory(&Tree::parse("644 sub/.sow-ref.yaml \"elsewhere\""));
    let error = client.push(without.path(), &at_memory(), &options).await.unwrap_err();
    let Error::ManifestNotFound { at, name } = error else { panic!("{error:?}") };
    assert_eq!((at, name.as_str()), (without.path().display().to_string(), MANIFEST_FILE));
    client.push(directory(&Tree::parse(SMALL)).path(), &at_memory(), &options).await.unwrap();
}

#[tokio::test]
async fn digest_is_no_target() {
    let (_, client) = memory();
    let pushed = push(&client, &Tree::parse(SMALL), &at_memory()).await;
    let source = directory(&Tree::parse(SMALL));
    for (at, expected) in [
        (at("localhost/o/r"), LocationFault::NoTarget),
        (at("localhost/o/r").at_digest(pushed.descriptor.digest), LocationFault::DigestAsTarget),
    ] {
        let error = client.push(source.path(), &at, &timeless()).await.unwrap_err();
        let Error::Location { fault, input } = error else { panic!("{error:?}") };
        assert_eq!((fault, input), (expected, at.to_string()));
    }
}

#[tokio::test]
async fn level_and_content_are_all_that_sizes_depend_on() {
    let (_, client) = memory();
    let tree = Tree::new().file("text", "all work and no play\n".repeat(1_000));
    let mut sizes = Vec::new();
    for level in [0, 1, 9] {
        let options = packed_as(PackOptions { level, ..timeless_pack() });
        sizes.push(client.push(directory(&tree).path(), &at_memory(), &options).await.unwrap().layer.size);
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    let options = packed_as(PackOptions { level: 10, ..timeless_pack() });
    let error = client.push(directory(&tree).path(), &at_memory(), &options).await.unwrap_err();
    assert!(matches!(error, Error::Pack { .. }), "{error:?}");
}

#[tokio::test]
async fn registries_with_quirks_are_pushed_to() {
    for quirks in [Quirks::ecr(), Quirks::ghcr(), Quirks::gar(), Quirks::docker_hub(), Quirks::old_spec()] {
        let registry = FakeRegistry::builder().quirks(quirks.clone()).start().await;
        let (client, at) = (anonymous(), artifact(&registry));
        for tree in [Tree::parse(SMALL), large()] {
            let pushed = push(&client, &tree, &at).await;
            assert_eq!(client.get_digest(&at).await.unwrap(), pushed.descriptor.digest, "{quirks:?}");
        }
    }
}

/// Counts what is warned of.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("refs_client")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn more_than_a_pull_takes_is_warned_of() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let tree = Tree::parse("644 a \"12345\"\n644 b \"12345\"");
    let (_, client) = memory();
    for (limits, expected) in [
        (Limits { file_bytes: 5, total_bytes: 10, entries: 2 }, 0),
        (Limits { file_bytes: 0, total_bytes: 0, entries: 0 }, 0),
        (Limits { file_bytes: 4, total_bytes: 10, entries: 2 }, 2),
        (Limits { file_bytes: 5, total_bytes: 9, entries: 1 }, 2),
    ] {
        let options = packed_as(PackOptions { limits, ..timeless_pack() });
        client.push(directory(&tree).path(), &at_memory(), &options).await.unwrap();
        assert_eq!(warnings.0.swap(0, Ordering::Relaxed), expected, "{limits:?}");
    }
}

#[tokio::test]
async fn what_a_killed_push_left_in_a_layout_is_gone_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let (place, ingest) = (at(&format!("ocidir://{}:v1", folder.path().display())), folder.path().join("ingest"));
    let (_, client) = memory();
    push(&client, &Tree::parse(SMALL), &place).await;
    std::fs::create_dir_all(&ingest).unwrap();
    let left = |name: &str, hours: u64| {
        let file = std::fs::File::create(ingest.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 60 * 60)).unwrap();
    };
    left("upload-of-yesterday", 25);
    left("upload-of-today", 23);
    push(&client, &Tree::parse(SMALL), &place).await;
    assert!(!ingest.join("upload-of-yesterday").exists() && ingest.join("upload-of-today").exists());
}
