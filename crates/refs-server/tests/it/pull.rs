//! Reading.

use crate::client::{Peer, header};

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
        ("bytes=4-1", 200, "", "hello world"),
        ("lines=1-4", 200, "", "hello world"),
    ];
    for (range, status, content_range, body) in rows {
        let request = peer.ask("GET", &path);
        let request = if range.is_empty() { request } else { request.header("range", range) };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range, "{range}");
        assert_eq!(header(&response, "content-length"), body.len().to_string(), "{range}");
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        assert_eq!(response.text().await.unwrap(), body, "{range}");
    }
}
