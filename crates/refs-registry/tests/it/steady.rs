//! Uploads that move on, however little at a time, and those that do not.

use std::{num::NonZeroU64, sync::Arc};

use bytes::Bytes;
use refs_registry::{Descriptor, ErrorKind, MediaType, Options, Registries, Result, Retry, Sink, auth::Anonymous};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, bytes, options, repository},
    ways::{Cut, Told, Ways, registry},
};

const MIB: usize = 1 << 20;
const ATTEMPTS: u32 = 3;

/// Sends `blob` in pieces of `piece` bytes, none for 0; the requests to sessions, and what they carried.
async fn put(peer: &Peer, blob: &[u8], piece: usize, attempts: u32) -> (Result<()>, Vec<String>) {
    let options = options(&TestClock::new(), vec![Arc::new(Anonymous)]);
    let retry = Retry { attempts, ..Retry::default() };
    let registries = Registries::new(Options { retry, piece_bytes: NonZeroU64::new(piece as u64), ..options });
    let payload = Bytes::copy_from_slice(blob).into();
    let layer = Descriptor::of(MediaType::OCI_LAYER, blob);
    let put = repository(&registries, peer).put_blob(&layer, payload).await.map(drop);
    let seen = peer.seen().into_iter().filter(|request| request.method != "HEAD" && request.method != "DELETE");
    let carried = |request: &crate::peer::Request| {
        request.header("content-range").map_or_else(|| request.body.len().to_string(), str::to_owned)
    };
    (put, seen.map(|request| format!("{} {}", request.method, carried(&request))).collect())
}

/// That a registry with `ways` gets 7 MiB in pieces of 5 MiB by these requests, at a single attempt.
async fn check_taken(ways: Ways, expect: &[&str]) {
    let blob = bytes(7 * MIB);
    let (peer, kept) = registry(ways).await;
    let (put, steps) = put(&peer, &blob, 5 * MIB, 1).await;
    put.unwrap();
    assert_eq!(steps, expect);
    assert!(kept.lock().unwrap().blobs == [blob]);
}

#[tokio::test]
async fn a_registry_that_takes_the_beginning_of_each_piece_is_sent_shorter_ones_at_no_cost() {
    let shorter = [
        "POST 0",
        "PATCH 0-5242879",
        "GET 0",
        "PATCH 1200000-2399999",
        "PATCH 2400000-3599999",
        "PATCH 3600000-4799999",
        "PATCH 4800000-5999999",
        "PATCH 6000000-7199999",
        "PATCH 7200000-7340031",
        "PUT 0",
    ];
    for asked in [None, Some(404), Some(500)] {
        check_taken(Ways { takes: Some(|bytes| bytes.min(1_200_000)), asked, ..Ways::default() }, &shorter).await;
    }
}

#[tokio::test]
async fn what_is_told_late_is_not_sent_again_and_pieces_stay_as_long() {
    let late = ["POST 0", "PATCH 0-5242879", "GET 0", "PATCH 5242880-7340031", "PUT 0"];
    check_taken(Ways { range: Told::Late, ..Ways::default() }, &late[..]).await;
}

#[tokio::test]
async fn a_registry_that_takes_a_part_of_whatever_it_is_sent_gets_it_all() {
    let ways = Ways { takes: Some(|bytes| bytes.div_ceil(8)), asked: Some(405), ..Ways::default() };
    let (peer, kept) = registry(ways).await;
    let blob = bytes(3 * MIB / 2);
    let (put, steps) = put(&peer, &blob, MIB + 7, 1).await;
    put.unwrap();
    assert!(kept.lock().unwrap().blobs == [blob]);
    assert!(steps.len() < 300, "{}", steps.len());
}

#[tokio::test]
async fn a_registry_that_takes_next_to_nothing_is_given_up_and_the_error_says_so() {
    for asked in [None, Some(405)] {
        let (peer, _) = registry(Ways { takes: Some(|bytes| bytes.min(100)), asked, ..Ways::default() }).await;
        let (put, steps) = put(&peer, &bytes(2 * MIB), 2 * MIB - 1, ATTEMPTS).await;
        let error = put.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let told = error.to_string();
        assert!(told.starts_with("of the 1048576 bytes of `PATCH "), "{told}");
        assert!(told.ends_with(" the registry took 100, which is too little to go on with"), "{told}");
        let pieces = ["POST 0", "PATCH 0-2097150", "GET 0", "PATCH 100-1048675", "GET 0", "PATCH 200-1048775"];
        assert_eq!(steps, pieces);
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_often_goes_on_after_a_session_was_lost() {
    let cut = |times| vec![Cut::After(80_000, Reply::dropped()); times];
    let blob = bytes(900_000);
    let (peer, kept) = registry(Ways { cuts: [cut(9), vec![Cut::Lost], cut(11)].concat(), ..Ways::default() }).await;
    let (put, steps) = put(&peer, &blob, 0, ATTEMPTS).await;
    put.unwrap();
    assert_eq!(steps.iter().filter(|step| *step == "POST 0").count(), 2);
    assert!(kept.lock().unwrap().blobs == [blob]);
}

/// That as many sessions are begun as attempts are made, and `learning` from refusals.
async fn check_given_up(ways: Ways, learning: usize) {
    let (peer, _) = registry(ways).await;
    let (put, steps) = put(&peer, &bytes(300_000), 100_000, ATTEMPTS).await;
    put.unwrap_err();
    let begun = steps.iter().filter(|step| *step == "POST 0").count();
    assert_eq!(begun, ATTEMPTS as usize + learning, "{steps:?}");
}

#[tokio::test]
async fn sessions_that_come_some_way_and_can_not_be_gone_on_with_are_as_many_as_attempts() {
    let cuts = [Cut::None, Cut::After(50_000, Reply::dropped())].into_iter().cycle().take(90).collect();
    check_given_up(Ways { asked: Some(405), cuts, ..Ways::default() }, 0).await;
    // Refused as out of order where it is told to begin.
    let cuts = [Cut::None, Cut::After(0, Reply::status(416)), Cut::After(0, Reply::status(416))];
    check_given_up(Ways { cuts: cuts.into_iter().cycle().take(90).collect(), ..Ways::default() }, 0).await;
    // Half of what has to be sent at once.
    let ways = Ways { longest_piece: Some(0), is_patched_first: true, ..Ways::default() };
    check_given_up(Ways { takes: Some(|bytes| bytes / 2), ..ways }, 2).await;
}
