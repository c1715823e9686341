//! What only HTTP/2 can do to a request. The client speaks it from the first byte on, without TLS to agree on it.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, LOCATION, RANGE},
};
use refs_testkit::http2::{Answer, Http2Peer};
use refs_url::{Digest, RepoName};
use tokio::{sync::Notify, time};

use super::{Transport, routes::Routes};
use crate::{
    Clock, Descriptor, Error, MediaType, Options, Registry, Repository, Result, Resume, Retry, Sink, Source, Timeouts,
    auth::Anonymous,
};

const LEN: usize = 300_000;

/// A clock that jumps over the waits between attempts, and notes them. Deadlines do not pass by themselves.
#[derive(Debug)]
struct Jumping {
    start: Instant,
    deadlines: Timeouts,
    waits: Mutex<Vec<Duration>>,
    /// How much of it is over.
    passed: Mutex<Duration>,
    /// Which deadline passes once when it is told to.
    passes: Option<(Duration, Arc<Notify>)>,
}

impl Jumping {
    fn new(deadlines: Timeouts, passes: Option<(Duration, Arc<Notify>)>) -> Self {
        Self { start: Instant::now(), deadlines, waits: Mutex::default(), passed: Mutex::default(), passes }
    }
}

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }

    async fn sleep(&self, wait: Duration) {
        if let Some((_, told)) = self.passes.as_ref().filter(|(deadline, _)| *deadline == wait) {
            return told.notified().await;
        }
        if wait == self.deadlines.headers || wait == self.deadlines.idle {
            return std::future::pending().await;
        }
        self.waits.lock().unwrap().push(wait);
    }
}

fn clock() -> Arc<Jumping> {
    clock_with(Timeouts::default())
}

fn clock_with(deadlines: Timeouts) -> Arc<Jumping> {
    Arc::new(Jumping::new(deadlines, None))
}

/// A clock by which one of the deadlines passes, once each time that it is told to.
fn clock_passing(deadline: impl FnOnce(&Timeouts) -> Duration) -> (Arc<Jumping>, Arc<Notify>) {
    let (deadlines, told) = (Timeouts::default(), Arc::new(Notify::new()));
    let passes = Some((deadline(&deadlines), Arc::clone(&told)));
    (Arc::new(Jumping::new(deadlines, passes)), told)
}

fn blob() -> Bytes {
    (0..LEN).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// The repository of a client that takes for granted that `peer` speaks HTTP/2.
fn repository(peer: &Http2Peer, clock: &Arc<Jumping>) -> Repository {
    repository_with(peer, clock, Retry::default())
}

fn repository_with(peer: &Http2Peer, clock: &Arc<Jumping>, retry: Retry) -> Repository {
    let (timeouts, clock) = (clock.deadlines, Arc::clone(clock) as _);
    let options = Options { credentials: Arc::new(Anonymous), clock, timeouts, retry, ..Options::default() };
    let routes = Routes::over_http2(&options);
    let mut transport = Transport::new(options);
    transport.routes = routes;
    let registry = Registry::new(&peer.host(), &Arc::new(transport)).unwrap();
    registry.repository(&RepoName::parse("a/b").unwrap())
}

/// Answers the nth request with the nth of `first`, and all later ones with the whole blob.
fn peer(first: Vec<Answer>) -> Http2Peer {
    let mut first = first.into_iter();
    Http2Peer::start(move |_| first.next().unwrap_or_else(|| Answer::Blob(blob())))
}

async fn read(repository: &Repository) -> Result<Bytes> {
    let stream = repository.blob(&Digest::sha256(&blob()), Resume::START).await?.stream;
    Ok(stream.try_collect::<Vec<_>>().await?.concat().into())
}

#[tokio::test]
async fn m021_a_stream_that_is_refused_is_asked_for_at_once_and_costs_no_attempt() {
    let (peer, clock) = (peer(vec![Answer::Refused; 3]), clock());
    assert_eq!(read(&repository(&peer, &clock)).await.unwrap(), blob());
    assert_eq!((peer.requests().len(), clock.waits.lock().unwrap().as_slice()), (4, &[Duration::ZERO; 3][..]));
}

#[tokio::test]
async fn m021_a_server_that_refuses_every_stream_is_given_up() {
    let (peer, clock) = (peer(vec![Answer::Refused; 99]), clock());
    let error = read(&repository(&peer, &clock)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(peer.requests().len(), 3 + 5);
}

#[tokio::test]
async fn m021_an_upload_that_was_not_looked_at_begins_anew_at_no_attempt() {
    let (mut refused, clock) = (3, clock());
    let peer = Http2Peer::start(move |request| {
        let head = |status, name, value: &str| Answer::Head(status, name, value.to_owned());
        match *request.method() {
            Method::POST => head(StatusCode::ACCEPTED, LOCATION, "/v2/a/b/blobs/uploads/1"),
            Method::PUT if refused > 0 => {
                refused -= 1;
                Answer::Refused
            }
            Method::PUT => head(StatusCode::CREATED, LOCATION, "/v2/a/b/blobs/x"),
            Method::GET => head(StatusCode::NO_CONTENT, RANGE, "0-0"),
            _ => head(StatusCode::NOT_FOUND, CONTENT_LENGTH, "0"),
        }
    });
    let repository = repository_with(&peer, &clock, Retry { attempts: 1, ..Retry::default() });
    let blob = Descriptor::of(MediaType::OCI_LAYER, &blob());
    repository.put_blob(&blob, self::blob().into()).await.unwrap();
    assert_eq!(peer.requests().iter().filter(|line| line.starts_with("PUT ")).count(), 4);
}

#[tokio::test]
async fn m021_a_body_that_is_reset_goes_on_where_it_was() {
    let (peer, clock) = (peer(vec![Answer::Reset(blob(), 100_000)]), clock());
    assert_eq!(read(&repository(&peer, &clock)).await.unwrap(), blob());
    let path = format!("GET /v2/a/b/blobs/{}", Digest::sha256(&blob()));
    assert_eq!(peer.requests(), [path.clone(), format!("{path} bytes=100000-")]);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn m021_a_body_that_ends_with_its_connection_goes_on_over_another() {
    let (peer, clock) = (peer(vec![Answer::GoAway(blob(), 100_000)]), clock());
    assert_eq!(read(&repository(&peer, &clock)).await.unwrap(), blob());
    assert_eq!(peer.requests().len(), 2);
    assert!(peer.requests()[1].ends_with(" bytes=100000-"), "{:?}", peer.requests());
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn m021_a_connection_that_takes_no_more_requests_is_left_for_another() {
    let (peer, clock) = (peer(vec![Answer::Last(blob()), Answer::Last(blob())]), clock());
    let repository = repository(&peer, &clock);
    for connections in 1..=3 {
        assert_eq!(read(&repository).await.unwrap(), blob());
        assert_eq!(peer.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_left_for_another() {
    // None of the deadlines passes; what does is the time after which the connection is asked whether it lives.
    const PING: Duration = Duration::from_secs(60);
    let clock = clock_with(Timeouts { ping: Some(PING), ..Timeouts::default() });
    let silent = Arc::new(Notify::new());
    let (told, mut answers) = (Arc::clone(&silent), vec![Answer::Blob(blob()), Answer::Nothing].into_iter());
    let peer = Http2Peer::start(move |_| {
        let answer = answers.next().unwrap_or_else(|| Answer::Blob(blob()));
        if answer == Answer::Nothing {
            told.notify_one();
        }
        answer
    });
    let repository = repository(&peer, &clock);
    assert_eq!(read(&repository).await.unwrap(), blob());
    assert_eq!(peer.connections(), 1);
    let time = async {
        silent.notified().await;
        time::pause();
        // Until it is asked, and until it has not answered.
        pass(PING).await;
        pass(PING).await;
        time::resume();
    };
    let (again, ()) = tokio::join!(read(&repository), time);
    assert_eq!(again.unwrap(), blob());
    assert_eq!(peer.connections(), 2);
}

/// Lets time pass, and everything happen here for which it is time then.
async fn pass(wait: Duration) {
    const TURNS: usize = 100;
    time::advance(wait).await;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// What comes, unless nothing does for longer than any of these tests takes.
async fn soon<T>(all: impl Future<Output = T>) -> T {
    time::timeout(Duration::from_secs(60), all).await.expect("a deadline passes")
}

#[tokio::test]
async fn a_connection_on_which_a_request_timed_out_is_left_for_another_by_all_that_follow() {
    let (clock, told) = clock_passing(|deadlines| deadlines.headers);
    let mut answers = vec![Answer::Blob(blob()), Answer::Nothing].into_iter();
    let peer = Http2Peer::start(move |_| {
        let answer = answers.next().unwrap_or_else(|| Answer::Blob(blob()));
        if answer == Answer::Nothing {
            told.notify_one();
        }
        answer
    });
    let repository = repository(&peer, &clock);
    for connections in [1, 2, 2] {
        assert_eq!(soon(read(&repository)).await.unwrap(), blob());
        assert_eq!(peer.connections(), connections);
    }
}

#[tokio::test]
async fn an_upload_whose_beginning_timed_out_begins_over_another_connection() {
    let (clock, told) = clock_passing(|deadlines| deadlines.headers);
    let mut is_silent = false;
    let peer = Http2Peer::start(move |request| {
        let head = |status, name, value: &str| Answer::Head(status, name, value.to_owned());
        match *request.method() {
            Method::POST if !std::mem::replace(&mut is_silent, true) => {
                told.notify_one();
                Answer::Nothing
            }
            Method::POST => head(StatusCode::ACCEPTED, LOCATION, "/v2/a/b/blobs/uploads/1"),
            Method::PUT => head(StatusCode::CREATED, LOCATION, "/v2/a/b/blobs/x"),
            Method::GET => head(StatusCode::NO_CONTENT, RANGE, "0-0"),
            _ => head(StatusCode::NOT_FOUND, CONTENT_LENGTH, "0"),
        }
    });
    let blob = Descriptor::of(MediaType::OCI_LAYER, &blob());
    let put = async { repository(&peer, &clock).put_blob(&blob, self::blob().into()).await };
    soon(put).await.unwrap();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn a_body_that_timed_out_goes_on_over_another_connection_and_other_bodies_where_they_are() {
    // More than a connection takes before it is read from.
    const LONG: usize = 8 << 20;
    let long = Bytes::from(vec![7; LONG]);
    let (clock, told) = clock_passing(|deadlines| deadlines.idle);
    let (mut first, other) = (vec![Answer::Blob(long.clone()), Answer::Stall(blob(), 100_000)].into_iter(), blob());
    let peer = Http2Peer::start(move |_| first.next().unwrap_or_else(|| Answer::Blob(other.clone())));
    let repository = repository(&peer, &clock);
    let under_way = repository.blob(&Digest::sha256(&long), Resume::START).await.unwrap().stream;
    told.notify_one();
    assert_eq!(soon(read(&repository)).await.unwrap(), blob());
    assert_eq!((peer.requests().len(), peer.connections()), (3, 2));
    assert_eq!(soon(under_way.try_collect::<Vec<_>>()).await.unwrap().concat(), long);
    assert_eq!((peer.requests().len(), peer.connections()), (3, 2));
}

#[tokio::test]
async fn a_connection_on_which_a_request_was_given_up_after_a_while_is_left_for_another() {
    let (clock, seen) = (clock(), Arc::new(Notify::new()));
    let (told, mut answers) = (Arc::clone(&seen), vec![Answer::Nothing].into_iter());
    let peer = Http2Peer::start(move |_| {
        told.notify_one();
        answers.next().unwrap_or_else(|| Answer::Blob(blob()))
    });
    let repository = repository(&peer, &clock);
    {
        let mut given_up = pin!(read(&repository));
        tokio::select! {
            _ = &mut given_up => panic!("it is not answered"),
            () = soon(seen.notified()) => {}
        }
        *clock.passed.lock().unwrap() += Duration::from_secs(10);
    }
    assert_eq!(soon(read(&repository)).await.unwrap(), blob());
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn a_connection_on_which_a_body_was_given_up_after_a_while_is_left_for_another() {
    const COME: usize = 100_000;
    let long = Bytes::from(vec![7; 8 << 20]);
    for (waited, connections) in [(Duration::ZERO, 1), (Duration::from_secs(10), 2)] {
        let (clock, peer) = (clock(), peer(vec![Answer::Stall(long.clone(), COME)]));
        let repository = repository(&peer, &clock);
        let mut given_up = repository.blob(&Digest::sha256(&long), Resume::START).await.unwrap().stream;
        let mut come = 0;
        while come < COME {
            come += soon(given_up.try_next()).await.unwrap().unwrap().len();
        }
        assert!(futures_util::poll!(given_up.try_next()).is_pending());
        *clock.passed.lock().unwrap() += waited;
        drop(given_up);
        assert_eq!(soon(read(&repository)).await.unwrap(), blob());
        assert_eq!(peer.connections(), connections);
    }
}
