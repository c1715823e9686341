//! How much a store on disk holds, and how it knows.

use std::fs;

use refs_registry::Result;
use refs_store::{DiskOptions, DiskStore, Store};
use refs_testkit::until;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    content::digest,
    store::{bounded, fill, here},
};

/// How many bytes of content the cache in `folder` holds.
fn held(folder: &TempDir) -> u64 {
    let files = fs::read_dir(folder.path().join("cache/blobs/sha256")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Puts `bytes` of content into the cache in `folder` as one does that is killed before it has counted them.
fn put_uncounted(folder: &TempDir, bytes: usize) {
    let content = "u".repeat(bytes);
    fs::write(folder.path().join("cache/blobs/sha256").join(digest(&content).encoded()), content).unwrap();
}

/// As another process opens it.
fn opened(folder: &TempDir, max_bytes: u64) -> DiskStore {
    DiskStore::new(folder.path().join("cache"), &DiskOptions { max_bytes, ..DiskOptions::default() })
}

/// Fills `store`, which may hold 100 bytes, until one who fills it looks what has to go; that one waits until the file that
/// is given is dropped.
async fn evict(store: &DiskStore, folder: &TempDir) -> Result<(JoinHandle<Result<()>>, fs::File)> {
    fill(store, &"a".repeat(50)).await?;
    store.make_room().await?;
    let cache = folder.path().join("cache");
    let held_back = fs::File::options().create(true).append(true).open(cache.join("lock")).unwrap();
    held_back.lock().unwrap();
    let filled = store.clone();
    let evicting = tokio::spawn(async move { fill(&filled, &"b".repeat(60)).await });
    let is_looking = || fs::read(cache.join("usage")).unwrap().starts_with(&[0xff; 8]);
    until(async || evicting.is_finished() || is_looking()).await;
    Ok((evicting, held_back))
}

#[tokio::test]
async fn content_beyond_the_bound_is_not_taken() -> Result<()> {
    let (store, _folder) = bounded(100);
    assert!(store.fill(&here(), &digest("one"), 101).await?.is_none());
    assert!(store.fill_part(&here(), &digest("one"), 0..101, 1000).await?.is_none());
    assert!(store.fill(&here(), &digest("one"), 100).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn the_bound_holds_for_any_number_of_fills() -> Result<()> {
    const MAX_BYTES: u64 = 1000;
    let (store, folder) = bounded(MAX_BYTES);
    let other = opened(&folder, MAX_BYTES);
    for number in 0..200 {
        fill(if number % 2 == 0 { &store } else { &other }, &format!("{number:050}")).await?;
        let bytes = held(&folder);
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
        fs::write(&usage, nonsense).unwrap();
        fill(&store, "three").await?;
        let numbers: Vec<u64> =
            fs::read(&usage).unwrap().chunks(8).map(|number| u64::from_le_bytes(number.try_into().unwrap())).collect();
        assert_eq!(numbers, [8], "after {:.10}", nonsense);
        assert_eq!(store.stat(&digest("one")).await?, Some(3));
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_while_others_are_evicted_is_counted() -> Result<()> {
    let (store, folder) = bounded(100);
    let (evicting, held_back) = evict(&store, &folder).await?;
    for number in 0..30 {
        fill(&store, &format!("{number:05}")).await?;
    }
    drop(held_back);
    evicting.await.unwrap()?;
    store.make_room().await?;
    assert!(held(&folder) <= 100, "{} bytes stay", held(&folder));
    Ok(())
}

#[tokio::test]
async fn what_one_that_was_killed_has_not_counted_is_found_by_the_next() -> Result<()> {
    let (store, folder) = bounded(100);
    fill(&store, &"a".repeat(50)).await?;
    store.make_room().await?;
    put_uncounted(&folder, 60);
    store.make_room().await?;
    assert_eq!(held(&folder), 110, "it is not looked for each time");
    let next = opened(&folder, 100);
    next.make_room().await?;
    assert!(held(&folder) <= 100, "{} bytes stay", held(&folder));
    Ok(())
}

#[tokio::test]
async fn a_look_that_was_cut_off_is_made_anew() -> Result<()> {
    let (store, folder) = bounded(100);
    let (evicting, held_back) = evict(&store, &folder).await?;
    let usage = folder.path().join("cache/usage");
    let cut_off = fs::read(&usage).unwrap();
    drop(held_back);
    evicting.await.unwrap()?;
    fs::write(usage, cut_off).unwrap();
    put_uncounted(&folder, 70);
    fill(&store, "one").await?;
    assert!(held(&folder) <= 100, "{} bytes stay", held(&folder));
    Ok(())
}
