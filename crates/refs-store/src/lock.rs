//! One writer at a time, across threads and processes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use refs_registry::{Error, Result, error::Doing};

use crate::file::itself;

/// Holds the lock on a file until it is dropped, or until the process ends in whatever way: the kernel holds it, so that
/// no stale lock is ever left.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// How long a writer waits for another; each holds the lock for a few small writes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Lock {
    /// Takes the lock on the file at `path`, which is made when it is missing. Gives up with `Busy` after `patience`.
    pub(crate) fn take(path: &Path, patience: Duration) -> Result<Self> {
        let mut options = OpenOptions::new();
        let opened = itself(options.create(true).truncate(false).read(true).write(true)).open(path);
        Self::of(opened, path, patience)
    }

    /// Takes the lock on the folder at `path` itself, which is none on what is in it.
    pub(crate) fn folder(path: &Path, patience: Duration) -> Result<Self> {
        Self::of(File::open(path), path, patience)
    }

    fn of(opened: io::Result<File>, path: &Path, patience: Duration) -> Result<Self> {
        const STEP: Duration = Duration::from_millis(5);
        let file = opened.map_err(|error| Error::io(Doing::Lock, path, error))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(Error::io(Doing::Lock, path, error)),
                Err(TryLockError::WouldBlock) if waited >= patience => {
                    return Err(Error::Busy { path: path.to_owned() });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(STEP),
            }
            waited += STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_until_it_is_dropped() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path, Duration::ZERO)?;
        assert!(matches!(Lock::take(&path, Duration::ZERO), Err(Error::Busy { path: busy }) if busy == path));
        drop(held);
        Lock::take(&path, Duration::ZERO).map(drop)
    }
}
