//! All registries: one connection pool, one [`Registry`] a host.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_url::{Host, RepoName};

use crate::{
    Options, Registry, Repository, Resolver, Result, Sink, Source, Wire, Writable,
    transport::{Remote, Transport},
};

/// The registries of the network, by host. Connections, tokens and what is learnt of a host are shared by all that is
/// opened through it; a clone shares them, too.
#[derive(Debug, Clone)]
pub struct Registries {
    transport: Arc<Transport>,
    by_host: Arc<Mutex<HashMap<Host, Arc<Registry>>>>,
}

impl Registries {
    /// Registries that are spoken to as `options` say. Nothing is read and nobody asked until something is needed; a
    /// setting that can't be used shows as `Settings` then.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { transport: Arc::new(Transport::new(options)), by_host: Arc::default() }
    }

    /// The registry at `host`.
    ///
    /// # Errors
    /// `Settings` when `host` cannot be the host of a URL.
    pub fn registry(&self, host: &Host) -> Result<Arc<Registry>> {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = by_host.get(host) {
            return Ok(registry.clone());
        }
        let registry = Arc::new(Registry::new(Arc::new(Remote::new(host, self.transport.clone())?)));
        by_host.insert(host.clone(), registry.clone());
        Ok(registry)
    }

    /// The repository `repository` of `host`.
    ///
    /// # Errors
    /// As [`registry`](Registries::registry).
    pub fn repository(&self, host: &Host, repository: &RepoName) -> Result<Repository> {
        Ok(self.registry(host)?.repository(repository))
    }
}

impl Default for Registries {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

#[async_trait]
impl Resolver for Registries {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.repository(host, repository)?))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        match self.registry(host) {
            Ok(registry) => registry.catalog(),
            Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
        }
    }

    fn wire(&self, host: &Host) -> Wire {
        if self.transport.options().is_plain(host) { Wire::Open } else { Wire::Secured }
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        self.registry(host)?.check_auth().await.map(drop)
    }
}

impl Writable for Registries {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.repository(host, repository)?))
    }
}
