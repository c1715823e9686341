//! How far a client goes for what it reads.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{Error, Resolver, Result, Sink, Source, Wire, Writable, error::Wanted};
use refs_store::Freshness;
use refs_url::{Host, RepoName};

/// Where a client reads repositories of registries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach {
    /// In registries, through the client's store if it has one, which is believed so far.
    Registries(Freshness),
    /// In the store alone.
    Store,
}

impl Default for Reach {
    fn default() -> Self {
        Self::Registries(Freshness::default())
    }
}

/// Registries that are out of reach.
#[derive(Debug)]
pub(crate) struct Unreached {
    /// Asked for what lies between, and for nothing else.
    wires: Arc<dyn Writable>,
}

impl Unreached {
    pub(crate) fn beyond(wires: Arc<dyn Writable>) -> Self {
        Self { wires }
    }
}

#[async_trait]
impl Resolver for Unreached {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        Err(lacks(host, Wanted::Repository(repository.clone())))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::iter([Err(lacks(host, Wanted::Repositories))]).boxed()
    }

    fn wire(&self, host: &Host) -> Wire {
        self.wires.wire(host)
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        Err(lacks(host, Wanted::Host(host.clone())))
    }
}

impl Writable for Unreached {
    fn sink(&self, _host: &Host, _repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Err(Error::unsupported(Wanted::Upload, "a client that is offline"))
    }
}

fn lacks(host: &Host, wanted: Wanted) -> Error {
    Error::NotCached { wanted, of: Some(host.as_str().into()), lost: None }
}
