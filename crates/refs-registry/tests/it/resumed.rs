//! Uploads that are cut, and go on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Descriptor, ErrorKind, MediaType, Mounted, Options, Payload, Registries, Replay, Retry, Sink, UploadState,
    auth::Anonymous,
};
use refs_url::{Digest, RepoName};
use tokio::sync::mpsc;

use crate::{
    peer::{Peer, Reply},
    pieces::in_pieces,
    setup::{TestClock, anonymous, bytes, options, repository},
    ways::{Cut, Ways, registry},
};

const LEN: usize = 300_000;

fn layer(blob: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, blob)
}

/// The requests to sessions with what they carry: the range they name, else their length.
fn steps(peer: &Peer) -> Vec<String> {
    let told = peer.seen().into_iter().filter(|request| request.method != "HEAD" && request.method != "DELETE");
    let carried = |request: &crate::peer::Request| {
        request.header("content-range").map_or_else(|| request.body.len().to_string(), str::to_owned)
    };
    told.map(|request| format!("{} {}", request.method, carried(&request))).collect()
}

async fn check_put(cuts: Vec<Cut>, expect: &[&str]) {
    check_put_to(Ways { cuts, ..Ways::default() }, expect).await;
}

async fn check_put_to(ways: Ways, expect: &[&str]) {
    let (peer, kept) = registry(ways).await;
    let blob = bytes(LEN);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blob");
    std::fs::write(&file, &blob).unwrap();
    repository(&anonymous(), &peer).put_blob(&layer(&blob), Replay::File(file).into()).await.unwrap();
    assert_eq!(steps(&peer), expect);
    assert_eq!(kept.lock().unwrap().blobs, [blob]);
}

#[tokio::test]
async fn m093_an_upload_that_breaks_goes_on_where_the_registry_has_it() {
    let rest = ["POST 0", "PUT 300000", "GET 0", "PATCH 100000-299999", "PUT 0"];
    for failed in [Reply::dropped(), Reply::status(500), Reply::status(429), Reply::status(503)] {
        check_put(vec![Cut::After(100_000, failed)], &rest).await;
    }
    // All of it was there, and only the end is asked for again.
    check_put(vec![Cut::After(LEN, Reply::dropped())], &["POST 0", "PUT 300000", "GET 0", "PUT 0"]).await;
    // Nothing was, or one byte: a new session, and not the old one once more.
    let anew = ["POST 0", "PUT 300000", "GET 0", "POST 0", "PUT 300000"];
    check_put(vec![Cut::After(0, Reply::dropped())], &anew).await;
    check_put(vec![Cut::After(1, Reply::dropped())], &anew).await;
}

#[tokio::test]
async fn m093_a_session_that_is_gone_is_begun_anew() {
    let lost = ["POST 0", "PUT 300000", "GET 0", "PATCH 100000-299999", "POST 0", "PUT 300000"];
    check_put(vec![Cut::After(100_000, Reply::dropped()), Cut::Lost], &lost).await;
}

#[tokio::test]
async fn distribution_forgets_a_session_that_was_cut() {
    let forgetful = |cuts| Ways { is_forgetful: true, cuts, ..Ways::default() };
    let anew = ["POST 0", "PUT 300000", "GET 0", "POST 0", "PUT 300000"];
    check_put_to(forgetful(vec![Cut::After(100_000, Reply::dropped())]), &anew).await;
    // Of a stream the bytes before are gone, and what is told is why.
    let (peer, _) = registry(forgetful(vec![Cut::None, Cut::After(30_000, Reply::dropped())])).await;
    let mut upload = repository(&in_pieces(100_000), &peer).upload(None).await.unwrap();
    upload.write(bytes(100_000).into()).await.unwrap();
    let error = upload.write(bytes(100_000).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
}

#[tokio::test]
async fn a_link_that_cuts_often_is_overcome_as_long_as_it_gets_on() {
    let cuts = (0..9).map(|_| Cut::After(LEN / 5, Reply::dropped())).collect::<Vec<_>>();
    let blob = bytes(3 * LEN);
    let (peer, kept) = registry(Ways { cuts, ..Ways::default() }).await;
    let payload = Bytes::from(blob.clone()).into();
    // Nine failures, where five attempts without any progress are the most.
    let options = options(&TestClock::new(), vec![Arc::new(Anonymous)]);
    let registries =
        Registries::new(Options { retry: Retry { longest_wait: Duration::ZERO, ..Retry::default() }, ..options });
    let put = repository(&registries, &peer).put_blob(&layer(&blob), payload).await;
    assert!(put.is_err(), "less than 64 KiB are no progress");

    let cuts = (0..9).map(|_| Cut::After(80_000, Reply::dropped())).collect();
    let (peer, kept_too) = registry(Ways { cuts, ..Ways::default() }).await;
    let payload = Bytes::from(blob.clone()).into();
    repository(&registries, &peer).put_blob(&layer(&blob), payload).await.unwrap();
    let sent: usize =
        peer.seen().iter().filter(|request| request.method == "PATCH").map(|patch| patch.body.len()).sum();
    assert!(sent > 2 * LEN);
    assert_eq!(kept_too.lock().unwrap().blobs, [blob]);
    assert!(kept.lock().unwrap().blobs.is_empty());
}

#[tokio::test]
async fn a_piece_that_is_out_of_order_is_asked_after() {
    let refused = Cut::After(50_000, Reply::status(416));
    check_put(
        vec![Cut::After(100_000, Reply::dropped()), refused],
        &["POST 0", "PUT 300000", "GET 0", "PATCH 100000-299999", "GET 0", "PATCH 150000-299999", "PUT 0"],
    )
    .await;
}

#[tokio::test]
async fn what_was_taken_of_a_piece_is_not_sent_again() {
    check_put(
        vec![Cut::After(100_000, Reply::dropped()), Cut::Part(70_000)],
        &["POST 0", "PUT 300000", "GET 0", "PATCH 100000-299999", "PATCH 170000-299999", "PUT 0"],
    )
    .await;
}

#[tokio::test]
async fn a_stream_in_pieces_is_overcome_with_and_its_state_advances() {
    let blob = bytes(LEN);
    let cuts = vec![Cut::None, Cut::After(30_000, Reply::dropped()), Cut::After(50_000, Reply::status(502))];
    let (peer, kept) = registry(Ways { cuts, ..Ways::default() }).await;
    let mut upload = repository(&in_pieces(100_000), &peer).upload(None).await.unwrap();
    let mut offsets = vec![];
    for chunk in blob.chunks(60_000) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        offsets.push(upload.state().offset);
    }
    assert_eq!(offsets, [0, 100_000, 100_000, 180_000, 280_000]);
    upload.commit(&Digest::sha256(&blob)).await.unwrap();
    assert_eq!(kept.lock().unwrap().blobs, [blob]);
}

async fn check_gone_on_with(registries: Registries, expect: &[&str]) {
    let blob = bytes(LEN);
    let (peer, kept) = registry(Ways::default()).await;
    let mut first = repository(&in_pieces(100_000), &peer).upload(None).await.unwrap();
    first.write(Bytes::copy_from_slice(&blob[..250_000])).await.unwrap();
    let state: UploadState = serde_json::from_str(&serde_json::to_string(&first.state()).unwrap()).unwrap();
    drop(first);
    assert_eq!(state.offset, 200_000);
    let mut second = repository(&registries, &peer).upload(Some(state.clone())).await.unwrap();
    assert_eq!(second.state().offset, 200_000);
    second.write(Bytes::copy_from_slice(&blob[200_000..])).await.unwrap();
    second.commit(&Digest::sha256(&blob)).await.unwrap();
    assert_eq!(kept.lock().unwrap().blobs, [blob]);
    assert_eq!(steps(&peer)[3..], *expect);
    let error = repository(&anonymous(), &peer).upload(Some(state)).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn another_process_goes_on_with_what_was_acknowledged() {
    check_gone_on_with(anonymous(), &["GET 0", "PATCH 100000", "PUT 0"]).await;
    let pieces = ["GET 0", "PATCH 200000-259999", "PATCH 260000-299999", "PUT 0"];
    check_gone_on_with(in_pieces(60_000), &pieces).await;
}

#[tokio::test]
async fn a_registry_without_pieces_gets_a_stream_in_one_request() {
    let blob = bytes(20_000);
    let (peer, kept) = registry(Ways { longest_piece: Some(0), ..Ways::default() }).await;
    let registries = in_pieces(9_000);
    for _ in 0..2 {
        let chunks: Vec<_> = blob.chunks(4_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut upload = repository(&registries, &peer).upload(None).await.unwrap();
        let mut chunks = stream::iter(chunks);
        while let Some(Ok::<_, ()>(chunk)) = chunks.next().await {
            upload.write(chunk).await.unwrap();
        }
        upload.commit(&Digest::sha256(&blob)).await.unwrap();
    }
    let streamed = ["POST 0", "PATCH 20000", "PUT 0"].map(str::to_owned);
    assert_eq!(steps(&peer)[6..], [&streamed[..], &streamed[..]].concat()[..]);
    assert_eq!(kept.lock().unwrap().blobs.len(), 2);
}

#[tokio::test]
async fn a_stream_that_was_too_long_goes_in_pieces_the_next_time() {
    let blob = bytes(20_000);
    let ways = Ways { longest_body: Some(9_000), words: "at most 9 kB", ..Ways::default() };
    let (peer, kept) = registry(ways).await;
    let registries = anonymous();
    let put = || {
        let payload = Payload::Once(stream::iter([Ok(Bytes::from(blob.clone()))]).boxed());
        let repository = repository(&registries, &peer);
        let layer = layer(&blob);
        async move { repository.put_blob(&layer, payload).await }
    };
    assert!(put().await.is_err());
    put().await.unwrap();
    assert_eq!(kept.lock().unwrap().blobs, std::slice::from_ref(&blob));
}

/// A peer that tells of every `DELETE`.
async fn watched() -> (Peer, mpsc::UnboundedReceiver<String>) {
    let (sender, told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" | "PATCH" => Reply::status(202).header("location", "/up/1"),
        "DELETE" => {
            sender.send(request.line()).unwrap();
            Reply::status(500)
        }
        _ => Reply::status(400).body("no"),
    })
    .await;
    (peer, told)
}

async fn cancelled(told: &mut mpsc::UnboundedReceiver<String>) -> Option<String> {
    tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap()
}

#[tokio::test]
async fn a_session_that_nobody_goes_on_with_is_cancelled() {
    let expect = Some("DELETE /up/1".to_owned());
    let (peer, mut told) = watched().await;
    let repository = repository(&anonymous(), &peer);
    drop(repository.upload(None).await.unwrap());
    assert_eq!(cancelled(&mut told).await, expect);
    let mut upload = repository.upload(None).await.unwrap();
    upload.write("blob".into()).await.unwrap();
    drop(upload);
    assert_eq!(cancelled(&mut told).await, expect);
    // Refused, and the refusal is reported whatever becomes of the session.
    let put = repository.put_blob(&layer(b"blob"), Bytes::from("blob").into()).await;
    assert!(put.unwrap_err().to_string().ends_with("400: no"));
    assert_eq!(told.try_recv().ok(), expect);
    // The state was taken, to go on with it.
    let upload = repository.upload(None).await.unwrap();
    let state = upload.state();
    drop(upload);
    assert_eq!(state.offset, 0);
    drop(peer);
    assert_eq!(told.recv().await, None);
}

#[tokio::test]
async fn a_put_that_is_dropped_midway_cancels_its_session() {
    let (sender, mut told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |request| {
        sender.send(request.method.clone()).unwrap();
        match request.method.as_str() {
            "POST" => Reply::status(202).header("location", "/up/1"),
            "PUT" => Reply::status(201),
            _ => Reply::status(404),
        }
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let blob = layer(b"blob");
    let put = repository.put_blob(&blob, Bytes::from("blob").into());
    let dropped = async { while told.recv().await.is_some_and(|method| method != "PUT") {} };
    // The request is told of before its answer is written, and that is looked at first.
    tokio::select! {
        biased;
        () = dropped => {}
        _ = put => {}
    }
    while cancelled(&mut told).await.is_some_and(|method| method != "DELETE") {}
}

#[tokio::test]
async fn m094_a_mount_that_was_none_shows_when_the_manifest_comes() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "POST" => Reply::status(201),
        _ => Reply::status(400).body(r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}"#),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let from = RepoName::parse("c/d").unwrap();
    assert!(matches!(repository.mount(&Digest::sha256(b"x"), &from).await.unwrap(), Mounted::Mounted));
    let manifest = refs_testkit::Image::new().manifest().unwrap();
    let error = repository.put_manifest(&manifest, &[]).await.unwrap_err();
    assert!(error.to_string().ends_with("MANIFEST_BLOB_UNKNOWN: blob unknown"), "{error}");
}

#[tokio::test]
async fn a_registry_that_can_not_mount_is_not_asked_again() {
    let peer = Peer::start(|request| match request.target.contains("mount=") {
        true => Reply::status(405),
        false => Reply::status(202).header("location", "/up/1"),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let from = RepoName::parse("c/d").unwrap();
    for _ in 0..2 {
        let mounted = repository.mount(&Digest::sha256(b"x"), &from).await.unwrap();
        assert!(matches!(mounted, Mounted::Upload(_)));
    }
    let mounts = peer.lines().into_iter().filter(|line| line.contains("mount=")).count();
    assert_eq!(mounts, 1);
}

#[tokio::test]
async fn another_algorithm_is_told_when_a_session_begins() {
    let digest = Digest::parse(&format!("sha512:{}", "a".repeat(128))).unwrap();
    let peer = Peer::start(|request| match request.method.as_str() {
        "POST" => Reply::status(202).header("location", "/up/1"),
        _ => Reply::status(404),
    })
    .await;
    let blob = Descriptor::new(MediaType::OCI_LAYER, digest, 4);
    for payload in [Payload::from(Bytes::from("blob")), Payload::Once(stream::iter([Ok(Bytes::from("blob"))]).boxed())]
    {
        let put = repository(&anonymous(), &peer).put_blob(&blob, payload).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Digest);
    }
    let begun: Vec<_> = peer.lines().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(begun, ["POST /v2/a/b/blobs/uploads/?digest-algorithm=sha512"; 2]);
}
