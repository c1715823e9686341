//! What a store on disk holds.

use std::{
    ops::{Add, AddAssign},
    path::{Path, PathBuf},
};

use refs_registry::Result;

use super::{
    INDEXES_FOLDER, PARTIALS_FOLDER, PARTS_FOLDER, QUARANTINE_FOLDER, UPLOADS_FOLDER, debris, home,
    images::ListedImage, store::DiskStore,
};
use crate::{
    evict::{Kept, all_kept, names},
    file::blocking,
    layout::{BLOBS_FOLDER, Folder},
};

/// What a [`DiskStore`] holds.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreInfo {
    /// Its folder.
    pub path: PathBuf,
    /// How many bytes it keeps at most.
    pub max_bytes: u64,
    /// Whole content: blobs and manifests.
    pub blobs: Held,
    /// Parts of what is not here as a whole.
    pub parts: Held,
    /// The beginnings of what was not read to its end.
    pub partials: Held,
    /// Seek indexes of layers.
    pub indexes: Held,
    /// What was damaged.
    pub quarantined: Held,
    /// The images that are here as a whole.
    pub images: Vec<ListedImage>,
    /// What is in the place of something else, which a [`verify`](DiskStore::verify) moves away.
    pub misplaced: Vec<PathBuf>,
    /// How many uploads were begun and not ended, whose next run goes on with them.
    pub uploads: u64,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many there are.
    pub files: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

impl AddAssign for Held {
    fn add_assign(&mut self, more: Self) {
        self.files += more.files;
        self.bytes += more.bytes;
    }
}

impl Add for Held {
    type Output = Self;

    fn add(mut self, more: Self) -> Self {
        self += more;
        self
    }
}

impl StoreInfo {
    /// The bytes that count against the bound: all but notes and journals.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        [self.blobs, self.parts, self.partials, self.indexes, self.quarantined].iter().map(|held| held.bytes).sum()
    }
}

impl DiskStore {
    /// What is here now. Nothing is made or changed by this.
    ///
    /// # Errors
    /// `Io`.
    pub async fn info(&self) -> Result<StoreInfo> {
        let empty = StoreInfo {
            path: self.path().to_owned(),
            max_bytes: self.max_bytes(),
            blobs: Held::default(),
            parts: Held::default(),
            partials: Held::default(),
            indexes: Held::default(),
            quarantined: Held::default(),
            images: Vec::new(),
            misplaced: Vec::new(),
            uploads: 0,
        };
        if !self.is_made() {
            return Ok(empty);
        }
        let path = self.path().to_owned();
        blocking(self.path(), move || {
            home::check(&path)?;
            survey(&Folder::at(path), empty)
        })
        .await
    }
}

fn survey(folder: &Folder, mut info: StoreInfo) -> Result<StoreInfo> {
    let root = folder.root();
    for Kept { path, bytes, .. } in all_kept(root)? {
        let held = match kind(root, &path) {
            Some(Kind::Blob) => &mut info.blobs,
            Some(Kind::Part) => &mut info.parts,
            Some(Kind::Partial) => &mut info.partials,
            Some(Kind::Index) => &mut info.indexes,
            Some(Kind::Quarantined) => &mut info.quarantined,
            None => continue,
        };
        *held += Held { files: 1, bytes };
    }
    info.images = folder.images()?.iter().map(ListedImage::of).collect();
    info.misplaced = debris::find(root)?;
    info.uploads = names(&root.join(UPLOADS_FOLDER))?.len() as u64;
    Ok(info)
}

/// What a file of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Part,
    Partial,
    Index,
    Quarantined,
}

/// What the file `path` in the store at `root` is, of those that count against its bound.
pub(super) fn kind(root: &Path, path: &Path) -> Option<Kind> {
    let inside = path.strip_prefix(root).ok()?;
    if inside.starts_with(BLOBS_FOLDER) {
        Some(Kind::Blob)
    } else if inside.starts_with(INDEXES_FOLDER) {
        Some(Kind::Index)
    } else if inside.starts_with(QUARANTINE_FOLDER) {
        Some(Kind::Quarantined)
    } else {
        // No part of a repository's name begins as these do.
        let named = |name: &str| inside.iter().any(|part| part == name);
        [(PARTS_FOLDER, Kind::Part), (PARTIALS_FOLDER, Kind::Partial)]
            .into_iter()
            .find_map(|(name, kind)| named(name).then_some(kind))
    }
}
