//! The only calls that make something below a root.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_registry::error::Doing;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::{confine::split, remove};
use crate::{
    Error, Result,
    beneath::{Beneath, HELD, OPENED},
};

/// The one directory below which an unpack writes, held open: no path from a layer is looked up from anywhere else.
///
/// # Security
/// No call follows a symbolic link, wherever in the path it is, and whoever puts it there while this runs.
#[derive(Debug)]
pub(crate) struct Root {
    pub(super) directory: Beneath,
    /// What it will be called in the end, for errors.
    shown: PathBuf,
    /// The bits that the system takes away from the mode of what this process makes here.
    mask: Mode,
}

impl Root {
    /// Makes the directory `name` in `parent`, with the mode that directories have by default.
    pub(super) fn make(parent: BorrowedFd<'_>, name: &OsStr, shown: &Path) -> Result<Self> {
        let failed = |errno| failure(Doing::Create, shown, errno);
        let all = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        rustix::fs::mkdirat(parent, name, all).map_err(failed)?;
        let fd = rustix::fs::openat(parent, name, OPENED, Mode::empty()).map_err(failed)?;
        let made = Mode::from_raw_mode(rustix::fs::fstat(&fd).map_err(failed)?.st_mode);
        Ok(Self { directory: Beneath::new(fd), shown: shown.to_owned(), mask: all.difference(made) })
    }

    /// The mode that something made with `mode` gets.
    pub(super) fn masked(&self, mode: u32) -> Mode {
        permissions(mode).difference(self.mask)
    }

    /// The error for a call that failed on a path below the root.
    pub(super) fn failed(&self, doing: Doing, path: &str, error: impl Into<io::Error>) -> Error {
        failure(doing, &self.shown.join(path), error)
    }
}

/// The error for a call that failed on a path.
pub(super) fn failure(doing: Doing, path: &Path, error: impl Into<io::Error>) -> Error {
    Error::Io { doing, path: path.to_owned(), source: error.into() }
}

/// A hand below the root, which keeps hold of the directory it was in last: entries come directory by directory, so that
/// most calls need no look-up.
#[derive(Debug)]
pub(super) struct Cursor {
    root: Arc<Root>,
    held: Option<(String, OwnedFd)>,
}

impl Cursor {
    pub(super) fn new(root: Arc<Root>) -> Self {
        Self { root, held: None }
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Lets go of the directory: to be called when one was removed, since another may get its path.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Makes a file that was not there. The system takes its mask from the mode.
    pub(super) fn create(&mut self, path: &str, mode: u32) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.make(path, |parent, name| rustix::fs::openat(parent, name, flags, permissions(mode))).map(File::from)
    }

    /// As [`create`](Self::create), to be read as well.
    pub(super) fn create_readable(&mut self, path: &str, mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.make(path, |parent, name| rustix::fs::openat(parent, name, flags, permissions(mode))).map(File::from)
    }

    /// Makes a directory that was not there. The system takes its mask from the mode.
    pub(super) fn create_directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.make(path, |parent, name| rustix::fs::mkdirat(parent, name, permissions(mode)))
    }

    /// Makes a symbolic link with its times.
    pub(super) fn symlink(&mut self, path: &str, target: &str, times: &Timestamps) -> Result<()> {
        self.make(path, |parent, name| {
            rustix::fs::symlinkat(target, parent, name)?;
            rustix::fs::utimensat(parent, name, times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Gives the file at `target` a further name.
    pub(super) fn hardlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.name(path, target, |from, file| {
            // Should the file have become something else meanwhile: a name for a link or a device is not what was asked.
            let stat = rustix::fs::statat(from, file, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Ok(()),
                _ => Err(Errno::LOOP),
            }
        })
    }

    /// Gives whatever is at `target`, which may be a symbolic link, a further name.
    pub(super) fn further_name(&mut self, path: &str, target: &str) -> Result<()> {
        self.name(path, target, |_, _| Ok(()))
    }

    fn name(
        &mut self,
        path: &str,
        target: &str,
        check: impl FnOnce(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let (directory, file) = split(target);
        let from = self.root.directory.open(directory, HELD);
        let from = from.map_err(|errno| self.root.failed(Doing::Read, target, errno))?;
        self.make(path, |parent, name| {
            check(&from, file)?;
            rustix::fs::linkat(&from, file, parent, name, AtFlags::empty())
        })
    }

    /// Removes what is at `path`: a file, or a directory with all below it.
    pub(super) fn remove(&mut self, path: &str) -> Result<()> {
        self.release();
        let (directory, name) = split(path);
        let removed = self
            .root
            .directory
            .open(directory, HELD)
            .and_then(|parent| remove::remove(parent.as_fd(), OsStr::new(name)));
        removed.map_err(|errno| self.root.failed(Doing::Remove, path, errno))
    }

    /// Gives a directory its last mode, if it is not the one it was made with, and its modification time in seconds.
    pub(super) fn seal_directory(&self, path: &str, mode: Option<Mode>, mtime: Option<i64>) -> Result<()> {
        let sealed = self.root.directory.open(path, OPENED).and_then(|directory| {
            if let Some(mtime) = mtime {
                rustix::fs::futimens(&directory, &modified(mtime))?;
            }
            mode.map_or(Ok(()), |mode| rustix::fs::fchmod(&directory, mode))
        });
        sealed.map_err(|errno| self.root.failed(Doing::Write, path, errno))
    }

    pub(super) fn make<T>(
        &mut self,
        path: &str,
        call: impl FnOnce(BorrowedFd<'_>, &str) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let (directory, name) = split(path);
        let parent = match &self.held {
            Some((held, fd)) if held == directory => fd,
            _ => {
                let fd = self.root.directory.open(directory, HELD);
                let fd = fd.map_err(|errno| self.root.failed(Doing::Create, path, errno))?;
                &self.held.insert((directory.to_owned(), fd)).1
            }
        };
        call(parent.as_fd(), name).map_err(|errno| match errno {
            // Two names that this file system takes for one, as those that differ in case only.
            Errno::EXIST => Error::PathConflict { path: path.to_owned() },
            errno => self.root.failed(Doing::Create, path, errno),
        })
    }
}

/// A modification time in whole seconds; the time of access stays.
pub(super) fn modified(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime, tv_nsec: 0 },
    }
}

/// The permissions in a mode: nothing above them.
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o777) as RawMode)
}
