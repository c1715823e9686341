//! Quirks, as a client meets them.

use refs_testkit::{
    FakeRegistry, Image, Quirks,
    quirks::{DigestHeader, Head, Mount, Patch, Ranges},
};

use crate::peer::{Heard, ask, ask_with, blob};

async fn start(quirks: Quirks) -> FakeRegistry {
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let image = Image::new().file("hello.txt", "hello");
    image.push(&*registry.repository("o/r"), &["a", "b", "c"]).await.unwrap();
    registry
}

/// Begins an upload and sends two chunks of it; the answer to each.
async fn chunks(registry: &FakeRegistry) -> [Heard; 2] {
    let begun = ask_with(&registry.host(), "POST /v2/o/r/blobs/uploads/", "").await;
    let location = begun.header("location").to_owned();
    let patch = |range: &str| format!("PATCH {location}\r\ncontent-range: {range}");
    [ask_with(&registry.host(), &patch("0-2"), "abc").await, ask_with(&registry.host(), &patch("3-5"), "def").await]
}

#[tokio::test]
async fn ecr_answers_every_chunk_with_the_range_of_the_first() {
    let registry = start(Quirks::ecr()).await;
    let rows = chunks(&registry).await.map(|chunk| (chunk.status(), chunk.header("range").to_owned()));
    assert_eq!(rows, [(201, "0-2".to_owned()), (201, "0-2".to_owned())]);
    let digest = |heard: Heard| heard.header("docker-content-digest").is_empty();
    assert!(digest(ask(&registry.host(), "GET /v2/o/r/manifests/a").await));
    assert!(!digest(ask(&registry.host(), "HEAD /v2/o/r/manifests/a").await));
}

#[tokio::test]
async fn gar_takes_a_stream_and_no_chunks() {
    let registry = start(Quirks::gar()).await;
    assert_eq!(chunks(&registry).await.map(|chunk| chunk.status()), [416, 416]);
    let begun = ask_with(&registry.host(), "POST /v2/o/r/blobs/uploads/", "").await;
    let stream = ask_with(&registry.host(), &format!("PATCH {}", begun.header("location")), "abc").await;
    assert_eq!(stream.status(), 202);
}

#[tokio::test]
async fn ghcr_sends_those_who_ask_for_referrers_to_a_page() {
    let registry = start(Quirks::ghcr()).await;
    let heard = ask(&registry.host(), &format!("GET /v2/o/r/referrers/sha256:{}", "0".repeat(64))).await;
    assert_eq!((heard.status(), heard.header("location")), (303, "https://registry.example/a/page/for/people"));
    let page = ask(&registry.host(), "GET /v2/o/r/tags/list?n=1000&last=a").await;
    assert!(page.body().contains(r#"["b","c"]"#), "{}", page.body());
}

#[tokio::test]
async fn docker_hub_lists_no_referrers() {
    let registry = start(Quirks::docker_hub()).await;
    let heard = ask(&registry.host(), &format!("GET /v2/o/r/referrers/sha256:{}", "0".repeat(64))).await;
    assert_eq!(heard.status(), 404);
}

#[tokio::test]
async fn an_old_registry_knows_less_and_says_it_otherwise() {
    let registry = start(Quirks::old_spec()).await;
    let host = registry.host();
    let whole = ask(&host, "GET /v2/o/r/tags/list?n=1&last=b").await;
    assert!(whole.body().contains(r#"["a","b","c"]"#), "{}", whole.body());
    assert_eq!(whole.header("link"), "");
    assert_eq!(ask(&host, "DELETE /v2/o/r/manifests/a").await.status(), 405);
    let digest = refs_url::Digest::sha256(b"abc");
    let begun = ask_with(&host, &format!("POST /v2/o/r/blobs/uploads/?digest={digest}"), "abc").await;
    assert_eq!(begun.status(), 202);
    let location = begun.header("location").strip_prefix(&registry.url("")).unwrap();
    let (path, state) = location.split_once('?').unwrap();
    assert_eq!(ask_with(&host, &format!("PATCH {path}"), "abc").await.status(), 404);
    let done = ask_with(&host, &format!("PUT {path}?{state}&digest={digest}"), "abc").await;
    assert_eq!((done.status(), done.header("location")), (201, format!("/v2/o/r/blobs/{digest}").as_str()));
}

#[tokio::test]
async fn ranges_are_ignored() {
    let registry = start(Quirks { ranges: Ranges::Ignored, ..Quirks::default() }).await;
    let path = blob(&registry, "0123456789").await;
    let heard = ask(&registry.host(), &format!("GET {path}\r\nrange: bytes=2-4")).await;
    assert_eq!((heard.status(), heard.body(), heard.header("accept-ranges")), (200, "0123456789", ""));
}

#[tokio::test]
async fn heads_are_refused() {
    let registry = start(Quirks { head: Head::Missing, ..Quirks::default() }).await;
    assert_eq!(ask(&registry.host(), "HEAD /v2/o/r/manifests/a").await.status(), 405);
    assert_eq!(ask(&registry.host(), "GET /v2/o/r/manifests/a").await.status(), 200);
}

#[tokio::test]
async fn digests_are_not_said() {
    let registry = start(Quirks { digest_header: DigestHeader::Never, ..Quirks::default() }).await;
    let heard = ask(&registry.host(), "HEAD /v2/o/r/manifests/a").await;
    assert_eq!((heard.status(), heard.header("docker-content-digest"), heard.header("etag")), (200, "", ""));
}

#[tokio::test]
async fn mounts_are_refused_or_become_uploads() {
    let rows = [(Mount::Mounted, 201, 200), (Mount::Session, 202, 404), (Mount::Missing, 404, 404)];
    for (mount, status, found) in [&rows[..], &[(Mount::Claimed, 201, 404)]].concat() {
        let registry = start(Quirks { mount, ..Quirks::default() }).await;
        let path = blob(&registry, "content").await;
        let digest = path.rsplit_once('/').unwrap().1;
        let request = format!("POST /v2/o/other/blobs/uploads/?mount={digest}&from=o/r");
        assert_eq!(ask_with(&registry.host(), &request, "").await.status(), status);
        let head = format!("HEAD /v2/o/other/blobs/{digest}");
        assert_eq!(ask(&registry.host(), &head).await.status(), found);
    }
}

#[tokio::test]
async fn a_patch_is_answered_without_content() {
    let registry = start(Quirks { patch: Patch::NoContent, ..Quirks::default() }).await;
    let rows = chunks(&registry).await.map(|chunk| (chunk.status(), chunk.header("range").to_owned()));
    assert_eq!(rows, [(204, "0-2".to_owned()), (204, "0-5".to_owned())]);
}
