//! What a store on disk knows about its content: small files that are there or not, and records of tags.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    path::Path,
};

use refs_registry::{Error, Result, error::Doing};
use refs_url::{Digest, Tag};

use crate::{
    file::{is_absent, itself, open_file},
    ingest::{DOCUMENT_MODE, Ingest, make_folders, sync_folder_of},
    layout::Folder,
    record::TagRecord,
};

/// Replaces the record at `path`. A power cut may lose it, or leave a damaged one, which counts as none. Where somebody has
/// put a folder, nothing is recorded.
pub(super) fn write_record(folder: &Folder, path: &Path, record: &TagRecord) -> Result<()> {
    let json = serde_json::to_vec(record).map_err(|error| Error::io(Doing::Write, path, error.into()))?;
    make_folders_of(path)?;
    let mut ingest = Ingest::begin_hashed(&folder.ingest())?;
    ingest.append(&json)?;
    match ingest.show(path, DOCUMENT_MODE) {
        Err(fault) if path.is_dir() => {
            tracing::debug!(%fault, "a folder is in the place of a record");
            Ok(())
        }
        shown => shown,
    }
}

pub(super) fn read_record(path: &Path) -> Result<Option<TagRecord>> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let file = match open_file(OpenOptions::new().read(true), path) {
        Err(fault @ Error::Corrupt { .. }) => {
            tracing::debug!(%fault, "what is no record is passed by");
            return Ok(None);
        }
        opened => opened?.map(|(file, _)| file),
    };
    let Some(file) = file else { return Ok(None) };
    let mut json = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut json).map_err(|error| Error::io(Doing::Read, path, error))?;
    let record = serde_json::from_slice(&json);
    if let Err(fault) = &record {
        tracing::debug!(path = %path.display(), %fault, "a damaged record is passed by");
    }
    Ok(record.ok())
}

/// The tags that there are records of in `folder`, sorted.
pub(super) fn tag_names(folder: &Path) -> Result<Vec<Tag>> {
    let failed = |error| Error::io(Doing::List, folder, error);
    let mut tags = Vec::new();
    for entry in match fs::read_dir(folder) {
        Err(error) if is_absent(&error) => return Ok(tags),
        entries => entries.map_err(failed)?,
    } {
        let name = entry.map_err(failed)?.file_name();
        tags.extend(name.to_str().and_then(|name| Tag::parse(name).ok()));
    }
    tags.sort_unstable();
    Ok(tags)
}

/// Makes a mark that may be lost: it is made again when it is missed.
pub(super) fn mark(path: &Path) -> Result<()> {
    make_folders_of(path)?;
    create(path)
}

/// Makes a mark that is there after a power cut, too.
pub(super) fn mark_durably(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_folders)?;
    create(path)?;
    sync_folder_of(path)
}

pub(super) fn is_marked(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Read, path, error)),
    }
}

/// The digests that marks below `folder` are for, the latest first, at most `most`; more marks than a folder is likely to
/// have are not looked at.
pub(super) fn latest_marks(folder: &Path, most: usize) -> Result<Vec<Digest>> {
    const MOST_LOOKED_AT: usize = 10_000;
    let path = folder.join("sha256");
    let failed = |error| Error::io(Doing::List, &path, error);
    let marks = match fs::read_dir(&path) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut found = Vec::new();
    for mark in marks.take(MOST_LOOKED_AT) {
        let mark = mark.map_err(failed)?;
        let digest = mark.file_name().to_str().and_then(|name| format!("sha256:{name}").parse::<Digest>().ok());
        let Some(digest) = digest else { continue };
        found.push((mark.metadata().and_then(|metadata| metadata.modified()).ok(), digest));
    }
    found.sort();
    Ok(found.into_iter().rev().take(most).map(|(_, digest)| digest).collect())
}

pub(super) fn unmark(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(Error::io(Doing::Remove, path, error)),
    }
}

/// Makes the folders above `path`, without waiting for the disk.
pub(super) fn make_folders_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| Error::io(Doing::Create, folder, error))
}

/// Gives `ingest` its name, in folders that are made when they are missing, and that others remove when nothing is in them.
pub(super) fn show(ingest: &Ingest, name: &Path, mode: u32) -> Result<()> {
    const MOST_TRIES: usize = 100;
    let show = || make_folders_of(name).and_then(|()| ingest.try_show(name, mode));
    for _ in 1..MOST_TRIES {
        match show() {
            Err(error) if is_gone(&error) && ingest.is_there() => {}
            shown => return shown,
        }
    }
    show()
}

/// A folder that was there when it was to be made, and no more when it was looked at, counts as one that is in the way.
fn is_gone(error: &Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotFound};
    matches!(error, Error::Io { source, .. } if matches!(source.kind(), NotFound | AlreadyExists))
}

fn create(path: &Path) -> Result<()> {
    let made = itself(OpenOptions::new().write(true).create(true).truncate(false)).open(path);
    made.map(drop).map_err(|error| Error::io(Doing::Create, path, error))
}
