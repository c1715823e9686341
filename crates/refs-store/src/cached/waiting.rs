//! Those who wait for the same, all of whom are woken: one of them may have gone, or look at something else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// Who waits, by a number.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<u64, Waker>>);

impl Waiting {
    /// `waker` is woken with the others, once.
    pub(super) fn add(&self, number: u64, waker: &Waker) {
        let before = self.wakers().insert(number, waker.clone());
        // Not under the lock: whatever goes with a waker may come here.
        drop(before);
    }

    /// Whoever has this number waits no longer.
    pub(super) fn remove(&self, number: u64) {
        let before = self.wakers().remove(&number);
        drop(before);
    }

    pub(super) fn wake_all(&self) {
        let woken = std::mem::take(&mut *self.wakers());
        woken.into_values().for_each(Waker::wake);
    }

    fn wakers(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
