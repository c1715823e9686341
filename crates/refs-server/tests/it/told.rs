//! What observers are told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use refs_registry::{Descriptor, ErrorKind, MediaType, Payload, Replay, Writable};
use refs_server::{
    Answered, End, Endpoint, Mirror, MirrorOptions, Observer, Options, Peer, ServeOptions, Server, serve,
};
use refs_store::{Layouts, Memories};
use refs_testkit::FakeRegistry;
use refs_url::{Digest, Host, RepoName};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::mirror::rig::{blob, upstream};

async fn stored(writable: &dyn Writable, bytes: Bytes) -> Digest {
    let descriptor = Descriptor::of(MediaType::OCI_LAYER, &bytes);
    let sink = writable.sink(&Options::default().host, &RepoName::parse("o/r").unwrap()).unwrap();
    sink.put_blob(&descriptor, Payload::Again(Replay::Bytes(bytes))).await.unwrap();
    descriptor.digest
}

fn observed() -> (Options, UnboundedReceiver<Answered>) {
    let (told, answered) = unbounded_channel();
    (Options { observers: vec![Arc::new(told)], ..Options::default() }, answered)
}

#[tokio::test]
async fn an_answer_is_told_with_all_that_came_of_it() {
    let (options, mut answered) = observed();
    let memories = Arc::new(Memories::new());
    let digest = stored(&*memories, "content".into()).await;
    let server = Server::writable(memories, &options);
    let mut check = async |line: &str, body: &'static str, endpoint, expect: (u16, u64, u64)| {
        let (method, target) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(target).header("user-agent", "crane \"1\"");
        let request = request.extension(Peer(SocketAddr::from(([10, 0, 0, 1], 7)))).body(Full::from(body)).unwrap();
        server.answer(request).await.into_body().collect().await.unwrap();
        let told = answered.try_recv().unwrap();
        assert_eq!((told.status, told.received, told.bytes), expect, "{line}");
        assert_eq!((told.endpoint, told.end, told.target.as_str()), (endpoint, End::Whole, target));
        assert_eq!((told.peer.unwrap().port(), told.user_agent.as_deref()), (7, Some("crane \"1\"")));
        assert!(told.first_byte <= told.whole, "{line}");
        assert!(answered.try_recv().is_err());
    };
    check("GET /v2/", "", Endpoint::Ping, (200, 0, 2)).await;
    check(&format!("GET /v2/o/r/blobs/{digest}"), "", Endpoint::Blob, (200, 0, 7)).await;
    check(&format!("HEAD /v2/o/r/blobs/{digest}"), "", Endpoint::Blob, (200, 0, 0)).await;
    check("GET /v2/_catalog?n=1", "", Endpoint::Catalog, (200, 0, 24)).await;
    check("GET /elsewhere?token=secret", "", Endpoint::Other, (404, 0, 73)).await;
    let whole = format!("POST /v2/o/r/blobs/uploads/?digest={}", Digest::sha256(b"more"));
    check(&whole, "more", Endpoint::Upload, (201, 4, 0)).await;
}

#[tokio::test]
async fn what_stands_before_a_path_is_not_told() {
    let (options, mut answered) = observed();
    let server = Server::writable(Arc::new(Memories::new()), &options);
    for target in ["/v2/?a=b", "https://registry.test/v2/?a=b", "http://ci:hunter2@registry.test:5000/v2/?a=b"] {
        let request = Request::builder().uri(target).body(Full::from("")).unwrap();
        server.answer(request).await.into_body().collect().await.unwrap();
        let told = answered.try_recv().unwrap();
        assert_eq!((told.target.as_str(), told.path(), &*told.to_string()), ("/v2/?a=b", "/v2/", "GET /v2/?a=b 200"));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_told_as_broken() {
    let (options, mut answered) = observed();
    let memories = Arc::new(Memories::new());
    let digest = stored(&*memories, "content".into()).await;
    let server = Server::writable(memories, &options);
    let request = || Request::get(format!("/v2/o/r/blobs/{digest}")).body(Full::<Bytes>::default()).unwrap();
    drop(server.answer(request()).await);
    drop(server.answer(request()));
    let told = answered.try_recv().unwrap();
    assert_eq!((told.status, told.bytes, told.end), (200, 0, End::Broken));
    assert!(answered.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_is_whole_when_the_last_byte_that_was_announced_has_left() {
    let (options, mut answered) = observed();
    let folder = tempfile::tempdir().unwrap();
    let layouts = Arc::new(Layouts::new(folder.path()));
    let digest = stored(&*layouts, vec![7; 1 << 20].into()).await;
    let server = Server::writable(layouts, &options);
    let request = Request::get(format!("/v2/o/r/blobs/{digest}")).body(Full::<Bytes>::default()).unwrap();
    let mut body = server.answer(request).await.into_body();
    let mut left = 1 << 20;
    while left > 0 {
        assert!(answered.try_recv().is_err());
        left -= body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    // hyper asks a body for no more than was announced.
    drop(body);
    let told = answered.try_recv().unwrap();
    assert_eq!((told.bytes, told.end), (1 << 20, End::Whole));
}

#[tokio::test]
async fn a_client_that_does_not_read_on_is_left() {
    let (options, mut answered) = observed();
    let folder = tempfile::tempdir().unwrap();
    let layouts = Arc::new(Layouts::new(folder.path()));
    // More than the sockets of both sides hold.
    let digest = stored(&*layouts, vec![7; 64 << 20].into()).await;
    let server = Server::writable(layouts, &options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServeOptions { write_idle: Duration::from_millis(50), ..ServeOptions::default() };
    let serving = tokio::spawn(async move { serve(listener, server, &options, std::future::pending()).await });
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(format!("GET /v2/o/r/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let told = answered.recv().await.unwrap();
    assert_eq!((told.status, told.end, told.peer), (200, End::Broken, Some(peer.local_addr().unwrap())));
    assert!(told.bytes < 64 << 20, "{}", told.bytes);
    serving.abort();
}

#[tokio::test]
async fn a_request_that_does_not_say_whom_it_is_for_is_told() {
    let (options, mut answered) = observed();
    let server = Server::writable(Arc::new(Memories::new()), &options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServeOptions::default();
    let serving = tokio::spawn(async move { serve(listener, server, &options, std::future::pending()).await });
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(b"GET /v2/o/r/tags/list HTTP/1.1\r\nhost: a b\r\n\r\n").await.unwrap();
    let told = answered.recv().await.unwrap();
    assert_eq!((told.status, told.target.as_str()), (400, "/v2/o/r/tags/list"));
    assert_eq!(told.peer, Some(peer.local_addr().unwrap()));
    serving.abort();
}

#[derive(Debug, Default)]
struct Questions(Mutex<Vec<(Host, Option<ErrorKind>)>>);

impl Observer for Questions {
    fn answered(&self, answered: &Answered) {
        let cache = answered.cache.map(|found| found.to_string()).unwrap_or_default();
        assert_eq!((answered.upstream.is_some(), cache.is_empty()), (true, answered.status == 404), "{answered:?}");
    }

    fn asked(&self, upstream: &Host, error: Option<ErrorKind>) {
        self.0.lock().unwrap().push((upstream.clone(), error));
    }
}

#[tokio::test]
async fn questions_to_upstreams_are_told() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", b"content").await;
    let questions = Arc::new(Questions::default());
    let options = Options { observers: vec![Arc::<Questions>::clone(&questions)], ..Options::default() };
    let folder = tempfile::tempdir().unwrap();
    let store = refs_store::DiskStore::new(folder.path().join("store"), &refs_store::DiskOptions::default());
    let upstreams = vec![upstream("", registry.host())];
    let mirror = Mirror::new(upstreams, Arc::new(store), &MirrorOptions::default()).unwrap();
    let server = Server::mirror(mirror, &options);
    let check = async |path: &str, expect: &[Option<ErrorKind>]| {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        server.answer(request).await.into_body().collect().await.unwrap();
        let told: Vec<_> = std::mem::take(&mut *questions.0.lock().unwrap());
        assert!(told.iter().all(|(host, _)| *host == registry.host()), "{told:?}");
        let told: Vec<_> = told.into_iter().map(|(_, error)| error).collect();
        assert_eq!(told, expect, "{path}");
    };
    check(&format!("/v2/o/r/blobs/{digest}"), &[None]).await;
    check(&format!("/v2/o/r/blobs/{digest}"), &[]).await;
    check("/v2/o/r/manifests/v1", &[Some(ErrorKind::NotFound)]).await;
    check("/v2/o/r/tags/list", &[None]).await;
    check("/v2/o/other/tags/list", &[Some(ErrorKind::NotFound)]).await;
}
