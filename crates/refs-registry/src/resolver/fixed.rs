//! Hosts that are named beforehand.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_url::{Host, RepoName};

use super::{Resolver, Wire, Writable};
use crate::{Error, Result, Sink, Source, error::Wanted};

/// Hosts, each with what serves it: a folder of layouts, repositories in memory, a mirror. It serves no others. What it is
/// made of decides what can be done with it: of `dyn Resolver` it can be read, of `dyn Writable` it can be written, too.
#[derive(Debug)]
pub struct StaticResolver<R: ?Sized = dyn Writable> {
    hosts: HashMap<Host, Served<R>>,
}

/// What serves a host.
#[derive(Debug)]
struct Served<R: ?Sized> {
    /// Single repositories, by name.
    repositories: HashMap<RepoName, Arc<R>>,
    /// All others.
    rest: Option<Arc<R>>,
}

impl<R: ?Sized> StaticResolver<R> {
    /// No host yet.
    #[must_use]
    pub fn new() -> Self {
        Self { hosts: HashMap::new() }
    }

    /// Serves `host` by `resolver`, but for single repositories that are named. A host that was named before is served
    /// otherwise from now on.
    #[must_use]
    pub fn with(mut self, host: Host, resolver: Arc<R>) -> Self {
        self.served(host).rest = Some(resolver);
        self
    }

    fn served(&mut self, host: Host) -> &mut Served<R> {
        self.hosts.entry(host).or_insert_with(|| Served { repositories: HashMap::new(), rest: None })
    }

    fn find(&self, host: &Host, repository: &RepoName) -> Result<&R> {
        let served = self.hosts.get(host);
        let found = served.and_then(|served| served.repositories.get(repository).or(served.rest.as_ref()));
        found.map(AsRef::as_ref).ok_or_else(|| unserved(host))
    }

    fn rest(&self, host: &Host) -> Result<&R> {
        let rest = self.hosts.get(host).and_then(|served| served.rest.as_deref());
        rest.ok_or_else(|| unserved(host))
    }
}

impl StaticResolver<dyn Resolver> {
    /// Serves the repository `repository` of `host` by `source`.
    #[must_use]
    pub fn with_source(mut self, host: Host, repository: RepoName, source: Arc<dyn Source>) -> Self {
        self.served(host).repositories.insert(repository, Arc::new(One(source)));
        self
    }
}

impl StaticResolver<dyn Writable> {
    /// Serves the repository `repository` of `host` by `sink`.
    #[must_use]
    pub fn with_sink(mut self, host: Host, repository: RepoName, sink: Arc<dyn Sink>) -> Self {
        self.served(host).repositories.insert(repository, Arc::new(One(sink)));
        self
    }
}

impl<R: ?Sized> Default for StaticResolver<R> {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl<R: Resolver + ?Sized> Resolver for StaticResolver<R> {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        self.find(host, repository)?.source(host, repository)
    }

    /// Those that were named one by one are listed where nothing else serves the host.
    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        match (self.rest(host), self.hosts.get(host)) {
            (Ok(rest), _) => rest.repositories(host),
            (Err(_), Some(served)) => {
                let mut names: Vec<_> = served.repositories.keys().cloned().collect();
                names.sort();
                stream::iter(names.into_iter().map(Ok)).boxed()
            }
            (Err(error), None) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn wire(&self, host: &Host) -> Wire {
        self.rest(host).map_or(Wire::Secured, |rest| rest.wire(host))
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        match self.rest(host) {
            Ok(rest) => rest.check_auth(host).await,
            Err(_) if self.hosts.contains_key(host) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl<R: Writable + ?Sized> Writable for StaticResolver<R> {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        self.find(host, repository)?.sink(host, repository)
    }
}

/// One repository, whatever it is called.
#[derive(Debug)]
struct One<S: ?Sized>(Arc<S>);

#[async_trait]
impl Resolver for One<dyn Source> {
    fn source(&self, _host: &Host, _repository: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::clone(&self.0))
    }

    fn repositories(&self, _host: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::empty().boxed()
    }
}

#[async_trait]
impl Resolver for One<dyn Sink> {
    fn source(&self, _host: &Host, _repository: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::<dyn Sink>::clone(&self.0))
    }

    fn repositories(&self, _host: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::empty().boxed()
    }
}

impl Writable for One<dyn Sink> {
    fn sink(&self, _host: &Host, _repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Ok(Arc::clone(&self.0))
    }
}

/// That nothing serves `host`.
pub(super) fn unserved(host: &Host) -> Error {
    Error::unsupported(Wanted::Host(host.clone()), "this resolver")
}
