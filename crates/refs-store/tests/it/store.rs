//! What every cache's store promises.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{Descriptor, ErrorKind, MediaType, Result, Resume, Wire};
use refs_store::{DiskOptions, DiskStore, Origin, Store, TagRecord};
use refs_url::{Host, RepoName};
use tempfile::TempDir;

use crate::content::{digest, fails, tag, text};

macro_rules! facts {
    ($($fact:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                super::$fact(std::sync::Arc::new(refs_store::MemoryStore::new())).await
            })*
        }
        mod on_disk {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                let (store, _folder) = super::on_disk();
                super::$fact(std::sync::Arc::new(store)).await
            })*
        }
        #[cfg(feature = "object-store")]
        mod in_bucket {
            $(#[tokio::test]
            async fn $fact() -> refs_registry::Result<()> {
                let (disk, _folder) = super::on_disk();
                super::$fact(std::sync::Arc::new(crate::bucket::in_memory(disk))).await
            })*
        }
    };
}

facts! {
    content_shows_when_it_is_committed
    a_fill_of_another_size_never_shows
    content_is_read_whole_and_in_parts
    parts_show_as_parts_and_never_as_content
    parts_are_of_one_origin
    a_record_is_replaced_and_is_of_one_tag_of_one_origin
    membership_is_of_one_origin
    pinned_content_stays
    a_seek_index_is_replaced_and_goes_with_its_content
}

pub(crate) fn on_disk() -> (DiskStore, TempDir) {
    bounded(DiskOptions::default().max_bytes)
}

pub(crate) fn bounded(max_bytes: u64) -> (DiskStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions { max_bytes, ..DiskOptions::default() };
    (DiskStore::new(folder.path().join("cache"), &options), folder)
}

pub(crate) fn origin(host: &str, repository: &str) -> Origin {
    Origin { wire: Wire::Secured, host: Host::parse(host).unwrap(), repository: RepoName::parse(repository).unwrap() }
}

pub(crate) fn here() -> Origin {
    origin("a.io", "org/a")
}

pub(crate) fn seen(content: &str, seconds: u64) -> TagRecord {
    let descriptor = Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes());
    TagRecord::new(descriptor, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

pub(crate) async fn fill(store: &dyn Store, content: &str) -> Result<()> {
    let mut fill = store.fill(&here(), &digest(content), content.len() as u64).await?.unwrap();
    fill.write(Bytes::from(content.to_owned())).await?;
    fill.commit().await
}

/// Keeps bytes `range` of `content`.
pub(crate) async fn fill_part(store: &dyn Store, content: &str, range: Range<usize>) -> Result<()> {
    let bytes = range.start as u64..range.end as u64;
    let mut fill = store.fill_part(&here(), &digest(content), bytes, content.len() as u64).await?.unwrap();
    fill.write(Bytes::from(content[range].to_owned())).await?;
    fill.commit().await
}

pub(crate) async fn part(store: &dyn Store, content: &str, range: Range<u64>) -> Result<String> {
    let part = store.part(&here(), &digest(content), range.clone()).await?;
    assert_eq!((part.range, part.total), (range, content.len() as u64));
    text(part.stream).await
}

async fn content_shows_when_it_is_committed(store: Arc<dyn Store>) -> Result<()> {
    let mut filling = store.fill(&here(), &digest("one"), 3).await?.unwrap();
    filling.write(Bytes::from("o")).await?;
    filling.write(Bytes::from("ne")).await?;
    assert_eq!(store.stat(&digest("one")).await?, None);
    fails(store.blob(&digest("one"), Resume::START).await, ErrorKind::NotCached);
    filling.commit().await?;
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    Ok(())
}

async fn a_fill_of_another_size_never_shows(store: Arc<dyn Store>) -> Result<()> {
    let mut short = store.fill(&here(), &digest("one"), 3).await?.unwrap();
    short.write(Bytes::from("on")).await?;
    fails(short.commit().await, ErrorKind::Size);
    let mut long = store.fill(&here(), &digest("one"), 3).await?.unwrap();
    fails(long.write(Bytes::from("one more")).await, ErrorKind::Size);
    drop(long);
    assert_eq!(store.stat(&digest("one")).await?, None);
    Ok(())
}

async fn parts_show_as_parts_and_never_as_content(store: Arc<dyn Store>) -> Result<()> {
    const CONTENT: &str = "0123456789";
    fill_part(&*store, CONTENT, 6..10).await?;
    fill_part(&*store, CONTENT, 3..6).await?;
    assert_eq!(store.stat(&digest(CONTENT)).await?, None);
    fails(store.blob(&digest(CONTENT), Resume::START).await, ErrorKind::NotCached);
    assert_eq!(part(&*store, CONTENT, 7..10).await?, "789");
    assert_eq!(part(&*store, CONTENT, 3..5).await?, "34");
    fails(part(&*store, CONTENT, 5..7).await, ErrorKind::NotCached);
    fails(part(&*store, CONTENT, 0..1).await, ErrorKind::NotCached);
    store.remove(&here(), &digest(CONTENT)).await?;
    fails(part(&*store, CONTENT, 7..10).await, ErrorKind::NotCached);
    Ok(())
}

async fn parts_are_of_one_origin(store: Arc<dyn Store>) -> Result<()> {
    let others = [origin("a.io", "org/a/b"), origin("a.io", "org"), origin("b.io", "org/a")];
    fill_part(&*store, "one", 0..3).await?;
    for other in &others {
        fails(store.part(other, &digest("one"), 0..3).await, ErrorKind::NotCached);
        let mut planted = store.fill_part(other, &digest("one"), 0..3, 3).await?.unwrap();
        planted.write(Bytes::from("bad")).await?;
        planted.commit().await?;
        assert_eq!(part(&*store, "one", 0..3).await?, "one");
        store.remove(other, &digest("one")).await?;
        fails(store.part(other, &digest("one"), 0..3).await, ErrorKind::NotCached);
    }
    assert_eq!(part(&*store, "one", 0..3).await?, "one");
    Ok(())
}

async fn content_is_read_whole_and_in_parts(store: Arc<dyn Store>) -> Result<()> {
    fill(&*store, "0123456789").await?;
    let digest = digest("0123456789");
    assert_eq!(text(store.blob(&digest, Resume::START).await?.stream).await?, "0123456789");
    assert_eq!(text(store.part(&here(), &digest, 2..5).await?.stream).await?, "234");
    fails(store.part(&here(), &digest, 5..11).await, ErrorKind::Size);
    fails(store.part(&here(), &crate::content::digest("absent"), 0..1).await, ErrorKind::NotCached);
    Ok(())
}

async fn a_record_is_replaced_and_is_of_one_tag_of_one_origin(store: Arc<dyn Store>) -> Result<()> {
    // Names that one file name could confuse.
    let origins = [("a.io", "org/b"), ("a.io", "org_b"), ("a.io:5000", "org/b"), ("b.io", "org/b"), ("[::1]", "org/b")];
    for (number, (host, repository)) in origins.into_iter().enumerate() {
        let origin = origin(host, repository);
        assert_eq!(store.recorded(&origin, &tag("v1")).await?, None);
        store.record(&origin, &tag("v1"), &seen("old", 1)).await?;
        store.record(&origin, &tag("v1"), &seen("new", number as u64)).await?;
        assert_eq!(store.recorded(&origin, &tag("v2")).await?, None);
    }
    for (number, (host, repository)) in origins.into_iter().enumerate() {
        let recorded = store.recorded(&origin(host, repository), &tag("v1")).await?;
        assert_eq!(recorded, Some(seen("new", number as u64)));
    }
    for _ in 0..2 {
        store.forget(&origin("a.io", "org/b"), &tag("v1")).await?;
    }
    assert_eq!(store.recorded(&origin("a.io", "org/b"), &tag("v1")).await?, None);
    assert_eq!(store.recorded(&origin("a.io", "org_b"), &tag("v1")).await?, Some(seen("new", 1)));
    Ok(())
}

async fn membership_is_of_one_origin(store: Arc<dyn Store>) -> Result<()> {
    let [member, other] = [origin("a.io", "org/b"), origin("a.io", "org/b/c")];
    for _ in 0..2 {
        store.add_member(&member, &digest("one")).await?;
    }
    assert!(store.is_member(&member, &digest("one")).await?);
    assert!(!store.is_member(&member, &digest("two")).await?);
    assert!(!store.is_member(&other, &digest("one")).await?);
    assert!(!store.is_member(&Origin { wire: Wire::Open, ..member.clone() }, &digest("one")).await?);
    assert_eq!(store.stat(&digest("one")).await?, None);
    fails(store.blob_of(&member, &digest("one")).await, ErrorKind::NotCached);
    fill(&*store, "one").await?;
    for (origin, given) in [(&member, Some("one")), (&other, None)] {
        let read = match store.blob_of(origin, &digest("one")).await? {
            Some(blob) => Some(text(blob.stream).await?),
            None => None,
        };
        assert_eq!(read.as_deref(), given);
    }
    Ok(())
}

async fn pinned_content_stays(store: Arc<dyn Store>) -> Result<()> {
    store.unpin(&digest("one")).await?;
    store.pin(&digest("one")).await?;
    fill(&*store, "one").await?;
    fails(store.remove(&here(), &digest("one")).await, ErrorKind::Conflict);
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    store.unpin(&digest("one")).await?;
    store.remove(&here(), &digest("one")).await?;
    fails(store.remove(&here(), &digest("one")).await, ErrorKind::NotCached);
    Ok(())
}

async fn a_seek_index_is_replaced_and_goes_with_its_content(store: Arc<dyn Store>) -> Result<()> {
    let content = digest("content");
    assert_eq!(store.seek_index(&content).await?, None);
    for index in ["an index", "another"] {
        store.keep_seek_index(&content, Bytes::from(index)).await?;
        assert_eq!(store.seek_index(&content).await?.as_deref(), Some(index.as_bytes()));
    }
    assert_eq!(store.stat(&content).await?, None);
    assert_eq!(store.seek_index(&digest("other")).await?, None);
    fill(&*store, "content").await?;
    assert!(store.seek_index(&content).await?.is_some());
    store.remove(&here(), &content).await?;
    assert_eq!(store.seek_index(&content).await?, None);
    store.keep_seek_index(&content, Bytes::from("alone")).await?;
    store.remove(&here(), &content).await?;
    fails(store.remove(&here(), &content).await, ErrorKind::NotCached);
    Ok(())
}
