//! One request, watched from its head to the end of its answer.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Response, header::CONTENT_LENGTH, request};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use refs_url::Host;

use crate::{Answered, Body, BoxError, End, Endpoint, Found, answer, observer::Observers, places::Place};

/// Where a request came from: an extension of the request, which [`serve`](crate::serve()) sets, and which whoever takes the
/// connections instead may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Peer {
    pub(crate) fn of(head: &request::Parts) -> Option<SocketAddr> {
        head.extensions.get().map(|Self(address)| *address)
    }
}

/// What is learnt of a request while it is answered.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) endpoint: OnceLock<Endpoint>,
    /// Who asks.
    pub(crate) user: OnceLock<String>,
    pub(crate) upstream: OnceLock<Host>,
    pub(crate) cache: OnceLock<Found>,
    /// The bytes of the request's body that came.
    pub(crate) received: AtomicU64,
}

/// A request that is being answered. Who observes the server is told when this is dropped.
pub(crate) struct Watch {
    observers: Observers,
    begun: Instant,
    notes: Arc<Notes>,
    /// `None` when nobody observes.
    answered: Option<Box<Answered>>,
    /// Held as long as the request is under way.
    place: Option<Place>,
}

impl Watch {
    /// The head of a request has come.
    pub(crate) fn new(observers: &Observers, head: &request::Parts) -> Self {
        let answered = (!observers.is_empty()).then(|| Box::new(Answered::of(head)));
        Self { observers: observers.clone(), begun: Instant::now(), notes: Arc::default(), answered, place: None }
    }

    pub(crate) fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    /// Holds `place` until the answer has left.
    pub(crate) fn hold(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// `response`, which tells of itself when it has left.
    pub(crate) fn over(mut self, head: &request::Parts, response: Response<Body>) -> Response<Body> {
        let (path, status) = (head.uri.path(), response.status().as_u16());
        tracing::debug!(method = %head.method, path, status, ms = self.begun.elapsed().as_millis(), "answered");
        if let Some(answered) = &mut self.answered {
            answered.status = status;
            answered.first_byte = self.begun.elapsed();
        }
        let response = if head.method == Method::HEAD { answer::without_body(response) } else { response };
        if response.body().is_end_stream() {
            self.end();
            return response;
        }
        let left = length(&response);
        response.map(|body| BodyExt::boxed_unsync(Leaving { body, left, watch: Some(self) }))
    }

    /// Bytes of the answer's body leave.
    fn pass(&mut self, bytes: u64) {
        let Some(answered) = &mut self.answered else { return };
        if answered.bytes == 0 {
            answered.first_byte = self.begun.elapsed();
        }
        answered.bytes += bytes;
    }

    /// The whole answer has left.
    fn end(mut self) {
        if let Some(answered) = &mut self.answered {
            answered.end = End::Whole;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(mut answered) = self.answered.take() else { return };
        let Notes { endpoint, user, upstream, cache, received } = &*self.notes;
        answered.endpoint = endpoint.get().copied().unwrap_or(Endpoint::Other);
        answered.user = user.get().cloned();
        answered.upstream = upstream.get().cloned();
        answered.cache = cache.get().copied();
        answered.received = received.load(Ordering::Relaxed);
        answered.whole = self.begun.elapsed();
        self.observers.answered(&answered);
    }
}

/// How many bytes the body of `response` has, as its head says.
fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of an answer on its way out.
struct Leaving {
    body: Body,
    /// What has yet to leave, where that is known: the last byte is the end, for nobody may ask for what comes after it.
    left: Option<u64>,
    watch: Option<Watch>,
}

impl hyper::body::Body for Leaving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.watch.take().into_iter().for_each(Watch::end),
            Some(Err(_)) => drop(self.watch.take()),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.watch.iter_mut().for_each(|watch| watch.pass(bytes));
                self.left = self.left.map(|left| left.saturating_sub(bytes));
                if self.left == Some(0) {
                    self.watch.take().into_iter().for_each(Watch::end);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
