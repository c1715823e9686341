//! Hashes all that a store on disk has.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use refs_registry::{ErrorKind, Result};
use refs_url::Digest;

use super::{
    debris::{find, is_behind_link},
    images::ListedImage,
    removal::{State, look, move_aside, move_damaged},
    store::DiskStore,
};
use crate::{
    evict::{blob, names},
    layout::{BLOBS_FOLDER, Folder},
};

/// Running figures of a [`verify`](DiskStore::verify), to be looked at while it works.
#[derive(Debug, Default)]
pub struct Verifying {
    hashed: AtomicU64,
    expected: AtomicU64,
}

/// What a [`verify`](DiskStore::verify) found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verified {
    /// How many blobs and manifests were hashed.
    pub blobs: u64,
    /// How many bytes they have together.
    pub bytes: u64,
    /// What was damaged, or in the place of content, and is in quarantine now: the file's path before that.
    pub damaged: Vec<PathBuf>,
    /// What is in the place of something else, and stays there: it is behind a link of the store's user, who may have put it
    /// there, or is a folder of another file system.
    pub misplaced: Vec<PathBuf>,
    /// What can't be told, as this build does not compute its algorithm.
    pub unchecked: Vec<Digest>,
    /// The images that were listed and are not whole. They are not listed any more; fetching them brings what is missing.
    pub unlisted: Vec<ListedImage>,
}

impl Verifying {
    /// Bytes that were hashed.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// Bytes that there are to hash; 0 before they were counted.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }
}

impl Verified {
    /// Whether all was as it should be, but for what is [misplaced](Self::misplaced).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.unlisted.is_empty()
    }
}

impl DiskStore {
    /// Hashes all content, a chunk at a time, and counts in `progress`. What is damaged goes to quarantine, and is fetched anew
    /// when somebody wants it; images that are not whole are taken off the index. What is in the place of something else goes there
    /// before that, such as folders where files belong, and links: but for those to folders in the place of `blobs`, `indexes`,
    /// `pins` and `origins`, which the store's user may have put elsewhere on its file system: of what is there, nothing is moved
    /// but damaged blobs. Others may use the store meanwhile.
    ///
    /// # Errors
    /// `Io`. What was found by then is in quarantine.
    pub async fn verify(&self, progress: &Arc<Verifying>) -> Result<Verified> {
        if !self.is_made() {
            return Ok(Verified::default());
        }
        let mut damaged = self.clear().await?;
        let progress = Arc::clone(progress);
        let mut verified = self.write(move |folder| verify(folder, &progress)).await?;
        damaged.append(&mut verified.damaged);
        Ok(Verified { damaged, ..verified })
    }
}

fn verify(folder: &Folder, progress: &Verifying) -> Result<Verified> {
    let listed = folder.images()?;
    let mut verified = Verified::default();
    let paths = paths(folder.root())?;
    let sizes = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|metadata| metadata.len());
    progress.expected.store(sizes.sum(), Ordering::Relaxed);
    for path in paths {
        check(folder, path, progress, &mut verified)?;
    }
    verified.misplaced.extend(find(folder.root())?);
    verified.misplaced.sort();
    verified.misplaced.dedup();
    let mut broken = folder.unlist_broken(&folder.lock()?)?;
    if !verified.damaged.is_empty() {
        // These were taken off with what they need. A tag that others have moved meanwhile leaves a whole image behind.
        broken.extend(folder.gone_since(&listed)?);
    }
    verified.unlisted = broken.iter().map(ListedImage::of).collect();
    verified.bytes = progress.hashed();
    Ok(verified)
}

fn check(folder: &Folder, path: PathBuf, progress: &Verifying, verified: &mut Verified) -> Result<()> {
    let Some(digest) = blob(folder.root(), &path) else {
        let is_moved = move_aside(folder.root(), &path)?;
        let found = if is_moved { &mut verified.damaged } else { &mut verified.misplaced };
        found.push(path);
        return Ok(());
    };
    let count = |bytes| {
        progress.hashed.fetch_add(bytes, Ordering::Relaxed);
    };
    match look(folder, &digest, count) {
        Ok(State::Absent) => {}
        Ok(State::Sound) => verified.blobs += 1,
        Ok(state @ State::Damaged(_)) => {
            verified.blobs += 1;
            if move_damaged(folder, &digest, &state)? {
                verified.damaged.push(path);
            } else if is_behind_link(folder.root(), &path) && path.is_dir() {
                verified.misplaced.push(path);
            }
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => verified.unchecked.push(digest),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What is in the folders of blobs, sorted, whatever it is called.
fn paths(root: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for algorithm in names(&root.join(BLOBS_FOLDER))? {
        // What stands beside the folders of algorithms is no blob either.
        if fs::symlink_metadata(&algorithm).is_ok_and(|metadata| metadata.is_dir()) {
            paths.extend(names(&algorithm)?);
        } else {
            paths.push(algorithm);
        }
    }
    paths.sort();
    Ok(paths)
}
