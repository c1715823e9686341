//! One repository in memory.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, ByteStream, Descriptor, Error, Filter, Manifest, Mounted, Part, Result, Resume, Sink, Source, Stored, Upload,
    UploadState, Verify,
    error::{Place, Wanted},
    verified,
};
use refs_url::{Digest, Host, RepoName, Tag, Target};

use super::{
    contents::{Contents, Held, NOTHING},
    upload::MemoryUpload,
};
use crate::{admission::admit, part::within};

/// One repository in memory, to read and to write: for tests, and for content that need not outlive the process.
///
/// A clone is cheap and shows the same content. An image is taken only when its config and layers are there; an index
/// may name manifests that are not.
///
/// An upload that is dropped unfinished is forgotten, unless its [`state`](Upload::state) has been asked for: then it is
/// kept, to be resumed, until it is committed or aborted.
#[derive(Clone)]
pub struct Memory {
    repositories: Repositories,
    key: Key,
}

pub(super) type Repositories = Arc<Mutex<BTreeMap<Key, Contents>>>;

/// `None` for the repository without a name, which has its map to itself.
pub(super) type Key = Option<(Host, RepoName)>;

impl Memory {
    /// An empty repository, without a name.
    #[must_use]
    pub fn new() -> Self {
        Self::named(Repositories::default(), None)
    }

    pub(super) const fn named(repositories: Repositories, key: Key) -> Self {
        Self { repositories, key }
    }

    pub(super) fn place(&self) -> Place {
        match &self.key {
            Some((host, name)) => format!("{host}/{name}").into(),
            None => "memory".into(),
        }
    }

    fn not_found(&self, wanted: Wanted) -> Error {
        Error::NotFound { wanted, at: self.place(), code: None }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Contents>> {
        lock(&self.repositories)
    }

    fn read<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(self.lock().get(&self.key).unwrap_or(&NOTHING))
    }

    /// Lets `change` change the contents, and forgets the repository when it leaves none, so that attempts on made-up
    /// names do not add up.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let mut repositories = self.lock();
        let contents = repositories.entry(self.key.clone()).or_default();
        let result = change(contents);
        if contents.is_unused() {
            repositories.remove(&self.key);
        }
        result
    }

    fn bytes(&self, digest: &Digest) -> Result<Bytes> {
        let bytes = self.read(|contents| contents.blobs.get(digest).cloned());
        bytes.ok_or_else(|| self.not_found(Wanted::Blob(digest.clone())))
    }

    fn list_tags(&self, after: Option<&Tag>) -> Result<Vec<Tag>> {
        let repositories = self.lock();
        let contents = match (repositories.get(&self.key).filter(|contents| contents.has_content()), &self.key) {
            (Some(contents), _) => contents,
            (None, None) => &NOTHING,
            (None, Some((_, name))) => return Err(self.not_found(Wanted::Repository(name.clone()))),
        };
        Ok(contents.tags.keys().filter(|tag| after.is_none_or(|after| *tag > after)).cloned().collect())
    }

    fn bytes_of(&self, from: &RepoName, digest: &Digest) -> Option<Bytes> {
        let (host, _) = self.key.as_ref()?;
        self.lock().get(&Some((host.clone(), from.clone())))?.blobs.get(digest).cloned()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&format_args!("{}", self.place())).finish()
    }
}

#[async_trait]
impl Source for Memory {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.manifest(target).await.map(|manifest| manifest.descriptor)
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let manifest = self.read(|contents| contents.manifest(target).cloned());
        manifest.ok_or_else(|| self.not_found(Wanted::Manifest(target.clone())))
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let bytes = self.bytes(digest)?;
        let size = bytes.len() as u64;
        let start = usize::try_from(from.offset()).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let rest = chunks(bytes.slice(start..));
        // The bytes were checked when they came in; those that a resumed reader has already were not.
        let stream = if from.offset() == 0 { rest } else { verified(rest, Verify::new(digest, size, from)?) };
        Ok(Blob { size, stream })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let bytes = self.bytes(digest)?;
        let total = bytes.len() as u64;
        let range = within(digest, range, total)?;
        // Both fit: they are no more than the length of bytes in memory.
        let part = bytes.slice(range.start as usize..range.end as usize);
        Ok(Part { range, total, stream: chunks(part) })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.read(|contents| contents.blobs.get(digest).map(|bytes| bytes.len() as u64)))
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        match self.list_tags(after.as_ref()) {
            Ok(tags) => stream::iter(tags.into_iter().map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        let referrers = self.read(|contents| contents.referrers(subject, &filter));
        stream::iter(referrers.into_iter().map(Ok)).boxed()
    }
}

#[async_trait]
impl Sink for Memory {
    async fn upload(&self, resume: Option<UploadState>) -> Result<Box<dyn Upload>> {
        Ok(Box::new(match resume {
            None => MemoryUpload::begin(self.clone()),
            Some(state) => MemoryUpload::resume(self.clone(), state)?,
        }))
    }

    async fn mount(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        match self.bytes(digest).ok().or_else(|| self.bytes_of(from, digest)) {
            None => Ok(Mounted::Upload(Box::new(MemoryUpload::begin(self.clone())))),
            Some(bytes) => {
                self.write(|contents| contents.blobs.insert(digest.clone(), bytes));
                Ok(Mounted::Mounted)
            }
        }
    }

    async fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        let admission = admit(manifest)?;
        let digest = admission.descriptor.digest.clone();
        let subject = admission.referrer.as_ref().map(|referrer| referrer.subject.clone());
        let manifest = Manifest { descriptor: admission.descriptor, raw: manifest.raw.clone() };
        let missing = self.write(|contents| {
            if let Some(missing) = admission.blobs.iter().find(|blob| !contents.blobs.contains_key(*blob)) {
                return Some(missing.clone());
            }
            contents.manifests.insert(digest.clone(), Held { manifest, referrer: admission.referrer });
            contents.tags.extend(tags.iter().map(|tag| (tag.clone(), digest.clone())));
            None
        });
        match missing {
            Some(blob) => Err(self.not_found(Wanted::Blob(blob))),
            None => Ok(Stored { digest, subject }),
        }
    }

    async fn delete_manifest(&self, target: &Target) -> Result<()> {
        self.write(|contents| contents.remove(target)).ok_or_else(|| self.not_found(Wanted::Manifest(target.clone())))
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        match self.write(|contents| contents.blobs.remove(digest)) {
            Some(_) => Ok(()),
            None => Err(self.not_found(Wanted::Blob(digest.clone()))),
        }
    }
}

/// A panic elsewhere leaves the maps whole: each change is one insertion or removal.
pub(super) fn lock(repositories: &Repositories) -> MutexGuard<'_, BTreeMap<Key, Contents>> {
    repositories.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `bytes` in pieces of a size that a reader can show progress by.
fn chunks(bytes: Bytes) -> ByteStream {
    const CHUNK_BYTES: usize = 256 * 1024;
    let mut rest = bytes;
    let pieces = std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
        (!piece.is_empty()).then_some(Ok(piece))
    });
    stream::iter(pieces).boxed()
}
