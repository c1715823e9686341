//! The file that is made beside a destination, and takes its place.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
    sync::Weak,
};

use refs_registry::error::Doing;
use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{
    root::failure,
    scratch::Scratch,
    staging::{Destination, Existing, Found, Parents},
};
use crate::{Error, Result, error::DestinationFault};

/// What the file is called in its scratch directory.
const FILE: &str = "file";

/// A file that is made beside its destination and gets its name when it is complete, as a [`Staging`](super::Staging) does.
///
/// A write fails once nobody wants the file any more.
#[derive(Debug)]
pub(crate) struct StagedFile {
    destination: Destination,
    scratch: Scratch,
    /// Dropped after the scratch directory, which is in the innermost of them.
    _parents: Parents,
    file: File,
    existing: Existing,
    wanted: Weak<Wanted>,
}

/// Somebody who waits for a file.
#[derive(Debug, Default)]
pub(crate) struct Wanted;

impl StagedFile {
    /// Starts a file for the destination `path`, which is absent, or a file that `existing` says may be replaced. A
    /// symbolic link to such a place is followed, once and now. Missing parents are made.
    ///
    /// # Errors
    /// `Destination` for something in the way; `Io`.
    pub(crate) fn beside(path: &Path, existing: Existing, wanted: Weak<Wanted>) -> Result<Self> {
        let (destination, parents) = Destination::find(path)?;
        match (destination.look()?, existing) {
            (Found::Nothing, _) | (Found::File, Existing::Replace) => {}
            (Found::File, Existing::Refuse) => return Err(destination.fault(DestinationFault::Exists)),
            (Found::EmptyDirectory { .. } | Found::Directory | Found::Other, _) => {
                return Err(destination.fault(DestinationFault::NotFile));
            }
        }
        let scratch = Scratch::make(&destination.parent, &destination.name, &destination.path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(scratch.fd(), FILE, flags, Mode::from_raw_mode(0o666));
        let file = file.map_err(|errno| failure(Doing::Create, &destination.path, errno))?.into();
        Ok(Self { destination, scratch, _parents: parents, file, existing, wanted })
    }

    /// The folder that the file will be in.
    pub(crate) fn folder(&self) -> &Path {
        self.destination.folder()
    }

    /// The error of a destination that the file must not have.
    pub(crate) fn fault(&self, fault: DestinationFault) -> Error {
        self.destination.fault(fault)
    }

    /// Makes the content durable, gives the file its name, in one step, and makes that durable.
    ///
    /// # Errors
    /// `Destination` when something was put there meanwhile, `Io`. The destination is then as it was.
    pub(crate) fn publish(self) -> Result<()> {
        let path = &self.destination.path;
        self.file.sync_all().map_err(|error| failure(Doing::Sync, path, error))?;
        let renamed = match self.existing {
            Existing::Refuse => self.rename_to_nothing(),
            Existing::Replace => {
                rustix::fs::renameat(self.scratch.fd(), FILE, &self.destination.parent, &self.destination.name)
            }
        };
        renamed.map_err(|errno| self.destination.taken(errno))?;
        rustix::fs::fsync(&self.destination.parent).map_err(|errno| failure(Doing::Sync, path, errno))
    }

    fn rename_to_nothing(&self) -> rustix::io::Result<()> {
        let (scratch, Destination { parent, name, .. }) = (self.scratch.fd(), &self.destination);
        match rename_without_replacing(scratch, parent.as_fd(), name) {
            // A file system that can't; by its second name it is not removed with the scratch directory.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(scratch, FILE, parent, name, AtFlags::empty())
            }
            other => other,
        }
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.wanted.strong_count() == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_without_replacing(
    scratch: std::os::fd::BorrowedFd<'_>,
    parent: std::os::fd::BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(scratch, FILE, parent, name, RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_without_replacing(
    _: std::os::fd::BorrowedFd<'_>,
    _: std::os::fd::BorrowedFd<'_>,
    _: &OsStr,
) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}
