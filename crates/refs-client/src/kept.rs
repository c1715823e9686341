//! Keeps what a verb reads twice, for as long as it reads, so that nothing is fetched twice.

use std::{path::Path, sync::Arc};

use refs_registry::{Source, error::Doing};
use refs_store::{Cached, DiskOptions, DiskStore, Origin};
use tempfile::TempDir;

use crate::{Client, Error, Location, Result, layer::Contents, thread};

/// `source`, which is the repository `origin`: its blobs are kept in `folder`, which is the caller's to remove.
pub(crate) fn kept(source: Arc<dyn Source>, origin: Origin, folder: &Path) -> Arc<dyn Source> {
    let store = DiskStore::new(folder, &DiskOptions { max_bytes: u64::MAX, ..DiskOptions::default() });
    Arc::new(Cached::new(source, origin, Arc::new(store)))
}

impl Client {
    /// `contents` of `source`, which is the repository at `at`: layers of it that have to be read twice are kept in a temporary
    /// folder, removed when that is dropped.
    ///
    /// # Errors
    /// Those of the source; `Io` when no folder can be made.
    pub(crate) async fn kept_meanwhile(
        &self,
        at: &Location,
        contents: Contents,
        source: Arc<dyn Source>,
    ) -> Result<(Contents, Option<TempDir>)> {
        if !matches!(at, Location::Registry(_)) || !contents.is_streamed_twice().await? {
            return Ok((contents, None));
        }
        let folder = thread::run(|| {
            let made = tempfile::Builder::new().prefix("refs-").tempdir();
            made.map_err(|source| Error::Io { doing: Doing::Create, path: std::env::temp_dir(), source })
        });
        let folder = folder.await?;
        let streams = self.kept(at, source, &folder.path().join("blobs"));
        Ok((contents.with_streams(streams), Some(folder)))
    }
}
