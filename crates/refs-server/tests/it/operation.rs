//! What keeps a server up: bounds, health, a stop in order.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use refs_server::{Body, Health, Options, Peer, Probe, ServeOptions, Server, serve};
use refs_store::Memories;
use refs_testkit::until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tower_service::Service;

use crate::direct::{Answer, ask};

fn server(options: &Options) -> Server {
    Server::writable(Arc::new(Memories::new()), options)
}

fn from(client: [u8; 4], path: &str) -> Request<Empty<Bytes>> {
    let peer = Peer(SocketAddr::from((Ipv4Addr::from(client), 1)));
    Request::get(path).extension(peer).body(Empty::new()).unwrap()
}

async fn answered(server: &Server, client: [u8; 4]) -> Response<Body> {
    server.answer(from(client, "/v2/")).await
}

#[tokio::test]
async fn a_server_is_a_service() {
    let mut server = server(&Options::default());
    let response = server.call(from([127, 0, 0, 1], "/v2/o/r/tags/list")).await.unwrap();
    assert_eq!(Answer::of(response).await.summary(), "404 NAME_UNKNOWN");
}

#[tokio::test]
async fn a_request_is_under_way_until_its_answer_has_left() {
    let server = server(&Options { requests: 2, requests_each: 1, ..Options::default() });
    let first = answered(&server, [10, 0, 0, 1]).await;
    let second = answered(&server, [10, 0, 0, 2]).await;
    assert_eq!((first.status(), second.status(), server.load().requests), (200.try_into().unwrap(), first.status(), 2));
    for (client, expect) in [([10, 0, 0, 1], "429 TOOMANYREQUESTS"), ([10, 0, 0, 3], "503 TOOMANYREQUESTS")] {
        let refused = Answer::of(answered(&server, client).await).await;
        assert_eq!((refused.summary().as_str(), refused.header("retry-after")), (expect, "1"));
    }
    assert_eq!(ask(&server, "GET /healthz", &[], "").await.status, 200);
    assert_eq!(Answer::of(first).await.summary(), "200");
    assert_eq!(server.load().requests, 1);
    assert_eq!(answered(&server, [10, 0, 0, 1]).await.status(), 200);
    drop(second);
    assert_eq!(server.load().requests, 0);
}

/// A store that takes no writes, and counts how often it was tried.
#[derive(Debug, Default)]
struct Full(AtomicUsize);

#[async_trait]
impl Probe for Full {
    async fn is_writable(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        false
    }
}

#[tokio::test]
async fn health_is_told_to_whoever_asks() {
    let server = server(&Options::default());
    let check = async |line, status, body: &str| {
        let told = ask(&server, line, &[], "").await;
        assert_eq!((told.status, &*told.body), (status, body.as_bytes()), "{line}");
    };
    check("GET /healthz", 200, "ok\n").await;
    check("GET /healthz?verbose", 200, "ok\n").await;
    check("HEAD /healthz", 200, "").await;
    assert_eq!(ask(&server, "PUT /healthz", &[], "").await.summary(), "405 UNSUPPORTED");
    assert_eq!(ask(&server, "GET /healthz/", &[], "").await.summary(), "404 UNKNOWN");
    server.drain();
    check("GET /healthz", 503, "draining\n").await;
    check("GET /v2/", 200, "{}").await;
}

/// By a clock that stands still, both ask at the same time.
#[tokio::test(start_paused = true)]
async fn a_store_without_room_is_told_and_not_tried_for_each_who_asks() {
    let full = Arc::new(Full::default());
    let probe: Option<Arc<dyn Probe>> = Some(Arc::<Full>::clone(&full));
    let server = server(&Options { probe, ..Options::default() });
    assert_eq!(ask(&server, "GET /healthz", &[], "").await.body, "the store cannot be written\n");
    assert_eq!(server.health().await, Health::Unwritable);
    assert_eq!(full.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_about_to_stop_answers_until_all_have_taken_notice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let options = ServeOptions { notice: Duration::from_secs(3600), ..ServeOptions::default() };
    let server = server(&Options::default());
    let serving = tokio::spawn({
        let server = server.clone();
        async move { serve(listener, server, &options, async { stopped.await.unwrap() }).await }
    });
    stop.send(()).unwrap();
    until(async || server.health().await == Health::Draining).await;
    for (path, expect) in [("/healthz", "HTTP/1.1 503 "), ("/v2/", "HTTP/1.1 200 ")] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expect), "{answer}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_request_that_is_sent_before_its_turn_waits_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server(&Options { requests: 1, ..Options::default() });
    let serving = tokio::spawn(async move {
        serve(listener, server, &ServeOptions::default(), std::future::pending()).await;
    });
    let mut peer = TcpStream::connect(address).await.unwrap();
    let ask = "GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n".repeat(9);
    peer.write_all(format!("{ask}GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answers = String::new();
    peer.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 10, "{answers}");
    serving.abort();
}
