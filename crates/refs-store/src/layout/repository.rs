//! One image layout, to read and to write.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use refs_registry::{
    Blob, Descriptor, Filter, Manifest, Mounted, Part, Payload, Replay, Result, Resume, Sent, Sink, Source, Stored,
    Upload, UploadState, Verify, error::Wanted, fill,
};
use refs_url::{Digest, RepoName, Tag, Target};

use super::{begun, folder::Folder, repositories::ListedRepository, upload::LayoutUpload};
use crate::{
    file::blocking,
    ingest::{reclaim, uploaded},
    part::within,
    reading::{read_range, read_verified},
};

/// An OCI image layout on disk
/// ([image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md)) as a repository.
///
/// Tags are the `org.opencontainers.image.ref.name` annotations of `index.json`. A name that is a whole reference, as
/// some programs write, counts by its tag, unless another such name leads that tag elsewhere. What other programs wrote
/// into the index is kept. Reading changes nothing in the folder.
///
/// A blob shows under its name when it is complete, verified and on the disk; the index is replaced as a whole. Writers
/// in this process and others take turns; one that waits more than 30 s for the others fails with `Busy`.
///
/// An upload that is dropped unfinished is removed, unless its [`state`](Upload::state) has been asked for: then it is
/// kept, to be resumed. What has come of a blob of a mebibyte or more that is copied from another place
/// ([`Replay::Blob`]) is kept, too, under its digest, and whoever copies that blob next goes on there, after a crash as
/// well. What a crash leaves in the folder `ingest` is harmless; [`reclaim`](Layout::reclaim) removes it.
///
/// A clone is cheap and is of the same layout.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: Arc<Folder>,
}

impl Layout {
    /// The layout at `path`.
    ///
    /// # Errors
    /// `Io` when there is no folder at `path`; `Corrupt` when it is not a layout of version 1, or its index is damaged.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let folder = blocking(&path.clone(), move || Folder::open(path)).await?;
        Ok(Self::of(folder))
    }

    /// The layout at `path`, which is made, empty, when there is none. An empty folder may be there already.
    ///
    /// # Errors
    /// `Io` when the folder has other things in it, or can't be made; otherwise as [`open`](Layout::open).
    pub async fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let folder = blocking(&path.clone(), move || Folder::create(path)).await?;
        Ok(Self::of(folder))
    }

    pub(crate) fn of(folder: Folder) -> Self {
        Self { folder: Arc::new(folder) }
    }

    /// The layout's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.root()
    }

    /// Whether there is a layout at `path`: a folder that says so, sound or not.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        Folder::at(path.to_owned()).exists()
    }

    /// The manifests that are listed by `name`, a colon and a tag, as a repository: `ghcr.io/o/r:v1` is the tag `v1` of
    /// `ghcr.io/o/r`. What it is given is listed so; what it deletes by its digest stays while it is listed by another name.
    /// Blobs, and what a digest leads to, are those of the whole layout.
    #[must_use]
    pub fn repository(&self, name: &str) -> Self {
        Self::of(self.folder.repository(name))
    }

    /// The names that manifests are listed by, sorted, each once: whatever they are, `v1` or `ghcr.io/o/r:v1`. Of a
    /// [`repository`](Layout::repository), its tags.
    ///
    /// # Errors
    /// `NotFound` when nothing is listed by the repository's name; `Io`; `Corrupt` for an index that can't be read.
    pub async fn names(&self) -> Result<Vec<String>> {
        self.run(|folder| folder.names()).await
    }

    /// The repositories that manifests are listed for by a tag, with their tags, sorted by name: what has no name is the layout
    /// itself, with what is listed by a tag alone. An image that a store lists with its platform behind the tag, as in
    /// `v1--linux-arm64`, has none of its own here.
    ///
    /// # Errors
    /// As [`names`](Layout::names).
    pub async fn repositories(&self) -> Result<Vec<ListedRepository>> {
        self.run(|folder| folder.repositories()).await
    }

    /// Removes what unfinished uploads left behind and nobody has written to since `before`; gives the number of files.
    ///
    /// # Errors
    /// `Io`. Files before the one that failed are gone.
    pub async fn reclaim(&self, before: SystemTime) -> Result<u64> {
        Ok(self.run(move |folder| reclaim(&folder.ingest(), before)).await?.files)
    }

    pub(crate) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Folder>) -> Result<T> + Send + 'static,
    {
        let folder = self.folder.clone();
        blocking(self.folder.root(), move || work(&folder)).await
    }

    /// What `list` lists, once it is asked for.
    fn listing<T, F>(&self, list: F) -> BoxStream<'_, Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Folder) -> Result<Vec<T>> + Send + 'static,
    {
        let listed = self.run(move |folder| list(folder)).into_stream();
        listed.map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }

    /// A blob's file, its size in bytes, and its path for errors.
    async fn blob_file(&self, digest: &Digest) -> Result<(Arc<std::fs::File>, u64, Arc<Path>)> {
        let digest = digest.clone();
        self.run(move |folder| match folder.open_blob(&digest)? {
            Some((file, size)) => Ok((Arc::new(file), size, folder.blob_path(&digest).into())),
            None => Err(folder.not_found(Wanted::Blob(digest))),
        })
        .await
    }
}

#[async_trait]
impl Source for Layout {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.manifest(target).await.map(|manifest| manifest.descriptor)
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let target = target.clone();
        self.run(move |folder| folder.manifest(&target)).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let (file, size, path) = self.blob_file(digest).await?;
        let range = from.offset().min(size)..size;
        Ok(Blob { size, stream: read_verified(file, path, range, Verify::new(digest, size, from)?) })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let (file, total, path) = self.blob_file(digest).await?;
        let range = within(digest, range, total)?;
        Ok(Part { range: range.clone(), total, stream: read_range(file, path, range) })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let digest = digest.clone();
        self.run(move |folder| folder.sound_size(&digest)).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.listing(move |folder| folder.tags(after.as_ref()))
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        let subject = subject.clone();
        self.listing(move |folder| folder.referrers(&subject, &filter))
    }
}

#[async_trait]
impl Sink for Layout {
    async fn upload(&self, resume: Option<UploadState>) -> Result<Box<dyn Upload>> {
        let upload = self.run(move |folder| LayoutUpload::open(folder.clone(), resume.as_ref())).await?;
        Ok(Box::new(upload))
    }

    fn keeps_uploads(&self) -> bool {
        true
    }

    fn vouches_for_blobs(&self) -> bool {
        false
    }

    async fn has_tag(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        let (wanted, digest) = (tag.clone(), digest.clone());
        self.run(move |folder| folder.has_tag(&wanted, &digest)).await
    }

    async fn find_upload(&self, session: &str) -> Result<Option<UploadState>> {
        let session = session.to_owned();
        self.run(move |folder| {
            let offset = uploaded(&folder.ingest(), &session)?;
            Ok(offset.map(|offset| UploadState { session, offset }))
        })
        .await
    }

    async fn forget_uploads(&self, before: SystemTime) -> Result<u64> {
        self.reclaim(before).await
    }

    async fn mount(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        let (wanted, from) = (digest.clone(), from.clone());
        let mounted = self.run(move |folder| {
            let linked = |shelf: &super::Shelf| folder.link_blob(&wanted, &shelf.folder(&from));
            match folder.blob_size(&wanted)? {
                // In the place of one that was emptied nothing is linked: its bytes replace it.
                Some(_) => folder.has_blob(&wanted),
                None => folder.shelf().map_or(Ok(false), linked),
            }
        });
        if mounted.await? { Ok(Mounted::Mounted) } else { Ok(Mounted::Upload(self.upload(None).await?)) }
    }

    async fn put_blob(&self, blob: &Descriptor, payload: Payload) -> Result<Sent> {
        if self.stat_blob(&blob.digest).await? == Some(blob.size) {
            return Ok(Sent::Present);
        }
        if let Payload::Again(Replay::Blob(source, digest)) = &payload
            && *digest == blob.digest
            && begun::is_kept(blob)
            && begun::copy(&self.folder, blob, &**source).await?
        {
            return Ok(Sent::Uploaded);
        }
        let stream = payload.open().await?;
        fill(self.upload(None).await?, stream, &blob.digest).await.map(|()| Sent::Uploaded)
    }

    async fn begun(&self, blob: &Descriptor) -> Result<u64> {
        let blob = blob.clone();
        self.run(move |folder| begun::left(folder, &blob)).await
    }

    async fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        let (manifest, tags) = (manifest.clone(), tags.to_vec());
        self.run(move |folder| folder.put_manifest(&manifest, &tags)).await
    }

    async fn delete_manifest(&self, target: &Target) -> Result<()> {
        let target = target.clone();
        self.run(move |folder| folder.delete_manifest(&target)).await
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        let digest = digest.clone();
        self.run(move |folder| folder.delete_blob(&digest)).await
    }
}
