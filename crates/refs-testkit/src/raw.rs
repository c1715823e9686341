//! A peer below HTTP: it says bytes, as many and as badly as a test likes.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use refs_url::Host;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::port::Port;

/// What is said on a connection once a request has come.
pub struct Speech {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Closes,
    Holds,
}

impl Speech {
    /// These pieces, one write each, for as long as anyone listens; there may be no end of them. Then the connection closes.
    pub fn of<T: Into<Bytes> + 'static>(pieces: impl IntoIterator<Item = T, IntoIter: Send + 'static>) -> Self {
        Self { pieces: Box::new(pieces.into_iter().map(Into::into)), end: End::Closes }
    }

    /// `head`, and then `piece` without end.
    #[must_use]
    pub fn endless(head: &str, piece: impl Into<Bytes>) -> Self {
        let head = Bytes::from(head.to_owned());
        Self::of(std::iter::once(head).chain(std::iter::repeat(piece.into())))
    }

    /// This text, and then silence on an open connection.
    #[must_use]
    pub fn stalled(text: &str) -> Self {
        Self { end: End::Holds, ..Self::of([Bytes::from(text.to_owned())]) }
    }
}

/// A listener on loopback that reads the head of one request from each connection, and then speaks.
///
/// It runs on a thread of its own, and ends when it is dropped.
pub struct RawPeer {
    host: Host,
    shared: Arc<Shared>,
    _port: Port,
}

type Script = dyn FnMut(&str) -> Speech + Send;

struct Shared {
    script: Mutex<Box<Script>>,
    heads: Mutex<Vec<String>>,
    written: AtomicU64,
}

impl RawPeer {
    /// A peer that answers the head of each request as `script` says.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without a port can only fail")]
    pub fn start(script: impl FnMut(&str) -> Speech + Send + 'static) -> Self {
        let script: Box<Script> = Box::new(script);
        let shared =
            Arc::new(Shared { script: Mutex::new(script), heads: Mutex::default(), written: AtomicU64::new(0) });
        let speaking = Arc::clone(&shared);
        let port = Port::open(move |stream| speak(stream, Arc::clone(&speaking)));
        let host = Host::parse(&port.address.to_string()).expect("an address is a host");
        Self { host, shared, _port: port }
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// The heads of the requests so far: of each the line and the headers.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes the kernel has taken to be sent, on all connections.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }
}

/// Listeners who have gone are what it is about, so that errors end it and nothing else.
async fn speak(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).trim_end().to_owned();
    shared.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    let speech = (shared.script.lock().unwrap_or_else(PoisonError::into_inner))(&head);
    for piece in speech.pieces {
        stream.write_all(&piece).await.ok()?;
        shared.written.fetch_add(piece.len() as u64, Ordering::AcqRel);
    }
    if speech.end == End::Holds {
        // Until the peer is dropped: to look whether the other side has gone would be to take what it sends.
        std::future::pending::<()>().await;
    }
    Some(())
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speech").field("end", &self.end).finish_non_exhaustive()
    }
}

impl fmt::Debug for RawPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPeer").field("host", &self.host).finish_non_exhaustive()
    }
}
