//! What every cache's store promises.

use std::{
    ops::Range,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{Descriptor, ErrorKind, MediaType, Result, Resume};
use refs_store::{DiskOptions, DiskStore, MemoryStore, Origin, Store, TagRecord};
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
                let (store, _folder) = super::on_disk();
                super::$fact(std::sync::Arc::new(store)).await
            })*
        }
    };
}

facts! {
    content_shows_when_it_is_committed
    a_fill_of_another_size_never_shows
    content_is_read_whole_and_in_parts
    parts_show_as_parts_and_never_as_content
    a_record_is_replaced_and_is_of_one_tag_of_one_origin
    membership_is_of_one_origin
    pinned_content_stays
}

fn on_disk() -> (DiskStore, TempDir) {
    bounded(DiskOptions::default().max_bytes)
}

fn bounded(max_bytes: u64) -> (DiskStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (DiskStore::new(folder.path().join("cache"), &DiskOptions { max_bytes }), folder)
}

fn origin(host: &str, repository: &str) -> Origin {
    Origin { host: Host::parse(host).unwrap(), repository: RepoName::parse(repository).unwrap() }
}

fn seen(content: &str, seconds: u64) -> TagRecord {
    let descriptor = Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes());
    TagRecord { descriptor, seen: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
}

async fn fill(store: &dyn Store, content: &str) -> Result<()> {
    let mut fill = store.fill(&digest(content), content.len() as u64).await?.unwrap();
    fill.write(Bytes::from(content.to_owned())).await?;
    fill.commit().await
}

/// Keeps bytes `range` of `content`.
async fn fill_part(store: &dyn Store, content: &str, range: Range<usize>) -> Result<()> {
    let bytes = range.start as u64..range.end as u64;
    let mut fill = store.fill_part(&digest(content), bytes, content.len() as u64).await?.unwrap();
    fill.write(Bytes::from(content[range].to_owned())).await?;
    fill.commit().await
}

async fn part(store: &dyn Store, content: &str, range: Range<u64>) -> Result<String> {
    let part = store.part(&digest(content), range.clone()).await?;
    assert_eq!((part.range, part.total), (range, content.len() as u64));
    text(part.stream).await
}

async fn content_shows_when_it_is_committed(store: Arc<dyn Store>) -> Result<()> {
    let mut filling = store.fill(&digest("one"), 3).await?.unwrap();
    filling.write(Bytes::from("o")).await?;
    filling.write(Bytes::from("ne")).await?;
    assert_eq!(store.stat(&digest("one")).await?, None);
    fails(store.blob(&digest("one"), Resume::START).await, ErrorKind::NotCached);
    filling.commit().await?;
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    Ok(())
}

async fn a_fill_of_another_size_never_shows(store: Arc<dyn Store>) -> Result<()> {
    let mut short = store.fill(&digest("one"), 3).await?.unwrap();
    short.write(Bytes::from("on")).await?;
    fails(short.commit().await, ErrorKind::Size);
    let mut long = store.fill(&digest("one"), 3).await?.unwrap();
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
    store.remove(&digest(CONTENT)).await?;
    fails(part(&*store, CONTENT, 7..10).await, ErrorKind::NotCached);
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
    let (store, folder) = on_disk();
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
    let (store, folder) = on_disk();
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
    let (store, folder) = on_disk();
    let other = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
    fill(&store, "one").await?;
    store.pin(&digest("one")).await?;
    fails(other.remove(&digest("one")).await, ErrorKind::Conflict);
    assert_eq!(text(other.blob(&digest("one"), Resume::START).await?.stream).await?, "one");
    let clone = MemoryStore::new();
    fill(&clone.clone(), "one").await?;
    assert_eq!(clone.stat(&digest("one")).await?, Some(3));
    Ok(())
}

#[tokio::test]
async fn a_store_on_disk_is_made_when_it_is_needed_and_for_its_owner_alone() -> Result<()> {
    let (store, folder) = on_disk();
    let path = folder.path().join("cache");
    assert!(!path.exists());
    fill(&store, "one").await?;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);

    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("letter"), "").unwrap();
    fails(DiskStore::new(&theirs, &DiskOptions::default()).stat(&digest("one")).await, ErrorKind::Io);
    assert_eq!(std::fs::read_dir(theirs).unwrap().count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_fill_that_is_given_up_leaves_no_file() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let mut given_up = store.fill(&digest("two"), 3).await?.unwrap();
    given_up.write(Bytes::from("tw")).await?;
    drop(given_up);
    let ingest = folder.path().join("cache/ingest");
    while std::fs::read_dir(&ingest).unwrap().count() > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Makes the content of `store` look as if it was read so many seconds after the beginning of time.
fn read_at(folder: &TempDir, content: &str, seconds: u64) {
    let path = folder.path().join("cache/blobs/sha256").join(digest(content).encoded());
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn what_was_not_read_for_the_longest_time_goes_first() -> Result<()> {
    let (store, folder) = bounded(100);
    let contents = ["a", "b", "c", "d"].map(|letter| letter.repeat(25));
    for (content, seconds) in contents.iter().zip(1..) {
        fill(&store, content).await?;
        read_at(&folder, content, seconds);
    }
    store.pin(&digest(&contents[1])).await?;
    store.add_member(&origin("a.io", "org/a"), &digest(&contents[2])).await?;
    store.add_member(&origin("a.io", "org/a"), &digest(&contents[3])).await?;
    let reading = store.blob(&digest(&contents[2]), Resume::START).await?;
    drain(store.blob(&digest(&contents[0]), Resume::START).await?.stream).await?;
    read_at(&folder, &contents[2], 3);

    fill(&store, &"e".repeat(10)).await?;
    let mut left = Vec::new();
    for content in &contents {
        left.push(store.stat(&digest(content)).await?.is_some());
    }
    assert_eq!(left, [true, true, false, true]);
    assert_eq!(text(reading.stream).await?, contents[2], "who reads it reads on");
    assert!(!store.is_member(&origin("a.io", "org/a"), &digest(&contents[2])).await?);
    assert!(store.is_member(&origin("a.io", "org/a"), &digest(&contents[3])).await?);
    Ok(())
}

#[tokio::test]
async fn parts_count_and_go_as_content_does() -> Result<()> {
    let (store, folder) = bounded(100);
    let contents = ["a", "b", "c"].map(|letter| letter.repeat(50));
    for content in &contents {
        fill_part(&store, content, 10..50).await?;
    }
    let parts = folder.path().join("cache/parts/sha256");
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 2);
    fill(&store, &contents[2]).await?;
    assert_eq!(part(&store, &contents[2], 20..22).await?, "cc");
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 1, "the whole has its parts");
    Ok(())
}

#[tokio::test]
async fn content_beyond_the_bound_is_not_taken() -> Result<()> {
    let (store, _folder) = bounded(100);
    assert!(store.fill(&digest("one"), 101).await?.is_none());
    assert!(store.fill_part(&digest("one"), 0..101, 1000).await?.is_none());
    assert!(store.fill(&digest("one"), 100).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn the_bound_holds_for_any_number_of_fills() -> Result<()> {
    const MAX_BYTES: u64 = 1000;
    let (store, folder) = bounded(MAX_BYTES);
    let other = DiskStore::new(folder.path().join("cache"), &DiskOptions { max_bytes: MAX_BYTES });
    for number in 0..200 {
        fill(if number % 2 == 0 { &store } else { &other }, &format!("{number:050}")).await?;
        let files = std::fs::read_dir(folder.path().join("cache/blobs/sha256")).unwrap();
        let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= MAX_BYTES, "{bytes} bytes after {number}");
    }
    Ok(())
}

#[tokio::test]
async fn a_count_of_bytes_that_makes_no_sense_is_made_anew() -> Result<()> {
    for nonsense in ["", "half", "eight by", &"x".repeat(100_000)] {
        let (store, folder) = bounded(1000);
        let usage = folder.path().join("cache/usage");
        fill(&store, "one").await?;
        std::fs::write(&usage, nonsense).unwrap();
        fill(&store, "three").await?;
        let numbers: Vec<u64> = std::fs::read(&usage)
            .unwrap()
            .chunks(8)
            .map(|number| u64::from_le_bytes(number.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, [8], "after {:.10}", nonsense);
        assert_eq!(store.stat(&digest("one")).await?, Some(3));
    }
    Ok(())
}
