//! Tags that an upstream did not have when it was asked last.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use refs_registry::Error;
use refs_store::Origin;
use refs_url::Tag;

/// More are forgotten, so that nobody fills the memory by asking for what is not there.
const MOST: usize = 10_000;

/// What upstreams said of tags that they don't have, each until it is worth asking again.
#[derive(Debug, Default)]
pub(super) struct Missing(Mutex<HashMap<(Origin, Tag), (Instant, Error)>>);

impl Missing {
    /// What the upstream said of `tag`, if that still counts.
    pub(super) fn of(&self, origin: &Origin, tag: &Tag, now: Instant) -> Option<Error> {
        let (until, error) = self.known().get(&(origin.clone(), tag.clone()))?.clone();
        (now < until).then_some(error)
    }

    /// Notes what the upstream said, which counts until `until`.
    pub(super) fn note(&self, origin: &Origin, tag: &Tag, error: &Error, now: Instant, until: Instant) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() < MOST {
            known.insert((origin.clone(), tag.clone()), (until, error.clone()));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Origin, Tag), (Instant, Error)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
