//! Connections.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::Duration,
};

use refs_server::{Options, ServeOptions, Server, serve};
use refs_store::Memories;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const PING: &[u8] = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";

struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

const MINUTE: Duration = Duration::from_secs(60);

async fn start(options: ServeOptions) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = Server::writable(Arc::new(Memories::new()), &Options::default());
    let ended = tokio::spawn(async move {
        let stop = async { stopped.await.unwrap_or_default() };
        serve(listener, server, &options, stop).await;
    });
    Serving { address, stop, ended }
}

async fn connect(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream
}

/// Reads one answer with a body of `{}` or none.
async fn status(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"{}") && !answer.ends_with(b"content-length: 0\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        let text = String::from_utf8_lossy(&answer);
        if text.contains("\r\n\r\n") && !text.contains("content-length: 2") {
            break;
        }
    }
    String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    let serving = start(ServeOptions { grace: Duration::from_secs(3600), ..ServeOptions::default() }).await;
    let mut begun =
        connect(serving.address, b"POST /v2/o/r/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        begun.read_buf(&mut answer).await.unwrap();
    }
    let answer = String::from_utf8(answer).unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n");
    let mut patch = connect(serving.address, head.as_bytes()).await;
    let mut interim = [0; 25];
    patch.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    serving.stop.send(()).unwrap();
    while TcpStream::connect(serving.address).await.is_ok() {}
    patch.write_all(b"abcdef").await.unwrap();
    let mut rest = String::new();
    patch.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 202 Accepted") && rest.contains("range: 0-5"), "{rest}");
    serving.ended.await.unwrap();
}

#[tokio::test]
async fn a_client_that_says_nothing_is_left() {
    let hour = Duration::from_secs(3600);
    let serving = start(ServeOptions { header_timeout: hour, ..ServeOptions::default() }).await;
    for said in [&b""[..], b"GET /v2/ HT", PING] {
        let began = tokio::time::Instant::now();
        let mut stream = connect(serving.address, said).await;
        if said == PING {
            assert_eq!(status(&mut stream).await, "200");
        }
        // Nothing more will be said: the clock goes on to what is waited for next.
        tokio::time::pause();
        let mut rest = Vec::new();
        // What comes when nobody reads any more is answered with a reset.
        drop(stream.read_to_end(&mut rest).await);
        assert_eq!(rest, b"");
        let elapsed = began.elapsed();
        assert!((hour - MINUTE..hour + MINUTE).contains(&elapsed), "{elapsed:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_request_says_once_whom_it_is_for() {
    let serving = start(ServeOptions::default()).await;
    for (said, expected) in [
        ("HTTP/1.1\r\n", "400"),
        ("HTTP/1.1\r\nhost: x\r\nhost: y\r\n", "400"),
        ("HTTP/1.1\r\nhost: a b\r\n", "400"),
        ("HTTP/1.1\r\nhost: a/b@c\r\n", "400"),
        ("HTTP/1.1\r\nhost: [::1]:5000\r\n", "200"),
        ("HTTP/1.1\r\nhost: x\r\n", "200"),
        ("HTTP/1.1\r\nhost:\r\n", "200"),
        ("HTTP/1.0\r\n", "200"),
    ] {
        let mut stream = connect(serving.address, format!("GET /v2/ {said}\r\n").as_bytes()).await;
        assert_eq!(status(&mut stream).await, expected, "{said}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let serving = start(ServeOptions { connections: 1, ..ServeOptions::default() }).await;
    let mut first = connect(serving.address, PING).await;
    assert_eq!(status(&mut first).await, "200");
    let mut second = connect(serving.address, PING).await;
    first.write_all(PING).await.unwrap();
    assert_eq!(status(&mut first).await, "200");
    assert_eq!(second.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(status(&mut second).await, "200");
}

#[tokio::test]
async fn what_is_still_open_after_the_grace_is_closed() {
    let serving = start(ServeOptions { grace: Duration::ZERO, ..ServeOptions::default() }).await;
    let head = b"PUT /v2/o/r/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n";
    let mut put = connect(serving.address, head).await;
    put.read_exact(&mut [0; 25]).await.unwrap();
    serving.stop.send(()).unwrap();
    serving.ended.await.unwrap();
    let mut rest = Vec::new();
    drop(put.read_to_end(&mut rest).await);
    assert_eq!(rest, b"");
}

/// Has the clock stand still as long as what is given is held: a server waits for any client then.
fn timeless() -> mpsc::Sender<()> {
    tokio::time::pause();
    let (held, dropped) = mpsc::channel();
    // As long as there is work on another thread, tokio does not go on to what is waited for next.
    tokio::task::spawn_blocking(move || dropped.recv());
    held
}

#[tokio::test]
async fn a_refused_body_does_not_cost_the_connection() {
    let (serving, _timeless) = (start(ServeOptions::default()).await, timeless());
    for line in ["PATCH /v2/o/r/blobs/uploads/unknown", "POST /v2/o/r/tags/list", "PUT /v2/o/r/manifests/-"] {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n");
        let mut stream = connect(serving.address, head.as_bytes()).await;
        stream.write_all(&[b'x'; 200_000]).await.unwrap();
        assert!(status(&mut stream).await.starts_with('4'), "{line}");
        stream.write_all(PING).await.unwrap();
        assert_eq!(status(&mut stream).await, "200", "{line}");
    }
}

#[tokio::test]
async fn a_refusal_says_that_the_connection_ends_where_a_body_is_still_to_come() {
    // The first byte with which it is more than is read of what nobody wants.
    static MUCH: [u8; 256 * 1024 + 1] = [b'x'; 256 * 1024 + 1];
    let (serving, _timeless) = (start(ServeOptions::default()).await, timeless());
    let check = async |line: &str, length: &str, sent: &[u8], is_told: bool| {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n");
        let mut stream = connect(serving.address, head.as_bytes()).await;
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{line} {length}");
        }
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 4"), "{line} {length}: {answer}");
        assert_eq!(answer.contains("connection: close"), is_told, "{line} {length}: {answer}");
    };
    for line in ["POST /v2/o/r/tags/list", "PUT /v2/o/r/manifests/-", "POST /", "PATCH /v2/o/r/blobs/uploads/unknown"] {
        check(line, "content-length: 0", b"", false).await;
        check(line, "content-length: 20000", &MUCH[..20_000], false).await;
        check(line, "transfer-encoding: chunked", b"3\r\nxyz\r\n0\r\n\r\n", false).await;
        check(line, "content-length: 900000", &MUCH, true).await;
        check(line, "content-length: 20000\r\nexpect: 100-continue", b"", true).await;
    }
    check("PUT /healthz", "content-length: 20000", b"", true).await;
}
