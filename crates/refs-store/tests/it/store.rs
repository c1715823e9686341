//! What every cache's store promises.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{Descriptor, ErrorKind, MediaType, Result, Resume};
use refs_store::{DiskStore, MemoryStore, Origin, Store, TagRecord};
use refs_url::{Host, RepoName};
use tempfile::TempDir;

use crate::content::{digest, drain, fails, tag, text};

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
                let (store, _folder) = super::on_disk().await?;
                super::$fact(std::sync::Arc::new(store)).await
            })*
        }
    };
}

facts! {
    content_shows_when_it_is_committed
    content_is_read_whole_and_in_parts
    a_record_is_replaced_and_is_of_one_tag_of_one_origin
    membership_is_of_one_origin
    pinned_content_stays
}

async fn on_disk() -> Result<(DiskStore, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    Ok((DiskStore::open(folder.path().join("cache")).await?, folder))
}

fn origin(host: &str, repository: &str) -> Origin {
    Origin { host: Host::parse(host).unwrap(), repository: RepoName::parse(repository).unwrap() }
}

fn seen(content: &str, seconds: u64) -> TagRecord {
    let descriptor = Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes());
    TagRecord { descriptor, seen: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
}

async fn fill(store: &dyn Store, content: &str) -> Result<()> {
    let mut fill = store.fill().await?;
    fill.write(Bytes::from(content.to_owned())).await?;
    fill.commit(&digest(content)).await
}

async fn content_shows_when_it_is_committed(store: Arc<dyn Store>) -> Result<()> {
    let mut filling = store.fill().await?;
    filling.write(Bytes::from("one")).await?;
    assert_eq!(store.stat(&digest("one")).await?, None);
    fails(store.blob(&digest("one"), Resume::START).await, ErrorKind::NotCached);
    filling.commit(&digest("one")).await?;
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    let mut wrong = store.fill().await?;
    wrong.write(Bytes::from("two")).await?;
    fails(wrong.commit(&digest("three")).await, ErrorKind::Digest);
    assert_eq!(store.stat(&digest("three")).await?, None);
    Ok(())
}

async fn content_is_read_whole_and_in_parts(store: Arc<dyn Store>) -> Result<()> {
    fill(&*store, "0123456789").await?;
    let digest = digest("0123456789");
    assert_eq!(text(store.blob(&digest, Resume::START).await?.stream).await?, "0123456789");
    assert_eq!(text(store.part(&digest, 2..5).await?.stream).await?, "234");
    fails(store.part(&digest, 5..11).await, ErrorKind::Size);
    fails(store.part(&crate::content::digest("absent"), 0..1).await, ErrorKind::NotCached);
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
    assert_eq!(store.stat(&digest("one")).await?, None);
    Ok(())
}

async fn pinned_content_stays(store: Arc<dyn Store>) -> Result<()> {
    store.unpin(&digest("one")).await?;
    store.pin(&digest("one")).await?;
    fill(&*store, "one").await?;
    fails(store.remove(&digest("one")).await, ErrorKind::Conflict);
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    store.unpin(&digest("one")).await?;
    store.remove(&digest("one")).await?;
    fails(store.remove(&digest("one")).await, ErrorKind::NotCached);
    Ok(())
}

#[tokio::test]
async fn damaged_content_is_healed_by_a_fill() -> Result<()> {
    let (store, folder) = on_disk().await?;
    fill(&store, "one").await?;
    let path = folder.path().join("cache/blobs/sha256").join(digest("one").encoded());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "bad").unwrap();
    fails(drain(store.blob(&digest("one"), Resume::START).await?.stream).await, ErrorKind::Digest);
    fill(&store, "one").await?;
    assert_eq!(text(store.blob(&digest("one"), Resume::START).await?.stream).await?, "one");
    Ok(())
}

#[tokio::test]
async fn a_half_written_record_counts_as_none() -> Result<()> {
    let (store, folder) = on_disk().await?;
    let origin = origin("a.io", "org/b");
    store.record(&origin, &tag("v1"), &seen("one", 1)).await?;
    std::fs::write(folder.path().join("cache/origins/a.io/org/b/_tags/v1"), "{\"descr").unwrap();
    assert_eq!(store.recorded(&origin, &tag("v1")).await?, None);
    store.record(&origin, &tag("v1"), &seen("one", 2)).await?;
    assert_eq!(store.recorded(&origin, &tag("v1")).await?, Some(seen("one", 2)));
    Ok(())
}

#[tokio::test]
async fn a_store_on_disk_is_shared_by_its_handles() -> Result<()> {
    let (store, folder) = on_disk().await?;
    let other = DiskStore::open(folder.path().join("cache")).await?;
    fill(&store, "one").await?;
    store.pin(&digest("one")).await?;
    fails(other.remove(&digest("one")).await, ErrorKind::Conflict);
    assert_eq!(text(other.blob(&digest("one"), Resume::START).await?.stream).await?, "one");
    let clone = MemoryStore::new();
    fill(&clone.clone(), "one").await?;
    assert_eq!(clone.stat(&digest("one")).await?, Some(3));
    Ok(())
}
