//! How many requests wait for one upstream.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::{Either, select};
use http::{
    StatusCode,
    header::{CONNECTION, RETRY_AFTER},
};
use refs_registry::Clock;
use tokio::sync::Notify;

use crate::{Code, Refusal, answer::Outcome};

/// Whoever has no answer by then waits.
const PROMPT: Duration = Duration::from_secs(5);
/// So long it takes to give what is kept.
const KEPT: Duration = Duration::from_secs(1);

/// Those who wait for an upstream, themselves or for the request of another. They must not be all that may be here.
#[derive(Debug, Default)]
pub(super) struct Crowd(AtomicUsize);

/// One of them, until it is dropped.
struct Waiting<'a>(&'a Crowd);

impl Crowd {
    /// What comes of `read`, unless it has to be waited for, and `most` do that already: then it is `called_off`, and may
    /// give what it has without waiting.
    pub(super) async fn unless_more_than(
        &self,
        most: usize,
        read: impl Future<Output = Outcome>,
        called_off: &Notify,
        clock: &dyn Clock,
    ) -> Outcome {
        let mut read = pin!(read);
        if let Either::Left((outcome, _)) = select(read.as_mut(), clock.sleep(PROMPT)).await {
            return outcome;
        }
        if let Some(_waiting) = self.join(most) {
            return read.await;
        }
        called_off.notify_one();
        match select(read, clock.sleep(KEPT)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(crowded()),
        }
    }

    fn join(&self, most: usize) -> Option<Waiting<'_>> {
        let joined = |waiting: usize| (waiting < most).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, joined).ok().map(|_| Waiting(self))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection is wanted for others, too.
fn crowded() -> Refusal {
    let message = "too many requests wait for the registry behind this server";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyRequests, message)
        .with(RETRY_AFTER, 10)
        .with(CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Instant};

    use futures_util::{FutureExt, poll};

    use super::*;
    use crate::answer::Reply;

    /// A clock by which all time has passed.
    #[derive(Debug)]
    struct Late;

    #[async_trait::async_trait]
    impl Clock for Late {
        fn now(&self) -> Instant {
            Instant::now()
        }

        async fn sleep(&self, _wait: Duration) {}
    }

    async fn ask(crowd: &Crowd, read: impl Future<Output = Outcome>) -> Outcome {
        crowd.unless_more_than(1, read, &Notify::new(), &Late).await
    }

    #[tokio::test]
    async fn m159_who_would_have_to_wait_is_refused_where_enough_wait() {
        let crowd = Crowd::default();
        {
            let mut first = pin!(ask(&crowd, pending()));
            assert!(poll!(&mut first).is_pending());
            let second = ask(&crowd, pending()).await.unwrap_err();
            assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(second.headers, crowded().headers);
            let prompt = async { Ok(Reply::new(StatusCode::OK)) };
            assert!(ask(&crowd, prompt).await.is_ok());
        }
        assert!(ask(&crowd, pending()).now_or_never().is_none(), "the first has left");
    }

    #[tokio::test]
    async fn who_has_something_to_give_where_enough_wait_gives_it() {
        let called_off = Notify::new();
        let kept = async {
            called_off.notified().await;
            Ok(Reply::new(StatusCode::OK))
        };
        assert!(Crowd::default().unless_more_than(0, kept, &called_off, &Late).await.is_ok());
    }
}
