//! One registry.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use refs_url::{Host, RepoName};

use crate::{
    Error, Quirks, RateLimit, RawAnswer, RawRequest, Repository, Result,
    error::{Detail, Fault, Wanted},
    hosts::HostSettings,
    raw,
    repository::{MirrorHost, catalog},
    transport::{Answer, Call, Remote, Transport, check_settings},
};

/// One registry: whether it is there and who we are to it, and its repositories.
#[derive(Debug, Clone)]
pub struct Registry {
    remote: Arc<Remote>,
    mirrors: Arc<[Arc<MirrorHost>]>,
}

impl Registry {
    pub(crate) fn new(host: &Host, transport: &Arc<Transport>) -> Result<Self> {
        let remote = Arc::new(Remote::new(host, transport.clone())?);
        let mirrors = remote.settings().mirrors.iter();
        let mirrors = mirrors.map(|set| MirrorHost::new(&set.value, transport.clone()).map(Arc::new));
        Ok(Self { mirrors: mirrors.collect::<Result<_>>()?, remote })
    }

    /// The registry's host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.remote.host
    }

    /// Makes sure that a registry answers at the host
    /// ([determining support](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support)).
    /// That it wants credentials is an answer, too.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, or what the host answered when it is no registry: `NotFound`, mostly, or `Protocol` for a page
    /// for people.
    pub async fn ping(&self) -> Result<()> {
        match self.ask().await {
            Ok(_) | Err(Error::Unauthorized { .. } | Error::Denied { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Has the credentials for the registry checked, and says where those that it took came from; `None` when it asks
    /// nobody who they are, or when there are none and it lets everyone in.
    ///
    /// # Errors
    /// `Unauthorized` when there are credentials and all were refused, whatever it grants to everyone; those of
    /// [`ping`](Registry::ping).
    pub async fn check_auth(&self) -> Result<Option<String>> {
        let answer = self.ask().await?;
        if answer.accepted.is_none() && !answer.refused.is_empty() {
            let (host, tried) = (self.host().clone(), answer.refused);
            return Err(Error::Unauthorized { host, tried, detail: Detail::default() });
        }
        Ok(answer.accepted)
    }

    /// The names of the registry's repositories, page by page. Few registries for the public tell.
    ///
    /// # Errors
    /// The stream ends after its first error: `Unsupported`, `NotFound`, `Denied` where listing is switched off,
    /// `Protocol` for a listing without an end.
    #[must_use]
    pub fn catalog(&self) -> BoxStream<'static, Result<RepoName>> {
        catalog(self.remote.clone())
    }

    /// How the registry has to be spoken to, as far as it is known by now.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.remote.quirks()
    }

    /// How many requests the registry still allows, as its last answer had it; `None` when none has said.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.remote.rate_limit()
    }

    /// What is set for the registry, and where.
    #[must_use]
    pub fn settings(&self) -> &HostSettings {
        self.remote.settings()
    }

    /// Makes sure that the files which [`settings`](Registry::settings) name can be used, such as certificates to trust. Without
    /// that it is found out by the first request. Nothing is asked of the network.
    ///
    /// # Errors
    /// `Settings`.
    pub fn check_settings(&self) -> Result<()> {
        check_settings(self.settings())
    }

    /// The repository `name`, with the mirrors that are set for it. Nothing is asked of the network.
    #[must_use]
    pub fn repository(&self, name: &RepoName) -> Repository {
        Repository::new(self.remote.clone(), name.clone(), &self.mirrors, name)
    }

    /// The repository `name` of this registry in place of `moved` of the registry `from`, whose mirrors stay.
    pub(crate) fn in_place_of(&self, name: RepoName, from: &Self, moved: &RepoName) -> Repository {
        Repository::new(self.remote.clone(), name, &from.mirrors, moved)
    }

    /// What the registry says to somebody who shows nothing.
    pub(crate) async fn knock(&self) -> Result<Answer> {
        self.remote.knock(&self.call()).await
    }

    /// Sends a request of the caller's own, with the credentials for the registry, and gives the answer as it came. Redirects
    /// are followed within the same bounds as ever, and nobody but the registry and its token service sees a credential. A
    /// `POST` or `PATCH` is sent once; all else is repeated while that may help.
    ///
    /// # Errors
    /// `Settings` for a path without `/`, or a header that is malformed or the client's own, such as `Authorization`;
    /// `Unauthorized` and `Denied` when no credential is accepted; `RateLimited`, `Refused` with a status of 500 or more,
    /// `Unreachable` and `Timeout` after retries; `TooLarge` for a body over [`RawAnswer::MAX_BYTES`]. Any other status is an
    /// answer.
    pub async fn raw(&self, request: &RawRequest) -> Result<RawAnswer> {
        // Boxed: the future of a request holds too much to be moved about.
        Box::pin(raw::send(&self.remote, request)).await
    }

    async fn ask(&self) -> Result<Answer> {
        let mut answer = self.remote.send(&self.call(), &mut self.remote.budget()).await?;
        if answer.is_page().await {
            return Err(answer.protocol(Fault::Page));
        }
        Ok(answer)
    }

    fn call(&self) -> Call {
        Call::get(self.remote.endpoints.ping(), Wanted::Host(self.host().clone()))
    }
}
