//! Figures, and the listener that gives them.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use refs_server::{Metrics, Mirror, MirrorOptions, Options, Server, serve_metrics};
use refs_store::{DiskOptions, DiskStore, Memories};
use refs_testkit::FakeRegistry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::mirror::rig::{blob, upstream};

fn measured() -> (Metrics, Options) {
    let metrics = Metrics::new();
    let options = Options { observers: vec![Arc::new(metrics.clone())], ..Options::default() };
    (metrics, options)
}

async fn asked(server: &Server, line: &str, body: &'static str) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::from(body)).unwrap();
    server.answer(request).await.into_body().collect().await.unwrap();
}

/// The figures without those that depend on time.
#[track_caller]
fn check(metrics: &Metrics, server: &Server, expect: &[&str]) {
    let text = metrics.text(&server.load()).unwrap();
    expect.iter().for_each(|line| assert!(text.lines().any(|one| one == *line), "`{line}` is not in:\n{text}"));
}

#[tokio::test]
async fn requests_are_counted_without_their_names() {
    let (metrics, options) = measured();
    let server = Server::writable(Arc::new(Memories::new()), &options);
    for n in 0..20 {
        asked(&server, &format!("GET /v2/private/{n}/tags/list"), "").await;
        asked(&server, &format!("W{n} /v2/"), "").await;
    }
    asked(&server, "POST /v2/o/r/blobs/uploads/", "").await;
    asked(&server, "PUT /v2/o/r/manifests/v1", "no manifest").await;
    metrics.set_store_bytes(1234);
    check(
        &metrics,
        &server,
        &[
            "refs_requests_total{method=\"GET\",endpoint=\"tags\",status=\"404\"} 20",
            "refs_requests_total{method=\"other\",endpoint=\"other\",status=\"405\"} 20",
            "refs_requests_total{method=\"POST\",endpoint=\"upload\",status=\"202\"} 1",
            "refs_answer_seconds_count{endpoint=\"tags\"} 20",
            "refs_first_byte_seconds_count{endpoint=\"tags\"} 20",
            "refs_received_bytes_total 11",
            "refs_requests_under_way 0",
            "refs_uploads 1",
            "refs_store_bytes 1234",
            "# EOF",
        ],
    );
    let text = metrics.text(&server.load()).unwrap();
    assert!(!text.contains("private") && !text.contains("W1"), "{text}");
}

#[tokio::test]
async fn answers_of_a_mirror_are_counted_by_upstream_and_result() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", b"content").await;
    let (metrics, options) = measured();
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::new(folder.path().join("store"), &DiskOptions::default());
    let mirror = Mirror::new(vec![upstream("", registry.host())], Arc::new(store), &MirrorOptions::default());
    let server = Server::mirror(mirror.unwrap(), &options);
    for _ in 0..3 {
        asked(&server, &format!("GET /v2/o/r/blobs/{digest}"), "").await;
    }
    asked(&server, "GET /v2/o/r/manifests/never", "").await;
    let host = registry.host();
    let lines = [
        format!("refs_mirror_answers_total{{upstream=\"{host}\",result=\"miss\"}} 1"),
        format!("refs_mirror_answers_total{{upstream=\"{host}\",result=\"hit\"}} 2"),
        format!("refs_upstream_questions_total{{upstream=\"{host}\"}} 2"),
        format!("refs_upstream_errors_total{{upstream=\"{host}\",kind=\"not_found\"}} 1"),
    ];
    check(&metrics, &server, &lines.each_ref().map(String::as_str));
}

#[tokio::test]
async fn figures_have_a_listener_of_their_own() {
    let (metrics, options) = measured();
    let server = Server::writable(Arc::new(Memories::new()), &options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    asked(&server, "GET /metrics", "").await;
    let serving = tokio::spawn(serve_metrics(listener, metrics, server));
    for (line, status, words) in [
        ("GET /metrics", "200", "refs_requests_total{method=\"GET\",endpoint=\"other\",status=\"404\"} 1\n"),
        ("GET /healthz", "200", "ok\n"),
        ("GET /v2/", "404", "UNKNOWN"),
        ("POST /metrics", "405", "UNSUPPORTED"),
    ] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        peer.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words), "{line}: {answer}");
    }
    serving.abort();
}
