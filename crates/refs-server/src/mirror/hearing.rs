//! How long it is waited for an upstream that says nothing at all, where there is nothing to give in its stead.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use refs_registry::{Clock, Error, ErrorKind, Result};
use refs_store::Health;
use tokio::sync::Notify;

/// So long an upstream may say nothing to anybody while it is asked for something: there are slow ones.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// When an upstream was last heard of, and whether it is asked.
#[derive(Debug)]
pub(super) struct Hearing {
    health: Health,
    last: Mutex<Option<Instant>>,
    noted: Notify,
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Heard<T> {
    Answer(Result<T>),
    /// Neither this request nor another was answered in all the time.
    Nothing,
    /// It was silent a moment ago.
    NotAsked,
}

impl Hearing {
    /// Of an upstream that is left alone for `pause` once it was silent.
    pub(super) fn new(pause: Duration) -> Self {
        Self { health: Health::new(1, pause), last: Mutex::default(), noted: Notify::new() }
    }

    /// What comes of `ask`, unless the upstream is silent, which may have given other signs of life, the `last` of them then.
    /// All who wait know it at once, whatever they wait for, their turn included.
    pub(super) async fn unless_silent<T>(
        &self,
        ask: impl Future<Output = Result<T>>,
        last: impl Fn() -> Option<Instant>,
        clock: &dyn Clock,
    ) -> Heard<T> {
        let began = clock.now();
        // Before it is looked whether it was silent: another may note that right after.
        let mut noted = pin!(self.noted.notified());
        noted.as_mut().enable();
        if !self.health.is_asked(began) {
            return Heard::NotAsked;
        }
        let silent = pin!(self.silent(began, last, clock));
        match select(pin!(ask), select(silent, noted)).await {
            Either::Left((answer, _)) => {
                self.heard(answer.as_ref().err(), clock.now());
                Heard::Answer(answer)
            }
            Either::Right(_) => Heard::Nothing,
        }
    }

    /// Ends when there was no sign of life for too long since `began`.
    async fn silent(&self, began: Instant, last: impl Fn() -> Option<Instant>, clock: &dyn Clock) {
        loop {
            let now = clock.now();
            let since = [*self.last(), last()].into_iter().flatten().fold(began, Instant::max);
            let wait = (since + PATIENCE).saturating_duration_since(now);
            if wait.is_zero() {
                self.health.has_failed(now);
                self.noted.notify_waiters();
                return;
            }
            clock.sleep(wait).await;
        }
    }

    fn heard(&self, error: Option<&Error>, now: Instant) {
        let is_silent = |error: &Error| matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unreachable);
        if !error.is_some_and(is_silent) {
            self.health.has_answered();
            *self.last() = Some(now);
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
