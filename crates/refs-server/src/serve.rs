//! Connections: accepted, bounded, and ended in order.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
};

use crate::{
    Server, Tls,
    accepting::{self, Failures},
    connection::{Patience, Speaker},
};

/// How [`serve`] treats connections.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The most connections at a time; further ones wait unaccepted. 1,024 by default.
    pub connections: usize,
    /// How long a client may take to send the head of a request, or to agree on TLS, and how long a connection may be idle.
    /// 30 s by default.
    pub header_timeout: Duration,
    /// How long an answer may wait for its client to read on; then the connection is closed. A minute by default. A client of
    /// HTTP/2 that reads on, but one of its answers not, is left to what bounds its requests.
    pub write_idle: Duration,
    /// How long connections are accepted still once the server is to stop, while `/healthz` says 503, so that a load balancer
    /// has taken notice before they are refused. Not at all by default.
    pub notice: Duration,
    /// How long requests under way may take to end once the server is to stop. 10 s by default.
    pub grace: Duration,
    /// How to speak TLS, as [`tls`](crate::tls) makes it from files. In the clear by default. Protocols that it announces are
    /// announced; if there are none, HTTP/2 and HTTP/1.1.
    pub tls: Option<Tls>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(30),
            write_idle: Duration::from_secs(60),
            notice: Duration::ZERO,
            grace: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// Serves HTTP/1.1 on `listener`, or HTTP/2 and HTTP/1.1 over TLS, until `stop` completes; then says so to whoever asks
/// [for its health](Server::health), accepts nothing more after [`ServeOptions::notice`], lets requests under way end within
/// [`ServeOptions::grace`], and closes the rest.
///
/// Each request has the address of its client, as [`Peer`](crate::Peer). In HTTP/1.1, one that comes before the one before it
/// was answered waits.
pub async fn serve(listener: TcpListener, server: Server, options: &ServeOptions, stop: impl Future<Output = ()>) {
    const SWEEP: Duration = Duration::from_secs(60);
    let patience = Patience { silent: options.header_timeout, unread: options.write_idle };
    let speaker = Arc::new(Speaker::new(options.tls.as_ref(), patience));
    let closing = watch::Sender::new(());
    let permits = Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS)));
    let mut failures = Failures::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(reclaim(server.clone()));
    tasks.spawn(make_room(server.clone()));
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
            (stream, peer, permit) = accept(&listener, &permits, &mut failures) => {
                let (speaker, server, closing) = (Arc::clone(&speaker), server.clone(), closing.subscribe());
                tasks.spawn(async move {
                    let _held = (permit, server.connections().open());
                    speaker.converse(stream, peer, server.clone(), closing).await;
                });
            }
        }
    }
    drop(listener);
    closing.send_replace(());
    if tokio::time::timeout(options.grace, closing.closed()).await.is_err() {
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

/// Lets go what a mirror holds beyond its bound, now and then. It never ends by itself.
async fn make_room(server: Server) {
    const EVERY: Duration = Duration::from_secs(30);
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        server.make_room().await;
    }
}

/// The next connection, where it is from, and the permit that it holds while it lasts.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    failures: &mut Failures,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    let (stream, peer) = accepting::next(listener, failures).await;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small writes will be slow");
    }
    (stream, peer, permit)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
