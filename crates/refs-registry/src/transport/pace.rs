//! How many requests at once a host is sent: more while all goes well, half as many when it asks for fewer. No time passes
//! here.

use std::time::{Duration, Instant};

/// Between which bounds the number of requests at once moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What it begins with.
    pub(crate) first: u32,
    /// What it never exceeds.
    pub(crate) most: u32,
}

/// The number of requests at once that a host seems to bear (additive increase, multiplicative decrease), and until when
/// it wants none.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    limits: Limits,
    window: u32,
    /// Good answers since the window last changed.
    good: u32,
    growth: Growth,
    round: Round,
    closed_until: Option<Instant>,
}

/// The time between two decreases. What was sent before one says nothing about what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Round(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// With each good answer: the bound is not known yet.
    Fast,
    /// With each window of good answers.
    Slow,
}

impl Pace {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, window: limits.first, good: 0, growth: Growth::Fast, round: Round(0), closed_until: None }
    }

    /// How many requests may be under way.
    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// What a request that is sent now belongs to.
    pub(crate) const fn round(&self) -> Round {
        self.round
    }

    /// How long no request is to be sent.
    pub(crate) fn closed_for(&self, now: Instant) -> Option<Duration> {
        self.closed_until?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Until when no request is to be sent, which may have passed.
    pub(crate) const fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }

    /// A request was answered while `under_way` were, itself among them. A window that is not used up shows nothing.
    pub(crate) fn answered(&mut self, under_way: u32) {
        if under_way < self.window {
            return;
        }
        self.good += 1;
        if self.growth == Growth::Fast || self.good >= self.window {
            self.window = (self.window + 1).min(self.limits.most);
            self.good = 0;
        }
    }

    /// The host asked for fewer requests in answer to one that was sent in `round`, while `under_way` were.
    pub(crate) fn throttled(&mut self, round: Round, under_way: u32) {
        if round != self.round {
            return;
        }
        self.window = (self.window.min(under_way) / 2).max(1);
        self.good = 0;
        self.growth = Growth::Slow;
        self.round = Round(self.round.0 + 1);
    }

    /// The host wants no request before `until`.
    pub(crate) fn close(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { first: 8, most: 64 };

    /// The windows after each of `steps`: a good answer for `+`, a request for fewer for `-`, with all of the window under
    /// way.
    #[track_caller]
    fn check(steps: &str, expect: &[u32]) {
        let mut pace = Pace::new(LIMITS);
        let windows = steps.chars().map(|step| {
            match step {
                '+' => pace.answered(pace.window()),
                _ => pace.throttled(pace.round(), pace.window()),
            }
            pace.window()
        });
        assert_eq!(windows.collect::<Vec<_>>(), expect, "{steps}");
    }

    #[test]
    fn the_window_grows_fast_until_it_was_too_large_and_slowly_then() {
        check("+++", &[9, 10, 11]);
        check("--", &[4, 2]);
        check("-----", &[4, 2, 1, 1, 1]);
        check("-++++++++", &[4, 4, 4, 4, 5, 5, 5, 5, 5]);
        check("---+++", &[4, 2, 1, 2, 2, 3]);
        check("+++-", &[9, 10, 11, 5]);
        check(&"+".repeat(100), &[(9..=64).collect::<Vec<_>>(), vec![64; 44]].concat());
    }

    #[test]
    fn what_was_sent_before_a_decrease_does_not_decrease_again() {
        let mut pace = Pace::new(LIMITS);
        let sent = pace.round();
        (0..8).for_each(|_| pace.throttled(sent, 8));
        assert_eq!(pace.window(), 4);
        pace.throttled(pace.round(), 4);
        assert_eq!(pace.window(), 2);
    }

    #[test]
    fn a_window_that_is_not_used_up_does_not_grow_and_counts_as_what_was_used() {
        let mut pace = Pace::new(LIMITS);
        (0..100).for_each(|_| pace.answered(7));
        assert_eq!(pace.window(), 8);
        pace.throttled(pace.round(), 2);
        assert_eq!(pace.window(), 1);
    }

    #[test]
    fn a_host_is_closed_until_the_latest_time_that_it_named() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(LIMITS);
        assert_eq!(pace.closed_for(now), None);
        pace.close(now + 7 * second);
        pace.close(now + 3 * second);
        assert_eq!(pace.closed_for(now + second), Some(6 * second));
        assert_eq!(pace.closed_for(now + 7 * second), None);
        assert_eq!(pace.closed_for(now + 8 * second), None);
    }

    proptest! {
        #[test]
        fn the_window_stays_within_its_bounds(steps in prop::collection::vec((any::<bool>(), 0u32..100), 0..500)) {
            let mut pace = Pace::new(LIMITS);
            for (is_good, under_way) in steps {
                let (before, round) = (pace.window(), pace.round());
                if is_good { pace.answered(under_way) } else { pace.throttled(round, under_way) }
                prop_assert!((1..=LIMITS.most).contains(&pace.window()));
                let allowed = if is_good { before..=before + 1 } else { 1..=before.div_ceil(2) };
                prop_assert!(allowed.contains(&pace.window()));
            }
        }

        /// A host that bears `capacity` requests at once, and is always sent as many as the window allows.
        #[test]
        fn the_window_settles_at_what_the_host_bears(capacity in 1u32..60) {
            let mut pace = Pace::new(LIMITS);
            let (mut sent, mut refused) = (0, 0);
            for batch in 0..400 {
                let (window, round) = (pace.window(), pace.round());
                for nth in 0..window {
                    let is_borne = nth < capacity;
                    if is_borne { pace.answered(window) } else { pace.throttled(round, window) }
                    if batch >= 100 {
                        sent += 1;
                        refused += u32::from(!is_borne);
                    }
                }
                prop_assert!(batch < 20 || window <= capacity + 1, "{window} for {capacity}");
                prop_assert!(batch < 100 || window >= capacity.div_ceil(2).min(capacity), "{window} for {capacity}");
            }
            prop_assert!(capacity < 4 || refused * 10 <= sent, "{refused} of {sent} for {capacity}");
        }
    }
}
