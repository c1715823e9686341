//! Counts what a source gives, for reports and progress.

use std::{
    collections::HashSet,
    fs::File,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use refs_registry::{Blob, ByteStream, Descriptor, Filter, Manifest, Part, Result, Resume, Source};
use refs_url::{Digest, Tag, Target};

/// Running figures of one verb, to be looked at from elsewhere while it works.
#[derive(Debug, Default)]
pub struct Meter {
    fetched: AtomicU64,
    packed: AtomicU64,
    expected: AtomicU64,
    skipped: AtomicU64,
    written: AtomicU64,
    /// What it is a part of.
    whole: Option<Arc<Self>>,
}

impl Meter {
    /// Figures of a part of what `whole` counts.
    pub(crate) fn part_of(whole: &Arc<Self>) -> Self {
        Self { whole: Some(Arc::clone(whole)), ..Self::default() }
    }

    /// Bytes of manifests and blobs that have come in. What a cache had did not.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Bytes of files that have been packed.
    #[must_use]
    pub fn packed(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// Bytes that the verb will fetch or pack in all, as far as it knows by now; 0 while it does not.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Bytes of layers that need not pass: nothing in them was asked for, or the registry has them.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Bytes of files that a pull or an unpack has written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn add_fetched(&self, bytes: u64) {
        self.add(bytes, |meter| &meter.fetched);
    }

    pub(crate) fn add_packed(&self, bytes: u64) {
        self.add(bytes, |meter| &meter.packed);
    }

    pub(crate) fn add_skipped(&self, bytes: u64) {
        self.add(bytes, |meter| &meter.skipped);
    }

    pub(crate) fn add_written(&self, bytes: u64) {
        self.add(bytes, |meter| &meter.written);
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.add(bytes, |meter| &meter.expected);
    }

    fn add(&self, bytes: u64, figure: impl Fn(&Self) -> &AtomicU64) {
        let mut meter = Some(self);
        while let Some(counting) = meter {
            figure(counting).fetch_add(bytes, Ordering::Relaxed);
            meter = counting.whole.as_deref();
        }
    }
}

/// A source whose bytes are counted as they pass.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: Arc<dyn Source>,
    meter: Arc<Meter>,
    /// Of a source on this machine the blobs that were read as a whole: to read one again fetches nothing.
    read: Option<Mutex<HashSet<Digest>>>,
}

impl Metered {
    pub(crate) fn new(inner: Arc<dyn Source>, meter: Arc<Meter>) -> Self {
        Self { inner, meter, read: None }
    }

    /// As [`new`](Self::new), for a source on this machine: each whole blob counts once, however often it is read.
    pub(crate) fn local(inner: Arc<dyn Source>, meter: Arc<Meter>) -> Self {
        Self { inner, meter, read: Some(Mutex::default()) }
    }

    fn counts(&self, digest: &Digest) -> bool {
        let Some(read) = &self.read else { return true };
        read.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone())
    }

    fn count(&self, stream: ByteStream) -> ByteStream {
        let meter = Arc::clone(&self.meter);
        let counted = stream.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                meter.add_fetched(chunk.len() as u64);
            }
        });
        counted.boxed()
    }
}

#[async_trait]
impl Source for Metered {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.inner.resolve(target).await
    }

    async fn last_told(&self, tag: &Tag) -> Result<Descriptor> {
        self.inner.last_told(tag).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let manifest = self.inner.manifest(target).await?;
        self.meter.add_fetched(manifest.raw.len() as u64);
        Ok(manifest)
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let offset = from.offset();
        let blob = self.inner.blob(digest, from).await?;
        if !self.counts(digest) {
            return Ok(blob);
        }
        self.meter.expect(blob.size.saturating_sub(offset));
        Ok(Blob { size: blob.size, stream: self.count(blob.stream) })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let part = self.inner.blob_part(digest, range).await?;
        self.meter.expect(part.range.end - part.range.start);
        Ok(Part { range: part.range, total: part.total, stream: self.count(part.stream) })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.inner.stat_blob(digest).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.inner.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.inner.referrers(subject, filter)
    }

    async fn blob_file(&self, digest: &Digest) -> Option<File> {
        self.inner.blob_file(digest).await
    }

    async fn seek_index(&self, digest: &Digest) -> Option<Bytes> {
        self.inner.seek_index(digest).await
    }

    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) {
        self.inner.keep_seek_index(digest, index).await;
    }

    fn keeps_seek_indexes(&self) -> bool {
        self.inner.keeps_seek_indexes()
    }

    async fn distrust(&self) -> bool {
        self.inner.distrust().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::TryStreamExt;
    use refs_registry::{MediaType, Payload, Sink};
    use refs_store::Memories;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_as_they_come_and_expected_before() {
        let memory = Memories::new().repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
        let blob = Descriptor::of(MediaType::OCI_LAYER, b"0123456789");
        memory.put_blob(&blob, Payload::from(Bytes::from_static(b"0123456789"))).await.unwrap();
        let meter = Arc::<Meter>::default();
        let metered = Metered::new(Arc::new(memory), Arc::clone(&meter));

        assert_eq!(metered.stat_blob(&blob.digest).await.unwrap(), Some(10));
        assert_eq!((meter.expected(), meter.fetched()), (0, 0));
        let part = metered.blob_part(&blob.digest, 2..5).await.unwrap();
        assert_eq!((meter.expected(), meter.fetched()), (3, 0));
        let bytes: Vec<Bytes> = part.stream.try_collect().await.unwrap();
        assert_eq!((bytes.concat(), meter.fetched()), (b"234".to_vec(), 3));
        let whole = metered.blob(&blob.digest, Resume::START).await.unwrap();
        assert_eq!((meter.expected(), meter.fetched()), (13, 3));
        drop(whole);
        assert_eq!(meter.fetched(), 3, "what nobody reads does not come");
    }
}
