//! Uploads that are written down, and gone on with by somebody else.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use refs_registry::{
    Descriptor, ErrorKind, MediaType, Noted, Notes, Options, Registries, Replay, Result, Retry, Sent, Sink,
    UploadState, auth::Anonymous,
};

use crate::{
    peer::{Peer, Reply},
    pieces::in_pieces,
    setup::{TestClock, anonymous, bytes, options, repository},
    ways::{Cut, Shared, Ways, registry},
};

const LEN: usize = 300_000;
const PIECE: u64 = 100_000;
const WHOLE: &[&str] = &["POST 0", "PUT 300000"];
const PIECES: &[&str] = &["POST 0", "PATCH 0-99999", "PATCH 100000-199999", "PATCH 200000-299999", "PUT 0"];

/// Notes that outlast a client.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Option<UploadState>>>);

#[async_trait]
impl Notes for Book {
    async fn last(&self) -> Option<UploadState> {
        self.0.lock().unwrap().clone()
    }

    async fn write(&self, state: &UploadState) {
        *self.0.lock().unwrap() = Some(state.clone());
    }

    async fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }
}

/// A registry, another that has a blob of [`LEN`] bytes, and notes on how that gets from there to here.
struct Rig {
    to: Peer,
    kept: Shared,
    from: Peer,
    book: Book,
}

impl Rig {
    async fn new(ways: Ways) -> Self {
        let (to, kept) = registry(ways).await;
        let from = Peer::start(|request| Reply::blob(request, &bytes(LEN))).await;
        Self { to, kept, from, book: Book::default() }
    }

    /// What a client makes of it that knows nothing but the notes, and tries once.
    async fn put(&self) -> Result<Sent> {
        let options = options(&TestClock::new(), vec![Arc::new(Anonymous)]);
        let once = Registries::new(Options { retry: Retry { attempts: 1, ..Retry::default() }, ..options });
        self.put_by(&once).await
    }

    async fn put_by(&self, registries: &Registries) -> Result<Sent> {
        let blob = Descriptor::of(MediaType::OCI_LAYER, &bytes(LEN));
        let replay = Replay::Blob(Arc::new(repository(&anonymous(), &self.from)), blob.digest.clone());
        let notes = Arc::new(self.book.clone());
        let noted = Noted { notes, piece_bytes: NonZeroU64::new(PIECE).unwrap() };
        repository(registries, &self.to).put_noted(&blob, replay, &noted).await
    }

    /// That the blob is there, after these requests since the last time.
    #[track_caller]
    fn check(&self, put: &Result<Sent>, seen: &mut usize, expect: &[&str]) {
        assert!(matches!(put, Ok(Sent::Uploaded)), "{put:?}");
        assert_eq!(self.steps(seen), expect);
        assert!(self.kept.lock().unwrap().blobs == [bytes(LEN)]);
        assert!(self.book.0.lock().unwrap().is_none());
    }

    /// The requests to sessions after the first `seen`.
    fn steps(&self, seen: &mut usize) -> Vec<String> {
        let all: Vec<_> = self.to.seen().into_iter().filter(|request| request.method != "HEAD").collect();
        let steps = all[*seen..].iter().filter(|request| request.method != "DELETE").map(|request| {
            let length = || request.body.len().to_string();
            format!("{} {}", request.method, request.header("content-range").map_or_else(length, str::to_owned))
        });
        let steps = steps.collect();
        *seen = all.len();
        steps
    }

    /// What was read of the source.
    fn ranges(&self) -> Vec<Option<String>> {
        let read = self.from.seen().into_iter().filter(|request| request.method == "GET");
        read.map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn a_blob_that_is_written_down_costs_a_request_for_each_piece_and_is_read_once() {
    let rig = Rig::new(Ways::default()).await;
    rig.check(&rig.put().await, &mut 0, PIECES);
    assert_eq!(rig.ranges(), [None]);
    assert!(matches!(rig.put().await, Ok(Sent::Present)));
}

/// That what was cut in its second piece is gone on with: `rest` is sent, and `read` of the source.
async fn check_rest(ways: Ways, taken: usize, rest: &[&str], read: Option<&str>) {
    let cuts = vec![Cut::None, Cut::After(taken, Reply::dropped())];
    let (rig, mut seen) = (Rig::new(Ways { cuts, ..ways }).await, 0);
    assert_eq!(rig.put().await.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(rig.steps(&mut seen), PIECES[..3]);
    rig.check(&rig.put().await, &mut seen, rest);
    assert_eq!(rig.ranges(), [None, read.map(str::to_owned)]);
}

#[tokio::test]
async fn what_the_registry_has_is_neither_sent_nor_read_again() {
    let rest = ["GET 0", "PATCH 150000-249999", "PATCH 250000-299999", "PUT 0"];
    check_rest(Ways::default(), 50_000, &rest, Some("bytes=150000-299999")).await;
    let rest = ["GET 0", "PATCH 100000-199999", "PATCH 200000-299999", "PUT 0"];
    check_rest(Ways::default(), 0, &rest, Some("bytes=100000-299999")).await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_begun_anew_without_an_error() {
    let anew = [&["GET 0"], PIECES].concat();
    check_rest(Ways { is_forgetful: true, ..Ways::default() }, 50_000, &anew, None).await;
    for session in ["/up/7?_state=0", "https://elsewhere.example/up/1", "//"] {
        let rig = Rig::new(Ways::default()).await;
        rig.book.write(&UploadState { session: session.to_owned(), offset: 9 }).await;
        let asked: &[_] = if session.starts_with("/up") { &["GET 0"] } else { &[] };
        rig.check(&rig.put().await, &mut 0, &[asked, PIECES].concat());
    }
}

/// That the session of another upload, which has `bytes` bytes, does no harm: these are the requests, and the sessions that
/// are open then.
async fn check_other(other: usize, expect: &[&str], open: usize) {
    let (rig, mut seen) = (Rig::new(Ways::default()).await, 0);
    let mut upload = repository(&in_pieces(PIECE), &rig.to).upload(None).await.unwrap();
    upload.write(vec![7; other].into()).await.unwrap();
    rig.book.write(&upload.state()).await;
    drop(upload);
    rig.steps(&mut seen);
    rig.check(&rig.put().await, &mut seen, expect);
    assert_eq!(rig.kept.lock().unwrap().open_sessions(), open);
}

#[tokio::test]
async fn a_session_of_another_upload_is_found_out_at_its_end_and_the_blob_is_sent_anew() {
    let found_out = ["GET 0", "PATCH 100000-199999", "PATCH 200000-299999", "PUT 0", "POST 0", "PUT 300000"];
    check_other(100_000, &found_out, 0).await;
    check_other(300_000, &["GET 0", "PUT 0", "POST 0", "PUT 300000"], 0).await;
    // Of more bytes than there are it can't be, and is left alone.
    check_other(400_000, &[&["GET 0"], PIECES].concat(), 1).await;
}

/// That a registry with `ways` is sent the blob as one in the end, and what is left of another upload is begun anew.
async fn check_whole(ways: Ways, learning: &[&str]) {
    let (rig, mut seen) = (Rig::new(ways).await, 0);
    let registries = anonymous();
    rig.check(&rig.put_by(&registries).await, &mut seen, &[learning, WHOLE].concat());
    rig.kept.lock().unwrap().blobs.clear();
    rig.check(&rig.put_by(&registries).await, &mut seen, WHOLE);
}

#[tokio::test]
async fn a_registry_that_takes_no_pieces_or_small_ones_is_sent_one() {
    let words = r#"{"errors":[{"code":"SIZE_INVALID","message":"at most 4.00KiB"}]}"#;
    let refused = ["POST 0", "PATCH 0-99999", "GET 0"];
    check_whole(Ways { longest_piece: Some(4_096), words, ..Ways::default() }, &refused).await;
    let twice = [refused, refused].concat();
    check_whole(Ways { longest_piece: Some(0), ..Ways::default() }, &twice).await;
}

/// What a registry that answers as `answer` says to requests of sessions is asked, and what comes of it.
async fn answered(
    state: Option<UploadState>,
    mut answer: impl FnMut(&str) -> Reply + Send + 'static,
) -> (Result<Sent>, Rig) {
    let rig = Rig::new(Ways::default()).await;
    let to = Peer::start(move |request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("location", "/up/1"),
        method => answer(method),
    })
    .await;
    let rig = Rig { to, ..rig };
    *rig.book.0.lock().unwrap() = state;
    (rig.put().await, rig)
}

#[tokio::test]
async fn a_registry_that_refuses_a_piece_is_sent_one() {
    let (put, rig) = answered(None, |method| Reply::status(if method == "PUT" { 201 } else { 400 })).await;
    assert!(matches!(put, Ok(Sent::Uploaded)), "{put:?}");
    assert_eq!(rig.steps(&mut 0), [&["POST 0", "PATCH 0-99999"], WHOLE].concat());
}

/// The answer of a session that has all of it.
fn told(status: u16) -> Reply {
    Reply::status(status).header("location", "/up/1").header("range", "0-299999")
}

#[tokio::test]
async fn what_an_error_leaves_is_gone_on_with_where_that_may_help() {
    let all = || Some(UploadState { session: "/up/1".to_owned(), offset: LEN as u64 });
    // A session whose end fails may fail for ever.
    let (put, rig) = answered(all(), |method| told(if method == "PUT" { 500 } else { 204 })).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Unreachable);
    assert!(rig.book.0.lock().unwrap().is_none());
    // Who may not write is told so once.
    let (put, rig) = answered(all(), |method| told(if method == "PUT" { 403 } else { 204 })).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(rig.steps(&mut 0), ["GET 0", "PUT 0"]);
}

/// That what has come stays after the second piece is answered with `status`, and nothing is sent a second time.
async fn check_stays(status: u16, expect: ErrorKind) {
    let mut pieces = 0;
    let (put, rig) = answered(None, move |method| {
        pieces += usize::from(method == "PATCH");
        match (method, pieces) {
            ("PATCH", 1) => Reply::status(202).header("location", "/up/1").header("range", "0-99999"),
            _ => Reply::status(status),
        }
    })
    .await;
    assert_eq!(put.unwrap_err().kind(), expect, "{status}");
    assert_eq!(rig.steps(&mut 0)[..3], ["POST 0", "PATCH 0-99999", "PATCH 100000-199999"], "{status}");
    let seen: Vec<_> = rig.to.seen().into_iter().map(|request| request.method).collect();
    assert!(!seen.iter().any(|method| method == "DELETE" || method == "PUT"), "{status}: {seen:?}");
    assert_eq!(rig.book.last().await.unwrap().offset, PIECE, "{status}");
}

#[tokio::test]
async fn what_was_taken_stays_where_the_cause_is_elsewhere() {
    check_stays(401, ErrorKind::Unauthorized).await;
    check_stays(403, ErrorKind::Denied).await;
    check_stays(412, ErrorKind::Protocol).await;
    check_stays(507, ErrorKind::Unreachable).await;
}

#[tokio::test]
async fn what_was_taken_stays_when_the_source_gives_nothing() {
    for (status, expect) in [(403, ErrorKind::Denied), (404, ErrorKind::NotFound)] {
        let state = UploadState { session: "/up/1".to_owned(), offset: PIECE };
        let rig = Rig::new(Ways::default()).await;
        let to = Peer::start(|request| match request.method.as_str() {
            "HEAD" => Reply::status(404),
            _ => Reply::status(204).header("location", "/up/1").header("range", "0-99999"),
        })
        .await;
        let rig = Rig { to, from: Peer::start(move |_| Reply::status(status)).await, ..rig };
        rig.book.write(&state).await;
        assert_eq!(rig.put().await.unwrap_err().kind(), expect);
        assert_eq!(rig.book.last().await.unwrap().offset, PIECE);
        assert!(!rig.to.seen().iter().any(|request| matches!(&*request.method, "DELETE" | "POST")));
    }
}

#[tokio::test]
async fn what_an_earlier_upload_has_left_stays_where_none_may_be_begun() {
    for status in [400, 401, 403, 404, 429, 503, 507] {
        let state = UploadState { session: "/up/1".to_owned(), offset: PIECE };
        let rig = Rig::new(Ways::default()).await;
        let to = Peer::start(move |request| Reply::status(if request.method == "HEAD" { 404 } else { status })).await;
        let rig = Rig { to, ..rig };
        rig.book.write(&state).await;
        rig.put().await.unwrap_err();
        assert_eq!(rig.book.last().await, Some(state), "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_loses_each_session_at_its_end_is_sent_the_blob_as_often_as_attempts_are_made() {
    let rig = Rig::new(Ways::default()).await;
    let mut taken = 0;
    let to = Peer::start(move |request| match request.method.as_str() {
        "POST" => {
            taken = 0;
            Reply::status(202).header("location", "/up/1")
        }
        "PATCH" => {
            taken += request.body.len();
            let range = format!("0-{}", taken - 1);
            Reply::status(202).header("location", "/up/1").header("range", &range)
        }
        _ => Reply::status(404),
    })
    .await;
    let rig = Rig { to, ..rig };
    let error = rig.put_by(&anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let begun = rig.steps(&mut 0).iter().filter(|step| *step == "POST 0").count();
    assert_eq!(begun, Retry::default().attempts as usize);
}

#[tokio::test]
async fn a_registry_that_takes_little_of_each_piece_is_given_up() {
    let rig = Rig::new(Ways::default()).await;
    let mut taken = 0;
    let to = Peer::start(move |request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("location", "/up/1"),
        method => {
            taken += 5_000 * usize::from(method == "PATCH");
            let range = format!("0-{}", taken - 1);
            Reply::status(202).header("location", "/up/1").header("range", &range)
        }
    })
    .await;
    let rig = Rig { to, ..rig };
    let error = rig.put_by(&anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let pieces = rig.steps(&mut 0).iter().filter(|step| step.starts_with("PATCH")).count();
    assert_eq!(pieces, Retry::default().attempts as usize);
}

#[tokio::test]
async fn a_session_with_less_than_it_had_is_not_gone_on_with() {
    let state = UploadState { session: "/up/1".to_owned(), offset: 2 * PIECE };
    let (put, rig) = answered(Some(state), |method| match method {
        "GET" => Reply::status(204).header("location", "/up/1").header("range", "0-99999"),
        "PUT" => Reply::status(201),
        _ => Reply::status(202).header("location", "/up/2"),
    })
    .await;
    assert!(matches!(put, Ok(Sent::Uploaded)), "{put:?}");
    assert_eq!(rig.steps(&mut 0), [&["GET 0"], PIECES].concat());
}
