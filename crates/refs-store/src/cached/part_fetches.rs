//! The fetches of parts that are under way in this process.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use refs_registry::Result;
use refs_url::Digest;
use tokio::sync::OnceCell;

use super::{
    flow::{Flow, Led},
    parts::Asked,
};
use crate::{joint::FetchedBy, store::Origin};

/// By repository: nothing vouches for a part but where it came from.
type Key = (Origin, Digest, Range<u64>);

/// The fetches of parts that are under way, by what they are of. A clone is of the same fetches.
#[derive(Debug, Clone, Default)]
pub(super) struct PartFetches(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    fetches: HashMap<Key, Weak<PartFetch>>,
    /// Of the next fetch.
    number: u64,
}

/// One fetch.
#[derive(Debug, Default)]
pub(super) struct PartFetch {
    number: u64,
    begun: OnceCell<Result<Begun>>,
}

/// A fetch that has begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) range: Range<u64>,
    pub(super) total: u64,
    pub(super) flow: Arc<Flow>,
    /// How it comes to those who follow.
    pub(super) by: FetchedBy,
}

/// A fetch, and whether whoever joined has begun it.
pub(super) struct Joined {
    pub(super) fetch: Arc<PartFetch>,
    pub(super) begun: Begun,
    pub(super) led: Led,
}

impl PartFetches {
    /// The fetch that is under way of what is `asked`, or else one that begins now. When whoever begins it leaves before it
    /// has begun, another does.
    ///
    /// # Errors
    /// Those of beginning, to all who wait.
    pub(super) async fn join(&self, key: Key, asked: &Asked) -> Result<Joined> {
        let fetch = self.fetch(key, asked.not_before());
        let mut led = Led::NotYet;
        let begun = fetch.begun.get_or_init(|| begin(asked, &mut led)).await.clone()?;
        Ok(Joined { fetch, begun, led })
    }

    /// The number of the next fetch that begins.
    pub(super) fn next_number(&self) -> u64 {
        self.known().number
    }

    /// The fetch that is under way, or one that has yet to begin, as long as those before `not_before` do not count.
    fn fetch(&self, key: Key, not_before: u64) -> Arc<PartFetch> {
        let mut known = self.known();
        let under_way = known.fetches.get(&key).and_then(Weak::upgrade);
        if let Some(fetch) = under_way.filter(|fetch| fetch.number >= not_before && fetch.is_of_use()) {
            return fetch;
        }
        known.fetches.retain(|_, fetch| fetch.strong_count() > 0);
        let fetch = Arc::new(PartFetch { number: known.number, begun: OnceCell::new() });
        known.number += 1;
        known.fetches.insert(key, Arc::downgrade(&fetch));
        fetch
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn begin(asked: &Asked, led: &mut Led) -> Result<Begun> {
    *led = Led::Before;
    asked.begin().await
}

impl PartFetch {
    fn is_of_use(&self) -> bool {
        match self.begun.get() {
            None => true,
            Some(begun) => begun.as_ref().is_ok_and(|begun| begun.flow.is_of_use()),
        }
    }
}
