//! A set of repositories in memory.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{Resolver, Result, Sink, Source, Writable};
use refs_url::{Host, RepoName};

use super::repository::{Memory, Repositories, lock};

/// Any number of repositories in memory, by host and name.
///
/// A repository exists while it holds a blob or a manifest. Clones are cheap and show the same repositories; blobs are
/// mounted between those of one host without a copy.
#[derive(Clone, Default)]
pub struct Memories {
    repositories: Repositories,
}

impl Memories {
    /// No repositories yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The repository `repository` of `host`, which comes to exist with its first write.
    #[must_use]
    pub fn repository(&self, host: &Host, repository: &RepoName) -> Memory {
        Memory::named(self.repositories.clone(), Some((host.clone(), repository.clone())))
    }

    fn names(&self, host: &Host) -> Vec<RepoName> {
        let repositories = lock(&self.repositories);
        let existing = repositories.iter().filter(|(_, contents)| contents.has_content());
        let keys = existing.filter_map(|(key, _)| key.as_ref());
        keys.filter(|(of, _)| of == host).map(|(_, name)| name.clone()).collect()
    }
}

impl Debug for Memories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memories").finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolver for Memories {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.repository(host, repository)))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::iter(self.names(host).into_iter().map(Ok)).boxed()
    }
}

impl Writable for Memories {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.repository(host, repository)))
    }
}
