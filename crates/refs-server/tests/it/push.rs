//! Writing.

use crate::client::{Peer, digest, header, refusal};

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
