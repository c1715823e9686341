//! How large the blobs of upstreams are, as these said along with some of their bytes.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use refs_store::Origin;
use refs_url::Digest;

/// Beyond this all are forgotten: to learn one anew costs a request.
const MOST: usize = 10_000;

/// The sizes of blobs in bytes, by repository: what is read range by range is asked for its size once, and not before each.
/// What an upstream says without giving any bytes is believed for one answer only.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<(Origin, Digest), u64>>);

impl Sizes {
    pub(super) fn of(&self, origin: &Origin, digest: &Digest) -> Option<u64> {
        self.known().get(&(origin.clone(), digest.clone())).copied()
    }

    pub(super) fn note(&self, origin: &Origin, digest: &Digest, size: u64) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((origin.clone(), digest.clone()), size);
    }

    /// Says whether the size was remembered.
    pub(super) fn forget(&self, origin: &Origin, digest: &Digest) -> bool {
        self.known().remove(&(origin.clone(), digest.clone())).is_some()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Origin, Digest), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
