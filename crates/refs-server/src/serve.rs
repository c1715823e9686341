//! Connections: accepted, bounded, and ended in order.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
};

use crate::Server;

/// How [`serve`] treats connections.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The most connections at a time; further ones wait unaccepted. 1,024 by default.
    pub connections: usize,
    /// How long a client may take to send the head of a request, and how long a connection may be idle. 30 s by default.
    pub header_timeout: Duration,
    /// How long requests under way may take to end once the server is to stop. 10 s by default.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { connections: 1024, header_timeout: Duration::from_secs(30), grace: Duration::from_secs(10) }
    }
}

/// Serves HTTP/1.1 on `listener` until `stop` completes; then accepts nothing more, lets requests under way end within
/// [`ServeOptions::grace`], and closes the rest.
pub async fn serve(listener: TcpListener, server: Server, options: &ServeOptions, stop: impl Future<Output = ()>) {
    const SWEEP: Duration = Duration::from_secs(60);
    let http = http(options);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(options.connections));
    let mut tasks = JoinSet::new();
    tasks.spawn(reclaim(server.clone()));
    let mut sweep = tokio::time::interval(SWEEP);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => report(ended),
            _ = sweep.tick() => server.expire_uploads(Instant::now()),
            (stream, permit) = accept(&listener, &permits) => {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
                tasks.spawn(async move {
                    let _held = permit;
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

/// The next connection, with the permit that it holds while it lasts.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    const PAUSE: Duration = Duration::from_millis(100);
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small writes will be slow");
                }
                return (stream, permit);
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
