//! Notes on how to read parts of content: files `indexes/ALGORITHM/DIGITS`.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;

use super::{INDEXES_FOLDER, notes};
use crate::{
    evict::Bound,
    file::is_absent,
    ingest::{BLOB_MODE, Ingest},
    layout::Folder,
};

/// A longer file is none that was kept.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn path(root: &Path, digest: &Digest) -> PathBuf {
    root.join(INDEXES_FOLDER).join(digest.algorithm_str()).join(digest.encoded())
}

/// Replaces the note on `digest`. A power cut may lose it, or leave a damaged one.
pub(super) fn write(folder: &Folder, digest: &Digest, index: &[u8], bound: Bound) -> Result<()> {
    let bytes = index.len() as u64;
    if bytes > bound.max_bytes.min(MAX_BYTES) {
        return Ok(());
    }
    let path = path(folder.root(), digest);
    let mut ingest = Ingest::begin_hashed(&folder.ingest())?;
    ingest.append(index)?;
    notes::show(&ingest, &path, BLOB_MODE)?;
    drop(ingest);
    bound.added(folder.root(), &path, bytes)
}

/// All bytes of the note in `file`, whose name is `path`.
pub(super) fn read(file: File, path: &Path) -> Result<Bytes> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| Error::io(Doing::Read, path, error))?;
    Ok(bytes.into())
}

/// Says whether there was one.
pub(super) fn remove(root: &Path, digest: &Digest) -> Result<bool> {
    let path = path(root, digest);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Remove, path, error)),
    }
}
