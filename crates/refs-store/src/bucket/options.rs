//! How a bucket is waited for.

use std::{sync::Arc, time::Duration};

use refs_registry::{Clock, SystemClock};

/// How a [`BucketStore`](super::BucketStore) waits for its bucket, and when it goes on without it.
#[derive(Debug, Clone)]
pub struct BucketOptions {
    /// How long a request may take that moves little; 5 s unless set. One that moves much has a second more for each 256 KiB.
    pub patience: Duration,
    /// How long content may stand still on its way here; a minute unless set. How long all of it takes is not bounded.
    pub idle: Duration,
    /// After so many requests in a row that failed, the bucket is left out; 3 unless set.
    pub failures: u32,
    /// For how long it is left out then, before one request tries it again; 30 s unless set.
    pub pause: Duration,
    /// What the time is measured by.
    pub clock: Arc<dyn Clock>,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            failures: 3,
            pause: Duration::from_secs(30),
            clock: Arc::new(SystemClock),
        }
    }
}

impl BucketOptions {
    /// How long a request may take that moves so many bytes.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        const MIN_RATE: u64 = 256 << 10;
        self.patience + Duration::from_secs(bytes / MIN_RATE)
    }
}
