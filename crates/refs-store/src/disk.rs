//! A cache on disk: an image layout, and notes beside it.

use std::{
    fs::{self, OpenOptions},
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use refs_registry::{
    Blob, Error, Part, Result, Resume, Sink, Source, Upload,
    error::{Detail, Doing, Place, Wanted},
};
use refs_url::{Digest, Tag};

use crate::{
    file::{is_absent, open_file},
    ingest::{make_folders, replace, sync_folder_of},
    layout::{Folder, Layout},
    store::{Origin, Store, TagRecord, not_cached},
};

/// A [`Store`] whose content is an image layout on disk, shared by all processes that open it.
///
/// Beside the layout's own files there are `origins/HOST/NAME/_tags` and `_members`, and `pins`. The layout's index
/// lists nothing: that is for what somebody put there by name.
#[derive(Debug, Clone)]
pub struct DiskStore {
    layout: Layout,
}

impl DiskStore {
    /// The store in the folder `path`, which is made when there is none.
    ///
    /// # Errors
    /// As [`Layout::create`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { layout: Layout::create(path).await? })
    }

    /// The layout that holds the content.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    fn path_of(&self, origin: &Origin) -> PathBuf {
        self.layout.path().join("origins").join(origin.host.as_str()).join(origin.repository.as_str())
    }

    /// No part of a repository's name begins with `_`, so that no repository can be in the way of another's notes.
    fn tag_path(&self, origin: &Origin, tag: &Tag) -> PathBuf {
        self.path_of(origin).join("_tags").join(tag.as_str())
    }

    fn member_path(&self, origin: &Origin, digest: &Digest) -> PathBuf {
        self.path_of(origin).join("_members").join(digest.algorithm_str()).join(digest.encoded())
    }

    fn pin_path(&self, digest: &Digest) -> PathBuf {
        self.layout.path().join("pins").join(digest.algorithm_str()).join(digest.encoded())
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.layout.stat_blob(digest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.layout.blob(digest, from).await.map_err(not_cached)
    }

    async fn part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.layout.blob_part(digest, range).await.map_err(not_cached)
    }

    async fn fill(&self) -> Result<Box<dyn Upload>> {
        self.layout.upload(None).await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        let (pin, digest) = (self.pin_path(digest), digest.clone());
        self.layout.run(move |folder| remove_unless(&pin, folder, &digest)).await
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        let (path, record) = (self.tag_path(origin, tag), record.clone());
        self.layout.run(move |folder| write_record(folder, &path, &record)).await
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        let path = self.tag_path(origin, tag);
        self.layout.run(move |_| read_record(&path)).await
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        let path = self.member_path(origin, digest);
        self.layout.run(move |_| mark(&path)).await
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        let path = self.member_path(origin, digest);
        self.layout.run(move |_| is_marked(&path)).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        let path = self.pin_path(digest);
        self.layout.run(move |folder| folder.lock().and_then(|_held| mark(&path))).await
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        let path = self.pin_path(digest);
        self.layout.run(move |folder| folder.lock().and_then(|_held| unmark(&path))).await
    }
}

fn remove_unless(pin: &Path, folder: &Folder, digest: &Digest) -> Result<()> {
    let wanted = Wanted::Blob(digest.clone());
    let _held = folder.lock()?;
    if is_marked(pin)? {
        let at = Place::from(folder.root().to_string_lossy());
        return Err(Error::Conflict { wanted, at, detail: Detail::new("it is pinned") });
    }
    if folder.remove_blob(digest)? { Ok(()) } else { Err(Error::NotCached { wanted }) }
}

fn write_record(folder: &Folder, path: &Path, record: &TagRecord) -> Result<()> {
    let json = serde_json::to_vec(record).map_err(|error| Error::io(Doing::Write, path, error.into()))?;
    path.parent().map_or(Ok(()), make_folders)?;
    replace(&folder.ingest(), path, &json)
}

fn read_record(path: &Path) -> Result<Option<TagRecord>> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let Some((file, _)) = open_file(OpenOptions::new().read(true), path)? else { return Ok(None) };
    let mut json = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut json).map_err(|error| Error::io(Doing::Read, path, error))?;
    let record = serde_json::from_slice(&json);
    if let Err(fault) = &record {
        tracing::warn!(path = %path.display(), %fault, "a damaged record is passed by");
    }
    Ok(record.ok())
}

fn mark(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_folders)?;
    let made = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    made.map_err(|error| Error::io(Doing::Create, path, error))?;
    sync_folder_of(path)
}

fn is_marked(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(Doing::Read, path, error)),
    }
}

fn unmark(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(Error::io(Doing::Remove, path, error)),
    }
}
