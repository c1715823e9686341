//! How far a mirror believes what it knows of tags.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use refs_registry::MediaType;
use refs_testkit::{
    Close, FakeRegistry, Fault, On,
    raw::{RawPeer, Speech},
};
use refs_url::{Tag, Target};

use super::rig::{Rig, tagged, upstream};
use crate::client::digest;

const MINUTE: Duration = Duration::from_secs(60);
const PATH: &str = "/v2/o/r/manifests/v1";

#[tokio::test]
async fn a_tag_is_believed_for_a_while_and_then_asked_for_by_a_head() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    assert_eq!(rig.get(PATH).await.header("age"), "");
    rig.pass(4 * MINUTE);
    assert_eq!(rig.get(PATH).await.header("age"), "240");
    rig.pass(2 * MINUTE);
    let given = rig.get(PATH).await;
    assert_eq!((given.cache(), given.header("age")), ((200, "HIT"), ""));
    assert_eq!(rig.get(PATH).await.header("age"), "0");
    assert_eq!(registry.requests(), [format!("GET {PATH}"), format!("HEAD {PATH}")]);
}

#[tokio::test]
async fn a_tag_that_moved_is_followed_once_it_is_asked_for() {
    let registry = FakeRegistry::start().await;
    let old = tagged(&registry, "o/r", "v1", "old").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    let new = tagged(&registry, "o/r", "v1", "new").await;
    assert_eq!(rig.get(PATH).await.header("docker-content-digest"), old.digest.as_str());
    rig.pass(6 * MINUTE);
    let given = rig.get(PATH).await;
    assert_eq!((given.cache(), given.header("docker-content-digest")), ((200, "MISS"), new.digest.as_str()));
}

#[tokio::test]
async fn m160_a_tag_is_given_while_its_upstream_is_down_and_says_that_it_is_stale() {
    let registry = FakeRegistry::start().await;
    let image = tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Fin));
    rig.pass(60 * MINUTE);
    let given = rig.get(PATH).await;
    assert_eq!((given.cache(), given.header("age")), ((200, "STALE"), "3600"));
    assert_eq!(given.header("warning"), "110 - \"Response is Stale\"");
    assert_eq!(given.header("docker-content-digest"), image.digest.as_str());
    assert_eq!(rig.head(PATH).await.cache(), (200, "STALE"));
    let by_digest = format!("/v2/o/r/manifests/{}", image.digest);
    assert_eq!(rig.get(&by_digest).await.cache(), (200, "HIT"));
    assert_eq!(rig.get("/v2/o/r/manifests/never-seen").await.refusal(), "502 UNKNOWN");
    rig.pass(23 * 60 * MINUTE);
    assert_eq!(rig.get(PATH).await.refusal(), "502 UNKNOWN");
    registry.clear_faults();
    assert_eq!(rig.get(PATH).await.cache(), (200, "HIT"));
}

#[tokio::test]
async fn m160_staleness_that_is_not_wanted_is_not_given() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let mut never = upstream("", registry.host());
    never.tags.stale = Duration::ZERO;
    let rig = Rig::new(vec![never]);
    rig.get(PATH).await;
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Fin));
    rig.pass(6 * MINUTE);
    assert_eq!(rig.get(PATH).await.refusal(), "502 UNKNOWN");
}

#[tokio::test]
async fn failures_of_an_upstream_are_told_in_the_words_of_the_spec() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    let rows = [
        (401, "", "403 DENIED"),
        (403, "", "403 DENIED"),
        (404, "", "404 UNKNOWN"),
        (500, "", "502 UNKNOWN"),
        (503, "", "502 UNKNOWN"),
        (418, "", "502 UNKNOWN"),
        (503, "3600", "503 UNKNOWN"),
        // The last, as whoever asks again would be made to wait.
        (429, "7", "429 TOOMANYREQUESTS"),
    ];
    for (status, wait, expect) in rows {
        let headers = if wait.is_empty() { vec![] } else { vec![("retry-after", wait.to_owned())] };
        registry.fault(On::any("/manifests/").always(), Fault::Status { status, headers });
        let given = rig.get(PATH).await;
        assert_eq!((given.refusal().as_str(), given.header("retry-after")), (expect, wait), "{status}");
        assert_eq!(given.header("www-authenticate"), "", "{status}");
        registry.clear_faults();
        rig.pass(MINUTE);
    }
}

#[tokio::test]
async fn a_limit_of_the_rate_is_bridged_by_what_is_known() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    rig.pass(6 * MINUTE);
    registry.fault(On::any("/manifests/").always(), Fault::Status { status: 429, headers: vec![] });
    assert_eq!(rig.get(PATH).await.cache(), (200, "STALE"));
}

/// An upstream whose tag leads to an empty index, until another says what is answered: the head, its last lines included, and
/// the body.
fn replaced() -> (RawPeer, Arc<OnceLock<(String, &'static str)>>) {
    let replacement = Arc::<OnceLock<_>>::default();
    let said = Arc::clone(&replacement);
    let peer = RawPeer::start(move |head| {
        let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let (lines, body) = said.get().cloned().unwrap_or_else(|| (media_type(MediaType::OCI_INDEX.as_str()), index));
        let length = body.len();
        let body = if head.starts_with("HEAD") { "" } else { body };
        Speech::of([format!("HTTP/1.1 200 OK\r\n{lines}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")])
    });
    (peer, replacement)
}

fn media_type(media_type: &str) -> String {
    format!("content-type: {media_type}\r\n")
}

#[tokio::test]
async fn a_page_in_place_of_the_upstream_is_bridged_by_what_is_known_and_a_lie_is_not() {
    async fn check(lines: String, body: &'static str, expected: &str) {
        let (peer, replacement) = replaced();
        let rig = Rig::new(vec![upstream("", peer.host())]);
        assert_eq!(rig.get(PATH).await.cache(), (200, "MISS"));
        rig.pass(6 * MINUTE);
        replacement.set((lines, body)).unwrap();
        for _ in 0..2 {
            let given = rig.get(PATH).await;
            let found = format!("{} {}", given.status, given.header("x-cache"));
            assert_eq!(found.trim_end(), expected, "{body}");
            assert_eq!(rig.head(PATH).await.header("x-cache") == "STALE", found.ends_with("STALE"), "{body}");
        }
        assert_eq!(rig.get("/v2/o/r/manifests/never-seen").await.status, 502, "{body}");
    }
    let page = "\n<!doctype html><title>Back soon</title>";
    let other = format!("docker-content-digest: {}\r\n{}", digest("other"), media_type(MediaType::OCI_INDEX.as_str()));
    check(media_type("text/html"), page, "200 STALE").await;
    check(media_type("application/octet-stream"), page, "200 STALE").await;
    check(other, r#"{"schemaVersion":2,"manifests":[]}"#, "502").await;
    check(media_type("application/json"), r#"{"status":"maintenance"}"#, "502").await;
}

#[tokio::test]
async fn a_tag_that_is_missing_is_not_asked_for_again_at_once() {
    let registry = FakeRegistry::start().await;
    let rig = Rig::of(&registry);
    for _ in 0..3 {
        assert_eq!(rig.get(PATH).await.refusal(), "404 MANIFEST_UNKNOWN");
    }
    assert_eq!(registry.take_requests(), [format!("GET {PATH}")]);
    tagged(&registry, "o/r", "v1", "content").await;
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_404_that_is_no_word_of_the_registry_does_not_make_a_tag_forgotten() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    rig.pass(6 * MINUTE);
    registry.fault(On::any("/manifests/").always(), Fault::Status { status: 404, headers: vec![] });
    assert_eq!(rig.get(PATH).await.refusal(), "404 UNKNOWN");
    registry.clear_faults();
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Fin));
    rig.pass(MINUTE);
    assert_eq!(rig.get(PATH).await.cache(), (200, "STALE"));
}

#[tokio::test]
async fn a_tag_that_was_removed_is_not_given_when_the_upstream_is_down_later() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    registry.repository("o/r").delete_manifest(&Target::Tag(Tag::parse("v1").unwrap())).await.unwrap();
    rig.pass(6 * MINUTE);
    assert_eq!(rig.get(PATH).await.refusal(), "404 MANIFEST_UNKNOWN");
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Fin));
    rig.pass(MINUTE);
    assert_eq!(rig.get(PATH).await.refusal(), "502 UNKNOWN");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_not_asked_for_the_same_tag_at_once() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    rig.pass(6 * MINUTE);
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Fin));
    registry.take_requests();
    for _ in 0..3 {
        assert_eq!(rig.get(PATH).await.cache(), (200, "STALE"));
    }
    assert_eq!(registry.requests(), [format!("HEAD {PATH}")]);
    registry.clear_faults();
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.get(PATH).await.cache(), (200, "HIT"));
}

#[tokio::test]
async fn many_who_ask_for_a_tag_that_is_old_cost_one_head() {
    let registry = FakeRegistry::start().await;
    tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    rig.get(PATH).await;
    registry.take_requests();
    rig.pass(6 * MINUTE);
    for given in futures_util::future::join_all((0..20).map(|_| rig.get(PATH))).await {
        assert_eq!(given.cache(), (200, "HIT"));
    }
    assert_eq!(registry.requests(), [format!("HEAD {PATH}")]);
}
