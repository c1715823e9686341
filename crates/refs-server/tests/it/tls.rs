//! Connections over TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use refs_server::{
    Access, End, Htpasswd, Key, Options, Scheme, ServeOptions, Server, TlsError, TokenOptions, serve, tls,
};
use refs_store::Memories;
use refs_testkit::tls::{Authority, Identity, Life};
use reqwest::{Certificate, Client, Version};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc::unbounded_channel, oneshot},
    task::JoinHandle,
};

struct Serving {
    address: SocketAddr,
    authority: Authority,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn start(options: ServeOptions, access: Option<Access>) -> Serving {
    start_with(options, Options { access, ..Options::default() }).await
}

async fn start_with(options: ServeOptions, answering: Options) -> Serving {
    let authority = Authority::new("the test's");
    let identity = authority.issue(&["localhost"], Life::Current);
    let tls = tls(identity.certificate.as_bytes(), identity.key.as_bytes()).unwrap();
    let options = ServeOptions { tls: Some(tls), ..options };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = Server::writable(Arc::new(Memories::new()), &answering);
    let ended = tokio::spawn(async move {
        let stop = async { stopped.await.unwrap_or_default() };
        serve(listener, server, &options, stop).await;
    });
    Serving { address, authority, stop, ended }
}

impl Serving {
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    fn client(&self, only: Only) -> Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        let root = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        let builder = Client::builder().tls_certs_only([root]).no_proxy();
        match only {
            Only::Http1 => builder.http1_only().build().unwrap(),
            Only::Any => builder.build().unwrap(),
        }
    }
}

#[derive(Clone, Copy)]
enum Only {
    Http1,
    Any,
}

#[tokio::test]
async fn the_client_chooses_the_protocol() {
    let serving = start(ServeOptions::default(), None).await;
    for (only, version) in [(Only::Any, Version::HTTP_2), (Only::Http1, Version::HTTP_11)] {
        let client = serving.client(only);
        let content = vec![7_u8; 3_000_000];
        let digest = refs_url::Digest::sha256(&content);
        let upload = serving.url(&format!("/v2/o/r/blobs/uploads/?digest={digest}"));
        let pushed = client.post(upload).body(content.clone()).send().await.unwrap();
        assert_eq!((pushed.status().as_u16(), pushed.version()), (201, version));
        let pulled = client.get(serving.url(&format!("/v2/o/r/blobs/{digest}"))).send().await.unwrap();
        assert_eq!((pulled.version(), pulled.content_length()), (version, Some(3_000_000)));
        assert_eq!(pulled.bytes().await.unwrap(), content);
        let head = client.head(serving.url(&format!("/v2/o/r/blobs/{digest}"))).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "3000000");
    }
}

#[tokio::test]
async fn the_token_service_is_where_the_client_came_by_tls() {
    let access = Access::new(Htpasswd::default(), Scheme::Bearer(TokenOptions::new(Key::random().unwrap())));
    let serving = start(ServeOptions::default(), Some(access)).await;
    for only in [Only::Any, Only::Http1] {
        let refused = serving.client(only).get(serving.url("/v2/")).send().await.unwrap();
        let challenge = format!("Bearer realm=\"{}\",service=\"refs\"", serving.url("/token"));
        assert_eq!(refused.headers()["www-authenticate"], challenge.as_str());
    }
}

#[tokio::test]
async fn a_handshake_holds_up_nobody_else_and_ends() {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let serving = start(ServeOptions { header_timeout: hour, ..ServeOptions::default() }, None).await;
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(serving.address).await.unwrap();
    let answer = serving.client(Only::Any).get(serving.url("/v2/")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // Nothing more will be said: the clock goes on to what is waited for next.
    tokio::time::pause();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    let elapsed = began.elapsed();
    assert!((hour - minute..hour + minute).contains(&elapsed), "{elapsed:?}");
    tokio::time::resume();
    // Over HTTP/2 nothing was asked for as long: the connection ends as well, and the client makes another one.
    assert_eq!(serving.client(Only::Any).get(serving.url("/v2/")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_reads_nothing_is_left() {
    let (told, mut answered) = unbounded_channel();
    let observed = Options { observers: vec![Arc::new(told)], ..Options::default() };
    let options = ServeOptions { write_idle: Duration::from_millis(50), ..ServeOptions::default() };
    let serving = start_with(options, observed).await;
    let client = serving.client(Only::Http1);
    // More than the sockets of both sides hold.
    let content = vec![7_u8; 64 << 20];
    let digest = refs_url::Digest::sha256(&content);
    let upload = serving.url(&format!("/v2/o/r/blobs/uploads/?digest={digest}"));
    assert_eq!(client.post(upload).body(content).send().await.unwrap().status(), 201);
    assert_eq!(answered.recv().await.unwrap().end, End::Whole);
    let unread = client.get(serving.url(&format!("/v2/o/r/blobs/{digest}"))).send().await.unwrap();
    let told = answered.recv().await.unwrap();
    assert_eq!((told.status, told.end, told.peer.is_some()), (200, End::Broken, true));
    drop(unread);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes_or_idle_connections() {
    let options = ServeOptions { grace: Duration::from_secs(3600), ..ServeOptions::default() };
    let serving = start(options, None).await;
    let silent = TcpStream::connect(serving.address).await.unwrap();
    let client = serving.client(Only::Any);
    assert_eq!(client.get(serving.url("/v2/")).send().await.unwrap().version(), Version::HTTP_2);
    serving.stop.send(()).unwrap();
    serving.ended.await.unwrap();
    drop((silent, client));
}

#[tokio::test]
async fn what_is_no_tls_is_left() {
    let serving = start(ServeOptions::default(), None).await;
    let plain = reqwest::get(serving.url("/v2/").replace("https", "http")).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn files_of_the_wrong_kind_are_told_apart() {
    let authority = Authority::new("the test's");
    let (one, two) = (authority.issue(&["localhost"], Life::Current), Identity::self_signed("localhost"));
    let error = |certificate: &str, key: &str| tls(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(error("", &one.key), TlsError::NoCertificate));
    assert!(matches!(error(&one.key, &one.key), TlsError::NoCertificate));
    assert!(matches!(error(&one.certificate, ""), TlsError::NoKey));
    assert!(matches!(error(&one.certificate, &one.certificate), TlsError::NoKey));
    assert!(matches!(error(&one.certificate, &two.key), TlsError::Unusable(_)));
    assert!(tls(format!("{}{}", one.certificate, authority.pem()).as_bytes(), one.key.as_bytes()).is_ok());
}
