//! The tree that is at a destination before another takes its place: only read, and believed in nothing.

use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::remove;
use crate::beneath::{Beneath, HELD, OPENED};

/// Looked at, and not opened: to open a device is to make it do something.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOOKED_AT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOKED_AT: OFlags = READ;
/// A named pipe in the place of a file would else hold up whoever opens it.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// So many names are looked at in search of files; what lies behind them is not found.
const MOST_NAMES: usize = 200_000;
const MOST_DEPTH: usize = 128;

/// A tree of files that somebody may be changing.
///
/// # Security
/// No link is followed, nothing but a regular file is opened, and what a file holds is for the caller to check.
#[derive(Debug)]
pub(crate) struct OldTree {
    directory: Beneath,
}

/// A file of an old tree.
#[derive(Debug)]
pub(crate) struct OldFile {
    file: File,
    /// How many bytes it had when it was opened.
    pub(crate) size: u64,
}

impl OldTree {
    /// The tree in the directory `name` of `parent`; `None` when it may not be entered.
    pub(super) fn open(parent: &OwnedFd, name: &OsStr) -> Option<Self> {
        let fd = rustix::fs::openat(parent, name, HELD, Mode::empty()).ok()?;
        Some(Self { directory: Beneath::new(fd) })
    }

    /// The regular file at `path`; `None` when something else or nothing is there, or it may not be read.
    pub(crate) fn file(&self, path: &str) -> Option<OldFile> {
        let looked_at = self.directory.open(path, LOOKED_AT).ok()?;
        regular_size(&looked_at)?;
        // Another may have its name by now, so that this is asked of what is read.
        let opened = self.directory.open(path, READ).ok()?;
        let size = regular_size(&opened)?;
        Some(OldFile { file: opened.into(), size })
    }

    /// Paths and sizes of the regular files for which `is_wanted` holds, as far as they can be listed. Names that are no text
    /// are passed over.
    pub(crate) fn files(&self, is_wanted: impl Fn(u64) -> bool) -> Vec<(String, u64)> {
        let (mut found, mut directories) = (Vec::new(), vec![(String::new(), 0)]);
        let mut left = MOST_NAMES;
        while let Some((directory, depth)) = directories.pop() {
            let Ok(fd) = self.directory.open(&directory, OPENED) else { continue };
            let Ok(names) = remove::names(fd.as_fd()) else { continue };
            for name in names {
                left = match left.checked_sub(1) {
                    Some(left) => left,
                    None => return found,
                };
                let Ok(text) = name.to_str() else { continue };
                let Ok(stat) = rustix::fs::statat(&fd, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                let path = if directory.is_empty() { text.to_owned() } else { format!("{directory}/{text}") };
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory if depth < MOST_DEPTH => directories.push((path, depth + 1)),
                    FileType::RegularFile if is_wanted(size) => found.push((path, size)),
                    _ => {}
                }
            }
        }
        found
    }
}

impl OldFile {
    /// Reads bytes `offset..offset + bytes` into `buffer`, which then holds nothing else; `false` when the file does not have
    /// them.
    pub(crate) fn read(&self, offset: u64, bytes: u64, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let is_there = offset.checked_add(bytes).is_some_and(|end| end <= self.size);
        let Ok(bytes) = usize::try_from(bytes) else { return false };
        if !is_there {
            return false;
        }
        buffer.resize(bytes, 0);
        self.file.read_exact_at(buffer, offset).is_ok()
    }
}

/// The size of a regular file; `None` of anything else.
fn regular_size(fd: &OwnedFd) -> Option<u64> {
    let stat = rustix::fs::fstat(fd).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_file.then(|| u64::try_from(stat.st_size).ok()).flatten()
}
