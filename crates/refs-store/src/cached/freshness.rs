//! How far a store is believed about what may have changed since.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use refs_registry::{Clock, SystemClock};

/// What is taken from a store without asking the origin whether it still holds.
///
/// However far that is, what the origin says of a tag that the store has a record of is written down: that it leads where it
/// did, that it leads elsewhere, that there is no such tag. For readers who are [offline](crate::Cached::offline), a tag
/// moves with its record when its new manifest is kept, at once or later. Until then they are given the old one if that is
/// kept, as what is a little old is worth more to them than nothing, and the [record](crate::TagRecord) tells that the tag
/// has moved. A tag that is gone they are not given at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Freshness {
    /// What is asked for by digest, which can't change. What a tag leads to is asked each time.
    #[default]
    Revalidate,
    /// The same, and what a tag leads to, when the origin has said so less than this ago. A record that is dated in the
    /// future does not count.
    Within(Duration),
    /// Nothing: all is fetched anew. What comes is kept, in the place of what was there.
    Refresh,
}

/// How a [`Cached`](crate::Cached) is to be.
#[derive(Debug, Clone)]
pub struct CachedOptions {
    /// What is taken from the store without asking; all that can't change unless set.
    pub freshness: Freshness,
    /// Whose date records bear, and are compared with; the system's unless set.
    pub clock: Arc<dyn Clock>,
    /// A longer part is not kept without the rest; 32 MiB unless set, as who reads little of much wants tables of contents
    /// again, and no archives.
    pub max_part_bytes: u64,
}

impl Default for CachedOptions {
    fn default() -> Self {
        Self { freshness: Freshness::default(), clock: Arc::new(SystemClock), max_part_bytes: 32 << 20 }
    }
}

/// Which records of tags are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// None: the origin is asked.
    Nothing,
    /// Those that are younger.
    Younger(Duration),
    /// All: there is nobody to ask.
    All,
}

impl Belief {
    /// What is believed of what the origin said at `seen`.
    pub(super) fn holds(self, seen: SystemTime, now: SystemTime) -> bool {
        match self {
            Self::Nothing => false,
            Self::Younger(limit) => now.duration_since(seen).is_ok_and(|age| age < limit),
            Self::All => true,
        }
    }
}

impl From<Freshness> for Belief {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Within(limit) => Self::Younger(limit),
            Freshness::Revalidate | Freshness::Refresh => Self::Nothing,
        }
    }
}
