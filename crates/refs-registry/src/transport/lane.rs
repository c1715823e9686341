//! Requests that wait for their turn with a host.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    call::{Body, Call},
    pace::{Limits, Pace, Round},
};
use crate::{Clock, error::Wanted};

/// Requests of most kinds: a verb alone never has more under way than the first.
const MOST: Limits = Limits { first: 8, most: 64 };

/// More requests at once than any machine has ports for.
const SLOTS: u32 = 1 << 16;

/// Lists of referrers have a rate of their own, a much lower one
/// ([ACR](https://github.com/dotnet/docker-tools/issues/2143)).
const OF_REFERRERS: Limits = Limits { first: 2, most: 4 };

/// The lanes of one host.
#[derive(Debug)]
pub(crate) struct Lanes {
    most: Lane,
    referrers: Lane,
}

/// Requests of one kind, in the order in which they came, and as many at once as the host bears.
#[derive(Debug)]
struct Lane {
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// The slots there are, taken and free.
    slots: u32,
}

/// The right to have one request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    lane: &'a Lane,
    permit: Option<SemaphorePermit<'a>>,
    round: Round,
}

impl Lanes {
    /// Lanes on which no more than `most` requests are under way at once, where that is set. Bodies that are made while they
    /// are sent do not count.
    pub(crate) fn new(most: Option<usize>) -> Self {
        let most = most.map(|most| u32::try_from(most).unwrap_or(u32::MAX).clamp(1, SLOTS));
        let limits = most.map_or(MOST, |most| Limits { first: MOST.first.min(most), most });
        let of_referrers = |bound: u32| bound.min(limits.most);
        let Limits { first, most } = OF_REFERRERS;
        let referrers = Limits { first: of_referrers(first), most: of_referrers(most) };
        Self { most: Lane::new(limits), referrers: Lane::new(referrers) }
    }

    /// Until when the host wants no request of some kind, which may have passed.
    pub(crate) fn closed_until(&self) -> Option<Instant> {
        let until = |lane: &Lane| lane.state().pace.closed_until();
        until(&self.most).max(until(&self.referrers))
    }

    /// The turn of `call`, once the host takes requests again. It waits for that at most for `patience`.
    pub(crate) async fn turn(&self, call: &Call, clock: &dyn Clock, mut patience: Duration) -> Turn<'_> {
        let lane = if matches!(call.wanted, Wanted::Referrers(_)) { &self.referrers } else { &self.most };
        loop {
            let turn = lane.turn(&call.body).await;
            let now = clock.now();
            let closed = lane.closed_for(now).max(self.most.closed_for(now));
            let Some(wait) = closed.map(|wait| wait.min(patience)).filter(|wait| !wait.is_zero()) else { return turn };
            drop(turn);
            patience -= wait;
            clock.sleep(wait).await;
        }
    }
}

impl Lane {
    fn new(limits: Limits) -> Self {
        let slots = Semaphore::new(limits.first as usize);
        Self { slots, state: Mutex::new(State { pace: Pace::new(limits), slots: limits.first }) }
    }

    /// A body that is made while it is sent may have to wait for another request to the same host, so that it must not
    /// hold the slot which that one waits for.
    async fn turn(&self, body: &Body) -> Turn<'_> {
        let permit = match body {
            Body::Empty | Body::Bytes(_) => self.slots.acquire().await.ok(),
            Body::Part { .. } | Body::Once(_) => None,
        };
        Turn { lane: self, permit, round: self.state().pace.round() }
    }

    fn closed_for(&self, now: Instant) -> Option<Duration> {
        self.state().pace.closed_for(now)
    }

    /// Makes the slots as many as the window has; those that are taken go when they come back.
    fn change(&self, change: impl FnOnce(&mut Pace, u32)) {
        let mut state = self.state();
        let under_way = state.slots.saturating_sub(u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX));
        change(&mut state.pace, under_way);
        let window = state.pace.window();
        if let Some(more) = window.checked_sub(state.slots) {
            self.slots.add_permits(more as usize);
            state.slots = window;
        } else {
            let gone = self.slots.forget_permits((state.slots - window) as usize);
            state.slots -= u32::try_from(gone).unwrap_or(u32::MAX);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The host answered, and asks for nothing.
    pub(crate) fn answered(self) {
        if self.permit.is_some() {
            self.lane.change(Pace::answered);
        }
    }

    /// The host asks for fewer requests, and for none before `until`.
    pub(crate) fn throttled(self, until: Option<Instant>) {
        let round = self.round;
        self.lane.change(|pace, under_way| {
            pace.throttled(round, under_way);
            if let Some(until) = until {
                pace.close(until);
            }
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.lane.state();
        if state.slots > state.pace.window() {
            permit.forget();
            state.slots -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use http::Method;
    use refs_url::Digest;
    use url::Url;

    use super::*;
    use crate::SystemClock;

    fn call(wanted: Wanted) -> Call {
        Call::new(Method::GET, Url::parse("http://r.test/").unwrap(), wanted)
    }

    /// All the turns that can be had at once for `call`.
    fn turns<'a>(lanes: &'a Lanes, call: &Call) -> Vec<Turn<'a>> {
        let turn = || lanes.turn(call, &SystemClock, Duration::ZERO).now_or_never();
        std::iter::from_fn(turn).take(100).collect()
    }

    #[test]
    fn referrers_have_a_few_turns_of_their_own() {
        let lanes = Lanes::new(None);
        let (blob, referrers) = (call(Wanted::Upload), call(Wanted::Referrers(Digest::sha256(b""))));
        let taken = turns(&lanes, &blob);
        assert_eq!((taken.len(), turns(&lanes, &referrers).len()), (8, 2));
        for turn in turns(&lanes, &referrers) {
            turn.throttled(None);
        }
        assert_eq!(turns(&lanes, &referrers).len(), 1);
        drop(taken);
        assert_eq!(turns(&lanes, &blob).len(), 8);
    }

    #[test]
    fn turns_become_more_after_good_answers_and_fewer_after_a_refusal() {
        let lanes = Lanes::new(None);
        let blob = call(Wanted::Upload);
        turns(&lanes, &blob).into_iter().for_each(Turn::answered);
        assert_eq!(turns(&lanes, &blob).len(), 9);
        for turn in turns(&lanes, &blob) {
            turn.throttled(None);
        }
        assert_eq!(turns(&lanes, &blob).len(), 4);
    }

    #[test]
    fn turns_are_never_more_than_is_set() {
        let lanes = Lanes::new(Some(3));
        let (blob, referrers) = (call(Wanted::Upload), call(Wanted::Referrers(Digest::sha256(b""))));
        for call in [&blob, &blob, &referrers, &referrers] {
            turns(&lanes, call).into_iter().for_each(Turn::answered);
        }
        assert_eq!((turns(&lanes, &blob).len(), turns(&lanes, &referrers).len()), (3, 3));
        assert_eq!(turns(&Lanes::new(Some(0)), &blob).len(), 1);
        let lanes = Lanes::new(Some(usize::MAX));
        assert_eq!(turns(&lanes, &blob).len(), 8);
    }

    #[test]
    fn a_body_that_is_made_on_the_way_takes_no_slot() {
        let lanes = Lanes::new(None);
        let blob = call(Wanted::Upload);
        let streamed = blob.clone().body(Body::once(futures_util::stream::empty().boxed()));
        assert_eq!(turns(&lanes, &streamed).len(), 100);
        let streams = turns(&lanes, &streamed);
        assert_eq!(turns(&lanes, &blob).len(), 8);
        drop(streams);
    }
}
