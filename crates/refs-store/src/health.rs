//! Whether a place elsewhere is asked, or left out for a while, as it has failed lately.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What has become of the last requests to a place elsewhere, such as a bucket.
///
/// It knows no clock: whoever asks says what time it is.
#[derive(Debug)]
pub struct Health {
    /// So many failures in a row are too many.
    most: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failed: u32,
    left_out_until: Option<Instant>,
}

/// What a failure has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The place is asked as before.
    GoesOn,
    /// It is left out from now on.
    LeftOut,
}

impl Health {
    /// A place of which nothing is known yet. After `most` failures in a row, of which there is one at least, it is left out
    /// for `pause`.
    #[must_use]
    pub fn new(most: u32, pause: Duration) -> Self {
        Self { most: most.max(1), pause, state: Mutex::default() }
    }

    /// Whether to ask it `now`. When it was left out for long enough, one request may try it, and another if that comes to
    /// nothing.
    pub fn is_asked(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.left_out_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.left_out_until = Some(now + self.pause);
                true
            }
        }
    }

    /// Takes note of an answer: what has failed before counts no more.
    pub fn has_answered(&self) {
        *self.state() = State::default();
    }

    /// Takes note of a failure `now`, and says what follows from it.
    pub fn has_failed(&self, now: Instant) -> Verdict {
        let mut state = self.state();
        state.failed = state.failed.saturating_add(1);
        if state.failed < self.most {
            return Verdict::GoesOn;
        }
        state.left_out_until = Some(now + self.pause);
        Verdict::LeftOut
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[test]
    fn after_failures_in_a_row_one_request_tries_it_when_the_pause_has_passed() {
        let (health, begun) = (Health::new(2, PAUSE), Instant::now());
        assert_eq!(health.has_failed(begun), Verdict::GoesOn);
        health.has_answered();
        assert_eq!(health.has_failed(begun), Verdict::GoesOn, "they were not in a row");
        assert!(health.is_asked(begun));
        assert_eq!(health.has_failed(begun), Verdict::LeftOut);
        assert!(!health.is_asked(begun + PAUSE / 2));
        assert!(health.is_asked(begun + PAUSE));
        assert!(!health.is_asked(begun + PAUSE), "one tries it");
        assert_eq!(health.has_failed(begun + PAUSE), Verdict::LeftOut);
        assert!(!health.is_asked(begun + PAUSE + PAUSE / 2));
        assert!(health.is_asked(begun + PAUSE * 2));
        health.has_answered();
        assert!(health.is_asked(begun + PAUSE * 2));
    }

    #[test]
    fn a_trial_that_nobody_waits_for_is_followed_by_another() {
        let (health, begun) = (Health::new(1, PAUSE), Instant::now());
        assert_eq!(health.has_failed(begun), Verdict::LeftOut);
        assert!(health.is_asked(begun + PAUSE));
        assert!(health.is_asked(begun + PAUSE * 2));
    }
}
