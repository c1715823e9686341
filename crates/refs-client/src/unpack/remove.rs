//! Removing a tree without following a link.

use std::{
    ffi::{CString, OsStr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    fs::{AtFlags, Dir, Mode},
    io::Errno,
};

use crate::beneath::{HELD, OPENED};

/// Removes the file, link or tree that is called `name` in `parent`, directories that may not be listed or changed
/// included. It is fine when nothing is there.
///
/// # Errors
/// `BUSY` for a directory on which another file system is mounted: what that holds is no part of the tree. What was removed
/// before it is gone.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // What the systems say of a directory.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    // Only a directory that is known to be in the way by what it holds is entered: a mount says that it is busy.
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let directory = open(parent, name)?;
    for name in names(directory.as_fd())? {
        remove(directory.as_fd(), OsStr::from_bytes(name.as_bytes()))?;
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// What a directory holds, but for `.` and `..`.
pub(super) fn names(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Opens a directory and makes sure that what is in it can be removed.
pub(super) fn open(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let directory = match rustix::fs::openat(parent, name, OPENED, Mode::empty()) {
        Err(Errno::ACCESS) => {
            unlock(parent, name)?;
            rustix::fs::openat(parent, name, OPENED, Mode::empty())?
        }
        other => other?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&directory, mode | Mode::RWXU)?;
    }
    Ok(directory)
}

/// Lets the owner list a directory. The path below `/proc` names the directory that is held, whatever has its name now;
/// a plain `chmodat` would follow a link put there meanwhile.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn unlock(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;

    let held = rustix::fs::openat(parent, name, HELD, Mode::empty())?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::RWXU)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unlock(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}
