//! All registries: one connection pool, one [`Registry`] a host.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_url::{Host, RepoName};

use crate::{
    Error, Options, Registry, Repository, Resolver, Result, Sink, Source, Wire, Writable,
    hosts::{Origin, Security, Set, SettingsFault, beneath},
    transport::Transport,
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
    /// `Settings` when `host` cannot be the host of a URL, or what is set for it can't be used, which names file and line.
    pub fn registry(&self, host: &Host) -> Result<Arc<Registry>> {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = by_host.get(host) {
            return Ok(registry.clone());
        }
        let registry = Arc::new(Registry::new(host, &self.transport)?);
        by_host.insert(host.clone(), registry.clone());
        Ok(registry)
    }

    /// The repository `repository` of `host`, wherever the settings say that it is kept.
    ///
    /// # Errors
    /// As [`registry`](Registries::registry); `Settings`, too, when the settings block the repository.
    pub fn repository(&self, host: &Host, repository: &RepoName) -> Result<Repository> {
        let registry = self.registry(host)?;
        let settings = registry.settings();
        if let Some(blocked) = settings.blocked.iter().find(|set| beneath(repository, &set.value).is_some()) {
            return Err(blocked_by(blocked, format!("{host}/{repository}")));
        }
        let moved = settings.moved.iter().filter(|set| beneath(repository, &set.value.of).is_some());
        let moved = moved.max_by_key(|set| set.value.of.len()).map(|set| &set.value);
        match moved.and_then(|moved| Some((&moved.host, moved.name(repository)?))) {
            Some((host, name)) => Ok(self.registry(host)?.in_place_of(name, &registry, repository)),
            None => Ok(registry.repository(repository)),
        }
    }
}

fn blocked_by(blocked: &Set<String>, what: String) -> Error {
    let fault = SettingsFault::Blocked(what);
    match &blocked.from {
        Origin::File { path, line } => fault.at(path, *line),
        Origin::Given(by) => fault.at(Path::new(by), None),
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
        // What can't be used shows when something is asked of the host.
        match self.transport.lookup().of(host).map(|settings| settings.security_of(host)) {
            Ok(Security::Plain) => Wire::Open,
            _ => Wire::Secured,
        }
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
