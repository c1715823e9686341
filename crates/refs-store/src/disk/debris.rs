//! Finds what is in the place of something else in the folder of a store: a folder where a file belongs, a file where a
//! folder does, links and pipes.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use refs_registry::{Error, Result, error::Doing};

use super::{
    INDEXES_FOLDER, MEMBERS_FOLDER, ORIGINS_FOLDER, PARTIALS_FOLDER, PARTS_FOLDER, PINS_FOLDER, QUARANTINE_FOLDER,
    TAGS_FOLDER, UPLOADS_FOLDER, home,
    relist::put_index_aside,
    removal::{BEGUN_QUARANTINE_FOLDER, move_aside},
    store::DiskStore,
};
use crate::{
    evict::{LOCK_FILE as EVICTION_LOCK_FILE, QUEUES_FILE, names},
    file::{blocking, is_absent},
    flight::LOCKS_FOLDER,
    layout::{BLOBS_FOLDER, CACHE_TAG_FILE, Folder, INDEX_FILE, INGEST_FOLDER, LOCK_FILE, VERSION_FILE},
    lock::{Lock, PATIENCE},
    usage::USAGE_FILE,
};

/// What belongs at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    File,
    /// Whatever is in it.
    Folder,
    /// With nothing in it but this.
    FolderOf(&'static Self),
    /// The notes of origins, and folders of such.
    Origins,
}

const FILES: Shape = Shape::FolderOf(&Shape::File);
const SHELVES: Shape = Shape::FolderOf(&FILES);

const PLACES: [(&str, Shape); 15] = [
    (VERSION_FILE, Shape::File),
    (INDEX_FILE, Shape::File),
    (LOCK_FILE, Shape::File),
    (USAGE_FILE, Shape::File),
    (QUEUES_FILE, Shape::File),
    (EVICTION_LOCK_FILE, Shape::File),
    (INGEST_FOLDER, FILES),
    (LOCKS_FOLDER, FILES),
    (UPLOADS_FOLDER, FILES),
    (QUARANTINE_FOLDER, Shape::Folder),
    (BEGUN_QUARANTINE_FOLDER, Shape::Folder),
    // What is in the folders of blobs is hashed, and found to be none then.
    (BLOBS_FOLDER, Shape::FolderOf(&Shape::Folder)),
    (INDEXES_FOLDER, SHELVES),
    (PINS_FOLDER, SHELVES),
    (ORIGINS_FOLDER, Shape::Origins),
];

const NOTES: [(&str, Shape); 4] = [
    (TAGS_FOLDER, FILES),
    (MEMBERS_FOLDER, SHELVES),
    (PARTIALS_FOLDER, SHELVES),
    (PARTS_FOLDER, Shape::FolderOf(&SHELVES)),
];

/// These hold most, and their user may have put them elsewhere. All others are emptied of what nobody claims, so that a link
/// there would cost its user what it leads to.
const MAY_BE_LINKED: [&str; 4] = [BLOBS_FOLDER, INDEXES_FOLDER, PINS_FOLDER, ORIGINS_FOLDER];

impl DiskStore {
    /// Moves what is in the place of something else into quarantine, so that the store works again; gives where it was. What
    /// is behind a link of its user's stays.
    pub(super) async fn clear(&self) -> Result<Vec<PathBuf>> {
        let path = self.path().to_owned();
        blocking(self.path(), move || {
            home::check(&path)?;
            let cleared = clear(&path)?;
            if !cleared.is_empty() {
                home::open(&path)?;
                Folder::renew(path)?;
            }
            Ok(cleared)
        })
        .await
    }
}

fn clear(root: &Path) -> Result<Vec<PathBuf>> {
    // Any file that could be locked may be what is in the way.
    let _alone = Lock::folder(root, PATIENCE)?;
    let debris = to_clear(root)?;
    let mut moved = Vec::new();
    let (index, folder) = (root.join(INDEX_FILE), Folder::at(root.to_owned()));
    if !debris.contains(&index) && folder.is_index_damaged()? {
        put_index_aside(&folder)?;
        moved.push(index);
    }
    for path in debris {
        if move_aside(root, &path)? {
            moved.push(path);
        }
    }
    Ok(moved)
}

/// What [`DiskStore::clear`] tries to move, but for an index that is damaged.
pub(super) fn to_clear(root: &Path) -> Result<Vec<PathBuf>> {
    let mut debris = find(root)?;
    if home::is_tagged_by_others(root)? {
        debris.push(root.join(CACHE_TAG_FILE));
    }
    Ok(debris)
}

/// Whether `path` is below a place that its user has put elsewhere by a link, where there may be more than what the store
/// has.
pub(super) fn is_behind_link(root: &Path, path: &Path) -> bool {
    MAY_BE_LINKED
        .iter()
        .map(|place| root.join(place))
        .any(|place| path != place && path.starts_with(&place) && place.is_symlink())
}

/// What is in the place of something else, sorted. Links of its user's to the folders that hold most are none.
pub(super) fn find(root: &Path) -> Result<Vec<PathBuf>> {
    let mut debris = Vec::new();
    for (name, shape) in PLACES {
        let path = root.join(name);
        let is_linked = MAY_BE_LINKED.contains(&name) && path.is_symlink() && path.is_dir();
        if is_linked { shape.look_inside(&path, &mut debris)? } else { shape.look(&path, &mut debris)? }
    }
    debris.sort();
    Ok(debris)
}

impl Shape {
    fn look(self, path: &Path, debris: &mut Vec<PathBuf>) -> Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(Error::io(Doing::Read, path, error)),
        };
        if !self.fits(&metadata) {
            debris.push(path.to_owned());
            return Ok(());
        }
        self.look_inside(path, debris)
    }

    fn fits(self, metadata: &Metadata) -> bool {
        if self == Self::File { metadata.is_file() } else { metadata.is_dir() }
    }

    fn look_inside(self, folder: &Path, debris: &mut Vec<PathBuf>) -> Result<()> {
        if matches!(self, Self::File | Self::Folder) {
            return Ok(());
        }
        for path in names(folder)? {
            if let Some(shape) = self.inside(&path) {
                shape.look(&path, debris)?;
            }
        }
        Ok(())
    }

    /// What belongs at `path`, which is in a folder of this shape, as far as that is known.
    fn inside(self, path: &Path) -> Option<Self> {
        match self {
            Self::File | Self::Folder => None,
            Self::FolderOf(inner) => Some(*inner),
            Self::Origins => {
                let name = path.file_name()?;
                let notes = NOTES.iter().find(|(notes, _)| name == *notes).map(|(_, shape)| *shape);
                notes.or_else(|| (!name.as_encoded_bytes().starts_with(b"_")).then_some(Self::Origins))
            }
        }
    }
}

/// Whether the folder has notes on origins in it, which a layout has not, and nothing but what a store has.
pub(super) fn has_shape_of_store(root: &Path) -> Result<bool> {
    Ok(root.join(ORIGINS_FOLDER).is_dir() && has_names_of_store(root)?)
}

/// Whether the folder has nothing but what a store has.
pub(super) fn has_names_of_store(root: &Path) -> Result<bool> {
    let is_known = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name == CACHE_TAG_FILE || PLACES.iter().any(|(place, _)| name == *place)
    };
    Ok(names(root)?.iter().all(is_known))
}
