//! A directory of this process's own beside a destination.

use std::{
    ffi::{OsStr, OsString},
    hash::{BuildHasher, Hasher, RandomState},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use refs_registry::error::Doing;
use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
};

use super::{remove, root::failure};
use crate::Result;
use crate::beneath::OPENED;

/// How much of the destination's name is in the name of the scratch directory, which may have no more than 255 bytes.
const NAME_BYTES: usize = 200;
/// What is between the destination's name and the random part, which has `RANDOM_DIGITS`.
const MARK: &[u8] = b".refs-";
const RANDOM_DIGITS: usize = 16;
/// A file that is locked for as long as the process is alive.
const LOCK: &str = "lock";
/// How often another name is tried.
const ATTEMPTS: u32 = 16;

/// A directory that nobody else may enter, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    parent: OwnedFd,
    name: OsString,
    fd: OwnedFd,
    /// Where it is, for words only.
    path: PathBuf,
    /// Held for its lock, which tells others that this directory is in use.
    _lock: Option<OwnedFd>,
}

impl Scratch {
    /// Makes `.NAME.refs-…` beside the destination `shown`, which is called `name` in `parent`, and removes those that processes
    /// which are no more have left there.
    ///
    /// # Errors
    /// `Io`, about `shown`.
    pub(super) fn make(parent: &OwnedFd, name: &OsStr, shown: &Path) -> Result<Self> {
        let prefix = prefix(name);
        let made = Self::first_free(parent, &prefix, shown).and_then(|scratch| {
            scratch.reap(&prefix)?;
            Ok(scratch)
        });
        made.map_err(|errno| failure(Doing::Create, shown, errno))
    }

    /// The directory.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its name in the directory that it was made in.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    fn first_free(parent: &OwnedFd, prefix: &[u8], shown: &Path) -> rustix::io::Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::attempt(parent, prefix, shown) {
                // Its name is taken, or another process took it for one that is no longer in use.
                Err(Errno::EXIST | Errno::NOENT | Errno::WOULDBLOCK) if attempts < ATTEMPTS => {}
                other => return other,
            }
        }
    }

    fn attempt(parent: &OwnedFd, prefix: &[u8], shown: &Path) -> rustix::io::Result<Self> {
        let mut name = prefix.to_vec();
        name.extend_from_slice(format!("{:0RANDOM_DIGITS$x}", random()).as_bytes());
        let name = OsString::from_vec(name);
        let parent = rustix::io::fcntl_dupfd_cloexec(parent, 0)?;
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        match enter(parent.as_fd(), &name) {
            Ok((fd, lock)) => Ok(Self { parent, path: shown.with_file_name(&name), name, fd, _lock: lock }),
            Err(errno) => {
                // The first failure is the one to tell.
                let _ = remove::remove(parent.as_fd(), &name);
                Err(errno)
            }
        }
    }

    /// Removes the scratch directories of this user whose processes are no more. One that can't be removed stays: it is
    /// in nobody's way.
    fn reap(&self, prefix: &[u8]) -> rustix::io::Result<()> {
        let user = rustix::fs::fstat(&self.fd)?.st_uid;
        for name in remove::names(self.parent.as_fd())? {
            let name = OsStr::from_bytes(name.as_bytes());
            if !is_scratch(name.as_bytes(), prefix) || name == self.name {
                continue;
            }
            let Ok(fd) = rustix::fs::openat(&self.parent, name, OPENED, Mode::empty()) else { continue };
            if rustix::fs::fstat(&fd)?.st_uid != user {
                continue;
            }
            let Ok(_lock) = lock(fd.as_fd()) else { continue };
            if let Err(error) = remove::remove(self.parent.as_fd(), name) {
                tracing::debug!(directory = %name.display(), %error, "a scratch directory cannot be removed");
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove::remove(self.parent.as_fd(), &self.name) {
            let directory = self.path.display();
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(%directory, error, "a directory is left behind, as not all that is in it can be removed");
        }
    }
}

fn prefix(name: &OsStr) -> Vec<u8> {
    let name = name.as_bytes();
    [b".", &name[..name.len().min(NAME_BYTES)], MARK].concat()
}

fn enter(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<(OwnedFd, Option<OwnedFd>)> {
    let fd = rustix::fs::openat(parent, name, OPENED, Mode::empty())?;
    let lock = match lock(fd.as_fd()) {
        // A file system without locks: then no other process gets this one either, and the directory is left alone.
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => None,
        other => Some(other?),
    };
    Ok((fd, lock))
}

/// Takes the lock of a scratch directory.
///
/// # Errors
/// `WOULDBLOCK` when another process has it, `NOENT` when another process has just removed it.
fn lock(scratch: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(scratch, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if rustix::fs::fstat(&lock)?.st_nlink == 0 { Err(Errno::NOENT) } else { Ok(lock) }
}

fn is_scratch(name: &[u8], prefix: &[u8]) -> bool {
    name.strip_prefix(prefix).is_some_and(|random| {
        random.len() == RANDOM_DIGITS && random.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A number that no other process is likely to draw: each `RandomState` is seeded from the system's randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
