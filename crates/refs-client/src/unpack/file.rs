//! Writing the content of files, one file at a time.

use std::{fs::File, io::Write, sync::Arc};

use refs_estargz::Entry;
use refs_registry::error::Doing;

use super::{
    budget::{Budget, FileBytes},
    root::{Cursor, Root, modified},
};
use crate::{Error, Result};

/// Writes files below a root. Each thread that writes has one of its own; root and budget they share.
#[derive(Debug)]
pub(super) struct FileWriter {
    cursor: Cursor,
    budget: Arc<Budget>,
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    bytes: FileBytes,
    mtime: i64,
}

impl FileWriter {
    pub(super) fn new(root: Arc<Root>, budget: Arc<Budget>) -> Self {
        Self { cursor: Cursor::new(root), budget, open: None }
    }

    /// Makes the file of an entry, with its permissions: three calls make a file, the fourth sets its time. Its directory
    /// is there, and at its path is nothing.
    ///
    /// # Errors
    /// `Io`; `PathConflict` for a path that the file system takes for one that is there; `Worker` when the file before was
    /// not ended.
    pub(super) fn begin(&mut self, entry: &Entry) -> Result<()> {
        self.idle()?;
        let file = self.cursor.create(&entry.path, entry.mode)?;
        self.open = Some(OpenFile { file, bytes: FileBytes::none(&entry.path), mtime: entry.mtime });
        Ok(())
    }

    /// Writes the next bytes of the file, once they are counted.
    ///
    /// # Errors
    /// `FileTooLarge`, `TotalTooLarge`, `Io`; `Worker` without a file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else { return Err(Error::Worker) };
        self.budget.produced(&mut open.bytes, bytes.len() as u64)?;
        let written = open.file.write_all(bytes);
        written.map_err(|source| self.cursor.root().failed(Doing::Write, open.bytes.path(), source))
    }

    /// Gives the file its time, and closes it.
    ///
    /// # Errors
    /// `Io`; `Worker` without a file.
    pub(super) fn end(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Err(Error::Worker) };
        let timed = rustix::fs::futimens(&open.file, &modified(open.mtime));
        timed.map_err(|errno| self.cursor.root().failed(Doing::Write, open.bytes.path(), errno))
    }

    /// Makes sure that no file is half written.
    ///
    /// # Errors
    /// `Worker`.
    pub(super) fn idle(&self) -> Result<()> {
        if self.open.is_some() { Err(Error::Worker) } else { Ok(()) }
    }

    /// To be called when a directory was removed: another may get its path.
    pub(super) fn release(&mut self) {
        self.cursor.release();
    }
}
