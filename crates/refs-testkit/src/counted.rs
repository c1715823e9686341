//! The body of a request on its way in.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use refs_server::BoxError;

use crate::log::Entry;

/// The body of a request, counted in the log, and broken off at a limit.
pub(crate) struct Counted {
    body: Incoming,
    entry: Arc<Entry>,
    limit: u64,
}

impl Counted {
    /// `body`, of which `limit` bytes come before it breaks off.
    pub(crate) fn new(body: Incoming, entry: Arc<Entry>, limit: u64) -> Self {
        Self { body, entry, limit }
    }

    /// Reads the rest of the body of a request that is refused, so that no reset overtakes the answer. A client that asks
    /// before it sends (`headers` say so) will not send it.
    pub(crate) async fn drain(mut self, headers: &HeaderMap) {
        if !headers.contains_key(header::EXPECT) {
            while let Some(Ok(_)) = self.frame().await {}
        }
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.limit == 0 {
            return Poll::Ready(Some(Err("the test cuts the request here".into())));
        }
        let limit = self.limit;
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| {
            let frame = frame?.map(|frame| frame.map_data(|data| data.slice(..data.len().min(limit as usize))));
            if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                let bytes = data.len() as u64;
                self.limit -= bytes;
                self.entry.received.fetch_add(bytes, Ordering::AcqRel);
            }
            Some(frame.map_err(Into::into))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
