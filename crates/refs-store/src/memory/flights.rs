//! One fetch of content at a time among the tasks of a process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use refs_url::Digest;
use tokio::{sync, time::timeout};

use crate::flight::{Flight, Patience};

/// How long it is waited for a fetch that brings nothing more.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fetches that are under way or waited for, and how many bytes of each have come.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<BTreeMap<Digest, Known>>);

type Known = (Weak<sync::Mutex<()>>, Arc<AtomicU64>);

impl Flights {
    /// The right to fetch `digest`, once nobody else does; `None` when the other gets on no further.
    pub(super) async fn take(&self, digest: &Digest) -> Option<Flight> {
        let (right, bytes) = self.known(digest);
        let mut patience = Patience::new(PATIENCE);
        let mut held = Arc::clone(&right).try_lock_owned().ok();
        while held.is_none() {
            let step = patience.next_step(bytes.load(Ordering::Relaxed))?;
            held = timeout(step, Arc::clone(&right).lock_owned()).await.ok();
        }
        held.map(|held| Flight::among_tasks(held, bytes))
    }

    /// What is held by the one who fetches `digest`, and how far that is.
    fn known(&self, digest: &Digest) -> (Arc<sync::Mutex<()>>, Arc<AtomicU64>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, (right, _)| right.strong_count() > 0);
        if let Some((right, bytes)) = flights.get(digest)
            && let Some(right) = right.upgrade()
        {
            return (right, Arc::clone(bytes));
        }
        let (right, bytes) = <(Arc<sync::Mutex<()>>, Arc<AtomicU64>)>::default();
        flights.insert(digest.clone(), (Arc::downgrade(&right), Arc::clone(&bytes)));
        (right, bytes)
    }
}
