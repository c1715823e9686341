//! Opens what is below a directory, without a symbolic link on the way.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

/// A directory that is only held, to reach what is below it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const HELD: OFlags = OPENED;
/// A directory whose mode and times can be set, and which can be listed.
pub(crate) const OPENED: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that is held open, as the place to look up paths from.
///
/// # Security
/// No call follows a symbolic link, wherever in the path it is, and whoever puts it there meanwhile.
#[derive(Debug)]
pub(crate) struct Beneath {
    fd: OwnedFd,
    /// Set where the kernel does not have `openat2`, or a sandbox forbids it.
    pub(crate) by_component: AtomicBool,
}

impl Beneath {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, by_component: AtomicBool::new(false) }
    }

    /// Opens what is at `path`; the empty path is the directory itself.
    pub(crate) fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        if path.is_empty() {
            return rustix::fs::openat(&self.fd, ".", flags, Mode::empty());
        }
        if self.by_component.load(Ordering::Relaxed) {
            return self.walk(path, flags);
        }
        match in_one_call(self.fd.as_fd(), path, flags) {
            Err(Errno::NOSYS | Errno::PERM) => {
                self.by_component.store(true, Ordering::Relaxed);
                self.walk(path, flags)
            }
            other => other,
        }
    }

    fn walk(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = rustix::fs::openat(&self.fd, ".", HELD, Mode::empty())?;
        for component in parent.split('/').filter(|component| !component.is_empty()) {
            at = rustix::fs::openat(&at, component, HELD, Mode::empty())?;
        }
        rustix::fs::openat(&at, name, flags.union(OFlags::NOFOLLOW), Mode::empty())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn in_one_call(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn in_one_call(_: BorrowedFd<'_>, _: &str, _: OFlags) -> rustix::io::Result<OwnedFd> {
    Err(Errno::NOSYS)
}
