//! Time as a value.

use std::{
    fmt::Debug,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;

/// The time that waits, deadlines and the lives of tokens are measured by.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The time now. It never goes back.
    fn now(&self) -> Instant;

    /// Ends when `wait` has passed.
    async fn sleep(&self, wait: Duration);

    /// What a calendar says now, which other processes understand, too. It may be set back.
    fn date(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The system's monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}
