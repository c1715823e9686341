//! A source that remembers how it failed.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use refs_registry::{
    Blob, ByteStream, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source, error::Wanted,
};
use refs_url::{Digest, Tag, Target};

/// One blob of a source, for a destination that reads it by itself: when that fails, this tells whether the reading did.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    inner: Arc<dyn Source>,
    /// The bytes that the manifest says the blob has.
    size: u64,
    failure: Arc<Mutex<Option<Error>>>,
    /// The bytes that were read.
    come: Arc<AtomicU64>,
}

impl Noted {
    pub(super) fn new(inner: Arc<dyn Source>, blob: &Descriptor) -> Self {
        Self { inner, size: blob.size, failure: Arc::default(), come: Arc::default() }
    }

    /// How the last reading failed, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes that were read, each as often as it was.
    pub(super) fn come(&self) -> u64 {
        self.come.load(Ordering::Relaxed)
    }

    fn note<T>(&self, read: Result<T>) -> Result<T> {
        let failure = read.as_ref().err().cloned();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        read
    }

    fn watch(&self, stream: ByteStream) -> ByteStream {
        let noted = self.clone();
        let counted = stream.inspect_ok({
            let come = Arc::clone(&self.come);
            move |chunk| {
                come.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        counted.map(move |chunk| noted.note(chunk)).boxed()
    }
}

#[async_trait]
impl Source for Noted {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.note(self.inner.resolve(target).await)
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.note(self.inner.manifest(target).await)
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let blob = self.note(self.inner.blob(digest, from).await)?;
        if blob.size != self.size {
            let wanted = Wanted::Blob(digest.clone());
            return self.note(Err(Error::Size { wanted, expected: self.size, actual: blob.size }));
        }
        Ok(Blob { size: blob.size, stream: self.watch(blob.stream) })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let part = self.note(self.inner.blob_part(digest, range).await)?;
        Ok(Part { range: part.range, total: part.total, stream: self.watch(part.stream) })
    }

    /// What the manifest says, so that a reader who goes on in the middle need not ask.
    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let _the_one = digest;
        Ok(Some(self.size))
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.inner.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.inner.referrers(subject, filter)
    }

    async fn blob_file(&self, digest: &Digest) -> Option<std::fs::File> {
        self.inner.blob_file(digest).await
    }
}
