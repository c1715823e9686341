//! Mirrors: asked before the registry, for reads alone, and left for it when they fail.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use refs_url::{Digest, RepoName};

use super::Repository;
use crate::{
    Blob, Error, ErrorKind, Result,
    auth::Scopes,
    error::Wanted,
    hosts::{Mirror, Serves, beneath},
    transport::{Remote, Transport},
};

/// A mirror that could not be reached is not asked again for so long.
const REST: Duration = Duration::from_secs(30);

/// A mirror of a registry.
#[derive(Debug)]
pub(crate) struct MirrorHost {
    mirror: Mirror,
    remote: Arc<Remote>,
    rests_until: Mutex<Option<Instant>>,
}

/// A mirror of one repository.
#[derive(Debug, Clone)]
pub(super) struct MirrorOf {
    host: Arc<MirrorHost>,
    repository: Repository,
}

/// The mirrors among `hosts` that have the repository `name`: those for the longest beginning of it.
pub(super) fn of(hosts: &[Arc<MirrorHost>], name: &RepoName) -> Arc<[MirrorOf]> {
    let has = |host: &&Arc<MirrorHost>| beneath(name, &host.mirror.of).is_some();
    let longest = hosts.iter().filter(has).map(|host| host.mirror.of.len()).max();
    let nearest = hosts.iter().filter(has).filter(|host| Some(host.mirror.of.len()) == longest);
    let mirror = |host: &Arc<MirrorHost>| {
        let name = host.mirror.name(name)?;
        let repository = Repository { remote: host.remote.clone(), name, mirrors: Arc::default() };
        Some(MirrorOf { host: host.clone(), repository })
    };
    nearest.filter_map(mirror).collect()
}

impl MirrorHost {
    pub(crate) fn new(mirror: &Mirror, transport: Arc<Transport>) -> Result<Self> {
        let remote = Arc::new(Remote::of_mirror(mirror, transport)?);
        Ok(Self { mirror: mirror.clone(), remote, rests_until: Mutex::default() })
    }

    fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| self.remote.clock().now() < until)
    }

    fn rest(&self) {
        let until = self.remote.clock().now() + REST;
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// What the mirror gives of a blob. When that breaks off or proves wrong, the registry is asked the next time.
    pub(super) fn watch(self: Arc<Self>, blob: Blob) -> Blob {
        let stream = blob.stream.inspect_err(move |error| self.failed(error)).boxed();
        Blob { stream, ..blob }
    }

    fn failed(&self, error: &Error) {
        match error.kind() {
            ErrorKind::NotFound => {}
            ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::RateLimited => {
                tracing::debug!(mirror = %self.mirror, %error, "the registry is asked instead, for a while");
                self.rest();
            }
            ErrorKind::Digest | ErrorKind::Size | ErrorKind::Settings => {
                tracing::warn!(mirror = %self.mirror, "the registry is asked instead: {error}");
                self.rest();
            }
            _ => tracing::debug!(mirror = %self.mirror, %error, "the registry is asked instead"),
        }
    }
}

impl Repository {
    /// What the first of the mirrors gives that may be asked and has it; `None` when the registry itself has to be asked.
    pub(super) async fn mirrored<T, F>(
        &self,
        may_ask: impl Fn(Serves) -> bool + Send,
        read: impl Fn(Self) -> F + Send,
    ) -> Option<(T, Arc<MirrorHost>)>
    where
        F: Future<Output = Result<T>> + Send,
    {
        for MirrorOf { host, repository } in self.mirrors.iter() {
            if !may_ask(host.mirror.serves) || host.rests() {
                continue;
            }
            match read(repository.clone()).await {
                Ok(found) => return Some((found, host.clone())),
                Err(error) => host.failed(&error),
            }
        }
        None
    }

    /// When the registry last gave a sign of life. While a mirror is asked first, it can't be silent yet.
    pub(super) fn last_sign(&self) -> Option<Instant> {
        let is_asked_later = self.mirrors.iter().any(|mirror| !mirror.host.rests());
        if is_asked_later { Some(self.remote.clock().now()) } else { self.remote.last_heard() }
    }

    /// The size of a blob.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob.
    pub(super) async fn found_blob(&self, digest: &Digest) -> Result<u64> {
        let size = self.head_blob(digest, Scopes::pull(&self.name)).await?;
        size.ok_or_else(|| Error::NotFound { wanted: Wanted::Blob(digest.clone()), at: self.place(), code: None })
    }
}
