//! The beginnings of content whose fills were broken off: of an origin the files `_partials/ALGORITHM/DIGITS-TOTAL`. Whoever
//! fills one holds the lock on it; one that nobody holds is there to be gone on with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use refs_registry::{ByteStream, Error, Result, Resume, Verify, error::Doing};
use refs_url::{Digest, Hasher};

use super::{PARTIALS_FOLDER, notes::make_folders_of};
use crate::{
    evict::{Bound, names, origins, walk_notes},
    file::{each_chunk, is_absent},
    ingest::Ingest,
    reading::read_verified,
};

/// Shorter content is fetched anew as quickly as its rest.
pub(super) const MIN_TOTAL: u64 = 1 << 20;
/// So many beginnings are kept, with those that are filled; the oldest of the others goes for one that is left.
const MAX_PARTIALS: usize = 64;

/// The beginning of content, which waits in a [`DiskStore`](super::DiskStore) for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The content.
    pub digest: Digest,
    /// How many bytes there are.
    pub bytes: u64,
    /// How many there will be.
    pub total: u64,
}

/// What the fills of this process have left.
#[derive(Debug, Clone, Default)]
pub(super) struct Remains {
    left: Arc<Mutex<BTreeMap<Digest, Left>>>,
    /// Whether this process has made room among what those have left that died.
    has_made_room: Arc<AtomicBool>,
}

impl Remains {
    pub(super) fn add(&self, left: Left) {
        self.map().insert(left.digest.clone(), left);
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.map().remove(digest);
    }

    pub(super) fn all(&self) -> Vec<Left> {
        self.map().values().cloned().collect()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<Digest, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the beginning of content of `total` bytes goes, beside the other notes on its origin.
pub(super) fn path(notes: &Path, digest: &Digest, total: u64) -> PathBuf {
    folder(notes, digest).join(format!("{}-{total}", digest.encoded()))
}

/// Takes the file for the beginning of content, empty. `None` while another fills it.
///
/// Processes that died have left their beginnings, and made no room for them: the first fill from the start of a process does.
/// Whoever waits for the first byte of another does not wait for that, which takes the longer the more repositories there are.
pub(super) fn begin(root: &Path, path: &Path, bound: Bound, remains: &Remains) -> Result<Option<Ingest>> {
    make_folders_of(path)?;
    let Some(mut ingest) = Ingest::claim(path)? else { return Ok(None) };
    ingest.empty()?;
    if !remains.has_made_room.swap(true, Ordering::Relaxed) {
        make_room(root, bound)?;
    }
    Ok(Some(ingest))
}

/// A beginning that was taken up again.
pub(super) struct Found {
    pub(super) ingest: Ingest,
    pub(super) total: u64,
    pub(super) resume: Resume,
    pub(super) stream: ByteStream,
}

/// Takes up the beginning of `digest` that nobody else has taken, and hashes it. What can't be one is removed.
pub(super) fn find(notes: &Path, digest: &Digest) -> Result<Option<Found>> {
    let Some(hasher) = Hasher::for_digest(digest) else { return Ok(None) };
    for (path, total) in totals(&folder(notes, digest), digest)? {
        let Some(ingest) = Ingest::claim_left(&path)? else { continue };
        if (1..=total).contains(&ingest.bytes()) {
            return hashed(ingest, total, hasher).map(Some);
        }
        tracing::debug!(path = %path.display(), "what was left of a fill can't be a beginning: it is removed");
        ingest.discard();
    }
    Ok(None)
}

/// Removes all beginnings of `digest`. Whoever fills one at this moment fills a file without a name from now on.
pub(super) fn remove(notes: &Path, digest: &Digest) -> Result<bool> {
    let paths = totals(&folder(notes, digest), digest)?;
    paths.iter().try_fold(false, |removed, (path, _)| Ok(remove_file(path)? || removed))
}

fn hashed(ingest: Ingest, total: u64, mut hasher: Hasher) -> Result<Found> {
    let (file, bytes) = (ingest.reader()?, ingest.bytes());
    each_chunk(&file, ingest.path(), 0..bytes, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    // What is read later must be what was hashed now, as the rest is verified together with that.
    let verify = Verify::new(&hasher.clone().finish(), bytes, Resume::START)?;
    let stream = read_verified(file.into(), ingest.path().into(), 0..bytes, verify);
    Ok(Found { ingest, total, resume: Resume::at(bytes, hasher), stream })
}

fn folder(notes: &Path, digest: &Digest) -> PathBuf {
    notes.join(PARTIALS_FOLDER).join(digest.algorithm_str())
}

/// The files in `folder` that are for beginnings of `digest`, and how long that is to be.
fn totals(folder: &Path, digest: &Digest) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for path in names(folder)? {
        let Some((digits, total)) = path.file_name().and_then(|name| name.to_str()?.rsplit_once('-')) else { continue };
        if digits == digest.encoded()
            && let Ok(total) = total.parse()
        {
            found.push((path, total));
        }
    }
    Ok(found)
}

/// Removes the oldest beginnings that nobody fills, so that neither their number nor their bytes grow without an end, however
/// processes die.
pub(super) fn make_room(root: &Path, bound: Bound) -> Result<()> {
    let mut kept = Vec::new();
    for origin in origins(root)? {
        walk_notes(root, &origin.join(PARTIALS_FOLDER), &mut kept)?;
    }
    kept.sort_by_key(|kept| kept.read);
    let mut bytes = kept.iter().map(|kept| kept.bytes).sum::<u64>();
    let mut rest = kept.len();
    for kept in kept {
        if rest <= MAX_PARTIALS && bytes <= bound.max_bytes {
            break;
        }
        if remove_unless_filled(&kept.path)? {
            rest -= 1;
            bytes -= kept.bytes;
        }
    }
    Ok(())
}

/// Removes a beginning, unless somebody fills it at this moment: that would be fetched to its end for nothing.
fn remove_unless_filled(path: &Path) -> Result<bool> {
    match Ingest::claim_left(path) {
        Ok(Some(left)) => {
            left.discard();
            Ok(true)
        }
        Ok(None) => Ok(false),
        // It is no file, or nobody can tell who fills it.
        Err(_) => remove_file(path),
    }
}

fn remove_file(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Remove, path, error)),
    }
}
