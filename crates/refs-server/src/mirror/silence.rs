//! How long it is waited for an upstream that is silent, where there is something to give in its stead.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use refs_registry::{Clock, Error, ErrorKind};
use refs_store::Health;
use tokio::sync::Notify;

/// Whether an upstream lets itself be waited for.
#[derive(Debug)]
pub(super) struct Silence {
    health: Health,
    noted: Notify,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Waited<T> {
    Answered(T),
    /// Nothing, for as long as anybody waits.
    InVain,
    /// Another has waited in vain, lately or meanwhile, or it was called off.
    NotAtAll,
}

impl Silence {
    /// Of an upstream that is left out for `pause` once it was waited for in vain.
    pub(super) fn new(pause: Duration) -> Self {
        Self { health: Health::new(1, pause), noted: Notify::new() }
    }

    /// What comes of `ask` within `patience`, unless it is `called_off`. Nobody waits longer than who has asked first.
    pub(super) async fn broken_by<T>(
        &self,
        ask: impl Future<Output = T> + Unpin,
        patience: Duration,
        called_off: impl Future<Output = ()>,
        clock: &dyn Clock,
    ) -> Waited<T> {
        // Before it is looked whether another has waited: it may note that right after.
        let mut noted = pin!(self.noted.notified());
        noted.as_mut().enable();
        if !self.health.is_asked(clock.now()) {
            return Waited::NotAtAll;
        }
        let called_off = pin!(called_off);
        let over = select(clock.sleep(patience), select(noted, called_off));
        match select(ask, over).await {
            Either::Left((answer, _)) => Waited::Answered(answer),
            Either::Right((Either::Left(_), _)) => {
                self.health.has_failed(clock.now());
                self.noted.notify_waiters();
                Waited::InVain
            }
            Either::Right((Either::Right(_), _)) => Waited::NotAtAll,
        }
    }

    /// Takes note of what came of a request: an upstream that has answered, whatever that was, is asked again.
    pub(super) fn heard(&self, error: Option<&Error>) {
        let is_silent = |error: &Error| matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unreachable);
        if !error.is_some_and(is_silent) {
            self.health.has_answered();
        }
    }
}
