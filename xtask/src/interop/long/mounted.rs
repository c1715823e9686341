//! File systems of a scenario's own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::interop::process::Outcome;

/// A file system that is unmounted when this is dropped.
#[derive(Debug)]
pub(super) struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// Memory with this much room: `size=BYTES` or `nr_inodes=NUMBER`.
    pub(super) fn memory(path: &Path, room: &str) -> Result<Self> {
        Self::mount(path, &["-t", "tmpfs", "-o", room, "refs-interop"])
    }

    /// An ext4 in the file `disk`, as it was left.
    pub(super) fn disk(path: &Path, disk: &Path) -> Result<Self> {
        Self::mount(path, &["-o", "loop", &disk.to_string_lossy()])
    }

    fn mount(path: &Path, words: &[&str]) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot("file systems are mounted"));
        }
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
        Outcome::of(Command::new("mount").args(words).arg(path))?.stdout()?;
        Ok(Self { path: path.to_owned() })
    }

    /// Gives more room.
    pub(super) fn widen(&self, room: &str) -> Result<()> {
        let options = format!("remount,{room}");
        Outcome::of(Command::new("mount").args(["-o", &options]).arg(&self.path))?.stdout().map(drop)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, so that it goes even if a program that was to end still looks at it.
        let _ = Outcome::of(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

/// Makes an empty ext4 in the file `disk`.
pub(super) fn format(disk: &Path) -> Result<()> {
    const DISK_BYTES: u64 = 64 << 20;
    File::create(disk).and_then(|file| file.set_len(DISK_BYTES)).map_err(Error::file("create", disk))?;
    Outcome::of(Command::new("mkfs.ext4").arg("-q").arg(disk))?.stdout().map(drop)
}
