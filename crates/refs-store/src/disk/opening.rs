//! The layout that a cache on disk is, opened when it is first needed.

use std::{io, sync::Arc, time::SystemTime};

use refs_registry::{Error, ErrorKind, Result};

use super::{DiskStore, home};
use crate::{
    evict::reclaim_temporary,
    file::blocking,
    layout::{Folder, Layout},
};

impl DiskStore {
    pub(super) async fn layout(&self) -> Result<&Layout> {
        let open = async || {
            let path = Arc::clone(&self.path);
            blocking(&self.path, move || home::open(&path)).await?;
            let layout = match Layout::open(self.path.as_ref()).await {
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    self.layout_anew().await?
                }
                opened => opened?,
            };
            // What processes that died were writing: nobody holds it any more.
            match layout.run(|folder| reclaim_temporary(folder.root(), SystemTime::now())).await {
                Err(error) if is_read_only(&error) => tracing::debug!(%error, "what is left of writers stays"),
                reclaimed => drop(reclaimed?),
            }
            Ok(layout)
        };
        self.layout.get_or_try_init(open).await
    }

    /// Makes those of the layout's own files that are not there, or say nothing.
    async fn layout_anew(&self) -> Result<Layout> {
        let path = Arc::clone(&self.path);
        blocking(&self.path, move || Folder::renew(path.to_path_buf())).await?;
        Layout::open(self.path.as_ref()).await
    }

    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Folder>) -> Result<T> + Send + 'static,
    {
        self.layout().await?.run(work).await
    }

    /// The same for `work` that may make files, if only to lock them: a folder that has lost its tag since it was opened gets
    /// it back first.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Folder>) -> Result<T> + Send + 'static,
    {
        self.run(move |folder| home::renew(folder.root()).and_then(|()| work(folder))).await
    }
}

/// Whether a store that fails so may still be read.
fn is_read_only(error: &Error) -> bool {
    const KINDS: [io::ErrorKind; 2] = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
    matches!(error, Error::Io { source, .. } if KINDS.contains(&source.kind()))
}
