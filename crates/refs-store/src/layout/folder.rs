//! The files of a layout. Everything here waits for the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_registry::{
    Error, ErrorKind, Result,
    error::{Doing, Place, Wanted},
};
use refs_url::{Digest, RepoName};
use serde::Deserialize;

use super::{index::LayoutIndex, names::Names, parsed::Indexes};
use crate::{
    file::{corrupt, each_chunk, is_absent, open_file, unless_emptied},
    ingest::{BLOB_MODE, Ingest, make_folder, make_folders, replace, sync_folder_of},
    lock::{Lock, PATIENCE},
};

/// A layout's folder. One of a [`Shelf`] may not exist yet: it is empty then, and is made by the first write.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    shelf: Option<(Shelf, RepoName)>,
    names: Names,
    pub(super) indexes: Arc<Indexes>,
}

/// A folder of layouts, one for each repository.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    root: PathBuf,
    indexes: Arc<Indexes>,
}

/// What the layout of a repository is called beneath its name. No part of a repository's name begins so.
pub(crate) const LAYOUT_FOLDER: &str = "_layout";
pub(crate) const VERSION_FILE: &str = "oci-layout";
pub(crate) const INDEX_FILE: &str = "index.json";
pub(crate) const LOCK_FILE: &str = "lock";
pub(crate) const BLOBS_FOLDER: &str = "blobs";
pub(crate) const INGEST_FOLDER: &str = "ingest";
/// What a cache's folder has beside a layout.
pub(crate) const CACHE_TAG_FILE: &str = "CACHEDIR.TAG";
const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

impl Shelf {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, indexes: Arc::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn folder(&self, name: &RepoName) -> Folder {
        let root = self.root.join(name.as_str()).join(LAYOUT_FOLDER);
        let shelf = Some((self.clone(), name.clone()));
        Folder { root, shelf, names: Names::All, indexes: self.indexes.clone() }
    }
}

impl Folder {
    /// The layout at `root`, which must be one.
    pub(crate) fn open(root: PathBuf) -> Result<Self> {
        let folder = Self::at(root);
        folder.check_version()?;
        folder.index()?;
        Ok(folder)
    }

    /// The layout at `root`, which is made when there is nothing at `root`.
    pub(crate) fn create(root: PathBuf) -> Result<Self> {
        let folder = Self::at(root);
        folder.make()?;
        folder.check_version()?;
        folder.index()?;
        Ok(folder)
    }

    /// The layout at `root`, which is known to be one.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, shelf: None, names: Names::All, indexes: Arc::default() }
    }

    /// The same layout, where the tags are those behind `repository`.
    pub(super) fn repository(&self, repository: &str) -> Self {
        let (root, shelf, indexes) = (self.root.clone(), self.shelf.clone(), self.indexes.clone());
        Self { root, shelf, names: Names::Of(repository.into()), indexes }
    }

    /// Makes those files of the layout at `root` that are not there, or say nothing: an index lists then what is known to be
    /// whole.
    pub(crate) fn renew(root: PathBuf) -> Result<()> {
        let folder = Self::at(root);
        let held = folder.lock()?;
        make_folder(&folder.path(BLOBS_FOLDER))?;
        folder.mend_index(&held)?;
        match folder.check_version() {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                replace(&folder.ingest(), &folder.path(VERSION_FILE), VERSION)
            }
            other => other,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn exists(&self) -> bool {
        self.path(VERSION_FILE).is_file()
    }

    /// Whether a blob is in the layout, or what may become one.
    pub(crate) fn is_used(&self) -> bool {
        let any = |_: &Path| true;
        self.exists() && (has(&self.ingest(), any) || has(&self.path(BLOBS_FOLDER), |algorithm| has(algorithm, any)))
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.path(INGEST_FOLDER)
    }

    pub(super) fn shelf(&self) -> Option<&Shelf> {
        self.shelf.as_ref().map(|(shelf, _)| shelf)
    }

    pub(super) fn not_found(&self, wanted: Wanted) -> Error {
        Error::NotFound { wanted, at: self.place(), code: None }
    }

    pub(super) fn place(&self) -> Place {
        let root = self.root.display();
        match (&self.shelf, &self.names) {
            (Some(_), _) => root.to_string().into(),
            (None, Names::All) => Place::layout(&format!("ocidir://{root}")),
            (None, Names::Of(repository)) => Place::layout(&format!("ocidir://{root}:{repository}")),
        }
    }

    /// The error for a repository that nothing is in; `None` for a layout, which is there even when it is empty.
    pub(super) fn unused(&self) -> Option<Error> {
        let (_, name) = self.shelf.as_ref()?;
        (!self.is_used()).then(|| self.not_found(Wanted::Repository(name.clone())))
    }

    /// Whether it is a repository that nobody has written to.
    pub(super) fn is_unwritten(&self) -> bool {
        self.shelf.is_some() && !self.exists()
    }

    /// Makes a repository's layout before its first write.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.is_unwritten() { self.make() } else { Ok(()) }
    }

    pub(crate) fn lock(&self) -> Result<Lock> {
        self.prepare()?;
        Lock::take(&self.path(LOCK_FILE), PATIENCE)
    }

    /// Whether the index is a file that can't be read as one.
    pub(crate) fn is_index_damaged(&self) -> Result<bool> {
        match self.index() {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(self.index_path().is_file()),
            other => other.map(|_sound| false),
        }
    }

    pub(super) fn index(&self) -> Result<LayoutIndex> {
        let path = self.path(INDEX_FILE);
        match self.indexes.read(&path)? {
            Some(index) => Ok(index.with_names(self.names.clone())),
            None if self.is_unwritten() => Ok(LayoutIndex::empty()),
            None => Err(corrupt(&path, "it is missing, so the folder is not an image layout")),
        }
    }

    /// The blob's file and size in bytes; `None` when it is not here.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        open_file(OpenOptions::new().read(true), &self.blob_path(digest))
    }

    pub(crate) fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(metadata) if metadata.is_symlink() => Err(corrupt(&path, "it is a symbolic link")),
            Ok(_) => Err(corrupt(&path, "it is not a file")),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::io(Doing::Read, &path, error)),
        }
    }

    /// The size of the blob, if it is here and was not emptied by a power cut: whoever asks before a push pushes it then, which
    /// mends it. What other damage there is shows when it is read.
    pub(super) fn sound_size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.blob_size(digest)?.filter(|size| unless_emptied(digest, *size).is_ok()))
    }

    pub(super) fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(self.sound_size(digest)?.is_some())
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path(BLOBS_FOLDER).join(digest.algorithm_str()).join(digest.encoded())
    }

    /// Makes the bytes of `ingest` the blob `digest`, if they are.
    pub(super) fn keep_blob(&self, ingest: Ingest, digest: &Digest) -> Result<()> {
        let checked = ingest.check(digest)?;
        checked.publish(&self.place_for_blob(digest)?, BLOB_MODE)
    }

    pub(super) fn write_blob(&self, bytes: &[u8], digest: &Digest) -> Result<()> {
        let mut ingest = Ingest::begin(&self.ingest())?;
        ingest.append(bytes)?;
        self.keep_blob(ingest, digest)
    }

    /// Gives a blob of `other`'s a second name here, without a copy; says whether `other` has it.
    ///
    /// Both names lead to one file from then on. That is safe between the layouts of a shelf, as blobs are read-only,
    /// replaced as a whole and never handed out as files: nothing changes one through either name. Files that people
    /// edit must never share their bytes with a store so.
    pub(super) fn link_blob(&self, digest: &Digest, other: &Self) -> Result<bool> {
        if !other.has_blob(digest)? {
            return Ok(false);
        }
        self.prepare()?;
        let (from, to) = (other.blob_path(digest), self.place_for_blob(digest)?);
        match fs::hard_link(&from, &to) {
            Ok(()) => sync_folder_of(&to).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => {
                tracing::debug!(%digest, %error, "a blob is copied, as it can't be linked");
                self.copy_blob(digest, other)
            }
        }
    }

    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder_of(&path).map(|()| true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(Error::io(Doing::Remove, path, error)),
        }
    }

    fn copy_blob(&self, digest: &Digest, other: &Self) -> Result<bool> {
        let Some((file, size)) = other.open_blob(digest)? else { return Ok(false) };
        let mut ingest = Ingest::begin(&self.ingest())?;
        each_chunk(&file, &other.blob_path(digest), 0..size, |chunk| ingest.append(chunk))?;
        self.keep_blob(ingest, digest).map(|()| true)
    }

    /// Where the blob belongs, in a folder that is there.
    fn place_for_blob(&self, digest: &Digest) -> Result<PathBuf> {
        let blobs = self.path(BLOBS_FOLDER);
        make_folder(&blobs)?;
        make_folder(&blobs.join(digest.algorithm_str()))?;
        Ok(self.blob_path(digest))
    }

    /// The version file comes last: a folder that has it is complete.
    fn make(&self) -> Result<()> {
        if self.exists() {
            return Ok(());
        }
        make_folders(&self.root)?;
        self.check_nothing_else_is_here()?;
        let _held = Lock::take(&self.path(LOCK_FILE), PATIENCE)?;
        if self.exists() {
            return Ok(());
        }
        make_folder(&self.path(BLOBS_FOLDER))?;
        if !self.path(INDEX_FILE).exists() {
            self.write_index(&LayoutIndex::empty())?;
        }
        replace(&self.ingest(), &self.path(VERSION_FILE), VERSION)
    }

    /// A mistyped path must not scatter a layout over somebody's files.
    fn check_nothing_else_is_here(&self) -> Result<()> {
        const OURS: [&str; 6] = [VERSION_FILE, INDEX_FILE, LOCK_FILE, BLOBS_FOLDER, INGEST_FOLDER, CACHE_TAG_FILE];
        let failed = |error| Error::io(Doing::List, &self.root, error);
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !OURS.iter().any(|ours| name == *ours) {
                return Err(Error::io(Doing::Create, &self.root, io::ErrorKind::DirectoryNotEmpty.into()));
            }
        }
        Ok(())
    }

    fn check_version(&self) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        const MAX_BYTES: u64 = 4096;
        let path = self.path(VERSION_FILE);
        let Some((file, _)) = open_file(OpenOptions::new().read(true), &path)? else {
            return Err(self.not_found(Wanted::Layout));
        };
        let mut json = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut json).map_err(|error| Error::io(Doing::Read, &path, error))?;
        let version: Version = serde_json::from_slice(&json).map_err(|fault| corrupt(&path, fault.to_string()))?;
        match version.image_layout_version.split_once('.') {
            Some(("1", _)) => Ok(()),
            _ => Err(corrupt(&path, "it is of a version other than 1")),
        }
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.path(INDEX_FILE)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }
}

/// Whether something that is `wanted` is in the folder at `path`, if there is one. One that can't be listed has it.
fn has(path: &Path, wanted: impl Fn(&Path) -> bool) -> bool {
    match fs::read_dir(path) {
        Ok(mut listed) => listed.any(|entry| entry.is_ok_and(|entry| wanted(&entry.path()))),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_blob_is_checked() -> Result<()> {
        let root = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| Folder::create(root.path().join(name)).unwrap());
        let digest = Digest::sha256(b"content");
        assert!(!to.copy_blob(&digest, &from)?);
        from.write_blob(b"content", &digest)?;
        assert!(to.copy_blob(&digest, &from)?);
        assert_eq!(fs::read(to.blob_path(&digest)).unwrap(), b"content");

        to.remove_blob(&digest)?;
        fs::remove_file(from.blob_path(&digest)).unwrap();
        fs::write(from.blob_path(&digest), b"cOntent").unwrap();
        assert!(matches!(to.copy_blob(&digest, &from), Err(Error::Digest { .. })));
        assert_eq!(to.blob_size(&digest)?, None);
        Ok(())
    }

    #[test]
    fn the_handles_on_a_repository_share_what_was_read() {
        let shelf = Shelf::new("root".into());
        let [one, other] = ["o/r", "o/other"].map(|name| shelf.folder(&RepoName::parse(name).unwrap()));
        assert!(Arc::ptr_eq(&one.indexes, &shelf.folder(&RepoName::parse("o/r").unwrap()).indexes));
        assert!(Arc::ptr_eq(&one.indexes, &one.repository("o/s").indexes));
        assert!(Arc::ptr_eq(&one.indexes, &other.indexes));
    }
}
