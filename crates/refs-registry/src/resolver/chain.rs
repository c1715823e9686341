//! Resolvers that are asked in turn.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use refs_url::{Host, RepoName};

use super::{Resolver, Wire, Writable, fixed::unserved};
use crate::{Error, ErrorKind, Result, Sink, Source, error::Wanted};

/// Resolvers that are asked in turn: the next one only when one does not serve the host, which is an error of the kind
/// [`Unsupported`](ErrorKind::Unsupported). Any other error is the answer: what a host can't give is not looked for
/// elsewhere under its name.
#[derive(Debug)]
pub struct ChainResolver<R: ?Sized = dyn Writable> {
    resolvers: Vec<Arc<R>>,
}

impl<R: ?Sized> ChainResolver<R> {
    /// Asks `resolvers` in this order.
    #[must_use]
    pub const fn new(resolvers: Vec<Arc<R>>) -> Self {
        Self { resolvers }
    }

    fn first<T>(&self, host: &Host, ask: impl Fn(&R) -> Result<T>) -> Result<T> {
        let answers = self.resolvers.iter().map(|resolver| ask(resolver));
        let mut answers = answers.filter(|answer| !answer.as_ref().is_err_and(is_unserved));
        answers.next().unwrap_or_else(|| Err(unserved(host)))
    }
}

#[async_trait]
impl<R: Resolver + ?Sized> Resolver for ChainResolver<R> {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        self.first(host, |resolver| resolver.source(host, repository))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        let host = host.clone();
        let listing = async move {
            let mut refused = unserved(&host);
            for resolver in &self.resolvers {
                let mut listed = resolver.repositories(&host);
                match listed.try_next().await {
                    // The one that serves the host may have no such list, which says more.
                    Err(error) if is_unserved(&error) => {
                        if !matches!(error, Error::Unsupported { wanted: Wanted::Host(_), .. }) {
                            refused = error;
                        }
                    }
                    first => return Ok(stream::iter(first.transpose()).chain(listed)),
                }
            }
            Err(refused)
        };
        listing.into_stream().try_flatten().boxed()
    }

    /// Open where one of them says so: it may be the one that serves the host.
    fn wire(&self, host: &Host) -> Wire {
        let wires = self.resolvers.iter().map(|resolver| resolver.wire(host));
        wires.max().unwrap_or(Wire::Secured)
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        for resolver in &self.resolvers {
            match resolver.check_auth(host).await {
                Err(error) if is_unserved(&error) => {}
                checked => return checked,
            }
        }
        Err(unserved(host))
    }
}

impl<R: Writable + ?Sized> Writable for ChainResolver<R> {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        self.first(host, |resolver| resolver.sink(host, repository))
    }
}

fn is_unserved(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}
