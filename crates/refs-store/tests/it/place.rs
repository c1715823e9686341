//! A registry, and a cache for what is read of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use refs_registry::{Options, Registries, Resolver, Retry, Sink, Source, Wire};
use refs_store::{CachedResolver, DiskOptions, DiskStore, Origin, Store};
use refs_testkit::FakeRegistry;
use refs_url::RepoName;
use tempfile::TempDir;

use crate::content::digest;

/// Longer than any test takes: whoever waits for so long waits in vain.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(3600);

/// Each fact, over a cache in memory, over one on disk, and over one in a bucket.
macro_rules! facts {
    ($($fact:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                let memory = |_: &std::path::Path| std::sync::Arc::new(refs_store::MemoryStore::new()) as _;
                super::$fact(crate::place::Place::new(memory).await).await
            })*
        }
        mod on_disk {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                super::$fact(crate::place::Place::on_disk().await).await
            })*
        }
        #[cfg(feature = "object-store")]
        mod in_bucket {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                let store = |path: &std::path::Path| {
                    let disk = refs_store::DiskStore::new(path, &refs_store::DiskOptions::default());
                    std::sync::Arc::new(crate::bucket::in_memory(disk)) as _
                };
                super::$fact(crate::place::Place::new(store).await).await
            })*
        }
    };
}

pub(crate) use facts;

/// A registry, and a cache for what is read of it.
pub(crate) struct Place {
    pub(crate) registry: FakeRegistry,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) async fn new(store: impl FnOnce(&Path) -> Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("cache"));
        Self { registry: FakeRegistry::start().await, store, folder }
    }

    pub(crate) async fn on_disk() -> Self {
        Self::patient(DiskOptions::default().patience).await
    }

    /// With a cache on disk whose readers wait so long for each other.
    pub(crate) async fn patient(patience: Duration) -> Self {
        let options = DiskOptions { patience, ..DiskOptions::default() };
        Self::new(|path| Arc::new(DiskStore::new(path, &options))).await
    }

    /// The cache on disk as another process would open it, whose readers wait for ever for each other.
    pub(crate) fn opened_again(&self) -> Arc<dyn Store> {
        let options = DiskOptions { patience: FOR_EVER, ..DiskOptions::default() };
        Arc::new(DiskStore::new(self.folder.path().join("cache"), &options))
    }

    pub(crate) fn repository(&self) -> Arc<dyn Sink> {
        self.registry.repository("o/r")
    }

    /// The repository `name`, as another process would open it.
    pub(crate) fn cached(&self, name: &str) -> Arc<dyn Source> {
        self.cached_in(name, Arc::clone(&self.store))
    }

    /// The same with a store of its own.
    pub(crate) fn cached_in(&self, name: &str, store: Arc<dyn Store>) -> Arc<dyn Source> {
        let name = RepoName::parse(name).unwrap();
        resolver(store).source(&self.registry.host(), &name).unwrap()
    }

    /// What the repository `name` is called in the store.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        Origin { wire: Wire::Open, host: self.registry.host(), repository: name.parse().unwrap() }
    }

    pub(crate) fn resolver(&self) -> CachedResolver {
        resolver(Arc::clone(&self.store))
    }

    pub(crate) fn path_of(&self, content: &str) -> PathBuf {
        self.folder.path().join("cache/blobs/sha256").join(digest(content).encoded())
    }

    /// Where content goes that is damaged.
    pub(crate) fn quarantined(&self, content: &str) -> PathBuf {
        self.folder.path().join("cache/quarantine").join(format!("sha256-{}", digest(content).encoded()))
    }

    /// Asserts that the registry was asked for `expected` since the last time, a method and the end of a path each.
    #[track_caller]
    pub(crate) fn asked(&self, expected: &[&str]) {
        let seen = self.registry.take_requests().iter().map(ToString::to_string).collect::<Vec<_>>();
        let short: Vec<String> =
            seen.iter().map(|request| request.replace("/v2/o/r/", "").replace(" /v2/", " ")).collect();
        assert_eq!(short, expected);
    }
}

pub(crate) fn resolver(store: Arc<dyn Store>) -> CachedResolver {
    CachedResolver::new(Arc::new(registries()), store)
}

pub(crate) fn registries() -> Registries {
    let retry = Retry { attempts: 1, ..Retry::default() };
    Registries::new(Options { retry, ..Options::default() })
}

pub(crate) fn get(content: &str) -> String {
    format!("GET blobs/{}", digest(content))
}
