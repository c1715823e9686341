//! What clients make of a mirror whose upstream does not show what it had.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use refs_registry::{Descriptor, MediaType, Source, Wire, auth::Anonymous};
use refs_server::{Mirror, MirrorOptions, Options, ServeOptions, Server, TagOptions, Upstream, serve};
use refs_store::{Cached, DiskOptions, DiskStore, Freshness, Origin, TagChange};
use refs_testkit::raw::{RawPeer, Speech};
use refs_url::{Digest, Host, RepoName, Tag, Target};
use tokio::net::TcpListener;

use super::rig::{Rig, registries, upstream};

const INDEX: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const PATH: &str = "/v2/o/r/manifests/v1";

/// A registry that has one manifest, or answers each request for it with a status, and with a code where there is one.
struct Moody {
    peer: RawPeer,
    mood: Arc<Mutex<(u16, &'static str)>>,
}

impl Moody {
    fn new() -> Self {
        let mood = Arc::new(Mutex::new((200, "")));
        let shared = Arc::clone(&mood);
        let peer = RawPeer::start(move |head| {
            let (status, code) = *shared.lock().unwrap();
            let body = match code {
                _ if status == 200 => INDEX.to_owned(),
                "" => String::new(),
                code => format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#),
            };
            let (media_type, digest) = (MediaType::OCI_INDEX, Digest::sha256(INDEX.as_bytes()));
            let digest = if status == 200 { format!("docker-content-digest: {digest}\r\n") } else { String::new() };
            let length = body.len();
            let body = if head.starts_with("HEAD") { String::new() } else { body };
            Speech::of([format!(
                "HTTP/1.1 {status} x\r\ncontent-type: {media_type}\r\n{digest}content-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            )])
        });
        Self { peer, mood }
    }

    fn is(&self, status: u16, code: &'static str) {
        *self.mood.lock().unwrap() = (status, code);
    }

    /// As an upstream that is asked each time.
    fn behind(&self) -> Upstream {
        let tags = TagOptions {
            freshness: Freshness::Revalidate,
            stale: Duration::ZERO,
            pause: Duration::ZERO,
            ..TagOptions::default()
        };
        Upstream { tags, ..upstream("", self.peer.host()) }
    }
}

#[tokio::test]
async fn a_manifest_is_said_to_be_unknown_where_its_registry_says_so() {
    let moody = Moody::new();
    let rig = Rig::new(vec![moody.behind()]);
    let by_digest = format!("/v2/o/r/manifests/{}", Digest::sha256(b"another"));
    for (status, code, expected) in [
        (404, "MANIFEST_UNKNOWN", "404 MANIFEST_UNKNOWN"),
        (404, "NAME_UNKNOWN", "404 NAME_UNKNOWN"),
        (404, "DENIED", "404 DENIED"),
        (404, "NOT_FOUND", "404 UNKNOWN"),
        (404, "", "404 UNKNOWN"),
        (401, "UNAUTHORIZED", "403 DENIED"),
        (403, "DENIED", "403 DENIED"),
        (500, "MANIFEST_UNKNOWN", "502 UNKNOWN"),
    ] {
        // First when nothing is known of it, then when it was there a moment ago.
        for is_known in [false, true] {
            if is_known {
                moody.is(200, "");
                assert_eq!(rig.get(PATH).await.status, 200);
            }
            moody.is(status, code);
            rig.head(PATH).await;
            assert_eq!(rig.get(PATH).await.refusal(), expected, "{status} {code}, {is_known}");
            assert_eq!(rig.get(&by_digest).await.refusal(), expected, "{status} {code}");
        }
    }
}

/// A client with a cache, behind a mirror.
struct Client {
    host: Host,
    store: Arc<DiskStore>,
    _folder: tempfile::TempDir,
}

impl Client {
    async fn of(moody: &Moody) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = Arc::new(DiskStore::new(folder.path().join("mirror"), &DiskOptions::default()));
        let mirror = Mirror::new(vec![moody.behind()], kept, &MirrorOptions::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = Server::mirror(mirror, &Options::default());
        tokio::spawn(async move { serve(listener, server, &ServeOptions::default(), std::future::pending()).await });
        let store = Arc::new(DiskStore::new(folder.path().join("client"), &DiskOptions::default()));
        Self { host, store, _folder: folder }
    }

    fn repository(&self) -> Cached {
        let name = RepoName::parse("o/r").unwrap();
        let source = registries(Arc::new(Anonymous)).source(&self.host, &name).unwrap();
        let origin = Origin { wire: Wire::Open, host: self.host.clone(), repository: name };
        Cached::new(source, origin, self.store.clone())
    }

    /// Whether the tag counts as gone once it was asked for.
    async fn takes_for_gone(&self) -> bool {
        let tag = Tag::parse("v1").unwrap();
        let target = Target::Tag(tag.clone());
        self.repository().resolve(&target).await.unwrap_err();
        self.repository().manifest(&target).await.unwrap_err();
        let record = self.repository().recorded(&tag).await.unwrap();
        matches!(record.since, Some(TagChange::Gone { .. }))
    }

    async fn reads(&self) -> Descriptor {
        self.repository().manifest(&Target::Tag(Tag::parse("v1").unwrap())).await.unwrap().descriptor
    }
}

#[tokio::test]
async fn a_tag_whose_repository_is_hidden_behind_a_mirror_is_not_taken_for_gone() {
    let moody = Moody::new();
    let client = Client::of(&moody).await;
    client.reads().await;
    for (status, code) in [(404, "NAME_UNKNOWN"), (404, ""), (401, "UNAUTHORIZED"), (403, "DENIED"), (502, "")] {
        moody.is(status, code);
        assert!(!client.takes_for_gone().await, "{status} {code}");
    }
    moody.is(200, "");
    client.reads().await;
    moody.is(404, "MANIFEST_UNKNOWN");
    assert!(client.takes_for_gone().await);
}
