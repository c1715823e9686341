//! Uploads that break and go on, of bytes that have changed meanwhile.

use std::sync::Arc;

use refs_registry::{
    Descriptor, Error, MediaType, Registries, Replay, Sent, Sink,
    error::{Code, Wanted},
};

use crate::{
    peer::{Peer, Reply},
    pieces::in_pieces,
    setup::{anonymous, bytes, repository},
    ways::{Cut, Shared, Ways, registry_seen},
};

const MIB: usize = 1 << 20;
const LEN: usize = 3 * MIB + 100;

/// How often the source is asked is up to the sender: the bytes change when the registry is asked how much it has.
fn cut_at(offset: usize) -> Ways {
    Ways { cuts: vec![Cut::After(offset, Reply::dropped())], ..Ways::default() }
}

fn layer(blob: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, blob)
}

/// `blob` with other bytes from `at` on.
fn changed(blob: &[u8], at: Option<usize>) -> Vec<u8> {
    let mut blob = blob.to_vec();
    at.iter().for_each(|at| blob[*at] ^= 1);
    blob
}

/// What came of a blob that was cut at `cut` and had the byte `at` changed by then, sent from a file.
async fn of_file(registries: &Registries, cut: usize, at: Option<usize>) -> (Result<Sent, Error>, Shared) {
    let blob = bytes(LEN);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blob");
    std::fs::write(&file, &blob).unwrap();
    let (from, other) = (file.clone(), changed(&blob, at));
    let see = move |request: &crate::peer::Request| {
        if request.is("GET") {
            std::fs::write(&from, &other).unwrap();
        }
    };
    let (peer, kept) = registry_seen(cut_at(cut), see).await;
    let put = repository(registries, &peer).put_blob(&layer(&blob), Replay::File(file).into()).await;
    (put, kept)
}

/// The same, sent from another registry, which gives the changed bytes to all who ask after the first.
async fn of_registry(registries: &Registries, cut: usize, at: Option<usize>) -> (Result<Sent, Error>, Shared) {
    let blob = bytes(LEN);
    let (first, other, mut asked) = (blob.clone(), changed(&blob, at), 0);
    let from = Peer::start(move |request| {
        asked += u32::from(request.is("GET"));
        Reply::blob(request, if asked > 1 { &other } else { &first })
    })
    .await;
    let (peer, kept) = registry_seen(cut_at(cut), |_| {}).await;
    let replay = Replay::Blob(Arc::new(repository(&anonymous(), &from)), layer(&blob).digest);
    let put = repository(registries, &peer).put_blob(&layer(&blob), replay.into()).await;
    (put, kept)
}

#[track_caller]
fn check_right((put, kept): &(Result<Sent, Error>, Shared), what: &str) {
    assert!(matches!(put, Ok(Sent::Uploaded)), "{what}: {put:?}");
    assert!(kept.lock().unwrap().blobs == [bytes(LEN)], "{what}");
}

/// The bytes are at fault, and not the registry; which keeps nothing of them.
#[track_caller]
fn check_wrong((put, kept): &(Result<Sent, Error>, Shared), what: &str) {
    let digest = layer(&bytes(LEN)).digest;
    match put {
        Err(Error::Digest { wanted: Wanted::Blob(wanted) | Wanted::BlobPart(wanted), actual }) => {
            assert!(*wanted == digest && *actual != digest, "{what}: {put:?}");
        }
        _ => panic!("{what}: {put:?}"),
    }
    let kept = kept.lock().unwrap();
    assert_eq!((kept.blobs.len(), kept.open_sessions()), (0, 0), "{what}");
}

async fn check(cut: usize, at: Option<usize>, expect: fn(&(Result<Sent, Error>, Shared), &str)) {
    let what = format!("cut at {cut}, changed at {at:?}");
    expect(&of_file(&anonymous(), cut, at).await, &what);
    expect(&of_registry(&anonymous(), cut, at).await, &what);
}

#[tokio::test]
async fn an_upload_that_goes_on_with_the_same_bytes_is_whole() {
    for cut in [10, 100_000, MIB - 1, MIB, 2 * MIB + 7, LEN] {
        check(cut, None, check_right).await;
    }
    // What the registry has is not read again but for the last of it: it was right when it was sent.
    check(2 * MIB + 7, Some(MIB), check_right).await;
}

#[tokio::test]
async fn an_upload_that_goes_on_with_other_bytes_is_the_sources_fault() {
    // Before the offset that is gone on at, and after it.
    for at in [2 * MIB + 5, 2 * MIB + 7, 3 * MIB, LEN - 1] {
        check(2 * MIB + 7, Some(at), check_wrong).await;
    }
    check(10, Some(9), check_wrong).await;
    check(10, Some(10), check_wrong).await;
}

#[tokio::test]
async fn pieces_that_are_cut_are_checked_like_the_whole() {
    let registries = in_pieces(MIB as u64);
    check_right(&of_file(&registries, 100_000, None).await, "the same");
    check_right(&of_registry(&registries, 100_000, None).await, "the same");
    for at in [99_999, 100_000, MIB, LEN - 1] {
        check_wrong(&of_file(&registries, 100_000, Some(at)).await, "other bytes");
        check_wrong(&of_registry(&registries, 100_000, Some(at)).await, "other bytes");
    }
}

#[tokio::test]
async fn a_registry_that_has_other_bytes_than_it_was_sent_is_told_of_as_that() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "POST" => Reply::status(202).header("location", "/up/1"),
        "PUT" => Reply::status(400).body(r#"{"errors":[{"code":"DIGEST_INVALID","message":"not mine"}]}"#),
        _ => Reply::status(404),
    })
    .await;
    let blob = bytes(100);
    let put = repository(&anonymous(), &peer).put_blob(&layer(&blob), bytes::Bytes::from(blob.clone()).into()).await;
    let error = put.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error:?}");
    assert_eq!((error.code(), error.is_retryable()), (Some(Code::DigestInvalid), false));
    assert_eq!(peer.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}
