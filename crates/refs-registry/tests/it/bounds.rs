//! What has no end: the client takes so much of it, says so, and leaves.

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{
    Descriptor, Error, ErrorKind, MediaType, Options, Payload, Registries, Repository, Result, Resume, Retry, Sink,
    Source, error::Fault,
};
use refs_testkit::raw::{RawPeer, Speech};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply},
    setup::{DEADLINES, TestClock, anonymous, challenge, collect, name, options, tag},
};

/// What sockets hold, and more than any limit.
const TAKEN_AT_MOST: u64 = 64 << 20;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk of 64 KiB of `byte`.
fn chunk(byte: u8) -> Vec<u8> {
    [&b"10000\r\n"[..], &vec![byte; 0x10000], b"\r\n"].concat()
}

fn open(peer: &RawPeer) -> Repository {
    anonymous().repository(&peer.host(), &name()).unwrap()
}

#[tokio::test]
async fn m058_a_manifest_without_end_is_read_up_to_its_limit() {
    let peer = RawPeer::start(|_| Speech::endless(CHUNKED, chunk(b' ')));
    let error = open(&peer).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 0x40_0000, .. }), "{error:?}");
    assert!(peer.heads().len() == 1 && peer.written() < TAKEN_AT_MOST, "{}", peer.written());
}

#[tokio::test]
async fn m058_a_length_that_is_claimed_makes_no_room() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n";
    let peer = RawPeer::start(move |_| Speech::endless(head, vec![b' '; 0x10000]));
    let error = open(&peer).manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Size);
    let blob = open(&peer).blob(&Digest::sha256(b"x"), Resume::START).await.unwrap();
    assert_eq!(blob.size, i64::MAX as u64);
}

#[tokio::test]
async fn m100_a_page_without_end_is_read_up_to_its_limit() {
    let peer = RawPeer::start(|_| Speech::endless(CHUNKED, chunk(b' ')));
    let tags: Result<Vec<_>> = open(&peer).tags(None).try_collect().await;
    assert!(matches!(tags, Err(Error::TooLarge { limit: 0x80_0000, .. })), "{tags:?}");
    assert!(peer.written() < TAKEN_AT_MOST, "{}", peer.written());
}

#[tokio::test]
async fn m077_a_blob_that_goes_on_is_left_after_its_last_byte() {
    let peer = RawPeer::start(|head| match head.starts_with("HEAD") {
        true => Speech::of(["HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"]),
        false => Speech::endless(CHUNKED, chunk(b'x')),
    });
    let blob = open(&peer).blob(&Digest::sha256(b"x"), Resume::START).await.unwrap();
    let error = collect(blob.stream).await.unwrap_err();
    assert!(matches!(error, Error::Size { expected: 100_000, .. }), "{error:?}");
    assert!(peer.written() < TAKEN_AT_MOST, "{}", peer.written());
}

/// JSON of `len` bytes that takes a hundred times as many once it is read.
fn dense(len: usize) -> String {
    format!(r#"{{"schemaVersion":2,"tags":["a"],"token":"t","x":[{}0]}}"#, r#"{"a":0},"#.repeat(len / 8))
}

#[tokio::test]
async fn m066_what_is_short_and_takes_much_memory_is_not_read() {
    let peer = Peer::start(|_| Reply::json(&dense(4_000_000))).await;
    let repository = anonymous().repository(&peer.host, &name()).unwrap();
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Manifest { .. }), "{error:?}");
    let tags: Result<Vec<_>> = repository.tags(None).try_collect().await;
    assert!(matches!(tags, Err(Error::Protocol { fault: Fault::EndlessListing, .. })), "{tags:?}");
    let peer = Peer::start(|request| match request.target.starts_with("/token") {
        true => Reply::json(&dense(1_000_000)),
        false => challenge(&format!("http://{}/token", request.header("host").unwrap()), ""),
    })
    .await;
    let error = anonymous().repository(&peer.host, &name()).unwrap().manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::BadBody("a token"), .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_without_end_is_read_a_little() {
    let head = "HTTP/1.1 400 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let peer = RawPeer::start(move |_| Speech::endless(head, chunk(b'e')));
    let error = open(&peer).manifest(&tag("v1")).await.unwrap_err();
    let Error::Refused { status: 400, detail, .. } = &error else { panic!("{error:?}") };
    assert_eq!(detail.words().map(str::len), Some(512));
    assert!(peer.written() < TAKEN_AT_MOST, "{}", peer.written());
}

#[tokio::test]
async fn a_token_without_end_is_read_up_to_its_limit() {
    let service = RawPeer::start(|_| Speech::endless(CHUNKED, chunk(b' ')));
    let realm = format!("http://{}/token", service.host());
    let peer = Peer::start(move |_| challenge(&realm, "")).await;
    let repository = anonymous().repository(&peer.host, &name()).unwrap();
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 0x10_0000, .. }), "{error:?}");
    assert!(service.written() < TAKEN_AT_MOST, "{}", service.written());
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    for piece in ["x: y\r\n".repeat(1000), "x".repeat(0x10000)] {
        let peer = RawPeer::start(move |_| Speech::endless("HTTP/1.1 200 OK\r\n", piece.clone()));
        let error = open(&peer).manifest(&tag("v1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
        assert!(peer.written() < TAKEN_AT_MOST, "{}", peer.written());
    }
}

#[tokio::test]
async fn m031_redirects_that_lead_on_and_on_end() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        Reply::redirect(307, format!("/{count}{}", "x".repeat(8000)))
    })
    .await;
    let repository = anonymous().repository(&peer.host, &name()).unwrap();
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::TooManyRedirects(10), .. }), "{error:?}");
    assert!(error.to_string().len() < 1200, "{error}");
    assert_eq!(peer.seen().len(), 11);
}

#[tokio::test]
async fn m171_a_peer_that_takes_no_body_is_given_up() {
    let content = bytes::Bytes::from(vec![7; 32 << 20]);
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    let pieces = (0..32).map(|piece| Ok(content.slice(piece << 20..(piece + 1) << 20))).collect::<Vec<_>>();
    for payload in [content.clone().into(), Payload::Once(stream::iter(pieces).boxed())] {
        let peer = RawPeer::start(|head| match head.split(' ').next() {
            Some("HEAD") => Speech::of(["HTTP/1.1 404 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"]),
            Some("POST") => {
                Speech::of(["HTTP/1.1 202 x\r\nconnection: close\r\nlocation: /up\r\ncontent-length: 0\r\n\r\n"])
            }
            _ => Speech::stalled(""),
        });
        let clock = TestClock::new();
        let retry = Retry { attempts: 1, ..Retry::default() };
        let options = Options { retry, ..options(&clock, vec![std::sync::Arc::new(refs_registry::auth::Anonymous)]) };
        let repository = Registries::new(options).repository(&peer.host(), &name()).unwrap();
        let is_stuck = || peer.heads().iter().any(|head| head.starts_with("PUT") || head.starts_with("PATCH"));
        let time = async {
            loop {
                if is_stuck() {
                    clock.pass_deadline();
                }
                tokio::task::yield_now().await;
            }
        };
        let error = tokio::select! {
            put = repository.put_blob(&blob, payload) => put.unwrap_err(),
            () = time => unreachable!("time goes on"),
        };
        assert!(matches!(error, Error::Timeout { after, .. } if after == DEADLINES.headers), "{error:?}");
    }
}

#[tokio::test]
async fn m171_interim_answers_without_end_are_borne_until_the_deadline() {
    let clock = TestClock::new();
    let passing = clock.clone();
    let peer = RawPeer::start(move |_| {
        passing.pass_deadline();
        Speech::endless("", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100))
    });
    let registries = Registries::new(options(&clock, vec![std::sync::Arc::new(refs_registry::auth::Anonymous)]));
    let error = registries.repository(&peer.host(), &name()).unwrap().manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(peer.heads().len(), 5);
}

#[tokio::test]
async fn a_few_interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(8);
    let answer = format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    let peer = RawPeer::start(move |_| Speech::of([answer.clone()]));
    assert_eq!(open(&peer).stat_blob(&Digest::sha256(b"blob")).await.unwrap(), Some(4));
}
