//! Keeps a store on disk within its bound, by [`Queues`] of what is there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;

use crate::{
    disk::{
        Held, INDEXES_FOLDER, MEMBERS_FOLDER, ORIGINS_FOLDER, PARTIALS_FOLDER, PARTS_FOLDER, PINS_FOLDER,
        QUARANTINE_FOLDER, is_note,
    },
    file::{is_absent, itself, open_file},
    flight::LOCKS_FOLDER,
    ingest::{DOCUMENT_MODE, Ingest, reclaim, reclaimable},
    layout::{BLOBS_FOLDER, Folder, INGEST_FOLDER, LOCK_FILE as LAYOUT_LOCK_FILE, Needs},
    lock::{Lock, PATIENCE},
    queues::{Item, Queues, Turn},
    times::{Since, note_time, was_read},
    usage::{self, Looking},
};

/// How much a store may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// Bytes of content, parts and notes on content.
    pub(crate) max_bytes: u64,
}

pub(crate) const LOCK_FILE: &str = "evict";
/// In which turn what is there goes, as of the last time that something had to.
pub(crate) const QUEUES_FILE: &str = "queues";

/// When a store is looked through for what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// What was counted may not be all: a process that died has not counted what it had just added.
    Anyway,
    TooMuch,
}

impl Bound {
    /// Takes note that the store at `root` has `bytes` more, in the file `added`, and makes room when it has too many now:
    /// by what else there is.
    pub(crate) fn added(self, root: &Path, added: &Path, bytes: u64) -> Result<()> {
        note_time(added, Since::Added);
        let (total, now) = usage::append(root, bytes)?;
        if total.is_some_and(|total| total <= self.max_bytes) { Ok(()) } else { self.sweep(root, Some(added), now) }
    }

    /// Makes room where the store at `root` has too many bytes: when it was to be made before, somebody read or filled what
    /// had to go.
    pub(crate) fn make_room(self, root: &Path, when: When) -> Result<()> {
        let Some((total, now)) = usage::read(root)? else { return Ok(()) };
        if when == When::TooMuch && total <= self.max_bytes { Ok(()) } else { self.sweep(root, None, now) }
    }

    /// Looks what there is, and removes as much of it as is too much, but not `added`. One process does that at a time.
    fn sweep(self, root: &Path, added: Option<&Path>, now: SystemTime) -> Result<()> {
        let _held = match Lock::take(&root.join(LOCK_FILE), Duration::ZERO) {
            Ok(lock) => lock,
            Err(Error::Busy { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let looking = Looking::begin(root)?;
        let kept = all_kept(root)?;
        let mut total = kept.iter().map(|kept| kept.bytes).sum::<u64>();
        if total > self.max_bytes {
            total -= self.evict(root, added, kept, total)?;
            forget_gone(root)?;
        }
        reclaim_temporary(root, now)?;
        looking.end(total)
    }

    /// Removes some of `kept`, which has `total` bytes, but not `added`; gives how many bytes have gone.
    fn evict(self, root: &Path, added: Option<&Path>, kept: Vec<Kept>, total: u64) -> Result<u64> {
        // A little more than needed, so that not every fill has to look.
        let target = self.max_bytes - self.max_bytes / 10;
        // Nobody reads what is in quarantine.
        let (damaged, kept) = kept.into_iter().partition(|kept| kept.path.starts_with(root.join(QUARANTINE_FOLDER)));
        let mut gone = remove_oldest(root, damaged, total - target)?.bytes;
        let mut queues = read_queues(root)?;
        queues.update(kept.iter().filter_map(|kept| item(root, kept)).collect());
        let mut removing = Removing::at(root);
        queues.evict(self.max_bytes, target, |item| {
            let path = root.join(&item.name);
            let goes = Some(path.as_path()) != added && removing.remove(&path, Readers::AreSpared)?;
            gone += if goes { item.bytes } else { 0 };
            Ok::<_, Error>(if goes { Turn::Gone } else { Turn::Stays })
        })?;
        write_queues(root, &queues)?;
        Ok(gone)
    }
}

/// What a file is in the queues. What no text can name has no place there.
fn item(root: &Path, kept: &Kept) -> Option<Item> {
    let name = kept.path.strip_prefix(root).ok()?.to_str()?.to_owned();
    let read = kept.read.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let readings = u8::from(was_read(read));
    Some(Item { name, bytes: kept.bytes, readings, read: u64::try_from(read.as_nanos()).unwrap_or(u64::MAX) })
}

/// The queues of the store at `root`. Where they are missing or damaged, what there is makes them anew.
fn read_queues(root: &Path) -> Result<Queues> {
    const MAX_BYTES: u64 = 1 << 30;
    let path = root.join(QUEUES_FILE);
    let Some((file, _)) = open_file(OpenOptions::new().read(true), &path)? else { return Ok(Queues::default()) };
    let mut json = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut json).map_err(|error| Error::io(Doing::Read, &path, error))?;
    Ok(serde_json::from_slice(&json).unwrap_or_else(|fault| {
        tracing::debug!(path = %path.display(), %fault, "in which turn things go is made anew");
        Queues::default()
    }))
}

fn write_queues(root: &Path, queues: &Queues) -> Result<()> {
    let path = root.join(QUEUES_FILE);
    let json = serde_json::to_vec(queues).map_err(|error| Error::io(Doing::Write, &path, error.into()))?;
    let mut file = Ingest::begin_hashed(&root.join(INGEST_FOLDER))?;
    file.append(&json)?;
    file.show(&path, DOCUMENT_MODE)
}

/// All that counts against a bound.
pub(crate) fn all_kept(root: &Path) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for shelf in [BLOBS_FOLDER, INDEXES_FOLDER].map(|shelf| root.join(shelf)) {
        let mut found = Vec::new();
        walk(&shelf, &mut found)?;
        // Where its user has put it elsewhere, other things may be there, which are not the store's to remove.
        let is_own = !shelf.is_symlink();
        kept.extend(found.into_iter().filter(|kept| is_own || digest_in(&shelf, &kept.path).is_some()));
    }
    for origin in origins(root)? {
        walk_notes(root, &origin.join(PARTS_FOLDER), &mut kept)?;
        walk_notes(root, &origin.join(PARTIALS_FOLDER), &mut kept)?;
    }
    let mut damaged = Vec::new();
    walk_own(&root.join(QUARANTINE_FOLDER), &mut damaged)?;
    // Nobody reads it, so that it goes first.
    kept.extend(damaged.into_iter().map(|damaged| Kept { read: SystemTime::UNIX_EPOCH, ..damaged }));
    Ok(kept)
}

/// The file at `path`, or those in the folder there.
pub(crate) fn all_at(path: &Path) -> Result<Vec<Kept>> {
    let mut found = Vec::new();
    let Some(metadata) = present(path, fs::symlink_metadata(path))? else { return Ok(found) };
    if metadata.is_dir() {
        walk(path, &mut found)?;
    } else {
        found.push(Kept { bytes: metadata.len(), path: path.to_owned(), read: SystemTime::UNIX_EPOCH });
    }
    Ok(found)
}

/// Removes the files that were on their way to a name, and those of locks, that nobody holds and that were last written
/// before `before`; says how much that was.
pub(crate) fn reclaim_temporary(root: &Path, before: SystemTime) -> Result<Held> {
    Ok(reclaim(&root.join(INGEST_FOLDER), before)? + reclaim(&root.join(LOCKS_FOLDER), before)?)
}

/// What [`reclaim_temporary`] would remove.
pub(crate) fn reclaimable_temporary(root: &Path, before: SystemTime) -> Result<Held> {
    Ok(reclaimable(&root.join(INGEST_FOLDER), before)? + reclaimable(&root.join(LOCKS_FOLDER), before)?)
}

/// Waits until nobody else looks through the store, and has it to itself for that.
pub(crate) fn exclusively(root: &Path) -> Result<Lock> {
    Lock::take(&root.join(LOCK_FILE), PATIENCE)
}

/// Forgets that origins had content that is gone.
pub(crate) fn forget_gone(root: &Path) -> Result<()> {
    origins(root)?.iter().try_for_each(|origin| forget_members(root, origin))
}

/// A file of content, or of a part.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) read: SystemTime,
}

/// Finds the files below `folder`, unless it is a link: they are not the store's, then, to remove.
fn walk_own(folder: &Path, kept: &mut Vec<Kept>) -> Result<()> {
    if folder.is_symlink() { Ok(()) } else { walk(folder, kept) }
}

/// Finds the notes below `folder`, which is an origin's, in the same way. Where the user has put all of them elsewhere, other
/// things may be there: those that are not called as notes are.
pub(crate) fn walk_notes(root: &Path, folder: &Path, kept: &mut Vec<Kept>) -> Result<()> {
    let mut found = Vec::new();
    walk_own(folder, &mut found)?;
    let is_own = !root.join(ORIGINS_FOLDER).is_symlink();
    kept.extend(found.into_iter().filter(|kept| is_own || is_note(root, &kept.path)));
    Ok(())
}

/// Finds the files below `folder`. What goes away meanwhile is not there.
fn walk(folder: &Path, kept: &mut Vec<Kept>) -> Result<()> {
    for path in names(folder)? {
        let Some(metadata) = present(&path, fs::symlink_metadata(&path))? else { continue };
        if metadata.is_dir() {
            walk(&path, kept)?;
        } else {
            let read = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            kept.push(Kept { bytes: metadata.len(), path, read });
        }
    }
    Ok(())
}

/// Removes the files that were not read for the longest time, until `excess` bytes are gone. Whoever
/// reads one of them at this moment holds it open, and reads on.
pub(crate) fn remove_oldest(root: &Path, mut kept: Vec<Kept>, excess: u64) -> Result<Held> {
    kept.sort_by_key(|kept| kept.read);
    let (mut removing, mut removed) = (Removing::at(root), Held::default());
    for Kept { path, bytes, .. } in kept {
        if removed.bytes >= excess {
            break;
        }
        if removing.remove(&path, Readers::ReadOn)? {
            removed += Held { files: 1, bytes };
        }
    }
    Ok(removed)
}

/// What becomes of a file that somebody reads or writes at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// It goes, and who has it open reads on.
    ReadOn,
    /// It stays.
    AreSpared,
}

/// Removes files from the store at a root.
struct Removing<'a> {
    root: &'a Path,
    folder: Folder,
    needs: Needs,
}

impl<'a> Removing<'a> {
    fn at(root: &'a Path) -> Self {
        Self { root, folder: Folder::at(root.to_owned()), needs: Needs::default() }
    }

    /// Says whether the file is gone.
    fn remove(&mut self, path: &Path, readers: Readers) -> Result<bool> {
        // Held for one file only, as a pin waits for it.
        let held = Lock::take(&self.root.join(LAYOUT_LOCK_FILE), PATIENCE)?;
        if is_pinned(self.root, path)? {
            return Ok(false);
        }
        let alone = itself(OpenOptions::new().read(true)).open(path);
        // What can't be opened can't be read either.
        // Where there are no locks, who reads it reads on.
        let is_read = |file: &File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if readers == Readers::AreSpared && alone.as_ref().is_ok_and(is_read) {
            return Ok(false);
        }
        // An image is listed as long as all of it is here, and no longer.
        if let Some(blob) = blob(self.root, path) {
            self.needs.unlist(&self.folder, &held, &blob)?;
        }
        present(path, fs::remove_file(path))?;
        drop(held);
        if !path.starts_with(self.root.join(BLOBS_FOLDER)) {
            // The folder of the parts of a blob stays while it has others in it.
            path.parent().map(fs::remove_dir);
        }
        Ok(true)
    }
}

/// The folders of notes on origins in the store at `root`.
pub(crate) fn origins(root: &Path) -> Result<Vec<PathBuf>> {
    let mut origins = Vec::new();
    find_origins(&root.join(ORIGINS_FOLDER), &mut origins)?;
    Ok(origins)
}

/// Finds those beneath `folder`, each of which has something in it that no repository is called.
fn find_origins(folder: &Path, origins: &mut Vec<PathBuf>) -> Result<()> {
    let mut has_notes = false;
    for path in names(folder)? {
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_")) {
            has_notes = true;
        } else if present(&path, fs::symlink_metadata(&path))?.is_some_and(|metadata| metadata.is_dir()) {
            find_origins(&path, origins)?;
        }
    }
    if has_notes {
        origins.push(folder.to_owned());
    }
    Ok(())
}

/// Forgets that the origin whose notes are in `origin` had content that is gone.
fn forget_members(root: &Path, origin: &Path) -> Result<()> {
    let members = origin.join(MEMBERS_FOLDER);
    let mut marks = Vec::new();
    walk_notes(root, &members, &mut marks)?;
    for mark in marks {
        let Ok(content) = mark.path.strip_prefix(&members) else { continue };
        let is_gone = |shelf: PathBuf| fs::symlink_metadata(shelf.join(content)).is_err();
        let shelves = [root.join(BLOBS_FOLDER), root.join(INDEXES_FOLDER), origin.join(PARTS_FOLDER)];
        if shelves.into_iter().all(is_gone) {
            present(&mark.path, fs::remove_file(&mark.path))?;
        }
    }
    Ok(())
}

/// The digest of the content whose file is `path`.
pub(crate) fn blob(root: &Path, path: &Path) -> Option<Digest> {
    digest_in(&root.join(BLOBS_FOLDER), path)
}

/// The digest that the file `path` in `shelf` is called by.
fn digest_in(shelf: &Path, path: &Path) -> Option<Digest> {
    let mut names = path.strip_prefix(shelf).ok()?.iter().map(|name| name.to_str());
    let (Some(Some(algorithm)), Some(Some(digits)), None) = (names.next(), names.next(), names.next()) else {
        return None;
    };
    Digest::parse(&format!("{algorithm}:{digits}")).ok()
}

/// Whether the content that `path` is of, a part of, or a note on, is to stay.
pub(crate) fn is_pinned(root: &Path, path: &Path) -> Result<bool> {
    let is_by_digest = [BLOBS_FOLDER, INDEXES_FOLDER].iter().any(|folder| path.starts_with(root.join(folder)));
    let content = if is_by_digest { Some(path) } else { path.parent() };
    let names = content.and_then(|content| Some((content.parent()?.file_name()?, content.file_name()?)));
    let Some((algorithm, digits)) = names else { return Ok(false) };
    let pin = root.join(PINS_FOLDER).join(algorithm).join(digits);
    present(&pin, fs::symlink_metadata(&pin)).map(|pin| pin.is_some())
}

/// The paths in `folder`; none when there is no such folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(Doing::List, folder, error);
    match fs::read_dir(folder) {
        Ok(listed) => listed.map(|entry| Ok(entry.map_err(failed)?.path())).collect(),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// What was done to the file `path`; `None` when it was gone already.
fn present<T>(path: &Path, done: io::Result<T>) -> Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(Doing::Remove, path, error)),
    }
}
