//! What is known of a registry's demands, for all requests to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use refs_url::{Host, RepoName};
use url::Url;

use super::{
    Credentials, Scopes,
    challenge::Demand,
    found::{self, Found},
};

/// What is known of one registry's demands.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(super) host: Host,
    pub(super) base: Url,
    pub(super) sources: Arc<[Arc<dyn Credentials>]>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the registry asked for last, so that the next request shows it at once.
    pub(super) demand: Option<Demand>,
    pub(super) candidates: HashMap<Option<RepoName>, Arc<Found>>,
    pub(super) settled: HashMap<Scopes, Settled>,
}

/// What was accepted.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub(super) candidate: usize,
    /// What was asked for, with what the registry wanted besides.
    pub(super) scopes: Scopes,
}

/// Beyond so many repositories, what is known of them is learnt anew.
const MANY_REPOSITORIES: usize = 4096;

impl Authority {
    pub(crate) fn new(host: Host, base: Url, credentials: &Arc<dyn Credentials>) -> Self {
        Self { host, base, sources: found::flat(credentials).into(), known: Mutex::default() }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets `demand`, unless the registry has asked for something else since.
    pub(super) fn forget(&self, demand: &Demand) {
        self.known().demand.take_if(|known| known == demand);
    }

    pub(super) fn candidates(&self, repository: Option<&RepoName>) -> Arc<Found> {
        let repository = repository.cloned();
        let mut known = self.known();
        if known.candidates.len() >= MANY_REPOSITORIES && !known.candidates.contains_key(&repository) {
            known.candidates.clear();
            known.settled.clear();
        }
        let found = || Found::new(self.sources.clone(), self.host.clone(), repository.clone());
        known.candidates.entry(repository.clone()).or_insert_with(|| Arc::new(found())).clone()
    }
}
