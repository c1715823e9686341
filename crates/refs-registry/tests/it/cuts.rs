//! Whatever the ways of a registry and the state of the network, a blob arrives whole.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use refs_registry::{Descriptor, MediaType, Options, Registries, Result, Retry, Sink, auth::Anonymous};
use refs_url::Digest;

use crate::{
    peer::Reply,
    setup::{TestClock, bytes, options, repository},
    ways::{Cut, Told, Ways, registry},
};

/// What may become of a request with a body.
fn any_cut() -> impl Strategy<Value = Cut> {
    let taken = || prop_oneof![Just(0_usize), Just(1), 0_usize..9_000, Just(usize::MAX)];
    prop_oneof![
        3 => Just(Cut::None),
        4 => (taken(), prop_oneof![Just(0_u16), Just(500), Just(503), Just(429), Just(416)]).prop_map(|(taken, status)| {
            Cut::After(taken, if status == 0 { Reply::dropped() } else { Reply::status(status) })
        }),
        // A success that has taken nothing, or the one byte that `0-0` may mean, looks like ECR's.
        2 => taken().prop_map(|taken| Cut::Part(taken.max(2))),
    ]
}

fn any_ways() -> impl Strategy<Value = Ways> {
    let most = || prop::option::of(4_096_usize..12_000);
    (
        most(),
        most(),
        prop::option::of(0_usize..6_000),
        any::<bool>(),
        prop_oneof![Just(Told::Truth), Just(Told::Truth), Just(Told::Stuck), Just(Told::Nothing)],
        prop::collection::vec(any_cut(), 0..12),
    )
        .prop_map(|(longest_piece, longest_body, least, is_patched_first, range, cuts)| {
            let is_possible = |cut: &Cut| match cut {
                // Told less than the truth of a piece that was taken in part, nobody could know.
                Cut::Part(_) => range == Told::Truth,
                // A registry that seems to take neither pieces nor the whole takes nothing.
                Cut::After(_, reply) => longest_body.is_none() || reply.code() != 416,
                _ => true,
            };
            let cuts = cuts.into_iter().filter(is_possible).collect();
            // A minimum above the maximum leaves nothing to send.
            let least = least.filter(|least| *least < 4_096);
            let words = "LIMIT bytes at most";
            Ways { longest_piece, longest_body, words, least, is_patched_first, range, cuts, ..Ways::default() }
        })
}

fn patient(piece: u64) -> Registries {
    let options = options(&TestClock::new(), vec![Arc::new(Anonymous)]);
    let retry = Retry { attempts: 100, waiting: Duration::from_secs(1 << 20), ..Retry::default() };
    Registries::new(Options { retry, piece_bytes: NonZeroU64::new(piece), ..options })
}

async fn put_any(ways: Ways, piece: u64, blob: &[u8]) -> (Result<()>, Vec<Vec<u8>>) {
    let (peer, kept) = registry(ways).await;
    let payload = Bytes::copy_from_slice(blob).into();
    let put = repository(&patient(piece), &peer)
        .put_blob(&Descriptor::of(MediaType::OCI_LAYER, blob), payload)
        .await
        .map(drop);
    let blobs = kept.lock().unwrap().blobs.clone();
    (put, blobs)
}

/// Writes `blob` in chunks of `chunk` bytes, and in the middle goes on as another process would.
async fn write_any(ways: Ways, piece: u64, chunk: usize, blob: &[u8]) -> (Result<()>, Vec<Vec<u8>>) {
    let (peer, kept) = registry(ways).await;
    let write = async {
        let mut upload = repository(&patient(piece), &peer).upload(None).await?;
        for chunk in blob[..blob.len() / 2].chunks(chunk) {
            upload.write(Bytes::copy_from_slice(chunk)).await?;
        }
        let state = upload.state();
        drop(upload);
        let mut upload = repository(&patient(piece), &peer).upload(Some(state)).await?;
        let offset = usize::try_from(upload.state().offset).unwrap();
        for chunk in blob[offset..].chunks(chunk) {
            upload.write(Bytes::copy_from_slice(chunk)).await?;
        }
        upload.commit(&Digest::sha256(blob)).await
    };
    let written = write.await;
    let blobs = kept.lock().unwrap().blobs.clone();
    (written, blobs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_cut_the_registry_ends_up_with_the_bytes(
        ways in any_ways(),
        piece in prop_oneof![Just(0_u64), 1_000_u64..20_000],
        len in 0_usize..30_000,
    ) {
        // An empty `PATCH` is not tried for the sake of an empty blob.
        let blob = bytes(len.max(usize::from(ways.is_patched_first)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (put, blobs) = runtime.block_on(put_any(ways, piece, &blob));
        prop_assert!(put.is_ok(), "{:?}", put);
        prop_assert_eq!(blobs, [blob]);
    }

    #[test]
    fn a_stream_in_pieces_arrives_whole_whatever_is_cut(
        ways in any_ways(),
        piece in 4_096_u64..20_000,
        chunk in 1_000_usize..9_000,
        len in 1_usize..60_000,
    ) {
        let blob = bytes(len);
        let is_possible = |cut: &Cut| !matches!(cut, Cut::After(_, reply) if reply.code() == 416);
        let cuts = ways.cuts.iter().filter(|cut| is_possible(cut)).cloned().collect();
        let ways = Ways { range: Told::Truth, is_patched_first: false, cuts, ..ways };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (written, blobs) = runtime.block_on(write_any(ways, piece, chunk, &blob));
        prop_assert!(written.is_ok(), "{:?}", written);
        prop_assert_eq!(blobs, [blob]);
    }
}
