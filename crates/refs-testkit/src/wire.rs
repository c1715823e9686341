//! The connection beneath HTTP: it counts the bytes of bodies, and breaks them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{Close, Fault, log::Entry};

/// A connection that carries out the fault that its [`Tap`] is set to.
pub(crate) struct Wire {
    stream: TcpStream,
    tap: Tap,
    /// Bytes that HTTP believes sent and that still have to be.
    waiting: Vec<u8>,
    /// What follows once they are.
    then: Then,
}

/// The hand of the service on its connection.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    /// Between answers.
    #[default]
    Open,
    /// The head of an answer, as far as it has come.
    Head { head: Vec<u8>, fault: Option<Fault>, entry: Arc<Entry> },
    /// The body of an answer.
    Body { left: Left, fault: Option<Fault>, entry: Arc<Entry> },
}

/// How many bytes the registry's own body still has.
type Left = Option<u64>;

#[derive(Clone, Copy, PartialEq)]
enum Then {
    GoOn,
    Stall,
    Close(Close),
}

impl Tap {
    /// A request has come. What is written before its answer is an interim one, and nobody's body.
    pub(crate) fn request(&self) {
        *self.lock() = State::Open;
    }

    /// The next bytes written are the answer to the request of `entry`, with `fault`.
    pub(crate) fn answer(&self, entry: Arc<Entry>, fault: Option<Fault>) {
        *self.lock() = State::Head { head: Vec::new(), fault, entry };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, tap: Tap) -> Self {
        Self { stream, tap, waiting: Vec::new(), then: Then::GoOn }
    }

    /// Sends what is waiting, and then does what follows.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            self.waiting.drain(..sent);
        }
        match self.then {
            Then::GoOn => Poll::Ready(Ok(())),
            // Nobody wakes this task by time; it ends with the connection or with the registry.
            Then::Stall => Poll::Pending,
            Then::Close(Close::Fin) => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            Then::Close(Close::Reset) => {
                self.stream.set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    /// Takes in bytes of HTTP, and puts what is really to be sent in line.
    fn take(&mut self, bytes: &[u8]) {
        let mut state = self.tap.lock();
        let rest = match &mut *state {
            State::Open => return self.waiting.extend_from_slice(bytes),
            State::Head { fault: Some(Fault::Drop(close) | Fault::CutRequest { close, .. }), .. } => {
                self.then = Then::Close(*close);
                return;
            }
            State::Head { head, fault, entry } => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
                let body = head.split_off(end + 4);
                let left = content_length(head);
                self.waiting.extend(edited(head, left, fault.as_ref()));
                *state = State::Body { left, fault: fault.take(), entry: Arc::clone(entry) };
                body
            }
            State::Body { .. } => bytes.to_vec(),
        };
        if let State::Body { left, fault, entry } = &mut *state {
            self.then = body(&mut self.waiting, rest, left, fault.as_ref(), entry);
        }
    }
}

/// Puts `bytes` of a body in line, as far as `fault` lets them, and says what follows.
fn body(waiting: &mut Vec<u8>, mut bytes: Vec<u8>, left: &mut Left, fault: Option<&Fault>, entry: &Entry) -> Then {
    let sent = entry.sent.load(Ordering::Acquire);
    *left = left.map(|left| left.saturating_sub(bytes.len() as u64));
    let limit = match fault {
        Some(Fault::Cut { after, close }) => Some((*after, Then::Close(*close))),
        Some(Fault::Stall { after }) => Some((*after, Then::Stall)),
        _ => None,
    };
    let mut then = Then::GoOn;
    if let Some((after, end)) = limit.filter(|(after, _)| sent + bytes.len() as u64 >= *after) {
        bytes.truncate(usize::try_from(after.saturating_sub(sent)).unwrap_or(usize::MAX));
        then = end;
    }
    if let Some(Fault::Flip { at }) = fault {
        flip(&mut bytes, at.checked_sub(sent));
    }
    if let (Some(Fault::LongerBy(_) | Fault::ShorterBy(_)), Some(0)) = (fault, &left) {
        then = Then::Close(Close::Fin);
    }
    entry.sent.fetch_add(bytes.len() as u64, Ordering::AcqRel);
    waiting.extend(bytes);
    then
}

fn flip(bytes: &mut [u8], at: Option<u64>) {
    let at = at.and_then(|at| usize::try_from(at).ok());
    if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1;
    }
}

/// The head with the length that `fault` claims.
fn edited(head: &[u8], length: Left, fault: Option<&Fault>) -> Vec<u8> {
    let claimed = match (fault, length) {
        (Some(Fault::LongerBy(bytes)), Some(length)) => length + bytes,
        (Some(Fault::ShorterBy(bytes)), Some(length)) => length.saturating_sub(*bytes),
        _ => return head.to_vec(),
    };
    let text = String::from_utf8_lossy(head);
    let lines = text.split_inclusive("\r\n").map(|line| match is_length(line) {
        true => format!("content-length: {claimed}\r\n"),
        false => line.to_owned(),
    });
    lines.collect::<String>().into_bytes()
}

fn content_length(head: &[u8]) -> Left {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().find(|line| is_length(line))?;
    line.split_once(':')?.1.trim().parse().ok()
}

fn is_length(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("content-length"))
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_waiting(cx))?;
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
