//! The traits.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use refs_url::{Host, RepoName};

use crate::{Result, Sink, Source};

/// Hands out the read side of repositories by name: a set of registries, a folder of layouts, a mirror.
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// The repository `repository` of `host`, for reading. Opening it asks nothing of the network.
    ///
    /// # Errors
    /// A kind of [`Unsupported`](crate::ErrorKind::Unsupported) when this resolver does not serve `host`; whether the
    /// repository exists shows at the first read.
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>>;

    /// The names of the repositories of `host`, page by page
    /// ([listing repositories](https://distribution.github.io/distribution/spec/api/#catalog)).
    ///
    /// # Errors
    /// The stream ends after its first error; many registries answer `Unsupported`.
    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>>;

    /// What lies between `host` and here; a cache keeps apart what came over the one wire and the other. A resolver over
    /// another one says what that one says.
    fn wire(&self, host: &Host) -> Wire {
        let _here = host;
        Wire::Secured
    }

    /// Asks whether `host` is there and takes the credentials. What lives on this machine need not be asked.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Denied`, or `Protocol` when something else than a registry answers.
    async fn check_auth(&self, host: &Host) -> Result<()> {
        let _here = host;
        Ok(())
    }
}

/// What lies between a host and here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// TLS to a host whose certificate was checked, or nothing at all, as the host is this process.
    Secured,
    /// Whoever is in between can read what passes, and change it.
    Open,
}

/// A [`Resolver`] whose repositories can be written, too. What needs no writing asks for a `Resolver`.
pub trait Writable: Resolver {
    /// The repository `repository` of `host`, for reading and writing. It comes to exist with its first write.
    ///
    /// # Errors
    /// As [`Resolver::source`].
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>>;
}
