//! When a host was last heard of.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// When a host last gave a sign of life: the head of an answer, whatever it says, or more of a body. More of a document is
/// one wherever it comes from, as whoever asked the host waits for all of it.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Option<Instant>>);

impl Heard {
    pub(super) fn note(&self, now: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.max(Some(now));
    }

    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
