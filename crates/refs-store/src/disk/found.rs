//! Files that a store on disk is asked for.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use refs_registry::Result;
use refs_url::Digest;

use super::{
    known::{self, Known, Look},
    parts::{self, Kept},
};
use crate::{
    file::hold,
    layout::Folder,
    times::{Since, note_time},
};

/// A file that holds content, a part of it, or a note on it. That it was found counts as its being read.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) kept: Kept,
}

impl Found {
    pub(super) fn whole(folder: &Folder, digest: &Digest) -> Result<Option<Self>> {
        Ok(Self::open(folder, digest)?.map(Self::touched))
    }

    /// With what is known of it, if that is worth knowing.
    pub(super) fn looked_at(folder: &Folder, digest: &Digest, known: &Known) -> Result<Option<(Self, Option<Look>)>> {
        let Some(found) = Self::open(folder, digest)? else { return Ok(None) };
        if found.kept.total < known::LEAST_BYTES {
            return Ok(Some((found.touched(), None)));
        }
        match known.look(digest, &found.file, Instant::now()) {
            Some(look) => Ok(Some((found.held(), Some(look)))),
            None => Ok(Some((found.touched(), None))),
        }
    }

    fn open(folder: &Folder, digest: &Digest) -> Result<Option<Self>> {
        let Some((file, total)) = folder.open_blob(digest)? else { return Ok(None) };
        Ok(Some(Self { file, path: folder.blob_path(digest), kept: Kept { range: 0..total, total } }))
    }

    pub(super) fn part(folder: &Folder, digest: &Digest, parts: &Path, range: &Range<u64>) -> Result<Option<Self>> {
        if let Some(whole) = Self::whole(folder, digest)? {
            return Ok(Some(whole));
        }
        let found = parts::find(parts, range)?;
        Ok(found.map(|(file, path, kept)| Self { file, path, kept }.touched()))
    }

    pub(super) fn touched(self) -> Self {
        note_time(&self.path, Since::Read);
        self.held()
    }

    fn held(self) -> Self {
        hold(&self.file, &self.path);
        self
    }
}
