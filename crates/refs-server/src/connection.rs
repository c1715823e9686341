//! One connection: what is spoken on it, and when it ends.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, HOST},
    uri::Authority,
};
use http_body_util::BodyExt;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use refs_registry::hosts::Security;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::{Body, BoxError, Code, Peer, Refusal, Server, rest};

/// How connections are spoken to.
pub(crate) struct Speaker {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
}

/// How long clients are waited for.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// How long one may say nothing while nothing is asked, and how long it may take to agree on keys.
    pub(crate) silent: Duration,
    /// How long one may leave unread what is written to it.
    pub(crate) unread: Duration,
}

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
const CLOSE: HeaderValue = HeaderValue::from_static("close");

impl Speaker {
    /// Speaks HTTP/1.1; over TLS, if `tls` says how, HTTP/2 as well.
    pub(crate) fn new(tls: Option<&Arc<ServerConfig>>, patience: Patience) -> Self {
        let tls = tls.map(|config| TlsAcceptor::from(announcing(config)));
        Self { http1: http1(patience.silent), http2: http2(patience.silent), tls, patience }
    }

    /// Answers what comes on `stream` until either side has had enough, or `stop` has changed: then what is under way is
    /// finished. A client that does not come to terms on keys is left.
    pub(crate) async fn converse(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        server: Server,
        mut stop: watch::Receiver<()>,
    ) {
        let peer = Peer(peer);
        let Some(acceptor) = &self.tls else {
            return self.speak(&self.http1, stream, Asked::new(server, peer, Security::Plain), stop).await;
        };
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(self.patience.silent, acceptor.accept(stream)) => {
                agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            _ = stop.changed() => return,
        };
        match agreed {
            Ok(stream) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                let http = if is_http2 { &self.http2 } else { &self.http1 };
                self.speak(http, stream, Asked::new(server, peer, Security::Tls), stop).await;
            }
            Err(error) => tracing::debug!(%error, "a client could not be spoken to by TLS"),
        }
    }

    async fn speak<S>(&self, http: &Builder<TokioExecutor>, stream: S, asked: Asked, mut stop: watch::Receiver<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut under_way = asked.under_way.subscribe();
        let service = service_fn(move |request| asked.clone().answer(request));
        let connection = http.serve_connection(TokioIo::new(unless_unread(stream, self.patience.unread)), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = ending(&mut stop, &mut under_way, self.patience.silent) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// `stream`, which fails when what is written to it could not leave for `idle`: who reads nothing holds nothing up.
fn unless_unread<S: AsyncRead + AsyncWrite>(stream: S, idle: Duration) -> Pin<Box<TimeoutStream<S>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(idle));
    Box::pin(stream)
}

/// Ends when no more requests are wanted: the server is to stop, or nothing was asked for `patience`. HTTP/1 has a timer of
/// its own for that; HTTP/2 has none.
async fn ending(stop: &mut watch::Receiver<()>, under_way: &mut watch::Receiver<usize>, patience: Duration) {
    let idle = async {
        while under_way.wait_for(|requests| *requests == 0).await.is_ok() {
            let more = under_way.wait_for(|requests| *requests > 0);
            if tokio::time::timeout(patience, more).await.is_err() {
                return;
            }
        }
        // The connection has gone, and its end is what is waited for.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = stop.changed() => {}
        () = idle => {}
    }
}

/// What is asked on one connection.
#[derive(Clone)]
struct Asked {
    server: Server,
    peer: Peer,
    by: Security,
    /// How many requests are, the bodies of their answers included.
    under_way: Arc<watch::Sender<usize>>,
}

impl Asked {
    fn new(server: Server, peer: Peer, by: Security) -> Self {
        Self { server, peer, by, under_way: Arc::new(watch::Sender::new(0)) }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let counted = Counted::new(self.under_way);
        // Only the connection knows, and who is told where to get a token has to.
        request.extensions_mut().insert(self.by);
        request.extensions_mut().insert(self.peer);
        let version = request.version();
        let (request, rest) = rest::watched(request);
        let mut response = match unaddressed(&request) {
            Some(refusal) => self.server.refuse(request, refusal).await,
            None => self.server.answer(request).await,
        };
        // HTTP/2 ends the stream, and knows no such header.
        if version < Version::HTTP_2 && is_refusal(&response) && rest.is_to_come() {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        Ok(response.map(|body| BodyExt::boxed_unsync(Counting { body, _until_the_last: counted })))
    }
}

fn is_refusal<B>(response: &Response<B>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Why a request is refused that does not say once whom it is for, as HTTP/1.1 wants it
/// ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)).
fn unaddressed<B>(request: &Request<B>) -> Option<Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_one = matches!((hosts.next(), hosts.next()), (Some(host), None) if is_authority(host));
    let is_refused = request.version() == Version::HTTP_11 && !is_one;
    is_refused
        .then(|| Refusal::new(StatusCode::BAD_REQUEST, Code::Unknown, "the request has no `Host`, or no valid one"))
}

/// Whether `host` is one, with or without a port; or empty, as of a URI that has none.
fn is_authority(host: &HeaderValue) -> bool {
    let is_valid = |host: &[u8]| Authority::try_from(host).is_ok_and(|host| !host.as_str().contains('@'));
    host.is_empty() || is_valid(host.as_bytes())
}

/// The body of an answer, whose request is under way until its last byte has left.
struct Counting {
    body: Body,
    _until_the_last: Counted,
}

impl hyper::body::Body for Counting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request under way, until this is dropped.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(under_way: Arc<watch::Sender<usize>>) -> Self {
        under_way.send_modify(|requests| *requests += 1);
        Self(under_way)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// The settings with what is spoken here, unless they say something themselves.
fn announcing(config: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    if !config.alpn_protocols.is_empty() {
        return Arc::clone(config);
    }
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Arc::new(config)
}

/// The most that the head of a request may have.
const HEAD_BYTES: usize = 64 * 1024;

fn http1(patience: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEAD_BYTES);
    http.http1_only()
}

fn http2(patience: Duration) -> Builder<TokioExecutor> {
    const STREAMS: u32 = 128;
    let mut http = Builder::new(TokioExecutor::new());
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        // A peer that has vanished without a word holds a place, and answers no ping.
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience);
    http.http2_only()
}
