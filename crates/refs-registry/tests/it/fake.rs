//! The client against a whole registry.

use std::{num::NonZeroU64, sync::Arc};

use futures_util::TryStreamExt;
use refs_registry::{
    Descriptor, MediaType, Options, Registries, Replay, Repository, Resume, Sink, Source,
    auth::{Credential, Credentials, Static},
};
use refs_testkit::{
    Builder, Close, FakeRegistry, Fault, Image, On, Quirks,
    conformance::{Capabilities, Door, Referrers, Suite, Writers},
};
use refs_url::RepoName;

use crate::setup::{TestClock, bytes, collect, options};

fn client(registry: &FakeRegistry) -> Registries {
    client_in_pieces(registry, None)
}

fn client_in_pieces(registry: &FakeRegistry, piece_bytes: Option<NonZeroU64>) -> Registries {
    let credential = Credential::Basic { username: "user".into(), password: "secret".into() };
    let given: Arc<dyn Credentials> = Arc::new(Static::new(registry.host(), "the test", credential));
    Registries::new(Options { piece_bytes, ..options(&TestClock::new(), vec![given]) })
}

fn open(registry: &FakeRegistry, name: &str) -> Repository {
    open_with(&client(registry), registry, name)
}

fn open_with(client: &Registries, registry: &FakeRegistry, name: &str) -> Repository {
    client.repository(&registry.host(), &RepoName::parse(name).unwrap()).unwrap()
}

/// Runs the suite through two clients, of which the first sends bodies in pieces of so many bytes.
async fn conforms(builder: Builder, piece_bytes: Option<NonZeroU64>, capabilities: Capabilities) {
    let registry = builder.start().await;
    let (one, other, host) = (client_in_pieces(&registry, piece_bytes), client(&registry), registry.host());
    let other = Door { resolver: &other, host: &host };
    Suite { other, capabilities, ..Suite::new(&one, &host) }.run().await.require();
}

#[tokio::test]
async fn a_repository_keeps_what_every_source_and_sink_promises() {
    // Two clients keep a list together by waiting and looking again, and the clock of these tests does not wait.
    let with_tag = || Capabilities { referrers: Referrers::Tag, writers: Writers::Race, ..Capabilities::default() };
    let rows = [
        (Quirks::default(), Capabilities::default()),
        (Quirks::ecr(), Capabilities::default()),
        (Quirks::gar(), Capabilities::default()),
        (Quirks::ghcr(), with_tag()),
        (Quirks::docker_hub(), with_tag()),
    ];
    for (quirks, capabilities) in rows {
        for piece_bytes in [None, NonZeroU64::new(3)] {
            let builder = FakeRegistry::builder().token_auth("user", "secret").quirks(quirks.clone());
            conforms(builder, piece_bytes, capabilities.clone()).await;
        }
    }
    let redirecting = FakeRegistry::builder().basic_auth("user", "secret").redirect_blobs().page(3);
    conforms(redirecting, None, Capabilities::default()).await;
}

#[tokio::test]
async fn ranged_reads_carry_their_authorization_and_nothing_is_asked_twice() {
    let registry = FakeRegistry::builder().token_auth("user", "secret").start().await;
    let image = Image::new().file("x", "y").push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    let layer = image.descriptor.clone();
    let content = bytes(100_000);
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    let payload = bytes::Bytes::from(content.clone()).into();
    registry.repository("o/r").put_blob(&blob, payload).await.unwrap();
    registry.take_requests();
    let repository = open(&registry, "o/r");
    assert_eq!(repository.manifest(&crate::setup::tag("v1")).await.unwrap().descriptor, layer);
    for range in [0..10, 50_000..60_000] {
        let part = repository.blob_part(&blob.digest, range.clone()).await.unwrap();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(collect(part.stream).await.unwrap(), content[range]);
    }
    let seen = registry.requests();
    let manifest = "GET /v2/o/r/manifests/v1".to_owned();
    let part = format!("GET /v2/o/r/blobs/{}", blob.digest);
    assert_eq!(seen.iter().map(ToString::to_string).collect::<Vec<_>>()[2..], [manifest, part.clone(), part]);
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen[2..].iter().all(|request| request.had_authorization));
    assert_eq!(seen[4].range.as_deref(), Some("bytes=50000-59999"));
    assert_eq!(seen[4].sent, 10_000);
}

#[tokio::test]
async fn faults_beneath_http_are_overcome() {
    let registry = FakeRegistry::builder().token_auth("user", "secret").start().await;
    let content = bytes(500_000);
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    let repository = open(&registry, "o/r");
    registry.fault(On::any("/blobs/uploads/").skip(1), Fault::Drop(Close::Reset));
    repository.put_blob(&blob, bytes::Bytes::from(content.clone()).into()).await.unwrap();
    for close in [Close::Fin, Close::Reset] {
        registry.fault(On::get("/blobs/").times(2), Fault::Cut { after: 100_000, close });
        let read = repository.blob(&blob.digest, Resume::START).await.unwrap();
        assert_eq!(collect(read.stream).await.unwrap(), content);
    }
    registry.expire_tokens();
    assert_eq!(repository.stat_blob(&blob.digest).await.unwrap(), Some(500_000));
}

#[tokio::test]
async fn an_upload_that_is_cut_sends_nothing_twice_but_what_was_lost() {
    let content = bytes(2 << 20);
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    for close in [Close::Fin, Close::Reset] {
        let registry = FakeRegistry::builder().token_auth("user", "secret").start().await;
        for method in [http::Method::PUT, http::Method::PATCH, http::Method::PATCH] {
            registry.fault(On::new(method, "/uploads/"), Fault::CutRequest { after: 600 << 10, close });
        }
        let payload = Replay::Bytes(content.clone().into()).into();
        open(&registry, "o/r").put_blob(&blob, payload).await.unwrap();
        let sent: u64 = registry.requests().iter().map(|request| request.received).sum();
        assert!(sent < blob.size * 141 / 100, "{sent} {:?}", registry.requests());
        assert_eq!(registry.repository("o/r").stat_blob(&blob.digest).await.unwrap(), Some(blob.size));
    }
}

#[tokio::test]
async fn pieces_are_what_the_registry_takes() {
    let content = bytes(9 << 20);
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    // Those that refuse do not say how much they take: a length is refused twice before it is taken for the reason.
    let rows = [(Quirks::ghcr(), 2 + 3), (Quirks::gar(), 2 + 2), (Quirks::ecr(), 2), (Quirks::old_spec(), 2)];
    for (quirks, expect) in rows {
        let registry = FakeRegistry::builder().token_auth("user", "secret").quirks(quirks.clone()).start().await;
        let client = client_in_pieces(&registry, NonZeroU64::new(5 << 20));
        open_with(&client, &registry, "o/r").put_blob(&blob, bytes::Bytes::from(content.clone()).into()).await.unwrap();
        let patched = registry.requests().iter().filter(|request| request.to_string().starts_with("PATCH")).count();
        assert_eq!(patched, expect, "{quirks:?}");
        assert_eq!(registry.repository("o/r").stat_blob(&blob.digest).await.unwrap(), Some(blob.size));
    }
}

#[tokio::test]
async fn lists_are_whole_on_registries_that_give_them_in_pages() {
    for quirks in [Quirks::default(), Quirks::docker_hub(), Quirks::old_spec()] {
        let registry = FakeRegistry::builder().quirks(quirks).page(7).start().await;
        let tags: Vec<String> = (0..40).map(|n| format!("v{n:03}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        Image::new().push(&*registry.repository("o/r"), &tags).await.unwrap();
        let repository = open(&registry, "o/r");
        let listed: Vec<String> = repository.tags(None).map_ok(|tag| tag.to_string()).try_collect().await.unwrap();
        assert_eq!(listed, tags);
    }
}
