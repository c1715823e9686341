//! Bytes that several read as they come, each from the first on. Whoever reads fastest draws them; nobody has to.

use std::{
    collections::VecDeque,
    fmt::{self, Debug},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_registry::{ByteStream, Error, Result};

use super::{lead::Lead, waiting::Waiting};
use crate::growing::Growing;

/// So many of the last bytes stay in memory for those who are slower, and for those who come later.
const WINDOW_BYTES: u64 = 256 << 10;
/// So often another leads on.
const MOST_LEADS: u32 = 4;

/// The bytes of one fetch.
pub(super) struct Flow {
    state: Mutex<State>,
    lead: Lead,
    waiting: Arc<Waiting>,
    next_reader: AtomicU64,
    /// What came before the window, where the store takes it.
    growing: Option<Growing>,
}

struct State {
    /// What `lead` leads, and what is made of it on the way.
    stream: ByteStream,
    ended: Option<Result<()>>,
    leads: u32,
    window: Window,
}

/// The last bytes that came.
#[derive(Default)]
struct Window {
    chunks: VecDeque<Bytes>,
    start: u64,
    end: u64,
}

/// A place among those who read.
pub(super) struct Place {
    flow: Arc<Flow>,
    number: u64,
    /// How many bytes it was given.
    pub(super) given: u64,
    has_led: bool,
}

/// What there is for a reader.
pub(super) enum Next {
    Bytes(Bytes),
    /// Nothing, as it has all.
    End,
    /// It is not in memory any more.
    Behind,
}

impl Flow {
    /// What comes by `stream`, which `lead` leads; and by `growing`, if that shows it.
    pub(super) fn new(stream: ByteStream, lead: Lead, growing: Option<Growing>) -> Arc<Self> {
        let state = State { stream, ended: None, leads: 0, window: Window::default() };
        let (waiting, next_reader) = (Arc::default(), AtomicU64::new(0));
        Arc::new(Self { state: Mutex::new(state), lead, waiting, next_reader, growing })
    }

    /// A place at the first byte. Whoever has begun the fetch has led.
    pub(super) fn enter(self: &Arc<Self>, led: Led) -> Place {
        let number = self.next_reader.fetch_add(1, Ordering::Relaxed);
        Place { flow: Arc::clone(self), number, given: 0, has_led: led == Led::Before }
    }

    /// Whether one who enters now may be given all of it.
    pub(super) fn is_of_use(&self) -> bool {
        let state = self.state();
        let is_there = state.window.start == 0 || self.growing.is_some();
        is_there && !matches!(state.ended, Some(Err(_))) && self.lead.failure().is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").finish_non_exhaustive()
    }
}

/// Whether a reader has asked for the bytes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Led {
    Before,
    NotYet,
}

impl Place {
    /// What comes next. Where whoever led has failed, this one leads on by what `rest` gives from so many bytes on, unless
    /// it has led before.
    pub(super) fn poll_next(&mut self, context: &Context<'_>, rest: impl Fn(u64) -> ByteStream) -> Poll<Result<Next>> {
        let flow = Arc::clone(&self.flow);
        let mut state = flow.state();
        if self.given < state.window.start {
            return Poll::Ready(Ok(Next::Behind));
        }
        if let Some(chunk) = state.window.after(self.given) {
            return Poll::Ready(Ok(self.take(chunk)));
        }
        let drawn = ready!(self.draw(&mut state, context, rest));
        drop(state);
        flow.waiting.remove(self.number);
        flow.waiting.wake_all();
        Poll::Ready(drawn.map(|drawn| drawn.map_or(Next::End, |chunk| self.take(chunk))))
    }

    /// The next bytes that nobody has had.
    fn draw(
        &mut self,
        state: &mut State,
        context: &Context<'_>,
        rest: impl Fn(u64) -> ByteStream,
    ) -> Poll<Result<Option<Bytes>>> {
        let Flow { lead, waiting, .. } = &*self.flow;
        // Whoever polled last need not be there when something comes.
        waiting.add(self.number, context.waker());
        let all = Waker::from(Arc::clone(waiting));
        while state.ended.is_none() {
            match state.stream.poll_next_unpin(&mut Context::from_waker(&all)) {
                Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => {}
                Poll::Ready(Some(Ok(chunk))) => {
                    state.window.add(chunk.clone());
                    return Poll::Ready(Ok(Some(chunk)));
                }
                Poll::Ready(Some(Err(error))) => state.ended = Some(Err(error)),
                Poll::Ready(None) => state.ended = Some(Ok(())),
                Poll::Pending => match lead.failure() {
                    None => return Poll::Pending,
                    Some(error) if state.leads >= MOST_LEADS => state.ended = Some(Err(error)),
                    // Another may have more luck.
                    Some(error) if self.has_led => return Poll::Ready(Err(error)),
                    Some(error) => {
                        tracing::debug!(%error, at = state.window.end, "another reader leads on");
                        self.has_led = true;
                        state.leads += 1;
                        lead.go_on(rest(state.window.end));
                    }
                },
            }
        }
        Poll::Ready(state.ended.clone().unwrap_or(Ok(())).map(|()| None))
    }

    /// What comes next of what is behind the window. `None` where it is not to be had.
    pub(super) async fn behind(&mut self) -> Option<Bytes> {
        let mut growing = self.flow.growing.clone()?;
        let mut piece = growing.piece(self.given).await.inspect_err(|error: &Error| {
            tracing::debug!(%error, "what the cache was given can't be read");
        });
        let start = self.flow.state().window.start;
        if let Ok(Some(piece)) = &mut piece {
            piece.truncate((start - self.given) as usize);
            self.given += piece.len() as u64;
        }
        piece.ok().flatten()
    }

    fn take(&mut self, chunk: Bytes) -> Next {
        self.given += chunk.len() as u64;
        Next::Bytes(chunk)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.flow.waiting.remove(self.number);
    }
}

impl Window {
    fn add(&mut self, chunk: Bytes) {
        self.end += chunk.len() as u64;
        self.chunks.push_back(chunk);
        // The last one has been seen by nobody but whoever drew it.
        while self.end - self.start > WINDOW_BYTES
            && self.chunks.len() > 1
            && let Some(first) = self.chunks.pop_front()
        {
            self.start += first.len() as u64;
        }
    }

    /// What follows the first `given` bytes, which end in the window.
    fn after(&self, given: u64) -> Option<Bytes> {
        let mut start = self.start;
        for chunk in &self.chunks {
            let end = start + chunk.len() as u64;
            if given < end {
                return Some(chunk.slice((given - start) as usize..));
            }
            start = end;
        }
        None
    }
}
