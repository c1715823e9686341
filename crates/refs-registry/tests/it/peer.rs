//! A peer that speaks HTTP/1.1 by hand, so that it can also speak it badly.

use std::sync::{Arc, Mutex};

use refs_registry::{Clock, SystemClock};
use refs_url::Host;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All of it that came.
    pub(crate) fn text(&self) -> String {
        let headers: Vec<String> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\n{}\n\n{}", self.line(), headers.join("\n"), String::from_utf8_lossy(&self.body))
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(crate) fn is(&self, line: &str) -> bool {
        self.line().starts_with(line)
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Whole,
    /// After so many bytes of the body the connection is closed.
    CutAt(usize),
    /// After so many bytes of the body nothing more comes.
    StallAt(usize),
    /// Not even a head is sent.
    Dropped,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), end: End::Whole }
    }

    pub(crate) const fn code(&self) -> u16 {
        self.status
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    pub(crate) fn dropped() -> Self {
        Self { end: End::Dropped, ..Self::status(0) }
    }

    pub(crate) fn json(value: &str) -> Self {
        Self::ok(value).header("content-type", "application/json")
    }

    pub(crate) fn redirect(status: u16, to: impl Into<String>) -> Self {
        Self::status(status).header("location", to)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn cut_at(self, sent: usize) -> Self {
        Self { end: End::CutAt(sent), ..self }
    }

    pub(crate) fn stall_at(self, sent: usize) -> Self {
        Self { end: End::StallAt(sent), ..self }
    }

    /// `blob`, or the part of it that the request asks for.
    pub(crate) fn blob(request: &Request, blob: &[u8]) -> Self {
        let Some((first, last)) =
            request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        else {
            return Self::ok(blob);
        };
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(blob.len(), |last: usize| blob.len().min(last + 1));
        if first >= blob.len() {
            return Self::status(416).header("content-range", format!("bytes */{}", blob.len()));
        }
        let range = format!("bytes {first}-{}/{}", end - 1, blob.len());
        Self::status(206).header("content-range", range).body(&blob[first..end])
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} x\r\n", self.status);
        let is_given = |name: &str| self.headers.iter().any(|(key, _)| key == name);
        if !is_given("content-length") && !is_given("transfer-encoding") && self.status != 204 {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if method != "HEAD" {
            bytes.extend(match self.end {
                End::CutAt(sent) | End::StallAt(sent) => &self.body[..sent],
                _ => &self.body,
            });
        }
        bytes
    }
}

type Answer = Arc<Mutex<dyn FnMut(&Request) -> Reply + Send>>;

/// A listener on loopback, gone when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) host: Host,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    /// Answers every request as `answer` says.
    pub(crate) async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::listen(None, answer).await
    }

    /// The same, with TLS.
    pub(crate) async fn start_tls(
        shown: Arc<ServerConfig>,
        answer: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        Self::listen(Some(TlsAcceptor::from(shown)), answer).await
    }

    async fn listen(tls: Option<TlsAcceptor>, answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Answer = Arc::new(Mutex::new(answer));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let (tls, answer, log) = (tls.clone(), answer.clone(), log.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => serve_tls(connection, tls, answer, log).await,
                        None => serve(connection, answer, log).await,
                    }
                });
            }
        });
        Self { host, seen, task }
    }

    /// It, under another name for loopback.
    pub(crate) fn at(&self, name: &str) -> Host {
        Host::parse(&format!("{name}:{}", self.host.port().unwrap())).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests so far, as method, path and query.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Request::line).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve_tls(connection: TcpStream, tls: TlsAcceptor, answer: Answer, seen: Arc<Mutex<Vec<Request>>>) {
    let mut first = [0];
    if connection.peek(&mut first).await.is_ok_and(|read| read == 1) && first != [HANDSHAKE] {
        // Whoever comes without TLS is seen, too.
        return serve(connection, answer, seen).await;
    }
    if let Ok(connection) = tls.accept(connection).await {
        serve(connection, answer, seen).await;
    }
}

/// What TLS begins with.
const HANDSHAKE: u8 = 22;

async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, seen: Arc<Mutex<Vec<Request>>>) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await {
        seen.lock().unwrap().push(request.clone());
        let reply = (answer.lock().unwrap())(&request);
        if reply.end == End::Dropped || connection.write_all(&reply.bytes(&request.method)).await.is_err() {
            return;
        }
        if connection.flush().await.is_err() {
            return;
        }
        match reply.end {
            End::Whole => {}
            End::StallAt(_) => SystemClock.sleep(std::time::Duration::from_secs(3600)).await,
            End::CutAt(_) | End::Dropped => return,
        }
    }
}

async fn read(connection: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())).collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(connection).await?;
    } else if let Some(length) = request.header("content-length").map(|length| length.parse().unwrap()) {
        request.body = vec![0; length];
        connection.read_exact(&mut request.body).await.ok()?;
    }
    Some(request)
}

async fn read_chunks(connection: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(connection, &mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        connection.read_exact(&mut chunk).await.ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
