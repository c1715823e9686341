//! Bodies that end in order before all of them has come.

use bytes::Bytes;
use refs_registry::{Error, Result, Resume, Source};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply, Request},
    setup::{anonymous, bytes, collect, repository},
};

const SENT: usize = 100_000;

/// One that is given when all of it has come, and one that is given as it comes.
const SIZES: [usize; 2] = [300_000, 2 << 20];

/// `body`, whose length only its end tells.
fn unmeasured(status: u16, body: &[u8]) -> Reply {
    let chunk = format!("{:x}\r\n", body.len()).into_bytes();
    Reply::status(status).body([&chunk[..], body, b"\r\n0\r\n\r\n"].concat()).header("transfer-encoding", "chunked")
}

/// What a read comes to.
enum Expect {
    Blob,
    /// There is no more than was sent.
    Short,
    Cut,
}

/// Of a blob of `size` bytes, as a `HEAD` has it, the beginning alone, and then what `later` says.
async fn check(size: usize, later: fn(&Request, &[u8]) -> Reply, expect: Expect, gets: &[usize]) {
    let blob = bytes(size);
    let (served, mut count) = (blob.clone(), 0);
    let peer = Peer::start(move |request| {
        count += usize::from(request.method == "GET");
        match (request.method.as_str(), count) {
            ("HEAD", _) => Reply::ok(&*served),
            (_, 1) => unmeasured(200, &served[..SENT]),
            _ => later(request, &served),
        }
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&Digest::sha256(&blob), Resume::START).await.unwrap();
    match (collect(read.stream).await, expect) {
        (Ok(read), Expect::Blob) => assert!(read == blob),
        (Err(Error::Size { expected, actual, .. }), Expect::Short) => {
            assert_eq!((expected, actual), (size as u64, SENT as u64))
        }
        (Err(Error::Cut { received: 0, .. }), Expect::Cut) => {}
        (read, _) => panic!("{:?}", read.map(|read| read.len())),
    }
    let asked = peer.seen().into_iter().filter(|request| request.method == "GET");
    let from = |request: Request| match request.header("range") {
        Some(range) => range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap(),
        None => 0,
    };
    assert_eq!(asked.map(from).collect::<Vec<usize>>(), gets);
}

#[tokio::test]
async fn a_body_that_ends_early_without_having_told_its_length_was_cut() {
    for size in SIZES {
        check(size, Reply::blob, Expect::Blob, &[0, SENT]).await;
    }
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_is_not_that_of_the_body() {
    let blob = bytes(SIZES[1]);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = Peer::start(move |request| match request.header("range") {
        Some(_) => Reply::blob(request, &served),
        None => unmeasured(200, &served[..SENT]).header("content-length", served.len().to_string()),
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert!(collect(read.stream).await.unwrap() == blob);
}

#[tokio::test]
async fn a_blob_that_is_shorter_than_its_registry_says_is_an_error_of_its_size() {
    let size = SIZES[1];
    // There is nothing beyond.
    check(size, |request, blob| Reply::blob(request, &blob[..SENT]), Expect::Short, &[0, SENT]).await;
    // The answer's own length says that it has no more.
    check(size, |_, blob| Reply::ok(&blob[..SENT]), Expect::Short, &[0, SENT]).await;
    // It knows of no ranges, and ends there each time.
    check(size, |_, blob| unmeasured(200, &blob[..SENT]), Expect::Short, &[0, SENT, SENT, SENT]).await;
}

#[tokio::test]
async fn a_blob_that_ends_early_each_time_is_no_damage() {
    // Nothing more comes of the rest. What has come is as good as what comes before any cut.
    let rest = |request: &Request, blob: &[u8]| match request.header("range") {
        Some(_) => {
            let range = format!("bytes {SENT}-{}/{}", blob.len() - 1, blob.len());
            let nothing = Reply::status(206).body(*b"0\r\n\r\n").header("transfer-encoding", "chunked");
            nothing.header("content-range", range)
        }
        None => unmeasured(200, &blob[..SENT]),
    };
    check(SIZES[1], rest, Expect::Cut, &[0, SENT, SENT, SENT, SENT]).await;
}

#[tokio::test]
async fn a_part_that_ends_early_without_having_told_its_length_was_cut() {
    /// Of a part of 1,000 bytes so many come each time.
    async fn check(comes: usize, expect: fn(Result<Bytes>) -> bool, asked: &[usize]) {
        let blob = bytes(SENT);
        let digest = Digest::sha256(&blob);
        let peer = Peer::start(move |request| {
            let first = first(request);
            let part = &blob[first..2000.min(first + comes)];
            unmeasured(206, part).header("content-range", format!("bytes {first}-1999/{SENT}"))
        })
        .await;
        let part = repository(&anonymous(), &peer).blob_part(&digest, 1000..2000).await.unwrap();
        assert!(expect(collect(part.stream).await));
        assert_eq!(peer.seen().iter().map(first).collect::<Vec<_>>(), asked);
    }
    fn first(request: &Request) -> usize {
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix("-1999"));
        range.unwrap().parse().unwrap()
    }
    let is_all = |read: Result<Bytes>| read.is_ok_and(|read| read == bytes(SENT)[1000..2000]);
    check(400, is_all, &[1000, 1400, 1800]).await;
    let is_cut = |read| matches!(read, Err(Error::Cut { received: 1, .. }));
    check(1, is_cut, &[1000, 1001, 1002, 1003, 1004]).await;
}
