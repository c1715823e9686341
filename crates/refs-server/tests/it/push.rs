//! Writing.

use std::{num::NonZeroU64, sync::Arc};

use refs_server::{Options, Server};
use refs_store::{Layouts, Memories};
use refs_url::{Algorithm, Hasher};

use crate::{
    client::{Peer, digest, header, refusal},
    direct::ask,
};

#[tokio::test]
async fn a_blob_comes_in_chunks_in_order() {
    let peer = Peer::start().await;
    let begun = peer.send("POST", "/v2/o/r/blobs/uploads/").await;
    assert_eq!((begun.status().as_u16(), header(&begun, "range")), (202, "0-0"));
    let location = header(&begun, "location").to_owned();
    let first = peer.put(("PATCH", &location), &[("content-range", "0-2")], "abc").await;
    assert_eq!((first.status().as_u16(), header(&first, "range")), (202, "0-2"));
    let overlap = peer.put(("PATCH", &location), &[("content-range", "2-4")], "cde").await;
    assert_eq!((header(&overlap, "range"), header(&overlap, "location")), ("0-2", location.as_str()));
    assert_eq!(refusal(overlap).await, "416 RANGE_INVALID");
    let last = peer.put(("PATCH", &location), &[("content-range", "3-5")], "def").await;
    assert_eq!((last.status().as_u16(), header(&last, "range")), (202, "0-5"));
    let digest = digest("abcdefg");
    let done = peer.put(("PUT", &format!("{location}?digest={digest}")), &[("content-range", "6-6")], "g").await;
    assert_eq!(done.status(), 201);
    assert_eq!(header(&done, "location"), format!("/v2/o/r/blobs/{digest}"));
    let read = peer.send("GET", &format!("/v2/o/r/blobs/{digest}")).await;
    assert_eq!(read.text().await.unwrap(), "abcdefg");
}

/// Begins an upload in `o/r`, and gives its location.
async fn begin(peer: &Peer) -> String {
    header(&peer.send("POST", "/v2/o/r/blobs/uploads/").await, "location").to_owned()
}

async fn is_there(peer: &Peer, content: &str) -> bool {
    peer.send("HEAD", &format!("/v2/o/r/blobs/{}", digest(content))).await.status() == 200
}

#[tokio::test]
async fn a_blob_comes_whole_in_one_request_or_two() {
    let peer = Peer::start().await;
    for content in ["", "1", "content"] {
        let (digest, location) = (digest(content), begin(&peer).await);
        let done = peer.put(("PUT", &format!("{location}?digest={digest}")), &[], content).await;
        assert_eq!((done.status().as_u16(), header(&done, "docker-content-digest")), (201, digest.as_str()));
        assert!(is_there(&peer, content).await);
        peer.send("DELETE", &format!("/v2/o/r/blobs/{digest}")).await;
        let done = peer.put(("POST", &format!("/v2/o/r/blobs/uploads/?digest={digest}")), &[], content).await;
        assert_eq!(header(&done, "location"), format!("/v2/o/r/blobs/{digest}"));
        assert_eq!(done.status(), 201);
        assert!(is_there(&peer, content).await);
    }
}

#[tokio::test]
async fn a_blob_comes_as_a_stream_of_unknown_length() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    let pieces = ["one ", "two ", "three"].map(Ok::<_, std::io::Error>);
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let came = peer.put(("PATCH", &location), &[], stream).await;
    assert_eq!((came.status().as_u16(), header(&came, "range")), (202, "0-12"));
    let digest = digest("one two three");
    assert_eq!(peer.send("PUT", &format!("{location}?digest={digest}")).await.status(), 201);
    assert!(is_there(&peer, "one two three").await);
}

#[tokio::test]
async fn a_chunk_may_be_one_byte() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    let came = peer.put(("PATCH", &location), &[("content-range", "0-0")], "a").await;
    assert_eq!((came.status().as_u16(), header(&came, "range")), (202, "0-0"));
    let next = peer.put(("PATCH", &location), &[("content-range", "1-1")], "b").await;
    assert_eq!((next.status().as_u16(), header(&next, "range")), (202, "0-1"));
}

#[tokio::test]
async fn chunks_that_do_not_fit_are_refused_and_change_nothing() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    peer.put(("PATCH", &location), &[("content-range", "0-2")], "abc").await;
    let rows = [
        ("0-2", "416 RANGE_INVALID"),
        ("4-6", "416 RANGE_INVALID"),
        ("bytes 3-5/9", "400 RANGE_INVALID"),
        ("3-", "400 RANGE_INVALID"),
        ("-3", "400 RANGE_INVALID"),
        ("5-3", "400 RANGE_INVALID"),
        ("+3-5", "400 RANGE_INVALID"),
        ("3-18446744073709551615", "400 RANGE_INVALID"),
        ("3-9", "400 SIZE_INVALID"),
        ("3-4", "400 SIZE_INVALID"),
    ];
    for (range, expect) in rows {
        let response = peer.put(("PATCH", &location), &[("content-range", range)], "def").await;
        assert_eq!(refusal(response).await, expect, "{range}");
    }
    let progress = peer.send("GET", &location).await;
    assert_eq!((progress.status().as_u16(), header(&progress, "range")), (204, "0-2"));
    assert_eq!(header(&progress, "location"), location);
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_leave_nothing() {
    let peer = Peer::start().await;
    let digest = digest("content");
    let post = peer.put(("POST", &format!("/v2/o/r/blobs/uploads/?digest={digest}")), &[], "other").await;
    assert_eq!(refusal(post).await, "400 DIGEST_INVALID");
    let location = begin(&peer).await;
    peer.put(("PATCH", &location), &[], "con").await;
    let put = peer.put(("PUT", &format!("{location}?digest={digest}")), &[], "tents").await;
    assert_eq!(refusal(put).await, "400 DIGEST_INVALID");
    assert!(!is_there(&peer, "content").await && !is_there(&peer, "contents").await);
    assert_eq!(refusal(peer.send("GET", &location).await).await, "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_comes_by_sha512_too_and_by_nothing_unknown() {
    let peer = Peer::start().await;
    let mut hasher = Hasher::new(Algorithm::Sha512).unwrap();
    hasher.update(b"content");
    let digest = hasher.finish();
    let whole = format!("/v2/o/r/blobs/uploads/?digest={digest}");
    assert_eq!(refusal(peer.put(("POST", &whole), &[], "other").await).await, "400 DIGEST_INVALID");
    assert_eq!(peer.put(("POST", &whole), &[], "content").await.status(), 201);
    let location = begin(&peer).await;
    peer.put(("PATCH", &location), &[], "con").await;
    let done = peer.put(("PUT", &format!("{location}?digest={digest}")), &[], "tent").await;
    assert_eq!((done.status().as_u16(), header(&done, "docker-content-digest")), (201, digest.as_str()));
    let read = peer.send("GET", &format!("/v2/o/r/blobs/{digest}")).await;
    assert_eq!(read.text().await.unwrap(), "content");
    let unknown = format!("/v2/o/r/blobs/uploads/?digest=sha384:{}", "0".repeat(96));
    assert_eq!(refusal(peer.put(("POST", &unknown), &[], "content").await).await, "400 DIGEST_INVALID");
}

#[tokio::test]
async fn clients_are_told_how_long_chunks_should_be() {
    let server = |chunk_bytes| {
        let options = Options { chunk_bytes: NonZeroU64::new(chunk_bytes), ..Options::default() };
        Server::writable(Arc::new(Memories::new()), &options)
    };
    for (chunk_bytes, expect) in [(0, ""), (5 << 20, "5242880")] {
        let begun = ask(&server(chunk_bytes), "POST /v2/o/r/blobs/uploads/", &[], "").await;
        assert_eq!(begun.header("oci-chunk-min-length"), expect);
    }
}

#[tokio::test]
async fn an_upload_is_cancelled() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    assert_eq!(peer.send("DELETE", &location).await.status(), 204);
    for method in ["GET", "DELETE", "PATCH"] {
        assert_eq!(refusal(peer.send(method, &location).await).await, "404 BLOB_UPLOAD_UNKNOWN", "{method}");
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let peer = Peer::start().await;
    let never = format!("/v2/o/r/blobs/uploads/{}", "0".repeat(32));
    assert_eq!(refusal(peer.send("PATCH", &never).await).await, "404 BLOB_UPLOAD_UNKNOWN");
    let location = begin(&peer).await.replace("/o/r/", "/o/other/");
    assert_eq!(refusal(peer.send("GET", &location).await).await, "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn uploads_do_not_wait_for_each_other() {
    let peer = Peer::start().await;
    let (slow, quick) = (begin(&peer).await, begin(&peer).await);
    let (feed, body) = fed_body();
    let patch = peer.put(("PATCH", &slow), &[], reqwest::Body::wrap_stream(body));
    let meanwhile = async {
        let done = peer.put(("PUT", &format!("{quick}?digest={}", digest("quick"))), &[], "quick").await;
        assert_eq!(done.status(), 201);
        feed.send(Ok("slow")).unwrap();
        drop(feed);
    };
    let (patched, ()) = futures_util::future::join(patch, meanwhile).await;
    assert_eq!((patched.status().as_u16(), header(&patched, "range")), (202, "0-3"));
}

type Piece = Result<&'static str, std::io::Error>;

/// A body that the test feeds.
fn fed_body() -> (tokio::sync::mpsc::UnboundedSender<Piece>, impl futures_util::Stream<Item = Piece>) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    (sender, futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

#[tokio::test]
async fn an_upload_goes_on_after_its_client_broke_off() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    let (feed, body) = fed_body();
    feed.send(Ok("abc")).unwrap();
    let patch = peer.ask("PATCH", &location).body(reqwest::Body::wrap_stream(body)).send();
    let break_off = async {
        // The upload's own figures say when the first bytes are in.
        while header(&peer.send("GET", &location).await, "range") != "0-2" {}
        feed.send(Err(std::io::Error::other("on purpose"))).unwrap();
    };
    let (patched, ()) = futures_util::future::join(patch, break_off).await;
    assert!(patched.is_err());
    let rest = peer.put(("PATCH", &location), &[("content-range", "3-5")], "def").await;
    assert_eq!((rest.status().as_u16(), header(&rest, "range")), (202, "0-5"));
}

/// Sends `first` of a chunk that then stops coming; gives what it comes to once the server has that.
async fn stalled(
    peer: &Peer,
    location: &str,
    first: &'static str,
    range: &str,
) -> (tokio::sync::mpsc::UnboundedSender<Piece>, tokio::task::JoinHandle<String>) {
    let (feed, body) = fed_body();
    feed.send(Ok(first)).unwrap();
    let patch = peer.ask("PATCH", location).body(reqwest::Body::wrap_stream(body)).send();
    let patch = tokio::spawn(async move { refusal(patch.await.unwrap()).await });
    while header(&peer.send("GET", location).await, "range") != range {}
    (feed, patch)
}

#[tokio::test]
async fn an_upload_goes_on_at_once_when_the_connection_before_has_died() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    let (_feed, first) = stalled(&peer, &location, "abc", "0-2").await;
    let (_other, second) = stalled(&peer, &location, "def", "0-5").await;
    assert_eq!(first.await.unwrap(), "409 BLOB_UPLOAD_INVALID");
    let early = peer.put(("PATCH", &location), &[("content-range", "3-5")], "def").await;
    assert_eq!((early.status().as_u16(), header(&early, "range")), (416, "0-5"));
    assert_eq!(second.await.unwrap(), "409 BLOB_UPLOAD_INVALID");
    let rest = peer.put(("PATCH", &location), &[("content-range", "6-8")], "ghi").await;
    assert_eq!((rest.status().as_u16(), header(&rest, "range")), (202, "0-8"));
    let (_feed, third) = stalled(&peer, &location, "jkl", "0-11").await;
    let done = peer.put(("PUT", &format!("{location}?digest={}", digest("abcdefghijkl"))), &[], "").await;
    assert_eq!((done.status().as_u16(), third.await.unwrap().as_str()), (201, "409 BLOB_UPLOAD_INVALID"));
    assert!(is_there(&peer, "abcdefghijkl").await);
}

#[tokio::test]
async fn an_upload_is_cancelled_though_its_connection_has_died() {
    let peer = Peer::start().await;
    let location = begin(&peer).await;
    let (_feed, patch) = stalled(&peer, &location, "abc", "0-2").await;
    assert_eq!(peer.send("DELETE", &location).await.status(), 204);
    assert_eq!(patch.await.unwrap(), "409 BLOB_UPLOAD_INVALID");
    assert_eq!(refusal(peer.send("GET", &location).await).await, "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_mounted_where_it_is_and_else_uploaded() {
    let peer = Peer::start().await;
    let here = peer.blob("content").await;
    let absent = digest("absent");
    let rows = [
        (format!("?mount={here}&from=o/r"), 201),
        (format!("?mount={absent}&from=o/r"), 202),
        (format!("?mount={absent}"), 202),
    ];
    for (query, status) in rows {
        let mounted = peer.send("POST", &format!("/v2/o/other/blobs/uploads/{query}")).await;
        assert_eq!(mounted.status(), status, "{query}");
        let location = header(&mounted, "location");
        match status {
            201 => assert_eq!(location, format!("/v2/o/other/blobs/{here}")),
            _ => assert!(location.starts_with("/v2/o/other/blobs/uploads/"), "{location}"),
        }
    }
    let read = peer.send("GET", &format!("/v2/o/other/blobs/{here}")).await;
    assert_eq!(read.text().await.unwrap(), "content");
}

#[tokio::test]
async fn a_deleted_blob_is_gone() {
    let peer = Peer::start().await;
    let path = format!("/v2/o/r/blobs/{}", peer.blob("content").await);
    assert_eq!(peer.send("DELETE", &path).await.status(), 202);
    assert_eq!(refusal(peer.send("GET", &path).await).await, "404 BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_blob_that_is_refused_makes_no_repository() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::writable(Arc::new(Layouts::new(folder.path())), &Options::default());
    let push = format!("POST /v2/typo/x/blobs/uploads/?digest={}", digest("content"));
    let listed = async || ask(&server, "GET /v2/_catalog", &[], "").await.body;
    assert_eq!(ask(&server, &push, &[], "another").await.summary(), "400 DIGEST_INVALID");
    assert_eq!(listed().await, r#"{"repositories":[]}"#);
    assert_eq!(ask(&server, "GET /v2/typo/x/tags/list", &[], "").await.summary(), "404 NAME_UNKNOWN");
    assert_eq!(ask(&server, &push, &[], "content").await.status, 201);
    assert_eq!(listed().await, r#"{"repositories":["typo/x"]}"#);
}
