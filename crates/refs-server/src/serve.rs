//! Connections: accepted, bounded, and ended in order.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
};

use tokio_io_timeout::TimeoutStream;

use crate::{Body, Peer, Server};

/// How [`serve`] treats connections.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The most connections at a time; further ones wait unaccepted. 1,024 by default.
    pub connections: usize,
    /// How long a client may take to send the head of a request, and how long a connection may be idle. 30 s by default.
    pub header_timeout: Duration,
    /// How long an answer may wait for its client to read on; then the connection is closed. A minute by default.
    pub write_idle: Duration,
    /// How long connections are accepted still once the server is to stop, while `/healthz` says 503, so that a load balancer has
    /// taken notice before they are refused. Not at all by default.
    pub notice: Duration,
    /// How long requests under way may take to end once the server is to stop. 10 s by default.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(30),
            write_idle: Duration::from_secs(60),
            notice: Duration::ZERO,
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves HTTP/1.1 on `listener` until `stop` completes; then says so to whoever asks [for its health](Server::health), accepts
/// nothing more after [`ServeOptions::notice`], lets requests under way end within [`ServeOptions::grace`], and closes the rest.
///
/// Each request has the address of its client, as [`Peer`]. One that comes before the one before it was answered waits.
pub async fn serve(listener: TcpListener, server: Server, options: &ServeOptions, stop: impl Future<Output = ()>) {
    const SWEEP: Duration = Duration::from_secs(60);
    let http = http(options);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(options.connections));
    let mut tasks = JoinSet::new();
    tasks.spawn(reclaim(server.clone()));
    let mut sweep = tokio::time::interval(SWEEP);
    let stop = async {
        stop.await;
        server.drain();
        tokio::time::sleep(options.notice).await;
    };
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => report(ended),
            _ = sweep.tick() => server.expire_uploads(Instant::now()),
            (stream, peer, permit) = accept(&listener, &permits) => {
                let (service, open) = (service(&server, peer), server.connections().open());
                let stream = TokioIo::new(unless_unread(stream, options.write_idle));
                let connection = graceful.watch(http.serve_connection(stream, service));
                tasks.spawn(async move {
                    let _held = (permit, open);
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection broke");
                    }
                });
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(options.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the server stopped");
    }
}

/// What answers the requests of the client at `peer`.
fn service(
    server: &Server,
    peer: SocketAddr,
) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + use<> {
    let server = server.clone();
    service_fn(move |mut request: Request<Incoming>| {
        let server = server.clone();
        request.extensions_mut().insert(Peer(peer));
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    })
}

/// `stream`, which fails when what is written to it could not leave for `idle`: who reads nothing holds nothing up.
fn unless_unread(stream: TcpStream, idle: Duration) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(idle));
    Box::pin(stream)
}

/// Removes what uploads have left, those of an earlier process first. It never ends by itself.
async fn reclaim(server: Server) {
    const EVERY: Duration = Duration::from_secs(10 * 60);
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        server.reclaim_uploads(SystemTime::now()).await;
    }
}

fn http(options: &ServeOptions) -> http1::Builder {
    const HEAD_BYTES: usize = 64 * 1024;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(HEAD_BYTES);
    http
}

/// The next connection, where it is from, and the permit that it holds while it lasts.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    const PAUSE: Duration = Duration::from_millis(100);
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small writes will be slow");
                }
                return (stream, peer, permit);
            }
            // Out of descriptors, or the client has left already. At once, the former would only fail again.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
