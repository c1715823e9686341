//! Files that a store on disk is asked for.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use refs_registry::{Blob, Result, Resume, Verify};
use refs_url::Digest;

use super::{
    known::{self, Known, Look},
    parts::{self, Kept},
    store::not_cached,
};
use crate::{
    file::{hold, unless_emptied},
    layout::Folder,
    reading::{Begun, Passed, Reading},
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
    fn looked_at(folder: &Folder, digest: &Digest, known: &Known) -> Result<Option<(Self, Option<Look>)>> {
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
        unless_emptied(digest, total)?;
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

/// Whole content that is being read.
pub(super) struct Opened {
    size: u64,
    begun: Begun,
}

impl Opened {
    /// The content `digest`, to be read from `from` on. It is hashed, unless this process has done that lately.
    pub(super) fn at(folder: &Folder, digest: &Digest, from: Resume, known: &Known) -> Result<Self> {
        let looked_at = Found::looked_at(folder, digest, known)?;
        let (Found { file, path, kept: Kept { total: size, .. } }, look) =
            looked_at.ok_or_else(|| not_cached(digest))?;
        let (from_start, range) = (from.offset() == 0, from.offset().min(size)..size);
        let verify = Verify::new(digest, size, from)?;
        let check: Option<(_, Passed)> = match look.filter(|_| from_start) {
            Some(Look::Hashed) => None,
            Some(Look::Unknown(state)) => {
                let (known, digest) = (known.clone(), digest.clone());
                Some((verify, Box::new(move |file| known.note(&digest, state, file, Instant::now()))))
            }
            None => Some((verify, Box::new(|_| {}))),
        };
        Ok(Self { size, begun: Reading::new(Arc::new(file), path.into(), range, check).begun() })
    }

    pub(super) fn blob(self) -> Blob {
        Blob { size: self.size, stream: self.begun.stream() }
    }
}
