//! What the root file system of an image has beside plain files and links.

use std::os::fd::BorrowedFd;

use refs_estargz::Entry;
use refs_registry::error::Doing;
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

use super::{attributes::Attributes, root::Cursor};
use crate::{Result, beneath::OPENED};

/// The mode in which something is made whose own comes later.
const CLOSED: u32 = 0o600;

impl Cursor {
    /// Makes an empty file in the place of a device.
    pub(super) fn placeholder(&mut self, entry: &Entry, attributes: &Attributes) -> Result<()> {
        let file = self.create(&entry.path, CLOSED)?;
        let made = self.root().masked(CLOSED);
        attributes.set(&file, entry, made).map_err(|errno| self.root().failed(Doing::Write, &entry.path, errno))
    }

    /// Makes a named pipe.
    pub(super) fn fifo(&mut self, entry: &Entry, attributes: &Attributes) -> Result<()> {
        let made = self.root().masked(CLOSED);
        self.make(&entry.path, |parent, name| {
            mkfifo(parent, name)?;
            // Without this flag, it would wait for somebody to write.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let pipe = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            if FileType::from_raw_mode(rustix::fs::fstat(&pipe)?.st_mode) != FileType::Fifo {
                return Err(Errno::LOOP);
            }
            attributes.set(&pipe, entry, made)
        })
    }

    /// Gives a directory of mode `made`, in which all is done, what its entry says; the empty path is the root.
    pub(super) fn complete(&self, directory: &Entry, attributes: &Attributes, made: Mode) -> Result<()> {
        let root = self.root();
        let opened = root.directory.open(&directory.path, OPENED);
        let done = opened.and_then(|opened| attributes.set(&opened, directory, made));
        done.map_err(|errno| root.failed(Doing::Write, &directory.path, errno))
    }
}

#[cfg(not(target_vendor = "apple"))]
fn mkfifo(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
}

#[cfg(target_vendor = "apple")]
fn mkfifo(_: BorrowedFd<'_>, _: &str) -> rustix::io::Result<()> {
    Err(Errno::NOTSUP)
}
