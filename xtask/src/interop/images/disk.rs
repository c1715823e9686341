//! What a layer does, done to a directory.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};

use super::layer::{Item, What};
use crate::error::{Error, Result};

/// Applies `items` in their order. What they delete goes first: there, nothing of the same layer is yet.
pub(super) fn apply(items: &[Item], root: &Path) -> Result<()> {
    let (deletions, rest): (Vec<_>, Vec<_>) =
        items.iter().partition(|item| matches!(item.what, What::Gone | What::Opaque));
    for item in deletions.into_iter().chain(rest.iter().copied()) {
        let path = root.join(&item.path);
        make(item, root, &path).map_err(Error::file("make", &path))?;
    }
    // What is made in a directory changes its time.
    for item in rest {
        let path = root.join(&item.path);
        set_time(item, &path).map_err(Error::file("set the time of", &path))?;
    }
    Ok(())
}

fn make(item: &Item, root: &Path, path: &Path) -> io::Result<()> {
    let directory_stays =
        matches!(item.what, What::Directory) && fs::symlink_metadata(path).is_ok_and(|at| at.is_dir());
    if matches!(item.what, What::Opaque) {
        return fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()));
    }
    if !directory_stays {
        remove(path)?;
    }
    match &item.what {
        What::Gone | What::Opaque => return Ok(()),
        What::Directory if directory_stays => {}
        What::Directory => DirBuilder::new().mode(0o700).create(path)?,
        What::File(bytes) => fs::write(path, bytes)?,
        What::Symlink(target) => symlink(target, path)?,
        // It has all that its first name has.
        What::Hardlink(first) => return fs::hard_link(root.join(first), path),
        What::Char(major, minor) => node(path, FileType::CharacterDevice, makedev(*major, *minor))?,
        What::Block(major, minor) => node(path, FileType::BlockDevice, makedev(*major, *minor))?,
        What::Fifo => node(path, FileType::Fifo, 0)?,
    }
    lchown(path, Some(item.owner.0), Some(item.owner.1))?;
    if !matches!(item.what, What::Symlink(_)) {
        fs::set_permissions(path, Permissions::from_mode(item.mode))?;
    }
    item.attributes.iter().try_for_each(|(name, value)| Ok(lsetxattr(path, *name, value, XattrFlags::empty())?))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn node(path: &Path, kind: FileType, device: u64) -> io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device)?)
}

fn set_time(item: &Item, path: &Path) -> io::Result<()> {
    if matches!(item.what, What::Hardlink(_)) {
        return Ok(());
    }
    let time = Timespec { tv_sec: item.mtime.0.cast_signed(), tv_nsec: item.mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
