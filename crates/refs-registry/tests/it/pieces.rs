//! Uploads in several requests, and the ways of the registries that want them.

use std::{num::NonZeroU64, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{Descriptor, MediaType, Options, Payload, Registries, Replay, Result, Sink, auth::Anonymous};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, bytes, options, repository},
    ways::{Cut, Told, Ways, registry},
};

const LEN: usize = 20_000;

pub(crate) fn in_pieces(piece_bytes: u64) -> Registries {
    let options = options(&TestClock::new(), vec![Arc::new(Anonymous)]);
    Registries::new(Options { piece_bytes: NonZeroU64::new(piece_bytes), ..options })
}

fn layer(blob: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, blob)
}

async fn put(registries: &Registries, peer: &Peer, blob: &[u8]) -> Result<()> {
    let payload = Bytes::copy_from_slice(blob).into();
    repository(registries, peer).put_blob(&layer(blob), payload).await.map(drop)
}

/// The requests with a body, and those that begin, end or ask a session.
fn bodies(peer: &Peer) -> Vec<(String, String)> {
    let told = peer.seen().into_iter().filter(|request| !matches!(request.method.as_str(), "HEAD" | "DELETE"));
    told.map(|request| {
        let range = request.header("content-range").map(str::to_owned);
        (request.method, range.unwrap_or_else(|| request.body.len().to_string()))
    })
    .collect()
}

/// Puts two blobs into a registry with `ways`, asking for pieces of `piece` bytes (0 for none), and compares the requests
/// for each.
async fn check(ways: Ways, piece: u64, first: &[(&str, &str)], second: &[(&str, &str)]) {
    let (peer, kept) = registry(ways).await;
    let registries = in_pieces(piece);
    let blobs = [bytes(LEN), bytes(LEN).into_iter().rev().collect()];
    put(&registries, &peer, &blobs[0]).await.unwrap();
    put(&registries, &peer, &blobs[1]).await.unwrap();
    let expect: Vec<_> =
        first.iter().chain(second).map(|(method, range)| ((*method).to_owned(), (*range).to_owned())).collect();
    assert_eq!(bodies(&peer), expect);
    assert_eq!(kept.lock().unwrap().blobs, blobs);
}

const WHOLE: &[(&str, &str)] = &[("POST", "0"), ("PUT", "20000")];
const NINES: &[(&str, &str)] =
    &[("POST", "0"), ("PATCH", "0-8999"), ("PATCH", "9000-17999"), ("PATCH", "18000-19999"), ("PUT", "0")];

#[tokio::test]
async fn a_blob_goes_in_pieces_when_that_is_asked_for() {
    check(Ways::default(), 0, WHOLE, WHOLE).await;
    check(Ways::default(), 20_000, WHOLE, WHOLE).await;
    check(Ways::default(), 9_000, NINES, NINES).await;
}

#[tokio::test]
async fn every_status_that_a_patch_is_accepted_with_is_taken() {
    for patched in [201, 202, 204] {
        for range in [Told::Truth, Told::Nothing] {
            check(Ways { patched: Some(patched), range, ..Ways::default() }, 9_000, NINES, NINES).await;
        }
    }
}

#[tokio::test]
async fn ecr_stays_at_the_range_of_the_first_piece() {
    let ecr = || Ways { patched: Some(201), range: Told::Stuck, ..Ways::default() };
    check(ecr(), 9_000, NINES, NINES).await;
    // What was cut there can't be gone on with: its word is not to be had.
    let cut = Ways { cuts: vec![Cut::None, Cut::None, Cut::After(10, Reply::dropped())], ..ecr() };
    let again: Vec<_> = NINES[..4].iter().chain(&[("GET", "0")]).chain(NINES).copied().collect();
    check(cut, 9_000, &again, NINES).await;
}

const FOURS: &[(&str, &str)] = &[
    ("PATCH", "0-4095"),
    ("PATCH", "4096-8191"),
    ("PATCH", "8192-12287"),
    ("PATCH", "12288-16383"),
    ("PATCH", "16384-19999"),
    ("PUT", "0"),
];

fn row<'a>(parts: &[&[(&'a str, &'a str)]]) -> Vec<(&'a str, &'a str)> {
    parts.concat()
}

#[tokio::test]
async fn ghcr_names_the_longest_piece_and_is_believed() {
    let words = r#"{"errors":[{"code":"REQUESTED_RANGE_NOT_SATISFIABLE","message":"9.00KiB is more than 4.00KiB"}]}"#;
    let ghcr = || Ways { longest_piece: Some(4_096), words, ..Ways::default() };
    let begun: &[_] = &[("POST", "0")];
    let refused: &[_] = &[("PATCH", "0-8999"), ("GET", "0")];
    // `0-0` is no byte or one: another session is begun, at no cost.
    check(ghcr(), 9_000, &row(&[begun, refused, begun, FOURS]), &row(&[begun, FOURS])).await;
    check(ghcr(), 0, WHOLE, WHOLE).await;
}

#[tokio::test]
async fn google_takes_no_pieces_at_all() {
    let google = Ways { longest_piece: Some(0), ..Ways::default() };
    let refused: &[_] = &[("POST", "0"), ("PATCH", "0-8999"), ("GET", "0")];
    check(google, 9_000, &row(&[refused, refused, WHOLE]), WHOLE).await;
}

#[tokio::test]
async fn artifactory_wants_a_patch_before_it_knows_a_session() {
    let artifactory = Ways { is_patched_first: true, ..Ways::default() };
    let patched: &[_] = &[("POST", "0"), ("PATCH", "20000"), ("PUT", "0")];
    check(artifactory, 0, &row(&[WHOLE, patched]), patched).await;
}

#[tokio::test]
async fn cloudflare_bounds_every_body_and_wants_pieces_of_one_length() {
    let cloudflare = |words| Ways { longest_body: Some(9_000), patched: Some(204), words, ..Ways::default() };
    let refused: &[_] = &[("POST", "0"), ("PUT", "20000"), ("GET", "0")];
    check(cloudflare("bodies have at most 9 kB"), 0, &row(&[refused, NINES]), NINES).await;
    // Without words, smaller ones are tried.
    let halved: &[_] = &[("POST", "0"), ("PATCH", "0-9999"), ("GET", "0")];
    let fives: &[_] = &[
        ("POST", "0"),
        ("PATCH", "0-4999"),
        ("PATCH", "5000-9999"),
        ("PATCH", "10000-14999"),
        ("PATCH", "15000-19999"),
        ("PUT", "0"),
    ];
    check(cloudflare("no"), 0, &row(&[refused, halved, fives]), fives).await;
}

#[tokio::test]
async fn a_registry_that_takes_no_body_at_all_is_given_up_on() {
    let (peer, kept) = registry(Ways { longest_body: Some(10), words: "at most 1 byte", ..Ways::default() }).await;
    let error = put(&in_pieces(0), &peer, &bytes(LEN)).await.unwrap_err();
    assert!(error.to_string().ends_with("413: at most 1 byte"), "{error}");
    assert!(peer.seen().len() < 20);
    assert_eq!(kept.lock().unwrap().open_sessions(), 0);
}

#[tokio::test]
async fn pieces_are_as_long_as_the_registry_wants_them_but_for_the_last() {
    let least = || Ways { least: Some(12_000), ..Ways::default() };
    let twelves: &[_] = &[("POST", "0"), ("PATCH", "0-11999"), ("PATCH", "12000-19999"), ("PUT", "0")];
    check(least(), 5_000, twelves, twelves).await;
    check(least(), 0, WHOLE, WHOLE).await;
    let stream =
        |blob: &[u8]| stream::iter(blob.chunks(700).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>());
    let (peer, _) = registry(least()).await;
    let blob = bytes(LEN);
    let payload = Payload::Once(stream(&blob).boxed());
    repository(&in_pieces(5_000), &peer).put_blob(&layer(&blob), payload).await.unwrap();
    let seen: Vec<_> = peer.seen().iter().map(|request| request.body.len()).filter(|len| *len > 0).collect();
    assert_eq!(seen, [12_000, 8_000]);
}

/// Copies a blob in pieces to a registry with these cuts, and compares the ranges that are asked of its source.
async fn check_reads(cuts: Vec<Cut>, expect: &[Option<&str>]) {
    const MIB: usize = 1 << 20;
    let blob = bytes(3 * MIB + 100);
    let given = blob.clone();
    let from = Peer::start(move |request| Reply::blob(request, &given)).await;
    let (peer, kept) = registry(Ways { cuts, ..Ways::default() }).await;
    let replay = Replay::Blob(Arc::new(repository(&anonymous(), &from)), layer(&blob).digest);
    // A piece ends in the middle of what comes from the source.
    let registries = in_pieces(MIB as u64 + 7);
    repository(&registries, &peer).put_blob(&layer(&blob), replay.into()).await.unwrap();
    let read = from.seen();
    let ranges: Vec<_> = read.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, expect);
    assert!(kept.lock().unwrap().blobs == [blob]);
}

#[tokio::test]
async fn a_blob_is_read_once_for_all_the_pieces_that_it_is_sent_in() {
    check_reads(vec![], &[None]).await;
    // From the last byte whose hash is known, before what the registry has.
    check_reads(vec![Cut::None, Cut::After(100, Reply::dropped())], &[None, Some("bytes=1048576-")]).await;
}
