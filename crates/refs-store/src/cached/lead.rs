//! What leads a shared stream: it may fail, and another lead on where it failed, without those above it noticing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{ByteStream, Error, Result};

/// The stream that leads. A clone is of the same.
#[derive(Clone)]
pub(super) struct Lead(Arc<Mutex<Leading>>);

struct Leading {
    stream: ByteStream,
    failure: Option<Error>,
}

impl Lead {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(Leading { stream, failure: None })))
    }

    /// What comes, whoever leads. Where that fails, nothing comes: whoever polls is to look at the [failure](Lead::failure).
    pub(super) fn followed(&self) -> ByteStream {
        let lead = self.clone();
        stream::poll_fn(move |context| lead.poll(context)).boxed()
    }

    /// Why the one who led has failed, if so, and nobody has gone on.
    pub(super) fn failure(&self) -> Option<Error> {
        self.led().failure.clone()
    }

    /// Leads on by `stream`, which has what has not come yet.
    pub(super) fn go_on(&self, stream: ByteStream) {
        *self.led() = Leading { stream, failure: None };
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut led = self.led();
        if led.failure.is_some() {
            return Poll::Pending;
        }
        match led.stream.poll_next_unpin(context) {
            Poll::Ready(Some(Err(error))) => {
                led.failure = Some(error);
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn led(&self) -> MutexGuard<'_, Leading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
