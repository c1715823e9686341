//! Tags of which an upstream had nothing to say when it was asked last.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use refs_registry::Error;
use refs_store::Origin;
use refs_url::Tag;

/// More are forgotten, so that nobody fills the memory by asking for what is not there.
const MOST: usize = 10_000;

/// How upstreams failed to say what tags lead to, each until it is worth asking again.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<(Origin, Tag), (Instant, Error)>>);

impl Refused {
    /// How asking for `tag` failed, if that still counts.
    pub(super) fn of(&self, origin: &Origin, tag: &Tag, now: Instant) -> Option<Error> {
        let (until, error) = self.known().get(&(origin.clone(), tag.clone()))?.clone();
        (now < until).then_some(error)
    }

    /// Notes how asking failed, which counts for `pause` from `now` on.
    pub(super) fn note(&self, origin: &Origin, tag: &Tag, error: &Error, now: Instant, pause: Duration) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() < MOST {
            known.insert((origin.clone(), tag.clone()), (now + pause, error.clone()));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Origin, Tag), (Instant, Error)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
