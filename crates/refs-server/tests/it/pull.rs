//! Reading.

use crate::client::{Peer, digest, header, refusal};

#[tokio::test]
async fn ping_says_what_it_is() {
    let peer = Peer::start().await;
    for path in ["/v2", "/v2/"] {
        let response = peer.send("GET", path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
        assert_eq!(response.text().await.unwrap(), "{}");
    }
    assert_eq!(peer.registry.requests(), ["GET /v2", "GET /v2/"]);
}

#[tokio::test]
async fn a_blob_is_read_whole_and_in_part() {
    let peer = Peer::start().await;
    let digest = peer.blob("hello world").await;
    let path = format!("/v2/o/r/blobs/{digest}");
    let rows = [
        ("", 200, "", "hello world"),
        ("bytes=1-4", 206, "bytes 1-4/11", "ello"),
        ("bytes=3-", 206, "bytes 3-10/11", "lo world"),
        ("bytes=-5", 206, "bytes 6-10/11", "world"),
        ("bytes=-500", 206, "bytes 0-10/11", "hello world"),
        ("bytes=0-0", 206, "bytes 0-0/11", "h"),
        ("bytes=5-500", 206, "bytes 5-10/11", " world"),
        ("bytes=0-1,3-4", 200, "", "hello world"),
        ("lines=1-4", 200, "", "hello world"),
    ];
    for (range, status, content_range, body) in rows {
        let request = peer.ask("GET", &path);
        let request = if range.is_empty() { request } else { request.header("range", range) };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range, "{range}");
        assert_eq!(header(&response, "content-length"), body.len().to_string(), "{range}");
        assert_eq!(header(&response, "accept-ranges"), "bytes", "{range}");
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        assert_eq!(response.text().await.unwrap(), body, "{range}");
    }
}

#[tokio::test]
async fn a_range_outside_a_blob_is_refused_with_its_size() {
    let peer = Peer::start().await;
    let (digest, empty) = (peer.blob("hello world").await, peer.blob("").await);
    for (digest, range, total) in
        [(&digest, "bytes=11-", 11), (&digest, "bytes=20-30", 11), (&digest, "bytes=4-1", 11), (&empty, "bytes=0-0", 0)]
    {
        let request = peer.ask("GET", &format!("/v2/o/r/blobs/{digest}")).header("range", range);
        let response = request.send().await.unwrap();
        assert_eq!(header(&response, "content-range"), format!("bytes */{total}"));
        assert_eq!(refusal(response).await, "416 RANGE_INVALID");
    }
}

#[tokio::test]
async fn a_blob_that_the_client_has_is_not_sent_again() {
    let peer = Peer::start().await;
    let digest = peer.blob("hello world").await;
    let rows = [
        ("if-none-match", format!("\"{digest}\""), "", 304),
        ("if-none-match", format!("\"other\", \"{digest}\""), "", 304),
        ("if-none-match", format!("W/\"{digest}\""), "", 304),
        ("if-none-match", "*".to_owned(), "", 304),
        ("if-none-match", "\"other\"".to_owned(), "", 200),
        ("if-range", format!("\"{digest}\""), "bytes=0-3", 206),
        ("if-range", "\"other\"".to_owned(), "bytes=0-3", 200),
        ("if-range", format!("W/\"{digest}\""), "bytes=0-3", 200),
        ("if-range", "Tue, 29 Oct 2024 16:56:32 GMT".to_owned(), "bytes=0-3", 200),
    ];
    for method in ["GET", "HEAD"] {
        for (name, value, range, status) in &rows {
            let request = peer.ask(method, &format!("/v2/o/r/blobs/{digest}")).header(*name, value);
            let request = if range.is_empty() { request } else { request.header("range", *range) };
            let response = request.send().await.unwrap();
            // Ranges are for GET alone (RFC 9110, 14.2).
            let expect = if method == "HEAD" && *status == 206 { 200 } else { *status };
            assert_eq!(response.status(), expect, "{method} {name}: {value}");
        }
    }
}

#[tokio::test]
async fn a_head_has_the_headers_and_no_body() {
    let peer = Peer::start().await;
    let digest = peer.blob("hello world").await;
    let response = peer.send("HEAD", &format!("/v2/o/r/blobs/{digest}")).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, "11"));
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert_eq!(response.text().await.unwrap(), "");
    let missing = peer.send("HEAD", "/v2/o/r/manifests/absent").await;
    assert_eq!((missing.status().as_u16(), header(&missing, "content-type")), (404, "application/json"));
    assert_eq!(missing.text().await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_its_code() {
    let peer = Peer::start().await;
    peer.blob("hello world").await;
    let absent = digest("absent");
    let rows = [
        ("GET", format!("/v2/o/r/blobs/{absent}"), "404 BLOB_UNKNOWN"),
        ("GET", "/v2/o/r/blobs/sha256:asd".to_owned(), "400 DIGEST_INVALID"),
        ("GET", format!("/v2/o/r/blobs/sha384:{}", "0".repeat(96)), "404 BLOB_UNKNOWN"),
        ("GET", format!("/v2/o/absent/blobs/{absent}"), "404 BLOB_UNKNOWN"),
        ("GET", "/v2/o/absent/manifests/v1".to_owned(), "404 MANIFEST_UNKNOWN"),
        ("GET", "/v2/o/r/manifests/absent".to_owned(), "404 MANIFEST_UNKNOWN"),
        ("GET", format!("/v2/o/r/manifests/{absent}"), "404 MANIFEST_UNKNOWN"),
        ("GET", "/v2/o/absent/tags/list".to_owned(), "404 NAME_UNKNOWN"),
        ("GET", "/v2/O/R/tags/list".to_owned(), "400 NAME_INVALID"),
        ("DELETE", format!("/v2/o/r/blobs/{absent}"), "404 BLOB_UNKNOWN"),
        ("DELETE", "/v2/o/r/manifests/absent".to_owned(), "404 MANIFEST_UNKNOWN"),
        ("GET", "/v2/bad".to_owned(), "404 UNKNOWN"),
        ("GET", "/".to_owned(), "404 UNKNOWN"),
        ("FOO", format!("/v2/o/r/blobs/{absent}"), "405 UNSUPPORTED"),
    ];
    for (method, path, expect) in rows {
        assert_eq!(refusal(peer.send(method, &path).await).await, expect, "{method} {path}");
    }
}
