//! A peer that speaks HTTP/2 by frames, so that it can also break off as only HTTP/2 can.

use std::{
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderName, Request, Response, StatusCode, header};
use refs_url::Host;
use tokio::{net::TcpStream, sync::mpsc};

use crate::{listener::set, port::Port};

/// What is said to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// All of this. With a `Range` of the form `bytes=N-`, what is from there on.
    Blob(Bytes),
    /// This status with one header, and no body.
    Head(StatusCode, HeaderName, String),
    /// `RST_STREAM` with `REFUSED_STREAM`: the request was not looked at.
    Refused,
    /// As `Blob`, but after so many bytes of the body the stream is reset (`INTERNAL_ERROR`); the connection lives on.
    Reset(Bytes, usize),
    /// As `Blob`, but after so many bytes of the body the connection ends with `GOAWAY`.
    GoAway(Bytes, usize),
    /// As `Blob`, but after so many bytes of the body nothing more comes of it; the connection lives on.
    Stall(Bytes, usize),
    /// As `Blob`, and then no more requests on this connection: `GOAWAY` with `NO_ERROR`.
    Last(Bytes),
    /// Nothing, and nothing more on this connection, which stays: it is neither read nor written, as when the way is cut.
    Nothing,
}

/// A listener on loopback that speaks HTTP/2 and nothing else, from the first byte on.
///
/// It runs on a thread of its own, and ends when it is dropped.
pub struct Http2Peer {
    host: Host,
    shared: Arc<Shared>,
    _port: Port,
}

type Script = dyn FnMut(&Request<()>) -> Answer + Send;

struct Shared {
    answer: Mutex<Box<Script>>,
    seen: Mutex<Vec<Request<()>>>,
    connections: AtomicUsize,
}

impl Http2Peer {
    /// A peer that answers each request as `answer` says.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without a port can only fail")]
    pub fn start(answer: impl FnMut(&Request<()>) -> Answer + Send + 'static) -> Self {
        let answer: Box<Script> = Box::new(answer);
        let (seen, connections) = (Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { answer: Mutex::new(answer), seen, connections });
        let serving = Arc::clone(&shared);
        let port = Port::open(move |stream| {
            serving.connections.fetch_add(1, Ordering::AcqRel);
            serve(stream, Arc::clone(&serving))
        });
        let host = Host::parse(&port.address.to_string()).expect("an address is a host");
        Self { host, shared, _port: port }
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// The requests so far, in the order in which they came: method and path, and the `Range` behind them.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(line).collect()
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Http2Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Peer").field("host", &self.host).finish_non_exhaustive()
    }
}

fn line(request: &Request<()>) -> String {
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    let range = range.map(|range| format!(" {range}")).unwrap_or_default();
    format!("{} {}{range}", request.method(), request.uri().path())
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum Leave {
    Abruptly,
    InOrder,
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let (leave, mut leaving) = mpsc::unbounded_channel();
    let mut accept = async || {
        poll_fn(|cx| {
            while let Poll::Ready(Some(leave)) = leaving.poll_recv(cx) {
                match leave {
                    Leave::Abruptly => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
                    Leave::InOrder => connection.graceful_shutdown(),
                }
            }
            connection.poll_accept(cx)
        })
        .await
    };
    while let Some(Ok((request, respond))) = accept().await {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, ());
        shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let answer = (shared.answer.lock().unwrap_or_else(PoisonError::into_inner))(&request);
        if answer == Answer::Nothing {
            return std::future::pending().await;
        }
        tokio::spawn(say((request, body), respond, answer, leave.clone()));
    }
}

/// Says `answer`. A client that has gone by then is what a test may be about.
async fn say(
    (request, mut body): (Request<()>, RecvStream),
    mut respond: SendResponse<Bytes>,
    answer: Answer,
    leave: mpsc::UnboundedSender<Leave>,
) -> Result<(), h2::Error> {
    if answer != Answer::Refused {
        while let Some(piece) = body.data().await {
            body.flow_control().release_capacity(piece?.len())?;
        }
    }
    match answer {
        Answer::Nothing => {}
        Answer::Head(status, name, value) => {
            let mut head = Response::new(());
            *head.status_mut() = status;
            set(head.headers_mut(), name, &value);
            respond.send_response(head, true)?;
        }
        Answer::Refused => respond.send_reset(Reason::REFUSED_STREAM),
        Answer::Blob(blob) => {
            let (mut stream, body) = begin(&mut respond, &request, &blob)?;
            stream.send_data(body, true)?;
        }
        Answer::Reset(blob, after) => {
            let (mut stream, body) = begin(&mut respond, &request, &blob)?;
            stream.send_data(body.slice(..after), false)?;
            written().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Answer::GoAway(blob, after) => {
            let (mut stream, body) = begin(&mut respond, &request, &blob)?;
            stream.send_data(body.slice(..after), false)?;
            written().await;
            leave.send(Leave::Abruptly).ok();
            // Dropped, the stream would be reset before the connection ends.
            std::future::pending::<()>().await;
        }
        Answer::Stall(blob, after) => {
            let (mut stream, body) = begin(&mut respond, &request, &blob)?;
            stream.send_data(body.slice(..after), false)?;
            std::future::pending::<()>().await;
        }
        Answer::Last(blob) => {
            leave.send(Leave::InOrder).ok();
            let (mut stream, body) = begin(&mut respond, &request, &blob)?;
            stream.send_data(body, true)?;
        }
    }
    Ok(())
}

/// Sends the head of an answer, and gives what its body is to be.
fn begin(
    respond: &mut SendResponse<Bytes>,
    request: &Request<()>,
    blob: &Bytes,
) -> Result<(SendStream<Bytes>, Bytes), h2::Error> {
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let body = blob.slice(from.unwrap_or_default().min(blob.len())..);
    let mut head = Response::new(());
    if let Some(from) = from {
        *head.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{}", blob.len().saturating_sub(1), blob.len());
        set(head.headers_mut(), header::CONTENT_RANGE, &range);
    }
    set(head.headers_mut(), header::CONTENT_LENGTH, &body.len().to_string());
    Ok((respond.send_response(head, false)?, body))
}

/// Lets the connection write what it was given: it runs on the same thread, in turns.
async fn written() {
    const TURNS: usize = 100;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}
