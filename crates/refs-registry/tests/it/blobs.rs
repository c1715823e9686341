use std::sync::Arc;

use refs_registry::{
    Error, ErrorKind, Registries, Resume, Source,
    auth::Anonymous,
    error::{Fault, Wanted},
};
use refs_url::{Digest, Hasher};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{TestClock, anonymous, bytes, collect, options, repository, token_registry, with_password},
};

const LEN: usize = 300_000;

/// A peer that answers its nth request as `answer` says.
async fn nth(mut answer: impl FnMut(usize, &Request) -> Reply + Send + 'static) -> Peer {
    let mut count = 0;
    Peer::start(move |request| {
        count += 1;
        answer(count, request)
    })
    .await
}

fn ranges(peer: &Peer) -> Vec<Option<String>> {
    peer.seen().iter().map(|request| request.header("range").map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_whole_blob_is_one_request_and_verified() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = Peer::start(move |_| Reply::ok(&*served)).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(read.size, LEN as u64);
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    assert_eq!(peer.lines(), [format!("GET /v2/a/b/blobs/{digest}")]);
    let request = &peer.seen()[0];
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("range"), None);
    assert!(request.header("user-agent").unwrap().starts_with("refs/"));
}

#[tokio::test]
async fn m013_m081_a_cut_blob_goes_on_where_it_was_cut() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = nth(move |n, request| match n {
        1 => Reply::ok(&*served).header("etag", "\"e\"").cut_at(LEN / 2),
        _ => Reply::blob(request, &served),
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    let second = &peer.seen()[1];
    assert_eq!(second.header("range"), Some("bytes=150000-"));
    assert_eq!(second.header("if-range"), Some("\"e\""));
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test]
async fn progress_renews_the_attempts_and_its_lack_ends_them() {
    let blob = bytes(700_000);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = nth(move |_, request| Reply::blob(request, &served).cut_at(70_000.min(700_000 - offset(request)))).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);

    let served = blob.clone();
    let peer = nth(move |_, request| Reply::blob(request, &served).cut_at(100)).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    let error = collect(read.stream).await.unwrap_err();
    assert!(matches!(error, Error::Cut { .. }), "{error:?}");
    assert_eq!(peer.seen().len(), 5);
}

fn offset(request: &Request) -> usize {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    range.map_or(0, |offset| offset.parse().unwrap())
}

#[tokio::test]
async fn m082_a_blob_that_begins_again_is_skipped_to_where_it_was_cut() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = nth(move |n, _| if n == 1 { Reply::ok(&*served).cut_at(100_000) } else { Reply::ok(&*served) }).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);

    let served = blob.clone();
    let peer = nth(move |_, _| Reply::ok(&*served).cut_at(100_000)).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    let error = collect(read.stream).await.unwrap_err();
    assert!(matches!(error, Error::Cut { received: 100_000, .. }), "{error:?}");
}

#[tokio::test]
async fn m083_a_rest_that_is_another_part_is_not_used() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = nth(move |n, request| match n {
        1 => Reply::ok(&*served).cut_at(100_000),
        2 => Reply::status(206).header("content-range", format!("bytes 0-{}/{LEN}", LEN - 1)).body(&*served),
        _ => Reply::blob(request, &served),
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    assert_eq!(ranges(&peer), [None, Some("bytes=100000-".to_owned()), None]);
}

#[tokio::test]
async fn m075_m077_wrong_bytes_end_the_stream_with_an_error() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let mut flipped = blob.clone();
    flipped[LEN - 1] ^= 1;
    let peer = Peer::start(move |_| Reply::ok(&*flipped)).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap_err().kind(), ErrorKind::Digest);

    let mut longer = blob.clone();
    longer.push(0);
    let peer = Peer::start(move |request| match request.method.as_str() {
        "HEAD" => Reply::ok(&longer[..LEN]),
        _ => {
            let chunk = format!("{:x}\r\n", longer.len()).into_bytes();
            let body = [&chunk[..], &longer, b"\r\n0\r\n\r\n"].concat();
            Reply::ok(body).header("transfer-encoding", "chunked")
        }
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap_err().kind(), ErrorKind::Size);
}

#[tokio::test]
async fn an_earlier_read_is_gone_on_with() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = Peer::start(move |request| Reply::blob(request, &served)).await;
    let repository = repository(&anonymous(), &peer);
    for offset in [1, 1000, LEN] {
        let mut hasher = Hasher::sha256();
        hasher.update(&blob[..offset]);
        let read = repository.blob(&digest, Resume::at(offset as u64, hasher)).await.unwrap();
        assert_eq!(read.size, LEN as u64);
        assert_eq!(collect(read.stream).await.unwrap(), blob[offset..]);
    }
    let mut wrong = Hasher::sha256();
    wrong.update(b"other");
    let read = repository.blob(&digest, Resume::at(5, wrong)).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap_err().kind(), ErrorKind::Digest);
}

#[tokio::test]
async fn m046_a_token_that_ends_on_the_way_is_renewed_once() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let realm = Arc::new(std::sync::Mutex::new(String::new()));
    let own = realm.clone();
    let (mut tokens, mut cuts) = (0, 0);
    let peer = Peer::start(move |request| {
        if request.is("GET /token") {
            tokens += 1;
            return Reply::json(&format!("{{\"token\":\"t{tokens}\"}}"));
        }
        if request.header("authorization") != Some(&format!("Bearer t{}", cuts + 1)) {
            return crate::setup::challenge(&own.lock().unwrap(), "repository:a/b:pull");
        }
        cuts += 1;
        if cuts == 1 { Reply::ok(&*served).cut_at(LEN / 2) } else { Reply::blob(request, &served) }
    })
    .await;
    *realm.lock().unwrap() = peer.url("/token");
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    assert_eq!(peer.lines().iter().filter(|line| line.starts_with("GET /token")).count(), 2);
    assert_eq!(peer.seen().last().unwrap().header("range"), Some("bytes=150000-"));
}

#[tokio::test]
async fn m046_a_token_whose_time_is_up_on_the_way_is_not_shown_again() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let (served, clock) = (blob.clone(), TestClock::new());
    let time = clock.clone();
    let mut cuts = 0;
    let peer = token_registry("secret", move |request| {
        cuts += 1;
        time.advance(std::time::Duration::from_secs(300));
        if cuts == 1 { Reply::ok(&*served).cut_at(LEN / 2) } else { Reply::blob(request, &served) }
    })
    .await;
    let credentials = vec![crate::setup::login(&peer, "the test", "secret")];
    let registries = Registries::new(options(&clock, credentials));
    let read = repository(&registries, &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    let lines = peer.lines();
    let short: Vec<_> = lines.iter().map(|line| line.split(['?', ':']).next().unwrap()).collect();
    let get = "GET /v2/a/b/blobs/sha256";
    assert_eq!(short, [get, "GET /token", get, "GET /token", get]);
}

#[tokio::test]
async fn m171_a_stalled_body_is_asked_for_again() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let clock = TestClock::new();
    let passing = clock.clone();
    let peer = nth(move |n, request| {
        if n == 1 {
            passing.pass_deadline();
            return Reply::ok(&*served).stall_at(1000);
        }
        Reply::blob(request, &served)
    })
    .await;
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    let read = repository(&registries, &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test]
async fn parts_are_asked_for_exactly_and_with_authorization() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = token_registry("secret", move |request| Reply::blob(request, &served)).await;
    let repository = repository(&with_password(&peer, "secret"), &peer);
    for (start, end) in [(0, 1), (1000, 2000), (LEN - 10, LEN)] {
        let part = repository.blob_part(&digest, start as u64..end as u64).await.unwrap();
        assert_eq!((part.range.clone(), part.total), (start as u64..end as u64, LEN as u64));
        assert_eq!(collect(part.stream).await.unwrap(), blob[start..end]);
    }
    let lines = peer.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("/token")).count(), 1);
    assert_eq!(lines.len(), 1 + 1 + 3, "{lines:?}");
    let parts = &peer.seen()[2..];
    assert!(parts.iter().all(|part| part.header("authorization") == Some("Bearer good")));
    assert_eq!(parts[1].header("range"), Some("bytes=1000-1999"));
}

#[tokio::test]
async fn a_cut_part_goes_on_and_an_empty_one_asks_for_its_size_only() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = nth(move |n, request| {
        let reply = Reply::blob(request, &served);
        if n == 1 { reply.cut_at(500) } else { reply }
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let part = repository.blob_part(&digest, 1000..2000).await.unwrap();
    assert_eq!(collect(part.stream).await.unwrap(), blob[1000..2000]);
    assert_eq!(ranges(&peer), [Some("bytes=1000-1999".to_owned()), Some("bytes=1500-1999".to_owned())]);
    let empty = repository.blob_part(&digest, 7..7).await.unwrap();
    assert_eq!((empty.total, collect(empty.stream).await.unwrap().len()), (LEN as u64, 0));
    assert_eq!(peer.seen().last().unwrap().method, "HEAD");
}

#[tokio::test]
async fn the_rest_of_a_part_of_a_blob_of_another_size_is_an_error() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let peer = nth(move |n, request| match n {
        1 => Reply::blob(request, &blob).cut_at(500),
        _ => Reply::blob(request, &[&*blob, b"and more"].concat()),
    })
    .await;
    let part = repository(&anonymous(), &peer).blob_part(&digest, 1000..2000).await.unwrap();
    let error = collect(part.stream).await.unwrap_err();
    assert!(
        matches!(error, Error::Size { expected, actual, .. } if (expected, actual) == (LEN as u64, LEN as u64 + 8))
    );
}

#[tokio::test]
async fn answers_that_are_not_the_part_are_refused() {
    async fn check(reply: Reply, is_expected: fn(&Error) -> bool) {
        let peer = Peer::start(move |_| reply.clone()).await;
        let error = repository(&anonymous(), &peer).blob_part(&Digest::sha256(b""), 10..20).await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        assert_eq!(peer.seen().len(), 1);
    }
    let bad_range = |error: &Error| matches!(error, Error::Protocol { fault: Fault::BadHeader { .. }, .. });
    let no_range = |error: &Error| matches!(error, Error::Protocol { fault: Fault::MissingHeader(_), .. });
    let ignored = |error: &Error| matches!(error, Error::Unsupported { wanted: Wanted::BlobPart(_), .. });
    let part = |range: &str| Reply::status(206).header("content-range", range).body(vec![0; 10]);
    // The whole body is announced and never comes: nobody must wait for it.
    check(Reply::ok(vec![0; 100]).stall_at(0), ignored).await;
    check(part("bytes 0-9/100"), bad_range).await;
    check(part("bytes 10-18/100"), bad_range).await;
    check(part("bytes 10-19/*"), bad_range).await;
    check(part("bytes 10-19/15"), bad_range).await;
    check(Reply::status(206).header("content-type", "multipart/byteranges; boundary=x"), no_range).await;
    check(Reply::status(416), |error| matches!(error, Error::Refused { status: 416, .. })).await;
    check(Reply::status(404), |error| matches!(error, Error::NotFound { wanted: Wanted::BlobPart(_), .. })).await;
}

#[tokio::test]
async fn a_part_of_another_length_is_an_error() {
    for (sent, expect) in [(9, 9), (11, 11)] {
        let reply = Reply::status(206).header("content-range", "bytes 10-19/100").body("x".repeat(sent));
        let peer = Peer::start(move |_| reply.clone()).await;
        let part = repository(&anonymous(), &peer).blob_part(&Digest::sha256(b""), 10..20).await.unwrap();
        let error = collect(part.stream).await.unwrap_err();
        assert!(matches!(error, Error::Size { expected: 10, actual, .. } if actual == expect), "{error:?}");
    }
}

#[tokio::test]
async fn sizes_are_told_by_head_and_absence_is_no_error() {
    let peer = Peer::start(|request| match request.target.contains(Digest::sha256(b"there").as_str()) {
        true => Reply::ok("there"),
        false => Reply::status(404),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    assert_eq!(repository.stat_blob(&Digest::sha256(b"there")).await.unwrap(), Some(5));
    assert_eq!(repository.stat_blob(&Digest::sha256(b"elsewhere")).await.unwrap(), None);
    let error = repository.blob(&Digest::sha256(b"elsewhere"), Resume::START).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { wanted: Wanted::Blob(_), .. }), "{error:?}");
}

#[tokio::test]
async fn m019_a_label_of_compression_is_not_believed() {
    let blob = bytes(1000);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = Peer::start(move |_| Reply::ok(&*served).header("content-encoding", "gzip")).await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
}

#[tokio::test]
async fn m014_a_body_that_is_framed_wrongly_is_no_success() {
    let digest = Digest::sha256(b"blob");
    for body in ["4\r\nblob\r\n", "ZZZ\r\nblob", "fffffffffffffffffff1\r\nblob", "4\r\nblob!!0\r\n\r\n"] {
        let peer = Peer::start(move |request| match request.method.as_str() {
            "HEAD" => Reply::ok("blob"),
            _ => Reply::ok(body).header("transfer-encoding", "chunked").cut_at(body.len()),
        })
        .await;
        let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
        let error = collect(read.stream).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Unsupported), "{body}: {error:?}");
    }
}
