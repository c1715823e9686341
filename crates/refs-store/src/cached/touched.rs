//! What passed through a cache, for when somebody finds fault with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use refs_registry::Error;
use refs_url::Digest;

use super::{
    local::Local,
    shared::{Purpose, Shared},
};
use crate::store::Checked;

/// What readers may find fault with.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Content that came from the store.
    pub(super) given: BTreeSet<Digest>,
    /// Content of which parts went there, which nobody had verified.
    pub(super) kept_in_part: BTreeSet<Digest>,
    /// Content of which parts were asked for.
    pub(super) read_in_part: BTreeSet<Digest>,
}

/// Content that was found to be damaged: it is not in the store any more, which is not to be all that is said of it.
#[derive(Debug, Default)]
pub(super) struct Damages(Mutex<BTreeMap<Digest, Error>>);

impl Local {
    /// Checks what was given to readers, and what was kept unverified: whole content that is undamaged stays, the rest is
    /// dropped. Where nothing can be fetched again, parts of what is not here as a whole stay, too. Says whether reading once
    /// more may give something else.
    pub(super) async fn distrust(&self) -> bool {
        let Touched { given, kept_in_part, .. } = std::mem::take(&mut *self.touched());
        let mut found = Vec::new();
        for digest in given.union(&kept_in_part) {
            let checked = self.check(digest).await;
            if given.contains(digest) {
                found.push(checked);
            }
        }
        match self.shared.purpose {
            Purpose::Read => found.contains(&Checked::Cleared) && !found.contains(&Checked::Gone),
            Purpose::ReadAndWrite | Purpose::Write | Purpose::Nothing => {
                found.iter().any(|checked| *checked != Checked::Sound)
            }
        }
    }

    async fn check(&self, digest: &Digest) -> Checked {
        let Shared { store, origin, purpose, .. } = self.shared.as_ref();
        if *purpose == Purpose::Read && matches!(store.stat(digest).await, Ok(None)) {
            return Checked::Gone;
        }
        match store.quarantine(origin, digest).await {
            Ok(checked) => checked,
            Err(error) => {
                tracing::debug!(%digest, %error, "it stays in the cache");
                self.is_passed_by.store(*purpose != Purpose::Read, Ordering::Relaxed);
                Checked::Gone
            }
        }
    }
}

impl Damages {
    pub(super) fn note(&self, digest: &Digest, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), error.clone());
    }

    pub(super) fn of(&self, digest: &Digest) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}
