//! How many requests at once a registry bears.

use std::sync::atomic::{AtomicUsize, Ordering};

/// An answer that counts takes so many turns of the scheduler, so that the next requests come before it is given.
const TURNS: usize = 50;

/// The requests that are being answered.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    now: AtomicUsize,
}

/// The place of one request among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Crowd);

impl Crowd {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, now: AtomicUsize::new(0) }
    }

    /// A place, when there is one left.
    pub(crate) async fn enter(&self) -> Option<Place<'_>> {
        let place = Place(self);
        if self.now.fetch_add(1, Ordering::AcqRel) >= self.most {
            return None;
        }
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        Some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}
