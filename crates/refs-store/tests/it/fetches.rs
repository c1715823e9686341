//! One fetch for all who want a blob at a time.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Blob, Error, Part, Resolver, Result, Resume, error::Doing};
use refs_store::{
    Cached, Checked, DiskOptions, DiskStore, FetchedBlob, FetchedBy, Fetches, Fill, Growing, MemoryStore, Origin,
    Store, TagRecord,
};
use refs_url::{Digest, Tag};

use crate::{
    content::{digest, put, text},
    place::{Place, get, registries},
};

/// A store on a disk that takes so many bytes of any content, and no more.
#[derive(Debug)]
struct Filling(DiskStore, usize);

/// A fill of it, and how many bytes there is room for.
struct Bursting(Box<dyn Fill>, usize);

#[async_trait]
impl Store for Filling {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.0.stat(digest).await
    }
    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.0.blob(digest, from).await
    }
    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.0.part(origin, digest, range).await
    }
    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        let fill = self.0.fill(origin, digest, size).await?;
        Ok(fill.map(|fill| Box::new(Bursting(fill, self.1)) as Box<dyn Fill>))
    }
    async fn fill_part(&self, _: &Origin, _: &Digest, _: Range<u64>, _: u64) -> Result<Option<Box<dyn Fill>>> {
        Ok(None)
    }
    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.0.remove(origin, digest).await
    }
    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        self.0.quarantine(origin, digest).await
    }
    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        self.0.record(origin, tag, record).await
    }
    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        self.0.recorded(origin, tag).await
    }
    async fn forget(&self, origin: &Origin, tag: &Tag) -> Result<()> {
        self.0.forget(origin, tag).await
    }
    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.0.add_member(origin, digest).await
    }
    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        self.0.is_member(origin, digest).await
    }
    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.0.pin(digest).await
    }
    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.0.unpin(digest).await
    }
}

#[async_trait]
impl Fill for Bursting {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.1.checked_sub(chunk.len()) {
            Some(left) => self.1 = left,
            None => return Err(Error::Full { doing: Doing::Write, path: "disk".into() }),
        }
        self.0.write(chunk).await
    }
    fn growing(&self) -> Option<Growing> {
        self.0.growing()
    }
    async fn commit(&mut self) -> Result<()> {
        self.0.commit().await
    }
}

/// The repository `o/r`, as each request opens it.
fn cached(place: &Place) -> Arc<Cached> {
    let origin = place.origin("o/r");
    let source = registries().source(&origin.host, &origin.repository).unwrap();
    Arc::new(Cached::new(source, origin, Arc::clone(&place.store)))
}

/// What each of some readers at a time is given.
async fn readings(place: &Place, digest: &Digest) -> Vec<Result<String>> {
    let fetches = Fetches::default();
    let read = || async {
        let FetchedBlob { blob, .. } = fetches.blob(&cached(place), digest).await?;
        text(blob.stream).await
    };
    futures_util::future::join_all((0..5).map(|_| read())).await
}

fn long() -> String {
    "0123456789abcdef".repeat(100_000)
}

#[tokio::test]
async fn five_readers_cost_one_request() -> Result<()> {
    for place in [Place::on_disk().await, Place::new(|_| Arc::new(MemoryStore::new())).await] {
        put(&*place.repository(), &long()).await?;
        for read in readings(&place, &digest(&long())).await {
            assert!(read? == long());
        }
        place.asked(&[&get(&long())]);
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_who_joins_is_told_from_one_who_begins() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), &long()).await?;
    let fetches = Fetches::default();
    let first = fetches.blob(&cached(&place), &digest(&long())).await?;
    let second = fetches.blob(&cached(&place), &digest(&long())).await?;
    assert_eq!((first.by, second.by), (FetchedBy::Itself, FetchedBy::Another));
    assert!(text(first.blob.stream).await? == long());
    drop(second);
    assert_eq!(fetches.blob(&cached(&place), &digest(&long())).await?.by, FetchedBy::Itself);
    Ok(())
}

#[tokio::test]
async fn a_disk_that_is_full_takes_nothing_from_those_who_read() -> Result<()> {
    for room in [0, 700_000] {
        let place = Place::new(|path| Arc::new(Filling(DiskStore::new(path, &DiskOptions::default()), room))).await;
        put(&*place.repository(), &long()).await?;
        for read in readings(&place, &digest(&long())).await {
            assert!(read? == long(), "{room}");
        }
        assert_eq!(place.store.stat(&digest(&long())).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_blob_that_is_missing_is_asked_for_once_by_those_who_wait_and_then_again() -> Result<()> {
    let place = Place::on_disk().await;
    let missing = digest("missing");
    for read in readings(&place, &missing).await {
        read.unwrap_err();
    }
    let asked = place.registry.take_requests().len();
    assert!((1..=5).contains(&asked), "{asked}");
    put(&*place.repository(), "missing").await?;
    for read in readings(&place, &missing).await {
        assert_eq!(read?, "missing");
    }
    Ok(())
}

/// Counts what is warned of.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_blob_that_the_store_does_not_take_is_warned_of_once() -> Result<()> {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let options = DiskOptions { max_bytes: 10, ..DiskOptions::default() };
    let place = Place::new(|path| Arc::new(DiskStore::new(path, &options))).await;
    let (small, large, larger) = ("small", "l".repeat(11), "l".repeat(12));
    let origin = place.origin("o/r");
    let source = registries().source(&origin.host, &origin.repository)?;
    let cached = Arc::new(Cached::new(source, origin, Arc::clone(&place.store)));
    let fetches = Fetches::default();
    for (content, expected) in [(small, 0), (&large, 1), (&large, 1), (small, 1), (&larger, 2)] {
        put(&*place.repository(), content).await?;
        assert_eq!(text(fetches.blob(&cached, &digest(content)).await?.blob.stream).await?, content);
        assert_eq!(warnings.0.load(Ordering::Relaxed), expected, "{}", content.len());
    }
    Ok(())
}
