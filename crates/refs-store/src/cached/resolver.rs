//! All repositories of a place, read through one store.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{Error, Resolver, Result, Source, Wire, error::Wanted};
use refs_url::{Host, RepoName};

use super::{Cached, CachedOptions, Fetches};
use crate::store::{Origin, Store};

/// A [`Resolver`] whose repositories are read through a [`Store`] that they share, each as a [`Cached`]; those who read the
/// same part of a blob at a time share one request for it.
#[derive(Debug, Clone)]
pub struct CachedResolver {
    behind: Behind,
    store: Arc<dyn Store>,
    fetches: Fetches,
}

#[derive(Debug, Clone)]
enum Behind {
    Origin(Arc<dyn Resolver>, CachedOptions),
    Nothing { wires: Arc<dyn Resolver> },
}

impl CachedResolver {
    /// The repositories of `origin`, read through `store`.
    #[must_use]
    pub fn new(origin: Arc<dyn Resolver>, store: Arc<dyn Store>) -> Self {
        Self::with_options(origin, store, CachedOptions::default())
    }

    /// The same, each as `options` say.
    #[must_use]
    pub fn with_options(origin: Arc<dyn Resolver>, store: Arc<dyn Store>, options: CachedOptions) -> Self {
        Self { behind: Behind::Origin(origin, options), store, fetches: Fetches::default() }
    }

    /// What `store` has of repositories, each as [`Cached::offline`] gives it. `wires` says what lies between a host and here,
    /// by which the store tells origins apart, and is asked for nothing else.
    #[must_use]
    pub fn offline(wires: Arc<dyn Resolver>, store: Arc<dyn Store>) -> Self {
        Self { behind: Behind::Nothing { wires }, store, fetches: Fetches::default() }
    }
}

#[async_trait]
impl Resolver for CachedResolver {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        let origin = Origin { wire: self.wire(host), host: host.clone(), repository: repository.clone() };
        let store = Arc::clone(&self.store);
        Ok(Arc::new(match &self.behind {
            Behind::Origin(behind, options) => {
                Cached::with_options(behind.source(host, repository)?, origin, store, options).sharing(&self.fetches)
            }
            Behind::Nothing { .. } => Cached::offline(origin, store),
        }))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        match &self.behind {
            Behind::Origin(origin, _) => origin.repositories(host),
            Behind::Nothing { .. } => {
                let of = Some(host.as_str().into());
                stream::iter([Err(Error::NotCached { wanted: Wanted::Repositories, of, lost: None })]).boxed()
            }
        }
    }

    fn wire(&self, host: &Host) -> Wire {
        let (Behind::Origin(resolver, _) | Behind::Nothing { wires: resolver }) = &self.behind;
        resolver.wire(host)
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        match &self.behind {
            Behind::Origin(origin, _) => origin.check_auth(host).await,
            Behind::Nothing { .. } => {
                Err(Error::NotCached { wanted: Wanted::Host(host.clone()), of: None, lost: None })
            }
        }
    }
}
