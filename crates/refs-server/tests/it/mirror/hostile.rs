//! Upstreams that lie or break off, and clients that try.

use std::sync::Arc;

use http_body_util::BodyExt;
use refs_registry::{
    MediaType,
    auth::{Credential, Secret, Static},
};
use refs_store::Store;
use refs_testkit::{
    Close, FakeRegistry, Fault, On,
    raw::{RawPeer, Speech},
};
use refs_url::Digest;

use super::rig::{Rig, blob, registries, request, tagged, upstream};
use crate::client::digest;

#[tokio::test]
async fn m153_wrong_bytes_are_never_a_complete_body_and_never_kept() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 300_000]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    // A registry is given one more chance.
    for at in [0, 299_999] {
        registry.fault(On::get("/blobs/").times(2), Fault::Flip { at });
        let given = rig.get(&path).await;
        assert_eq!((given.status, given.body.map(|body| body.len())), (200, None), "{at}");
        assert_eq!(rig.store.stat(&digest).await.unwrap(), None);
    }
    let given = rig.get(&path).await;
    assert_eq!((given.cache(), given.bytes().len()), ((200, "MISS"), 300_000));
}

#[tokio::test]
async fn m153_a_manifest_with_wrong_bytes_is_refused_and_not_kept() {
    let registry = FakeRegistry::start().await;
    let image = tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    for path in [format!("/v2/o/r/manifests/{}", image.digest), "/v2/o/r/manifests/v1".to_owned()] {
        registry.fault(On::get("/manifests/"), Fault::Flip { at: 0 });
        assert_eq!(rig.get(&path).await.refusal(), "502 DIGEST_INVALID");
        assert_eq!(rig.store.stat(&image.digest).await.unwrap(), None);
    }
}

#[tokio::test]
async fn m153_a_digest_header_that_lies_poisons_nothing() {
    let body = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let claimed = digest("something else");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ndocker-content-digest: {claimed}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        MediaType::OCI_INDEX,
        body.len()
    );
    let peer = RawPeer::start(move |_| Speech::of([format!("{head}{body}")]));
    let rig = Rig::new(vec![upstream("", peer.host())]);
    assert_eq!(rig.get("/v2/o/r/manifests/v1").await.refusal(), "502 DIGEST_INVALID");
    for digest in [claimed, Digest::sha256(body.as_bytes())] {
        assert_eq!(rig.store.stat(&digest).await.unwrap(), None);
    }
}

#[tokio::test]
async fn m153_no_bytes_at_all_are_no_blob_and_any_json_is_no_manifest() {
    let peer = RawPeer::start(|_| {
        let body = r#"{"status":"maintenance"}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        Speech::of([format!("{head}content-length: {}\r\n\r\n{body}", body.len())])
    });
    let rig = Rig::new(vec![upstream("", peer.host())]);
    assert_eq!(rig.get("/v2/o/r/manifests/v1").await.refusal(), "502 UNKNOWN");

    let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let peer = RawPeer::start(move |_| Speech::of([head]));
    let rig = Rig::new(vec![upstream("", peer.host())]);
    assert_eq!(rig.get(&format!("/v2/o/r/blobs/{}", digest("something"))).await.refusal(), "502 DIGEST_INVALID");
}

#[tokio::test]
async fn what_an_upstream_does_wrong_is_called_its_fault() {
    async fn check(media_type: &str, path: &str, body: &str, message: &str) {
        let len = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\ncontent-length: {len}");
        let whole = format!("{head}\r\n\r\n{body}");
        let peer = RawPeer::start(move |_| Speech::of([whole.clone()]));
        let given = Rig::new(vec![upstream("", peer.host())]).get(path).await;
        assert_eq!(given.status, 502, "{path}");
        assert!(given.text().contains(&format!("the registry behind this server gives {message}")), "{}", given.text());
    }
    let (other, says) = (digest("other"), "something else than it says");
    let large = format!("{{{}}}", " ".repeat(5 << 20));
    check(MediaType::OCI_INDEX.as_str(), &format!("/v2/o/r/manifests/{other}"), "{}", says).await;
    check(MediaType::OCI_INDEX.as_str(), "/v2/o/r/manifests/v1", &large, "more than is read").await;
    check("application/octet-stream", &format!("/v2/o/r/blobs/{other}"), "", says).await;
}

#[tokio::test]
async fn what_stands_in_place_of_a_list_of_referrers_and_is_none_is_the_fault_of_the_upstream() {
    let peer = RawPeer::start(|head| {
        let image = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"DIGEST","size":2},"layers":[]}"#;
        let image = image.replace("DIGEST", digest("{}").as_str());
        let (status, body) = if head.contains("/referrers/") { ("404 No", "") } else { ("200 OK", image.as_str()) };
        let kind = MediaType::OCI_MANIFEST;
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n");
        Speech::of([format!("{head}content-length: {}\r\n\r\n{body}", body.len())])
    });
    let rig = Rig::new(vec![upstream("", peer.host())]);
    let given = rig.get(&format!("/v2/o/r/referrers/{}", digest("something"))).await;
    assert_eq!(given.refusal(), "502 UNKNOWN");
    assert!(given.text().contains("in place of a list of referrers"), "{}", given.text());
}

#[tokio::test]
async fn m154_a_blob_that_is_cut_is_short_and_its_rest_is_asked_for_later() {
    let registry = FakeRegistry::start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let digest = blob(&registry, "o/r", &bytes).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    registry.fault(On::get("/blobs/"), Fault::Cut { after: 2_000_000, close: Close::Fin });
    let given = rig.get(&path).await;
    assert_eq!((given.status, given.body), (200, None));
    assert_eq!(rig.store.stat(&digest).await.unwrap(), None);
    let given = rig.get(&path).await;
    assert_eq!((given.cache(), given.bytes() == bytes), ((200, "PARTIAL"), true));
    assert_eq!(registry.requests()[1].range.as_deref(), Some("bytes=2000000-"));
}

#[tokio::test]
async fn m155_a_client_that_leaves_leaves_no_damage() {
    let registry = FakeRegistry::start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let digest = blob(&registry, "o/r", &bytes).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    let mut leaving = rig.server.answer(request("GET", &path, &[])).await.into_body();
    leaving.frame().await.unwrap().unwrap();
    drop(leaving);
    let given = rig.get(&path).await;
    assert_eq!((given.status, given.bytes() == bytes), (200, true));
}

#[tokio::test]
async fn m156_credentials_are_not_shown_to_a_realm_elsewhere() {
    for realm in ["http://evil.test/token", "http://169.254.169.254/token", "gopher://x/"] {
        let refusal = format!(
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let peer = RawPeer::start(move |_| Speech::of([refusal.clone()]));
        let mut behind = upstream("", peer.host());
        behind.registry = registries(Arc::new(basic(&peer.host())));
        let given = Rig::new(vec![behind]).get("/v2/o/r/manifests/v1").await;
        assert_eq!((given.refusal().as_str(), given.header("www-authenticate")), ("502 UNKNOWN", ""), "{realm}");
        assert!(!given.text().contains(realm), "{}", given.text());
        let heads = peer.heads();
        assert!(heads.len() == 1 && !heads[0].to_lowercase().contains("authorization"), "{heads:?}");
    }
}

#[tokio::test]
async fn m157_who_asks_is_not_told_to_the_upstream_and_tokens_stay_here() {
    let registry = FakeRegistry::builder().token_auth("user", "hunter2").start().await;
    let image = tagged(&registry, "o/r", "v1", "content").await;
    let mut behind = upstream("", registry.host());
    behind.registry = registries(Arc::new(basic(&registry.host())));
    let rig = Rig::new(vec![behind]);
    let credentials = [("authorization", "Bearer of-the-client"), ("cookie", "a=b")];
    let given = rig.ask("GET", "/v2/o/r/manifests/v1", &credentials).await;
    assert_eq!(given.header("docker-content-digest"), image.digest.as_str());
    let leaked = ["authorization", "www-authenticate", "set-cookie", "authentication-info"];
    assert!(leaked.iter().all(|name| given.header(name).is_empty()));

    let peer =
        RawPeer::start(|_| Speech::of(["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]));
    let rig = Rig::new(vec![upstream("", peer.host())]);
    rig.ask("GET", "/v2/o/r/manifests/v1", &credentials).await;
    let heads = peer.heads().join("\n").to_lowercase();
    assert!(
        !heads.contains("of-the-client") && !heads.contains("authorization") && !heads.contains("cookie"),
        "{heads}"
    );
}

#[tokio::test]
async fn m029_a_redirect_does_not_reach_where_the_upstream_is_not() {
    for to in ["http://169.254.169.254/latest/meta-data", "http://0.0.0.0/", "http://[fd00::1]/"] {
        let registry = FakeRegistry::start().await;
        let digest = blob(&registry, "o/r", b"hello world").await;
        let headers = vec![("location", to.to_owned())];
        registry.fault(On::get("/blobs/"), Fault::Status { status: 307, headers });
        let given = Rig::of(&registry).get(&format!("/v2/o/r/blobs/{digest}")).await;
        assert_eq!(given.status, 502, "{to}");
        assert!(!given.text().contains(to), "{to}");
    }
}

/// A registry with a blob of 300,000 bytes that says these sizes of it first: to `HEAD`, and beside parts of it.
fn unsure(heads: &'static [u64], totals: &'static [u64]) -> RawPeer {
    const BYTES: u64 = 300_000;
    let (mut heads, mut totals) = (heads.iter().copied(), totals.iter().copied());
    RawPeer::start(move |head| {
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.split_once('-'));
        let range = range.map(|(first, last)| (first.parse::<u64>().unwrap(), last.parse::<u64>().unwrap()));
        let answer = match range {
            None => format!("200 OK\r\ncontent-length: {}\r\n", heads.next().unwrap_or(BYTES)),
            Some((first, _)) if first >= BYTES => "416 Range\r\ncontent-length: 0\r\n".to_owned(),
            Some((first, last)) => {
                let (total, bytes) = (totals.next().unwrap_or(BYTES), last - first + 1);
                format!("206 Partial\r\ncontent-range: bytes {first}-{last}/{total}\r\ncontent-length: {bytes}\r\n")
            }
        };
        let body = range.map_or(0, |(first, last)| last - first + 1);
        let body = if answer.starts_with("206") { "x".repeat(usize::try_from(body).unwrap()) } else { String::new() };
        Speech::of([format!("HTTP/1.1 {answer}connection: close\r\n\r\n{body}")])
    })
}

#[tokio::test]
async fn a_size_that_was_wrong_once_is_not_believed_for_long() {
    async fn check(peer: &RawPeer, ranges: &[(&str, &str)]) {
        let rig = Rig::new(vec![upstream("", peer.host())]);
        let path = format!("/v2/o/r/blobs/{}", digest("something"));
        for (range, expected) in ranges {
            let given = rig.ask("GET", &path, &[("range", range)]).await;
            let said = format!("{} {}", given.status, given.header("content-range"));
            assert_eq!(said.trim_end(), *expected, "{range}");
        }
    }
    let tail = ("bytes=-10", "206 bytes 299990-299999/300000");
    let middle = ("bytes=5000-5009", "206 bytes 5000-5009/300000");
    check(&unsure(&[1000], &[]), &[("bytes=5000-5009", "416 bytes */1000"), middle]).await;
    check(&unsure(&[1000], &[]), &[("bytes=0-9", "206 bytes 0-9/300000"), middle]).await;
    check(&unsure(&[1000], &[]), &[tail, middle]).await;
    check(&unsure(&[1000], &[]), &[("bytes=500-", "206 bytes 500-299999/300000")]).await;
    check(&unsure(&[], &[1000]), &[("bytes=0-9", "206 bytes 0-9/1000"), middle, tail]).await;
    check(&unsure(&[], &[900_000]), &[("bytes=0-9", "206 bytes 0-9/900000"), ("bytes=-10", "502"), tail]).await;

    for wrong in [&[1000], &[0]] {
        let peer = unsure(wrong, &[]);
        let rig = Rig::new(vec![upstream("", peer.host())]);
        for expected in [&*wrong[0].to_string(), "300000"] {
            let head = rig.head(&format!("/v2/o/r/blobs/{}", digest("something"))).await;
            assert_eq!((head.status, head.header("content-length")), (200, expected));
        }
    }
}

fn basic(host: &refs_url::Host) -> Static {
    let credential = Credential::Basic { username: "user".to_owned(), password: Secret::new("hunter2".to_owned()) };
    Static::new(host.clone(), "the test", credential)
}
