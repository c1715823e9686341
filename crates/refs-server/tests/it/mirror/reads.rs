//! What is read through a mirror, and what it asks its upstreams for.

use std::sync::Arc;

use refs_registry::auth::Anonymous;
use refs_server::{ServeOptions, serve};
use refs_testkit::{
    FakeRegistry, Image,
    conformance::{Capabilities, Fixture, reads},
};
use refs_url::{Host, RepoName};

use super::rig::{Rig, blob, registries, tagged, upstream};
use crate::client::digest;

#[tokio::test]
async fn it_says_what_it_is_without_its_upstream() {
    let registry = FakeRegistry::start().await;
    let rig = Rig::of(&registry);
    for (method, path, body) in [("GET", "/v2", "{}"), ("GET", "/v2/", "{}"), ("HEAD", "/v2/", "")] {
        let given = rig.ask(method, path, &[]).await;
        assert_eq!((given.status, given.text()), (200, body));
        assert_eq!(given.header("docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn it_gives_all_that_a_registry_gives() {
    let registry = FakeRegistry::start().await;
    let fixture = Fixture::push(&*registry.repository("o/r")).await.unwrap();
    let rig = Rig::new(vec![upstream("hub", registry.host())]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = Host::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let server = rig.server.clone();
    tokio::spawn(async move { serve(listener, server, &ServeOptions::default(), std::future::pending()).await });
    let client = registries(Arc::new(Anonymous));
    let mirrored = client.source(&host, &RepoName::parse("hub/o/r").unwrap()).unwrap();
    for _cold_then_warm in 0..2 {
        reads(&*mirrored, &fixture, &Capabilities::default()).await.require();
    }
}

#[tokio::test]
async fn writes_are_refused() {
    let registry = FakeRegistry::start().await;
    let rig = Rig::of(&registry);
    let rows = [
        ("PUT", "/v2/o/r/manifests/v1"),
        ("DELETE", "/v2/o/r/manifests/v1"),
        ("POST", "/v2/o/r/blobs/uploads/"),
        ("PATCH", "/v2/o/r/blobs/uploads/00000000000000000000000000000000"),
    ];
    for (method, path) in rows {
        let given = rig.ask(method, path, &[]).await;
        assert_eq!(
            (given.refusal().as_str(), given.header("allow")),
            ("405 UNSUPPORTED", "GET, HEAD"),
            "{method} {path}"
        );
    }
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn names_that_lead_nowhere_reach_no_upstream() {
    let registry = FakeRegistry::start().await;
    let rig = Rig::new(vec![upstream("hub", registry.host())]);
    let digest = digest("x");
    let by_other_host = "/v2/hub/o/r/manifests/v1?ns=evil.test".to_owned();
    let by_address = "/v2/latest/meta-data/manifests/v1?ns=169.254.169.254".to_owned();
    let unprefixed = ["/v2/o/r/manifests/v1".to_owned(), format!("/v2/hub/blobs/{digest}"), by_other_host, by_address];
    for path in unprefixed {
        assert_eq!(rig.get(&path).await.refusal(), "404 NAME_UNKNOWN", "{path}");
    }
    for path in ["/v2/hub", "/v1/hub/o/r", "/v2/hub/o/r/pages/x", "/v2/_catalog"] {
        assert_eq!(rig.get(path).await.refusal(), "404 UNKNOWN", "{path}");
    }
    assert_eq!(rig.get("/v2/hub/o/r/manifests/v1?ns=a%20b").await.refusal(), "400 NAME_INVALID");
    assert_eq!(rig.get("/v2/hub/o/r/blobs/sha256:no").await.refusal(), "400 DIGEST_INVALID");
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_manifest_is_asked_for_once() {
    let registry = FakeRegistry::start().await;
    let image = tagged(&registry, "nested/o/r", "v1", "content").await;
    let rig = Rig::new(vec![upstream("hub", registry.host())]);
    let (by_tag, by_digest) =
        ("/v2/hub/nested/o/r/manifests/v1", format!("/v2/hub/nested/o/r/manifests/{}", image.digest));
    for (path, cache) in [(by_tag, "MISS"), (by_tag, "HIT"), (&by_digest, "HIT")] {
        let given = rig.get(path).await;
        assert_eq!(given.cache(), (200, cache), "{path}");
        assert_eq!(given.header("docker-content-digest"), image.digest.as_str());
        assert_eq!(given.header("content-length"), image.size.to_string());
        assert_eq!(given.header("content-type"), image.media_type.as_str());
        assert_eq!(given.header("etag"), format!("\"{}\"", image.digest));
    }
    let head = rig.head(by_tag).await;
    assert_eq!((head.cache(), head.header("content-length")), ((200, "HIT"), image.size.to_string().as_str()));
    assert_eq!(registry.requests(), ["GET /v2/nested/o/r/manifests/v1"]);
}

#[tokio::test]
async fn a_manifest_by_digest_is_never_asked_for_again() {
    let registry = FakeRegistry::start().await;
    let image = tagged(&registry, "o/r", "v1", "content").await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/manifests/{}", image.digest);
    assert_eq!(rig.get(&path).await.cache(), (200, "MISS"));
    let host = registry.host();
    registry.stop();
    let rig = rig.restarted(vec![upstream("", host)]);
    rig.pass(std::time::Duration::from_secs(400 * 24 * 60 * 60));
    let given = rig.get(&path).await;
    assert_eq!((given.cache(), given.header("age"), given.header("warning")), ((200, "HIT"), "", ""));
}

#[tokio::test]
async fn what_is_asked_by_head_is_not_moved() {
    let registry = FakeRegistry::start().await;
    let (image, blob) = (tagged(&registry, "o/r", "v1", "content").await, blob(&registry, "o/r", b"hello world").await);
    let rig = Rig::of(&registry);
    let head = rig.head("/v2/o/r/manifests/v1").await;
    assert_eq!((head.cache(), head.header("docker-content-digest")), ((200, "MISS"), image.digest.as_str()));
    // What it said is remembered for the next.
    assert_eq!(rig.head("/v2/o/r/manifests/v1").await.cache(), (200, "HIT"));
    let head = rig.head(&format!("/v2/o/r/blobs/{blob}")).await;
    assert_eq!((head.cache(), head.header("content-length")), ((200, "MISS"), "11"));
    assert_eq!(rig.head(&format!("/v2/o/r/blobs/{}", digest("absent"))).await.status, 404);
    assert!(registry.requests().iter().all(|request| request.method == http::Method::HEAD));
}

#[tokio::test]
async fn a_blob_is_asked_for_once_whole_and_in_part() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", b"hello world").await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    for cache in ["MISS", "HIT"] {
        let given = rig.get(&path).await;
        assert_eq!((given.cache(), given.text()), ((200, cache), "hello world"));
    }
    for (range, status, body) in [("bytes=6-", 206, "world"), ("bytes=-5", 206, "world"), ("bytes=0-0", 206, "h")] {
        let given = rig.ask("GET", &path, &[("range", range)]).await;
        assert_eq!((given.cache(), given.text()), ((status, "HIT"), body), "{range}");
    }
    assert_eq!(registry.requests(), [format!("GET {path}")]);
    // The file may have been cut off.
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=11-")]).await.refusal(), "416 RANGE_INVALID");
    assert_eq!(registry.requests(), [format!("GET {path}"), format!("HEAD {path}")]);
}

#[tokio::test]
async fn a_cold_range_is_asked_for_as_a_range_and_kept() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 300_000]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    for cache in ["MISS", "HIT"] {
        let given = rig.ask("GET", &path, &[("range", "bytes=100000-100099")]).await;
        assert_eq!((given.cache(), given.header("content-range")), ((206, cache), "bytes 100000-100099/300000"));
        assert_eq!(given.bytes(), [7; 100]);
    }
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=0-9")]).await.cache(), (206, "MISS"));
    assert_eq!(registry.requests(), [format!("HEAD {path}"), format!("GET {path}"), format!("GET {path}")]);
    let requests = registry.requests();
    let ranged: Vec<_> = requests.iter().filter_map(|request| request.range.as_deref()).collect();
    assert_eq!(ranged, ["bytes=100000-100099", "bytes=0-9"]);
    assert_eq!(requests.iter().map(|request| request.sent).sum::<u64>(), 110);
}

#[tokio::test]
async fn a_range_that_the_upstream_ignores_is_still_one() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", b"hello world").await;
    registry.fault(refs_testkit::On::get("/blobs/").always(), refs_testkit::Fault::IgnoreRange);
    let rig = Rig::of(&registry);
    let given = rig.ask("GET", &format!("/v2/o/r/blobs/{digest}"), &[("range", "bytes=6-")]).await;
    assert!([(206, "world"), (200, "hello world")].contains(&(given.status, given.text())));
}

#[tokio::test]
async fn lists_are_passed_through() {
    let registry = FakeRegistry::start().await;
    for tag in ["a", "b", "c"] {
        tagged(&registry, "o/r", tag, tag).await;
    }
    let subject = tagged(&registry, "o/r", "c", "c").await;
    let signature = Image::new().subject(&subject).push(&*registry.repository("o/r"), &[]).await.unwrap();
    let rig = Rig::new(vec![upstream("hub", registry.host())]);
    let page = rig.get("/v2/hub/o/r/tags/list?n=2").await;
    assert_eq!((page.cache(), page.text()), ((200, "MISS"), r#"{"name":"hub/o/r","tags":["a","b"]}"#));
    assert_eq!(page.header("link"), "</v2/hub/o/r/tags/list?n=2&last=b>; rel=\"next\"");
    assert!(rig.get("/v2/hub/o/r/tags/list?n=2&last=b").await.text().contains(r#"["c"]"#));
    let referrers = rig.get(&format!("/v2/hub/o/r/referrers/{}", subject.digest)).await;
    assert!(referrers.text().contains(signature.descriptor.digest.as_str()), "{}", referrers.text());
}

#[tokio::test]
async fn each_prefix_has_tags_of_its_own() {
    let (one, two) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let (first, second) = (tagged(&one, "o/r", "v1", "one").await, tagged(&two, "o/r", "v1", "two").await);
    let rig = Rig::new(vec![upstream("one", one.host()), upstream("two", two.host())]);
    for _ in 0..2 {
        for (prefix, image) in [("one", &first), ("two", &second)] {
            let given = rig.get(&format!("/v2/{prefix}/o/r/manifests/v1")).await;
            assert_eq!(given.header("docker-content-digest"), image.digest.as_str());
        }
    }
    let by_host = rig.get(&format!("/v2/o/r/manifests/v1?ns={}", two.host())).await;
    assert_eq!(by_host.header("docker-content-digest"), second.digest.as_str());
    assert_eq!((one.requests().len(), two.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_blob_of_one_repository_is_given_for_another_once_the_upstream_has_said_that_it_has_it() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/private", b"hello world").await;
    blob(&registry, "o/shared", b"hello world").await;
    let rig = Rig::of(&registry);
    assert_eq!(rig.get(&format!("/v2/o/private/blobs/{digest}")).await.cache(), (200, "MISS"));
    registry.take_requests();
    for path in ["/v2/o/other/blobs", "/v2/o/shared/blobs", "/v2/o/shared/blobs"] {
        let given = rig.get(&format!("{path}/{digest}")).await;
        assert_eq!(given.status, if path.contains("other") { 404 } else { 200 });
    }
    let requests = registry.requests();
    assert!(requests.iter().all(|request| request.sent < 11 || request.status == 404), "no blob is moved twice");
    let of_shared: Vec<_> = requests.iter().filter(|request| request.path.contains("shared")).collect();
    assert_eq!(of_shared, [&format!("HEAD /v2/o/shared/blobs/{digest}")]);
}

#[tokio::test]
async fn what_one_registry_lacks_another_may_have() {
    let (one, two) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let digest = blob(&two, "o/r", b"hello world").await;
    let rig = Rig::new(vec![upstream("one", one.host()), upstream("two", two.host())]);
    assert_eq!(rig.get(&format!("/v2/one/o/r/blobs/{digest}")).await.status, 404);
    assert_eq!(rig.get(&format!("/v2/two/o/r/blobs/{digest}")).await.cache(), (200, "MISS"));
    assert_eq!(rig.get(&format!("/v2/one/o/r/blobs/{digest}")).await.status, 404);
}
