//! Bytes put aside until they may be used.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use refs_registry::{ByteStream, Error, Replay, Result, error::Doing};

use crate::{file::blocking, reading::read_range};

/// A file without a name: written once, then read from its start as often as one likes. It is gone when the last of the
/// spool and its readers is dropped, or when the process ends in whatever way.
///
/// For content that is too large to keep in memory and that nobody may see before its digest has been checked.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    /// Where the file is, for errors: it has no path of its own.
    folder: Arc<Path>,
    bytes: u64,
}

impl Spool {
    /// An empty spool in the system's folder for temporary files.
    ///
    /// # Errors
    /// As [`create_in`](Spool::create_in).
    pub async fn create() -> Result<Self> {
        Self::create_in(std::env::temp_dir()).await
    }

    /// An empty spool on the file system of `folder`.
    ///
    /// # Errors
    /// `Io`; `Full`.
    pub async fn create_in(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder: Arc<Path> = folder.into().into();
        let place = folder.clone();
        blocking(&folder, move || {
            let file = tempfile::tempfile_in(&place).map_err(|error| Error::io(Doing::Create, &*place, error))?;
            Ok(Self { file: Arc::new(file), folder: place, bytes: 0 })
        })
        .await
    }

    /// Appends `chunk`. When the wait for it is given up, it may still be written later, so that the spool can no longer
    /// be used.
    ///
    /// # Errors
    /// `Io`; `Full`. What was written before is still there, and no part of `chunk` is.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let (file, folder, at) = (self.file.clone(), self.folder.clone(), self.bytes);
        let end = at + chunk.len() as u64;
        blocking(&self.folder, move || {
            file.write_all_at(&chunk, at).map_err(|error| Error::io(Doing::Write, &*folder, error))
        })
        .await?;
        self.bytes = end;
        Ok(())
    }

    /// How many bytes have been written.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has been written so far, from the first byte on.
    #[must_use]
    pub fn read(&self) -> ByteStream {
        read_range(self.file.clone(), self.folder.clone(), 0..self.bytes)
    }

    /// The file. Nothing can be written any more.
    pub(crate) fn into_file(self) -> Arc<File> {
        self.file
    }

    /// What has been written, to be uploaded as often as it takes. Nothing can be written any more.
    #[must_use]
    pub fn replay(self) -> Replay {
        Replay::Held(self.file)
    }
}
