//! What there is to show for one repository, found source by source.

use std::sync::Arc;

use refs_url::{Host, RepoName};

use super::{Candidate, Credential, Credentials};
use crate::Result;

/// The candidates for one repository, or for the registry itself. A source is asked when those before it are used up.
#[derive(Debug)]
pub(super) struct Found {
    sources: Arc<[Arc<dyn Credentials>]>,
    host: Host,
    repository: Option<RepoName>,
    so_far: tokio::sync::Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    candidates: Vec<Candidate>,
    /// How many sources have been asked.
    asked: usize,
}

/// The sources that `source` is made of, down to those that are made of nothing.
pub(super) fn flat(source: &Arc<dyn Credentials>) -> Vec<Arc<dyn Credentials>> {
    match source.parts() {
        [] => vec![source.clone()],
        parts => parts.iter().flat_map(flat).collect(),
    }
}

impl Found {
    pub(super) fn new(sources: Arc<[Arc<dyn Credentials>]>, host: Host, repository: Option<RepoName>) -> Self {
        Self { sources, host, repository, so_far: tokio::sync::Mutex::default() }
    }

    /// The candidate at `index`, from 0, or `None` when there are no more. One there always is: nothing at all, which
    /// may be enough.
    ///
    /// # Errors
    /// Those of a source, when no source before it had anything; otherwise a warning tells of it.
    pub(super) async fn at(&self, index: usize) -> Result<Option<Candidate>> {
        let mut so_far = self.so_far.lock().await;
        while so_far.candidates.len() <= index
            && let Some(source) = self.sources.get(so_far.asked)
        {
            match source.candidates(&self.host, self.repository.as_ref()).await {
                Ok(candidates) => so_far.add(candidates),
                Err(error) if so_far.candidates.is_empty() => return Err(error),
                Err(error) => tracing::warn!("{error}: {}", cause(&error)),
            }
            so_far.asked += 1;
        }
        if so_far.candidates.is_empty() {
            so_far.add(vec![Candidate { from: "anonymous".to_owned(), credential: Credential::Anonymous }]);
        }
        Ok(so_far.candidates.get(index).cloned())
    }
}

impl SoFar {
    fn add(&mut self, candidates: Vec<Candidate>) {
        for candidate in candidates {
            // The same password from two files is one attempt: each failed one brings a lock-out nearer.
            if self.candidates.iter().all(|known| known.credential != candidate.credential) {
                self.candidates.push(candidate);
            }
        }
    }
}

fn cause(error: &crate::Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
