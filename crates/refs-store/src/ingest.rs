//! Files that have no name of their own yet. Whatever a store writes is written here first, and shows under its name
//! when it is complete and durable.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use refs_registry::{
    Error, ErrorKind, Result,
    error::{Doing, Place, Wanted},
};
use refs_url::{Digest, Hasher};

use crate::{
    disk::Held,
    file::{each_chunk, is_absent, open_file},
    running::Running,
    session::{is_session, new_session},
};

/// The permissions of a blob: its bytes never change again.
pub(crate) const BLOB_MODE: u32 = 0o444;
/// The permissions of a document that is replaced as a whole.
pub(crate) const DOCUMENT_MODE: u32 = 0o644;

/// A file that is being written, locked against other writers. Dropped before it is published, it is removed, unless it
/// is to be left for a later [`resume`](Ingest::resume).
#[derive(Debug)]
pub(crate) struct Ingest {
    file: File,
    path: PathBuf,
    running: Running,
    leave: Arc<AtomicBool>,
}

/// The permissions of what is not complete.
const OWNER_ONLY: u32 = 0o600;

impl Ingest {
    /// A new, empty file in `folder`, which is made when it is missing.
    pub(crate) fn begin(folder: &Path) -> Result<Self> {
        Self::begin_with(folder, Running::default())
    }

    /// The same for bytes that were hashed on their way here.
    pub(crate) fn begin_hashed(folder: &Path) -> Result<Self> {
        Self::begin_with(folder, Running::counting())
    }

    fn begin_with(folder: &Path, running: Running) -> Result<Self> {
        make_folder(folder)?;
        loop {
            let path = folder.join(new_session());
            let made = OpenOptions::new().read(true).write(true).create_new(true).mode(OWNER_ONLY).open(&path);
            let file = made.map_err(|error| Error::io(Doing::Create, folder, error))?;
            // Before it is locked, whoever reclaims may take it for one that nobody writes.
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => continue,
                Err(fs::TryLockError::Error(error)) => return Err(Error::io(Doing::Lock, path, error)),
            }
            if is_at(&file, &path).map_err(|error| Error::io(Doing::Read, &path, error))? {
                return Ok(Self { file, path, running, leave: Arc::default() });
            }
        }
    }

    /// Goes on with the file that `session` names, after its first `offset` bytes; what follows them was never
    /// acknowledged and is cut off. The bytes are hashed again: nothing else vouches for them.
    pub(crate) fn resume(folder: &Path, session: &str, offset: u64) -> Result<Self> {
        let gone = || Error::NotFound { wanted: Wanted::Upload, at: Place::from(folder.to_string_lossy()), code: None };
        let path = path_of(folder, session).ok_or_else(gone)?;
        let opened = open_file(OpenOptions::new().read(true).write(true), &path)?;
        let (file, bytes) = opened.ok_or_else(gone)?;
        file.try_lock().map_err(|error| not_locked(&path, error))?;
        if bytes < offset || !is_at(&file, &path).map_err(|error| Error::io(Doing::Read, &path, error))? {
            return Err(gone());
        }
        file.set_len(offset).map_err(|error| Error::io(Doing::Write, &path, error))?;
        let mut running = Running::default();
        each_chunk(&file, &path, 0..offset, |chunk| {
            running.update(chunk);
            Ok(())
        })?;
        Ok(Self { file, path, running, leave: Arc::new(AtomicBool::new(true)) })
    }

    /// The file at `path`, which is made when it is missing, after the bytes that it has, which nobody vouches for. It stays
    /// when it is dropped. `None` while another writes it.
    pub(crate) fn claim(path: &Path) -> Result<Option<Self>> {
        Self::claim_with(path, OpenOptions::new().create(true))
    }

    /// The same for a file that is there already.
    pub(crate) fn claim_left(path: &Path) -> Result<Option<Self>> {
        Self::claim_with(path, &mut OpenOptions::new())
    }

    fn claim_with(path: &Path, options: &mut OpenOptions) -> Result<Option<Self>> {
        let options = options.read(true).write(true).mode(OWNER_ONLY);
        let Some((file, _)) = open_file(options, path)? else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(Error::io(Doing::Lock, path, error)),
        }
        let failed = |error| Error::io(Doing::Read, path, error);
        if !is_at(&file, path).map_err(failed)? {
            return Ok(None);
        }
        // Another may have written it until it was locked.
        let running = Running::counting_from(file.metadata().map_err(failed)?.len());
        Ok(Some(Self { file, path: path.to_owned(), running, leave: Arc::new(AtomicBool::new(true)) }))
    }

    /// As [`claim`](Ingest::claim), with the bytes that are there hashed. More than `most` can't be what they should: they are
    /// cut off.
    pub(crate) fn go_on(path: &Path, most: u64) -> Result<Option<Self>> {
        let Some(mut ingest) = Self::claim(path)? else { return Ok(None) };
        if ingest.bytes() > most {
            ingest.empty()?;
        }
        let mut running = Running::default();
        each_chunk(&ingest.file, path, 0..ingest.bytes(), |chunk| {
            running.update(chunk);
            Ok(())
        })?;
        ingest.running = running;
        Ok(Some(ingest))
    }

    /// The hash of all bytes so far, where they are hashed as they come.
    pub(crate) fn hasher(&self) -> Option<Hasher> {
        self.running.hasher()
    }

    /// Cuts off all bytes.
    pub(crate) fn empty(&mut self) -> Result<()> {
        // A file that ext4 has seen cut to nothing is sent to the disk when it is closed (`auto_da_alloc`).
        if self.bytes() > 0 {
            self.file.set_len(0).map_err(|error| Error::io(Doing::Write, &self.path, error))?;
        }
        self.running = Running::counting_from(0);
        Ok(())
    }

    /// Puts `document` in the place of all bytes. An empty one goes with the file when that is dropped.
    pub(crate) fn replace(&mut self, document: &[u8]) -> Result<()> {
        let bytes = document.len() as u64;
        let written = self.file.write_all_at(document, 0).and_then(|()| self.file.set_len(bytes));
        written.map_err(|error| Error::io(Doing::Write, &self.path, error))?;
        self.running = Running::counting_from(bytes);
        self.leave.store(bytes > 0, Ordering::Relaxed);
        Ok(())
    }

    /// The file goes when it is dropped.
    pub(crate) fn go_when_dropped(&self) {
        self.leave.store(false, Ordering::Relaxed);
    }

    /// Makes the file `bytes` long, without content: its length is all that it tells.
    pub(crate) fn stretch(&self, bytes: u64) -> Result<()> {
        self.file.set_len(bytes).map_err(|error| Error::io(Doing::Write, &self.path, error))
    }

    /// Another handle on the file, to read from.
    pub(crate) fn reader(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| Error::io(Doing::Read, &self.path, error))
    }

    /// The file, opened once more to be read: unlike [`reader`](Ingest::reader), it keeps nobody from claiming the file once
    /// this is dropped. `None` when another is in its place.
    pub(crate) fn second_reader(&self) -> Result<Option<File>> {
        let Some((file, _)) = open_file(OpenOptions::new().read(true), &self.path)? else { return Ok(None) };
        let is_same = is_at(&file, &self.path).unwrap_or(false) && self.is_there();
        Ok(is_same.then_some(file))
    }

    /// Whether the file is still where it was: nobody has removed it.
    pub(crate) fn is_there(&self) -> bool {
        is_at(&self.file, &self.path).unwrap_or(false)
    }

    /// Removes the file, whatever it was to be.
    pub(crate) fn discard(self) {
        self.leave.store(false, Ordering::Relaxed);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What [`resume`](Ingest::resume) knows the file by.
    pub(crate) fn session(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// When it holds true, the file is left behind for a later `resume`.
    pub(crate) fn leave(&self) -> Arc<AtomicBool> {
        self.leave.clone()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.running.bytes()
    }

    /// Appends `chunk`. After an error the file goes on from where it was.
    pub(crate) fn append(&mut self, chunk: &[u8]) -> Result<()> {
        let written = self.file.write_all_at(chunk, self.bytes());
        written.map_err(|error| Error::io(Doing::Write, &self.path, error))?;
        self.running.update(chunk);
        Ok(())
    }

    /// Makes sure that the bytes are those of `digest`, and removes them when they are not.
    pub(crate) fn check(self, digest: &Digest) -> Result<Self> {
        self.leave.store(false, Ordering::Relaxed);
        self.running.check(digest, |mut hasher: Hasher| {
            each_chunk(&self.file, &self.path, 0..self.bytes(), |chunk| {
                hasher.update(chunk);
                Ok(())
            })?;
            Ok(hasher.finish())
        })?;
        Ok(self)
    }

    /// Gives the file its name, durably: its bytes reach the disk before the name does.
    ///
    /// A failed sync is final. The system may have dropped the pages it could not write, so that a second attempt would
    /// succeed and mean nothing; the file is removed instead.
    pub(crate) fn publish(self, name: &Path, mode: u32) -> Result<()> {
        self.leave.store(false, Ordering::Relaxed);
        self.file.sync_data().map_err(|error| Error::io(Doing::Sync, &self.path, error))?;
        self.show(name, mode)?;
        sync_folder_of(name)
    }

    /// Gives the file its name without waiting for the disk: for what can be fetched again, and is hashed when it is read.
    pub(crate) fn show(self, name: &Path, mode: u32) -> Result<()> {
        self.try_show(name, mode)
    }

    /// The same for a file that may be shown once more when that fails: it is still where it was.
    pub(crate) fn try_show(&self, name: &Path, mode: u32) -> Result<()> {
        self.leave.store(false, Ordering::Relaxed);
        let permissions = Permissions::from_mode(mode);
        self.file.set_permissions(permissions).map_err(|error| Error::io(Doing::Write, &self.path, error))?;
        fs::rename(&self.path, name).map_err(|error| Error::io(Doing::Rename, name, error))?;
        self.leave.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if self.leave.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "a temporary file stays behind");
        }
    }
}

/// Writes a small document under its name, whole or not at all.
pub(crate) fn replace(folder: &Path, name: &Path, document: &[u8]) -> Result<()> {
    let mut ingest = Ingest::begin(folder)?;
    ingest.append(document)?;
    ingest.publish(name, DOCUMENT_MODE)
}

/// Removes the files in `folder` that nobody writes and that were last written before `before`; says how much that was. What
/// a link leads to stays as it is.
pub(crate) fn reclaim(folder: &Path, before: SystemTime) -> Result<Held> {
    each_abandoned(folder, before, |path| fs::remove_file(path).map_err(|error| Error::io(Doing::Remove, path, error)))
}

/// What [`reclaim`] would remove.
pub(crate) fn reclaimable(folder: &Path, before: SystemTime) -> Result<Held> {
    each_abandoned(folder, before, |_stays| Ok(()))
}

fn each_abandoned(folder: &Path, before: SystemTime, take: impl Fn(&Path) -> Result<()>) -> Result<Held> {
    if folder.is_symlink() {
        return Ok(Held::default());
    }
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::default()),
        Err(error) => return Err(Error::io(Doing::List, folder, error)),
    };
    let mut taken = Held::default();
    for entry in listed {
        let path = entry.map_err(|error| Error::io(Doing::List, folder, error))?.path();
        // Held until it is gone, so that nobody begins to write it.
        if let Some((_held, bytes)) = abandoned(&path, before)? {
            take(&path)?;
            taken += Held { files: 1, bytes };
        }
    }
    Ok(taken)
}

/// The file, locked, and its bytes, if nobody else holds it and it is that old.
fn abandoned(path: &Path, before: SystemTime) -> Result<Option<(File, u64)>> {
    let (file, bytes) = match open_file(OpenOptions::new().read(true), path) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(None),
        // What is no file was not left by writing one.
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
        Err(error) => return Err(error),
    };
    let failed = |error| Error::io(Doing::Read, path, error);
    let written = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    let is_ours = written < before && file.try_lock().is_ok() && is_at(&file, path).map_err(failed)?;
    Ok(is_ours.then_some((file, bytes)))
}

/// How many bytes there are of the upload `session` in `folder`, if it has one.
pub(crate) fn uploaded(folder: &Path, session: &str) -> Result<Option<u64>> {
    path_of(folder, session).map_or(Ok(None), |path| file_bytes(&path))
}

/// The bytes of the file at `path`, if there is one; a link is none.
pub(crate) fn file_bytes(path: &Path) -> Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(Doing::Read, path, error)),
    }
}

/// The file of `session`, which comes from whoever asks to resume it: only the shape of name that `begin` gives leads to one.
fn path_of(folder: &Path, session: &str) -> Option<PathBuf> {
    is_session(session).then(|| folder.join(session))
}

/// Whether `path` leads to `file`: whoever held the lock before may have given the file its name, or removed it.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn not_locked(path: &Path, error: fs::TryLockError) -> Error {
    match error {
        fs::TryLockError::WouldBlock => Error::Busy { path: path.to_owned() },
        fs::TryLockError::Error(error) => Error::io(Doing::Lock, path, error),
    }
}

/// Makes the folder `path` inside one that exists, so that it is still there after a crash.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io(Doing::Create, path, error)),
    }
}

/// [`make_folder`] for `path` and every folder above it that is missing.
pub(crate) fn make_folders(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_folders)?;
    make_folder(path)
}

/// Makes the name of `path` in its folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::io(Doing::Sync, folder, error))
}
