//! What networks do to a request, one test a fault.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use refs_registry::{
    Clock, Descriptor, Error, ErrorKind, MediaType, Options, Registries, Repository, Resume, Source,
    auth::{Anonymous, Chain},
    error::Fault as Wrong,
};
use refs_testkit::{
    Close, FakeRegistry, Fault, On,
    raw::{RawPeer, Speech},
};
use refs_url::{Digest, Host};

use crate::{
    peer::{Peer, Reply},
    setup::{DEADLINES, TestClock, anonymous, bytes, challenge, collect, name, options, repository, tag},
};

const LEN: usize = 300_000;

fn blob() -> (Vec<u8>, Digest) {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    (blob, digest)
}

/// A registry with the blob, and a client of it.
async fn fake(registry: FakeRegistry) -> (FakeRegistry, Repository) {
    let content = bytes::Bytes::from(blob().0);
    let descriptor = Descriptor::of(MediaType::OCI_LAYER, &content);
    registry.repository("a/b").put_blob(&descriptor, content.into()).await.unwrap();
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    (registry, repository)
}

async fn read(repository: &Repository) -> Result<bytes::Bytes, Error> {
    collect(repository.blob(&blob().1, Resume::START).await?.stream).await
}

fn with_clock(clock: &Arc<TestClock>, host: &Host) -> Repository {
    Registries::new(options(clock, vec![Arc::new(Anonymous)])).repository(host, &name()).unwrap()
}

#[tokio::test]
async fn m011_a_name_that_leads_nowhere_is_told_after_all_attempts() {
    // No resolver is asked for a label that is longer than labels can be.
    let host = Host::parse(&format!("{}.invalid", "x".repeat(64))).unwrap();
    let clock = TestClock::new();
    let error = with_clock(&clock, &host).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { host: named, .. } if *named == host), "{error:?}");
    assert_eq!(clock.waits().len(), 4);
}

#[tokio::test]
async fn m012_a_reset_before_the_answer_is_tried_again_and_then_told() {
    for close in [Close::Reset, Close::Fin] {
        let (registry, repository) = fake(FakeRegistry::start().await).await;
        registry.fault(On::any("/blobs/").times(4), Fault::Drop(close));
        assert_eq!(repository.stat_blob(&blob().1).await.unwrap(), Some(LEN as u64));
        registry.fault(On::any("/blobs/").times(5), Fault::Drop(close));
        registry.take_requests();
        let error = read(&repository).await.unwrap_err();
        assert!(matches!(&error, Error::Unreachable { host, .. } if *host == registry.host()), "{error:?}");
        assert_eq!(registry.requests().len(), 5);
    }
}

#[tokio::test]
async fn m013_m081_a_blob_that_is_cut_at_every_fifth_goes_on_each_time() {
    for close in [Close::Reset, Close::Fin] {
        let (registry, repository) = fake(FakeRegistry::start().await).await;
        registry.fault(On::get("/blobs/").times(4), Fault::Cut { after: (LEN / 5) as u64, close });
        registry.take_requests();
        assert_eq!(read(&repository).await.unwrap(), blob().0);
        let seen = registry.requests();
        assert_eq!(seen.len(), 5);
        assert!(seen.iter().skip(1).all(|request| request.range.is_some()), "{seen:?}");
    }
}

#[tokio::test]
async fn m013_a_body_that_is_shorter_than_announced_is_no_success() {
    let (registry, repository) = fake(FakeRegistry::start().await).await;
    registry.fault(On::get("/blobs/").always(), Fault::LongerBy(1));
    let error = read(&repository).await.unwrap_err();
    assert!(matches!(error, Error::Cut { .. } | Error::Refused { .. } | Error::Size { .. }), "{error:?}");
}

#[tokio::test]
async fn m077_a_body_that_is_longer_than_announced_is_cut_and_does_not_match() {
    let (registry, repository) = fake(FakeRegistry::start().await).await;
    registry.fault(On::get("/blobs/").always(), Fault::ShorterBy(1));
    assert_eq!(read(&repository).await.unwrap_err().kind(), ErrorKind::Digest);
}

#[tokio::test]
async fn m171_a_peer_that_says_nothing_or_half_a_head_is_given_up() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let clock = TestClock::new();
        let passing = clock.clone();
        let peer = RawPeer::start(move |_| {
            passing.pass_deadline();
            Speech::stalled(said)
        });
        let error = with_clock(&clock, &peer.host()).manifest(&tag("v1")).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { after, .. } if after == DEADLINES.headers), "{error:?}");
        assert_eq!(peer.heads().len(), 5);
    }
}

/// A clock by which every look at it takes a second.
#[derive(Debug)]
struct Ticking {
    start: Instant,
    looks: AtomicU64,
}

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.looks.fetch_add(1, Ordering::Relaxed))
    }

    async fn sleep(&self, wait: Duration) {
        if wait == DEADLINES.headers || wait == DEADLINES.idle {
            std::future::pending().await
        }
    }
}

#[tokio::test]
async fn m171_a_drip_is_given_up_after_a_minute() {
    let peer = RawPeer::start(|head| {
        if head.starts_with("HEAD") {
            return Speech::of(["HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n"]);
        }
        let rest = head.split_once("range: bytes=").and_then(|(_, range)| range.split_once('-'));
        let line = match rest {
            Some((from, _)) => format!("206 x\r\ncontent-range: bytes {from}-999999/1000000"),
            None => "200 x".to_owned(),
        };
        Speech::endless(&format!("HTTP/1.1 {line}\r\ntransfer-encoding: chunked\r\n\r\n"), "1\r\nx\r\n".repeat(1000))
    });
    let clock = Arc::new(Ticking { start: Instant::now(), looks: AtomicU64::new(0) });
    let credentials = Arc::new(Chain::new(vec![Arc::new(Anonymous)]));
    let registries = Registries::new(Options { clock, timeouts: DEADLINES, credentials, ..Options::default() });
    let error = read(&registries.repository(&peer.host(), &name()).unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after == Duration::from_secs(60)), "{error:?}");
    let reads = peer.heads().iter().filter(|head| head.starts_with("GET")).count();
    assert_eq!(reads, 5);
}

#[tokio::test]
async fn answers_that_do_not_pass_are_asked_for_once() {
    let passing = [408, 425, 429, 499];
    // What asks for credentials, and what says that there is no such thing, is for others to tell.
    let statuses = (400..=451).filter(|status| !passing.contains(status)).chain([501, 505, 506, 507, 508, 510, 511]);
    for status in statuses {
        let peer = Peer::start(move |_| Reply::status(status)).await;
        let clock = TestClock::new();
        with_clock(&clock, &peer.host).manifest(&tag("v1")).await.unwrap_err();
        assert_eq!((peer.seen().len(), clock.waits().len()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn m083_a_rest_in_many_parts_is_not_used() {
    let (served, _) = blob();
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        match count {
            1 => Reply::ok(&*served).cut_at(100_000),
            2 => Reply::status(206).header("content-type", "multipart/byteranges; boundary=x").body("--x--"),
            _ => Reply::ok(&*served),
        }
    })
    .await;
    assert_eq!(read(&repository(&anonymous(), &peer)).await.unwrap(), blob().0);
    let ranges: Vec<_> = peer.seen().iter().map(|request| request.header("range").is_some()).collect();
    assert_eq!(ranges, [false, true, false]);
}

#[tokio::test]
async fn m083_a_part_that_nobody_asked_for_is_no_blob() {
    let range = format!("bytes 0-{}/{LEN}", LEN - 1);
    for reply in [Reply::status(206), Reply::status(206).header("content-range", range)] {
        let peer = Peer::start(move |_| reply.clone().body(blob().0)).await;
        let error = read(&repository(&anonymous(), &peer)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    }
}

#[tokio::test]
async fn m075_a_blob_that_came_wrong_is_asked_for_once_more_and_once() {
    for (faults, expect) in [(1, Ok(LEN)), (2, Err(ErrorKind::Digest))] {
        let (registry, repository) = fake(FakeRegistry::start().await).await;
        registry.fault(On::get("/blobs/").times(faults), Fault::Flip { at: 200_000 });
        registry.take_requests();
        let read = read(&repository).await;
        assert_eq!(read.map(|bytes| bytes.len()).map_err(|error| error.kind()), expect);
        assert_eq!(registry.requests().len(), 2);
    }
}

#[tokio::test]
async fn m075_bytes_that_were_given_already_are_not_asked_for_again() {
    let large = bytes(1024 * 1024 + 1);
    let digest = Digest::sha256(&large);
    let served = large.clone();
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        let mut bytes = served.clone();
        bytes[0] ^= u8::from(count == 1);
        Reply::ok(bytes)
    })
    .await;
    let stream = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap().stream;
    assert_eq!(collect(stream).await.unwrap_err().kind(), ErrorKind::Digest);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn m084_a_blob_that_changed_between_attempts_is_read_once_more_from_the_start() {
    let (served, _) = blob();
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        match count {
            1 => Reply::ok(&*served).header("etag", "\"a\"").cut_at(100_000),
            2 => Reply::ok(vec![7; LEN]).header("etag", "\"b\""),
            _ => Reply::ok(&*served),
        }
    })
    .await;
    assert_eq!(read(&repository(&anonymous(), &peer)).await.unwrap(), blob().0);
    let asked: Vec<_> = peer.seen().iter().map(|request| request.header("range").is_some()).collect();
    assert_eq!(asked, [false, true, false]);
}

#[tokio::test]
async fn m084_a_blob_that_changed_for_good_does_not_match() {
    let (served, _) = blob();
    let peer = Peer::start(move |request| {
        if request.header("range").is_none() {
            return Reply::ok(&*served).header("etag", "\"a\"").cut_at(100_000);
        }
        // What `If-Range` means where the bytes are others: all of them.
        assert_eq!(request.header("if-range"), Some("\"a\""));
        Reply::ok(vec![7; LEN]).header("etag", "\"b\"")
    })
    .await;
    assert_eq!(read(&repository(&anonymous(), &peer)).await.unwrap_err().kind(), ErrorKind::Digest);
}

#[tokio::test]
async fn m014_framing_that_breaks_off_is_gone_on_with_over_another_connection() {
    let (served, _) = blob();
    let framed = [b"c350\r\n", &served[..50_000], b"\r\nZZZ\r\n"].concat();
    let (first, rest) = (framed, served[50_000..].to_vec());
    let peer = RawPeer::start(move |head| match (head.starts_with("HEAD"), head.contains("range: bytes=50000-")) {
        (true, _) => Speech::of([format!("HTTP/1.1 200 OK\r\ncontent-length: {LEN}\r\n\r\n")]),
        (_, true) => {
            let range = format!("content-range: bytes 50000-{}/{LEN}", LEN - 1);
            let head = format!("HTTP/1.1 206 x\r\n{range}\r\ncontent-length: {}\r\n\r\n", rest.len());
            Speech::of([head.into_bytes(), rest.clone()])
        }
        _ => Speech::of([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), first.clone()]),
    });
    assert_eq!(read(&anonymous().repository(&peer.host(), &name()).unwrap()).await.unwrap(), blob().0);
}

#[tokio::test]
async fn m023_a_link_that_expired_before_the_rest_is_made_anew_by_the_registry() {
    let (registry, repository) = fake(FakeRegistry::builder().redirect_blobs().start().await).await;
    let network = registry.cdn_host().unwrap();
    let stale = On::get("/data/").times(1);
    for status in [400, 401, 403] {
        registry.clear_faults();
        registry.fault(stale.clone(), Fault::Cut { after: 100_000, close: Close::Reset });
        registry.fault(stale.clone(), Fault::Status { status, headers: Vec::new() });
        registry.take_requests();
        assert_eq!(read(&repository).await.unwrap(), blob().0, "{status}");
        let hosts: Vec<_> = registry.requests().into_iter().map(|request| request.host == network).collect();
        assert_eq!(hosts, [false, true, false, true, false, true], "{status}");
    }
    registry.fault(On::get("/data/").always(), Fault::Status { status: 403, headers: Vec::new() });
    registry.take_requests();
    let error = read(&repository).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 403, .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 4);
}

#[tokio::test]
async fn m024_a_manifest_from_elsewhere_is_verified_and_sees_no_credentials() {
    let elsewhere = Peer::start(|_| Reply::ok(r#"{"schemaVersion":2,"manifests":[]}"#)).await;
    let to = elsewhere.url("/manifest");
    let peer = crate::setup::token_registry("secret", move |_| Reply::redirect(307, &*to)).await;
    let repository = repository(&crate::setup::with_password(&peer, "secret"), &peer);
    let other = crate::setup::at(&Digest::sha256(b"another"));
    assert_eq!(repository.manifest(&other).await.unwrap_err().kind(), ErrorKind::Digest);
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(elsewhere.seen().len(), 2);
    assert!(elsewhere.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_token_lives_by_our_clock_whatever_the_date_of_the_service() {
    for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let token = r#"{"token":"t","expires_in":300,"issued_at":"1994-11-06T08:49:37Z"}"#;
        let service = Peer::start(move |_| Reply::json(token).header("date", date)).await;
        let realm = service.url("/token");
        let peer = Peer::start(move |request| match request.header("authorization") {
            Some("Bearer t") => Reply::ok("blob").header("date", date),
            _ => challenge(&realm, "repository:a/b:pull"),
        })
        .await;
        let clock = TestClock::new();
        let repository = with_clock(&clock, &peer.host);
        for (after, expect) in [(0, 1), (200, 1), (100, 2)] {
            clock.advance(Duration::from_secs(after));
            repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap();
            assert_eq!(service.seen().len(), expect, "{date}");
        }
    }
}

#[tokio::test]
async fn m070_foreign_links_of_a_layer_are_not_followed() {
    let stranger = Peer::start(|_| Reply::ok("blob")).await;
    let url = stranger.url("/blob");
    let peer = Peer::start(|_| Reply::status(404)).await;
    let descriptor = Descriptor { urls: vec![url], ..Descriptor::of(MediaType::OCI_LAYER, b"blob") };
    let repository = repository(&anonymous(), &peer);
    let error = repository.blob(&descriptor.digest, Resume::START).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn m063_m066_m067_manifests_with_impossible_content_are_refused() {
    let layer = |digest: &str, size: &str| {
        let config = Digest::sha256(b"{}");
        let layer = format!(r#"{{"mediaType":"x/y","digest":{digest},"size":{size}}}"#);
        let config = format!(r#"{{"mediaType":"x/y","digest":"{config}","size":2}}"#);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#)
    };
    let good = format!("\"{}\"", Digest::sha256(b"layer"));
    let upper = good.to_uppercase().replace("SHA256", "sha256");
    let sizes = ["-1", "1e30", "18446744073709551616", "\"5\"", "null", "1.5"].map(|size| layer(&good, size));
    let strange = ["null", "\"\"", "\"sha256:abc\"", "\"sha256:%2f..\"", &upper];
    let both = layer(&good, "5").replacen('{', r#"{"manifests":[],"#, 1);
    let bodies = sizes.into_iter().chain(strange.map(|digest| layer(digest, "5"))).chain([both]);
    for body in bodies {
        let served = body.clone();
        let peer = Peer::start(move |_| {
            Reply::ok(&*served).header("content-type", "application/vnd.oci.image.manifest.v1+json")
        })
        .await;
        let manifest = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap();
        let error = manifest.parse().unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn m172_a_signature_in_a_link_shows_in_no_error() {
    let network = Peer::start(|_| Reply::status(404)).await;
    let to = network.url("/blob?X-Amz-Signature=secret");
    let peer = Peer::start(move |_| Reply::redirect(307, &*to)).await;
    let error = read(&repository(&anonymous(), &peer)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let nowhere = Peer::start(|_| Reply::redirect(307, "http://127.0.0.1:1/blob?X-Amz-Signature=secret")).await;
    let error = read(&repository(&anonymous(), &nowhere)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let unsafe_link = Peer::start(|_| Reply::redirect(307, "http://10.0.0.1/blob?X-Amz-Signature=secret")).await;
    let error = read(&repository(&anonymous(), &unsafe_link)).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Wrong::UnsafeRedirect { .. }, .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
