//! The folder of a store on disk, which must have been made for that: what is in it is evicted.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use refs_registry::{Error, Result, error::Doing};
use rustix::process::geteuid;

use super::{
    DiskStore,
    debris::{has_names_of_store, has_shape_of_store},
};
use crate::{
    file::{is_absent, open_file},
    ingest::sync_folder_of,
    layout::{CACHE_TAG_FILE, Folder, INDEX_FILE, VERSION_FILE},
};

/// Tells a store from a layout that somebody put there, and programs that make backups what to leave out
/// ([cache directory tagging](https://bford.info/cachedir/)). Stores that are there already have these very bytes.
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # What refs has fetched and may remove at any time. About such files, see https://bford.info/cachedir/\n";

impl DiskStore {
    /// Whether the folder `path` is marked as a store: things are removed from it at any time.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        tag(path).is_ok_and(|tag| tag == Tag::Complete)
    }
}

/// How far the making of a store has come.
#[derive(Debug, PartialEq, Eq)]
enum Tag {
    /// It has not, or was cut off.
    Begun,
    Complete,
    Foreign,
}

#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is not marked as a cache of refs by a CACHEDIR.TAG, and has other things in it")]
    Foreign,
    #[error("it belongs to somebody else, who could make any tag lead anywhere")]
    NotOurs,
    #[error("others than its owner may write to it")]
    Shared,
}

/// Makes the folder `path`, for its owner alone, and those above it that are missing. One that is there already must be
/// empty, or a store, and must be its user's own: others could name what they like after a digest.
pub(super) fn open(path: &Path) -> Result<()> {
    make_private(path)?;
    check_is_own(path)?;
    // The tag is complete before anything else is there. Whoever finds something else looks once more for the tag, which
    // another process may have written meanwhile; and whoever finds nothing else writes the same bytes as that one.
    if tag(path)? == Tag::Complete {
        return Ok(());
    }
    if is_empty(path)? || (tag(path)? == Tag::Begun && is_untagged_store(path)?) {
        return write_tag(path);
    }
    if tag(path)? == Tag::Complete { Ok(()) } else { Err(unfit(path, Unfit::Foreign)) }
}

/// Makes a store again of the folder, which this process has opened as one, where somebody has emptied it since: whoever opens
/// it next would not know it by what comes in now. With other things in it, it is somebody else's, and stays as it is.
pub(super) fn renew(path: &Path) -> Result<()> {
    if is_there(path, CACHE_TAG_FILE)? {
        return Ok(());
    }
    make_private(path)?;
    check_is_own(path)?;
    if is_emptied_store(path)? || is_untagged_store(path)? {
        write_tag(path)?;
        return Folder::renew(path.to_owned());
    }
    // Another process may have done so meanwhile.
    if tag(path)? == Tag::Complete { Ok(()) } else { Err(unfit(path, Unfit::Foreign)) }
}

/// Makes sure that the folder is a store, or that one may be made of it, whatever else is damaged.
pub(super) fn check(path: &Path) -> Result<()> {
    check_is_own(path)?;
    let is_fit = tag(path)? == Tag::Complete || is_empty(path)? || is_untagged_store(path)?;
    if is_fit { Ok(()) } else { Err(unfit(path, Unfit::Foreign)) }
}

/// Whether there is something else in the place of the tag.
pub(super) fn is_tagged_by_others(path: &Path) -> Result<bool> {
    Ok(tag(path)? == Tag::Foreign)
}

fn check_is_own(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| Error::io(Doing::Read, path, error))?;
    check_owner(metadata.uid(), metadata.mode(), geteuid().as_raw()).map_err(|why| unfit(path, why))
}

/// A store that has lost its tag, or was made before there were any, is a sound layout with notes on origins.
fn is_untagged_store(path: &Path) -> Result<bool> {
    Ok(has_shape_of_store(path)? && Folder::open(path.to_owned()).is_ok())
}

/// A store that was emptied has nothing but what those make who fill it: no layout that somebody has put there.
fn is_emptied_store(path: &Path) -> Result<bool> {
    Ok(has_names_of_store(path)? && !is_there(path, VERSION_FILE)? && !is_there(path, INDEX_FILE)?)
}

fn is_there(folder: &Path, name: &str) -> Result<bool> {
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Read, path, error)),
    }
}

const OWNER_ONLY: u32 = 0o700;

fn make_private(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(Doing::Create, path, error)),
        _ => Ok(()),
    }
}

fn check_owner(owner: u32, mode: u32, user: u32) -> std::result::Result<(), Unfit> {
    const OTHERS_WRITE: u32 = 0o022;
    match (owner, mode & OTHERS_WRITE) {
        (_, 0) if owner == user => Ok(()),
        _ if owner == user => Err(Unfit::Shared),
        _ => Err(Unfit::NotOurs),
    }
}

fn tag(folder: &Path) -> Result<Tag> {
    let path = folder.join(CACHE_TAG_FILE);
    let file = match open_file(OpenOptions::new().read(true), &path) {
        Ok(Some((file, _))) => file,
        Ok(None) => return Ok(Tag::Begun),
        Err(Error::Corrupt { .. }) => return Ok(Tag::Foreign),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    let read = file.take(TAG.len() as u64).read_to_end(&mut found);
    read.map_err(|error| Error::io(Doing::Read, &path, error))?;
    Ok(match TAG.strip_prefix(found.as_slice()) {
        Some([]) => Tag::Complete,
        Some(_) => Tag::Begun,
        None => Tag::Foreign,
    })
}

/// Whether there is nothing in the folder but the tag, or its beginning.
fn is_empty(folder: &Path) -> Result<bool> {
    let failed = |error| Error::io(Doing::List, folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        if entry.map_err(failed)?.file_name() != CACHE_TAG_FILE || tag(folder)? == Tag::Foreign {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes a store of the folder.
fn write_tag(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(OWNER_ONLY))
        .map_err(|error| Error::io(Doing::Write, folder, error))?;
    let path = folder.join(CACHE_TAG_FILE);
    let opened = open_file(OpenOptions::new().write(true).create(true).truncate(false), &path)?;
    let gone = || Error::io(Doing::Create, &path, io::ErrorKind::NotFound.into());
    let (mut file, _) = opened.ok_or_else(gone)?;
    let written = file.write_all(TAG).and_then(|()| file.sync_data());
    written.map_err(|error| Error::io(Doing::Write, &path, error))?;
    sync_folder_of(&path)
}

fn unfit(path: &Path, why: Unfit) -> Error {
    // What might be evicted must not be written; what others have written, not even be read.
    let doing = if let Unfit::Foreign = why { Doing::Write } else { Doing::Read };
    Error::io(doing, path, io::Error::new(io::ErrorKind::AlreadyExists, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(owner: u32, mode: u32, expected: Option<&str>) {
        const USER: u32 = 1000;
        assert_eq!(check_owner(owner, mode, USER).err().map(|why| why.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_store_is_its_users_own() {
        check(1000, 0o40700, None);
        check(1000, 0o40755, None);
        check(1000, 0o40775, Some("others than its owner may write to it"));
        check(1000, 0o41777, Some("others than its owner may write to it"));
        check(1001, 0o40700, Some("it belongs to somebody else, who could make any tag lead anywhere"));
        check(0, 0o40755, Some("it belongs to somebody else, who could make any tag lead anywhere"));
    }
}
