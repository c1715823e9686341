//! Takes content out of a store on disk: for good, or into quarantine when it is damaged.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use refs_registry::{
    Error, ErrorKind, Result, Resume, Verify,
    error::{Detail, Doing, Place, Wanted},
};
use refs_url::Digest;

use super::{QUARANTINE_FOLDER, debris::is_behind_link, indexes, notes::is_marked, partials, parts, store::not_cached};
use crate::{
    evict::blob,
    file::{each_chunk, is_absent},
    ingest::make_folder,
    layout::{BLOBS_FOLDER, Folder, Needs},
    lock::Lock,
    store::Checked,
};

/// The folder for quarantine while it is made around what was in its place.
pub(super) const BEGUN_QUARANTINE_FOLDER: &str = "quarantine-begun";

/// What is in the place of a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Sound,
    /// A file with other bytes, by what the file system knows it by; or something that is no file.
    Damaged(Option<(u64, u64)>),
}

/// Removes content, and what came of it from the origin whose notes are in `notes`, unless there is the mark `pin`.
pub(super) fn remove_unless(pin: &Path, folder: &Folder, digest: &Digest, notes: &Path) -> Result<()> {
    let held = folder.lock()?;
    if is_marked(pin)? {
        let (wanted, at) = (Wanted::Blob(digest.clone()), Place::from(folder.root().to_string_lossy()));
        return Err(Error::Conflict { wanted, at, detail: Detail::new("it is pinned") });
    }
    Needs::default().unlist(folder, &held, digest)?;
    let had_parts = forget_parts(digest, notes)?;
    let had_other = folder.blob_path(digest).is_dir() && put_aside(folder, digest)?;
    let had_index = indexes::remove(folder.root(), digest)?;
    let had_any = folder.remove_blob(digest)? || had_parts || had_other || had_index;
    if had_any { Ok(()) } else { Err(not_cached(digest)) }
}

/// Moves content into quarantine if it is damaged, pinned or not, and removes what came of it from the origin whose notes are
/// in `notes`.
pub(super) fn quarantine(folder: &Folder, digest: &Digest, notes: &Path) -> Result<Checked> {
    let state = look(folder, digest, |_| ())?;
    let had_parts = forget_parts(digest, notes)?;
    let had_index = indexes::remove(folder.root(), digest)?;
    move_damaged(folder, digest, &state)?;
    Ok(match state {
        State::Sound if had_parts || had_index => Checked::Cleared,
        State::Sound => Checked::Sound,
        State::Absent | State::Damaged(_) => Checked::Gone,
    })
}

/// Where the content is in quarantine, if it is.
pub(super) fn set_aside(folder: &Folder, digest: &Digest) -> Result<Option<PathBuf>> {
    let root = folder.root();
    let aside = root.join(QUARANTINE_FOLDER).join(name_aside(root, &folder.blob_path(digest)));
    Ok(is_marked(&aside)?.then_some(aside))
}

/// Hashes the content, if it is there, and tells `hashed` of the bytes as they are.
pub(super) fn look(folder: &Folder, digest: &Digest, hashed: impl Fn(u64)) -> Result<State> {
    let (file, size) = match folder.open_blob(digest) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(State::Absent),
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(State::Damaged(None)),
        Err(error) => return Err(error),
    };
    let path = folder.blob_path(digest);
    let mut verify = Verify::new(digest, size, Resume::START)?;
    let read = each_chunk(&file, &path, 0..size, |chunk| {
        hashed(chunk.len() as u64);
        verify.update(chunk)
    });
    match read.and_then(|()| verify.finish()) {
        Ok(()) => Ok(State::Sound),
        Err(error) if matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt) => {
            let metadata = file.metadata().map_err(|error| Error::io(Doing::Read, path, error))?;
            Ok(State::Damaged(Some((metadata.dev(), metadata.ino()))))
        }
        Err(error) => Err(error),
    }
}

/// Moves what was found to be damaged into quarantine, after all images that need it were taken off the index. Says whether
/// it was still there: somebody may have replaced it meanwhile.
pub(super) fn move_damaged(folder: &Folder, digest: &Digest, state: &State) -> Result<bool> {
    let State::Damaged(found) = state else { return Ok(false) };
    let held = folder.lock()?;
    let path = folder.blob_path(digest);
    let there = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.is_file().then(|| (metadata.dev(), metadata.ino())),
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(Error::io(Doing::Read, path, error)),
    };
    if there != *found {
        return Ok(false);
    }
    unlist(folder, &held, digest)?;
    put_aside(folder, digest)
}

fn unlist(folder: &Folder, held: &Lock, digest: &Digest) -> Result<()> {
    Needs::default().unlist(folder, held, digest)
}

/// Removes the parts and the beginnings that came from the origin whose notes are in `notes`; says whether there were any.
fn forget_parts(digest: &Digest, notes: &Path) -> Result<bool> {
    let parts = parts::folder(notes, digest);
    let had_parts = match fs::remove_dir_all(&parts) {
        Ok(()) => true,
        Err(error) if is_absent(&error) => false,
        Err(error) => return Err(Error::io(Doing::Remove, parts, error)),
    };
    Ok(partials::remove(notes, digest)? || had_parts)
}

/// Moves whatever is in the place of a blob into quarantine, where the last of each name is kept. Says whether there was
/// anything.
fn put_aside(folder: &Folder, digest: &Digest) -> Result<bool> {
    move_aside(folder.root(), &folder.blob_path(digest))
}

/// The same for what is at `path` in the store at `root`, whatever it is called; the folder for quarantine itself may be it.
/// Of what is behind a link of its user's, only files that are called as blobs are known to be the store's, and are moved.
pub(super) fn move_aside(root: &Path, path: &Path) -> Result<bool> {
    if is_behind_link(root, path) && !(blob(root, path).is_some() && is_file(path)) {
        return Ok(false);
    }
    let folder = make_quarantine(root)?;
    if path == folder {
        return Ok(true);
    }
    let aside = folder.join(name_aside(root, path));
    remove_all(&aside)?;
    if !rename(path, &aside)? {
        return Ok(false);
    }
    tracing::debug!(path = %aside.display(), "content of the cache was damaged, and is in quarantine");
    Ok(true)
}

/// Makes the folder for quarantine, with whatever was in its place in it. A file in the place of the one that is begun goes,
/// and so does a link, but nothing that it leads to.
fn make_quarantine(root: &Path) -> Result<PathBuf> {
    let folder = root.join(QUARANTINE_FOLDER);
    let is_other = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
    if is_other(&folder) {
        let begun = root.join(BEGUN_QUARANTINE_FOLDER);
        if is_other(&begun) {
            remove_all(&begun)?;
        }
        make_folder(&begun)?;
        let aside = begun.join(QUARANTINE_FOLDER);
        remove_all(&aside)?;
        rename(&folder, &aside)?;
        rename(&begun, &folder)?;
    }
    make_folder(&folder).map(|()| folder)
}

/// What something is called in quarantine: its path in the store, or below the folder of blobs, and of a long one the end.
fn name_aside(root: &Path, path: &Path) -> OsString {
    const MAX_BYTES: usize = 255;
    let is_in_folder = |inside: &&Path| inside.components().count() > 1;
    let inside = path.strip_prefix(root.join(BLOBS_FOLDER)).ok().filter(is_in_folder);
    let inside = inside.or_else(|| path.strip_prefix(root).ok()).unwrap_or(path);
    let mut name = inside.as_os_str().as_encoded_bytes().to_vec();
    name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'-');
    OsString::from_vec(name.split_off(name.len().saturating_sub(MAX_BYTES)))
}

/// Says whether there was anything at `from`, and it is at `to` now. Of what is on another file system, only files are moved.
fn rename(from: &Path, to: &Path) -> Result<bool> {
    let renamed = fs::rename(from, to);
    let crosses = renamed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::CrossesDevices);
    let moved = match renamed {
        Err(_) if crosses && !is_file(from) => return Ok(false),
        Err(_) if crosses => fs::copy(from, to).and_then(|_bytes| fs::remove_file(from)),
        renamed => renamed,
    };
    match moved {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Rename, from, error)),
    }
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Removes a file, or a folder with all that is in it.
pub(super) fn remove_all(path: &Path) -> Result<()> {
    let removed = match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied) => {
            fs::remove_dir_all(path)
        }
        other => other,
    };
    match removed {
        Err(error) if !is_absent(&error) => Err(Error::io(Doing::Remove, path, error)),
        _ => Ok(()),
    }
}
