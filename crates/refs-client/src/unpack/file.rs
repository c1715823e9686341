//! Writing the content of files.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use refs_estargz::Entry;
use refs_registry::error::Doing;

use super::{
    attributes::{Attributes, has_xattrs},
    budget::Budget,
    large::LargeFile,
    root::{Cursor, Root, modified},
};
use crate::{Error, Result, receive::Hand};

/// The files that come in pieces and are not complete, by path.
pub(super) type Unfinished = Arc<Mutex<HashMap<String, Arc<LargeFile>>>>;

/// Writes files below a root. Each thread that writes has one of its own; root, budget and unfinished files they share.
#[derive(Debug)]
pub(crate) struct FileWriter {
    cursor: Cursor,
    budget: Arc<Budget>,
    unfinished: Unfinished,
    finish: Finish,
}

/// What a file is given beside its content.
#[derive(Debug, Clone)]
pub(super) enum Finish {
    /// The permissions of its entry less the process's mask, and the time in whole seconds.
    Pulled,
    /// All that its entry in an image says.
    Image(Arc<Attributes>),
}

impl FileWriter {
    pub(super) fn new(root: Arc<Root>, budget: Arc<Budget>, unfinished: Unfinished, finish: Finish) -> Self {
        Self { cursor: Cursor::new(root), budget, unfinished, finish }
    }

    /// Makes a file of all its bytes: three calls make it, the fourth sets its time.
    fn whole(&mut self, entry: &Entry, bytes: &[u8]) -> Result<()> {
        self.budget.produced(&entry.path, &mut 0, bytes.len() as u64)?;
        let mut file = self.cursor.create(&entry.path, self.finish.mode(entry))?;
        let failed = |error| self.cursor.root().failed(Doing::Write, &entry.path, error);
        file.write_all(bytes).map_err(failed)?;
        self.complete(&file, entry)
    }

    /// Gives a file that has its content all else.
    fn complete(&self, file: &File, entry: &Entry) -> Result<()> {
        let root = self.cursor.root();
        let done = match &self.finish {
            Finish::Pulled => rustix::fs::futimens(file, &modified(entry.mtime)),
            Finish::Image(attributes) => attributes.set(file, entry, root.masked(self.finish.mode(entry))),
        };
        done.map_err(|errno| root.failed(Doing::Write, &entry.path, errno))
    }

    /// The file of an entry whose content comes in pieces; it is made for the first of them.
    fn large(&mut self, entry: &Entry) -> Result<Arc<LargeFile>> {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = unfinished.get(&entry.path) {
            return Ok(Arc::clone(file));
        }
        let file = self.cursor.create_readable(&entry.path, self.finish.mode(entry))?;
        let file = Arc::new(LargeFile::new(file, entry));
        unfinished.insert(entry.path.clone(), Arc::clone(&file));
        Ok(file)
    }
}

impl Hand for FileWriter {
    /// Makes the file, or a part of it. Its directory is there, and at its path is nothing else.
    ///
    /// # Errors
    /// `FileTooLarge`, `TotalTooLarge`; `Io`; `PathConflict` for a path that the file system takes for one that is there;
    /// `FileDigest`.
    fn piece(&mut self, file: &Entry, offset: u64, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 == file.size() {
            return self.whole(file, bytes);
        }
        let large = self.large(file)?;
        let io = |error| self.cursor.root().failed(Doing::Write, &file.path, error);
        if large.write(offset, bytes, &self.budget, io)? {
            self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).remove(&file.path);
            return self.complete(large.file(), file);
        }
        Ok(())
    }

    /// Makes the file as a clone, which shares its bytes until one of both is written to, or as a copy where the file system
    /// has no clones. A further name for `content` would let an edit change it.
    ///
    /// # Errors
    /// As [`piece`](Hand::piece), but for `FileDigest`.
    fn copy(&mut self, file: &Entry, content: File) -> Result<()> {
        self.budget.produced(&file.path, &mut 0, file.size())?;
        let made = self.cursor.create(&file.path, self.finish.mode(file))?;
        let failed = |error| self.cursor.root().failed(Doing::Write, &file.path, error);
        if !is_cloned(&content, &made) && copy(content, &made).map_err(failed)? != file.size() {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.complete(&made, file)
    }
}

impl Finish {
    /// The mode that a file is made with.
    fn mode(&self, entry: &Entry) -> u32 {
        match self {
            Self::Image(_) if has_xattrs(entry) => 0o600,
            Self::Pulled | Self::Image(_) => entry.mode,
        }
    }
}

#[cfg(target_os = "linux")]
fn is_cloned(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_cloned(_: &File, _: &File) -> bool {
    false
}

/// Where the system can copy by itself, no byte comes through here.
fn copy(mut from: File, mut to: &File) -> io::Result<u64> {
    io::copy(&mut from, &mut to)
}

/// Makes sure that every file is complete.
///
/// # Errors
/// `Worker`.
pub(super) fn check_finished(unfinished: &Unfinished) -> Result<()> {
    let unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
    if unfinished.is_empty() { Ok(()) } else { Err(Error::Worker) }
}
