//! All repositories of a place, read through one store.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use refs_registry::{Resolver, Result, Source, Wire};
use refs_url::{Host, RepoName};

use super::Cached;
use crate::store::{Origin, Store};

/// A [`Resolver`] whose repositories are read through a [`Store`] that they share, each as a [`Cached`].
#[derive(Debug, Clone)]
pub struct CachedResolver {
    origin: Arc<dyn Resolver>,
    store: Arc<dyn Store>,
}

impl CachedResolver {
    /// The repositories of `origin`, read through `store`.
    #[must_use]
    pub fn new(origin: Arc<dyn Resolver>, store: Arc<dyn Store>) -> Self {
        Self { origin, store }
    }
}

#[async_trait]
impl Resolver for CachedResolver {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        let source = self.origin.source(host, repository)?;
        let origin = Origin { wire: self.wire(host), host: host.clone(), repository: repository.clone() };
        Ok(Arc::new(Cached::new(source, origin, Arc::clone(&self.store))))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        self.origin.repositories(host)
    }

    fn wire(&self, host: &Host) -> Wire {
        self.origin.wire(host)
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        self.origin.check_auth(host).await
    }
}
