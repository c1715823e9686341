//! Mirrors: asked before the registry, for reads alone, and left for it when they fail.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
#[derive(Debug)]
pub(super) struct MirrorOf {
    host: Arc<MirrorHost>,
    repository: Repository,
    asked: Mutex<Asked>,
}

/// Whether a mirror is asked, or when it last was.
#[derive(Debug, Default)]
struct Asked {
    at_once: usize,
    until: Option<Instant>,
}

/// A mirror is asked, until this is dropped.
struct Asking<'a>(&'a MirrorOf);

/// The mirrors among `hosts` that have the repository `name`: those for the longest beginning of it.
pub(super) fn of(hosts: &[Arc<MirrorHost>], name: &RepoName) -> Arc<[MirrorOf]> {
    let has = |host: &&Arc<MirrorHost>| beneath(name, &host.mirror.of).is_some();
    let longest = hosts.iter().filter(has).map(|host| host.mirror.of.len()).max();
    let nearest = hosts.iter().filter(has).filter(|host| Some(host.mirror.of.len()) == longest);
    let mirror = |host: &Arc<MirrorHost>| {
        let name = host.mirror.name(name)?;
        let repository = Repository { remote: host.remote.clone(), name, mirrors: Arc::default() };
        Some(MirrorOf { host: host.clone(), repository, asked: Mutex::default() })
    };
    nearest.filter_map(mirror).collect()
}

impl MirrorOf {
    fn ask(&self) -> Asking<'_> {
        self.asked().at_once += 1;
        Asking(self)
    }

    /// Until when the registry was not asked, as this mirror was, or when this mirror gave a sign of life.
    fn last_sign(&self) -> Option<Instant> {
        let Asked { at_once, until } = *self.asked();
        let until = if at_once > 0 { Some(self.now()) } else { until };
        let heard = if self.host.rests() { None } else { self.host.remote.last_heard() };
        until.max(heard)
    }

    fn now(&self) -> Instant {
        self.host.remote.clock().now()
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Self(mirror) = self;
        let mut asked = mirror.asked();
        asked.at_once -= 1;
        asked.until = Some(mirror.now());
    }
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
        for mirror in self.mirrors.iter() {
            let MirrorOf { host, repository, .. } = mirror;
            if !may_ask(host.mirror.serves) || host.rests() {
                continue;
            }
            let asking = mirror.ask();
            // Boxed: few registries have mirrors, and a read is large.
            let read = Box::pin(read(repository.clone())).await;
            drop(asking);
            match read {
                Ok(found) => return Some((found, host.clone())),
                Err(error) => host.failed(&error),
            }
        }
        None
    }

    /// When the registry last gave a sign of life, or one of its mirrors. While one is asked in its stead, it is not silent.
    pub(super) fn last_sign(&self) -> Option<Instant> {
        self.mirrors.iter().map(MirrorOf::last_sign).fold(self.remote.last_heard(), Option::max)
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
