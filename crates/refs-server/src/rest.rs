//! What is left of the body of a request when it is answered.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::Request;
use hyper::body::{Body, Frame, SizeHint};

/// Whether more of a body is to come. Then the connection can't go on with another request, and ends after the answer: a
/// client that keeps connections has to be told.
pub(crate) struct Rest(Arc<AtomicBool>);

impl Rest {
    pub(crate) fn is_to_come(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// `request`, and what is left of its body at any time.
pub(crate) fn watched<B: Body>(request: Request<B>) -> (Request<Watched<B>>, Rest) {
    let is_to_come = Arc::new(AtomicBool::new(!request.body().is_end_stream()));
    let rest = Rest(Arc::clone(&is_to_come));
    (request.map(|body| Watched { body, is_to_come }), rest)
}

/// The body of a request.
pub(crate) struct Watched<B> {
    body: B,
    is_to_come: Arc<AtomicBool>,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_to_come.store(false, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
