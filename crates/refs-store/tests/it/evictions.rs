//! What a store on disk lets go where there is no room for all.

use std::{
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{ErrorKind, Resolver, Result, Resume};
use refs_store::{Cached, DiskOptions, DiskStore, Fetches, Store};
use refs_testkit::until;
use tempfile::TempDir;

use crate::{
    content::{digest, drain, fails, put, text},
    place::{Place, registries},
    store::{bounded, fill, fill_part, here, origin, part},
};

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
    drain(store.blob(&digest(&contents[0]), Resume::START).await?.stream).await?;

    fill(&store, &"e".repeat(10)).await?;
    let mut left = Vec::new();
    for content in &contents {
        left.push(store.stat(&digest(content)).await?.is_some());
    }
    assert_eq!(left, [true, true, false, true]);
    assert!(!store.is_member(&origin("a.io", "org/a"), &digest(&contents[2])).await?);
    assert!(store.is_member(&origin("a.io", "org/a"), &digest(&contents[3])).await?);
    Ok(())
}

#[tokio::test]
async fn nothing_goes_while_it_is_read_or_filled() -> Result<()> {
    const TOTAL: usize = 2 << 20;
    let (store, folder) = bounded(3 << 20);
    let [read, other] = ["r", "o"].map(|letter| letter.repeat(TOTAL / 2));
    let filled = "f".repeat(TOTAL);
    fill(&store, &read).await?;
    let reading = store.blob(&digest(&read), Resume::START).await?;
    read_at(&folder, &read, 1);
    let mut filling = store.fill(&here(), &digest(&filled), TOTAL as u64).await?.unwrap();
    filling.write(Bytes::from(filled[..TOTAL / 2].to_owned())).await?;
    for letter in ["a", "b", "c", "d"] {
        fill(&store, &letter.repeat(TOTAL / 2)).await?;
        assert_eq!(store.stat(&digest(&read)).await?, Some(1 << 20), "it is read");
    }
    filling.write(Bytes::from(filled[TOTAL / 2..].to_owned())).await?;
    filling.commit().await?;
    assert_eq!(store.stat(&digest(&filled)).await?, Some(2 << 20), "it was filled");
    assert_eq!(text(reading.stream).await?, read);
    read_at(&folder, &read, 1);
    fill(&store, &other).await?;
    assert_eq!(store.stat(&digest(&read)).await?, None);
    Ok(())
}

#[tokio::test]
async fn nothing_goes_while_those_read_it_who_were_there_as_it_came() -> Result<()> {
    const MIB: usize = 1 << 20;
    let options = DiskOptions { max_bytes: 3 << 20, ..DiskOptions::default() };
    let place = Place::new(|path| Arc::new(DiskStore::new(path, &options))).await;
    let (origin, content) = (place.origin("o/r"), "r".repeat(MIB));
    put(&*place.repository(), &content).await?;
    let source = registries().source(&origin.host, &origin.repository)?;
    let cached = Arc::new(Cached::new(source, origin, Arc::clone(&place.store)));
    let reading = Fetches::default().blob(&cached, &digest(&content)).await?.blob;
    until(async || place.store.stat(&digest(&content)).await.unwrap().is_some()).await;
    for letter in ["a", "b", "c", "d"] {
        fill(&*place.store, &letter.repeat(MIB)).await?;
        assert_eq!(place.store.stat(&digest(&content)).await?, Some(MIB as u64), "it is read");
    }
    assert!(text(reading.stream).await? == content);
    for letter in ["e", "f", "g", "h"] {
        fill(&*place.store, &letter.repeat(MIB)).await?;
    }
    assert_eq!(place.store.stat(&digest(&content)).await?, None, "nobody reads it any more");
    Ok(())
}

#[tokio::test]
async fn what_stayed_for_its_readers_goes_when_they_have_left() -> Result<()> {
    const MIB: usize = 1 << 20;
    let (store, _folder) = bounded(3 << 20);
    store.make_room().await?;
    let contents = ["a", "b", "c", "d", "e"].map(|letter| letter.repeat(MIB));
    let mut readings = Vec::new();
    for content in &contents {
        fill(&store, content).await?;
        readings.push(store.blob(&digest(content), Resume::START).await?.stream);
    }
    let kept = async || {
        let mut kept = 0;
        for content in &contents {
            kept += usize::from(store.stat(&digest(content)).await?.is_some());
        }
        Ok::<_, refs_registry::Error>(kept)
    };
    store.make_room().await?;
    assert_eq!(kept().await?, 5, "they are read");
    for (reading, content) in readings.into_iter().zip(&contents) {
        assert!(text(reading).await? == *content);
    }
    store.make_room().await?;
    assert_eq!(kept().await?, 2);
    store.make_room().await?;
    assert_eq!(kept().await?, 2, "there is room");
    Ok(())
}

/// More than there may be beginnings that wait for their rest.
#[tokio::test]
async fn what_many_fill_at_once_is_all_kept() -> Result<()> {
    const MIB: usize = 1 << 20;
    let (store, _folder) = bounded(1 << 30);
    let contents: Vec<_> = (0..70).map(|number| format!("{number:04}").repeat(MIB / 4)).collect();
    let mut fills = Vec::new();
    for content in &contents {
        let mut fill = store.fill(&here(), &digest(content), MIB as u64).await?.unwrap();
        // There is room for the rest once the file is there.
        fill.write(Bytes::copy_from_slice(&content.as_bytes()[..MIB - 1])).await?;
        fill.write(Bytes::copy_from_slice(&content.as_bytes()[MIB - 1..])).await?;
        fills.push(fill);
    }
    for fill in &mut fills {
        fill.commit().await?;
    }
    for content in &contents {
        assert_eq!(store.stat(&digest(content)).await?, Some(MIB as u64));
    }
    Ok(())
}

#[tokio::test]
async fn what_was_just_filled_is_not_evicted_by_it() -> Result<()> {
    let [older, old, large] = [("a", 10), ("b", 10), ("c", 95)].map(|(letter, bytes)| letter.repeat(bytes));
    let (store, folder) = bounded(100);
    for (content, seconds) in [(&older, 1), (&old, 2)] {
        fill(&store, content).await?;
        read_at(&folder, content, seconds);
    }
    fill(&store, &large).await?;
    for (content, expected) in [(&older, None), (&old, None), (&large, Some(95))] {
        assert_eq!(store.stat(&digest(content)).await?, expected);
    }

    store.pin(&digest(&large)).await?;
    fill(&store, &older).await?;
    assert_eq!(store.stat(&digest(&older)).await?, Some(10), "what is pinned stays beyond the bound");
    fill_part(&store, &old, 0..10).await?;
    assert_eq!(part(&store, &old, 0..10).await?, old);
    assert_eq!(store.stat(&digest(&older)).await?, None);
    Ok(())
}

#[tokio::test]
async fn what_is_pinned_while_others_are_evicted_stays() -> Result<()> {
    let (store, folder) = bounded(100);
    fill(&store, "one").await?;
    store.pin(&digest("another")).await?;
    let cache = folder.path().join("cache");
    let open = |name: &str| std::fs::File::options().create(true).append(true).open(cache.join(name)).unwrap();
    let held = open("lock");
    held.lock().unwrap();
    let evicting = {
        let store = store.clone();
        tokio::spawn(async move { fill(&store, &"x".repeat(99)).await })
    };
    until(async || evicting.is_finished() || open("evict").try_lock().is_err()).await;
    // As another process does that has the lock.
    std::fs::write(cache.join("pins/sha256").join(digest("one").encoded()), "").unwrap();
    drop(held);
    evicting.await.unwrap()?;
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    Ok(())
}

#[tokio::test]
async fn parts_count_and_go_as_content_does() -> Result<()> {
    let (store, folder) = bounded(100);
    let contents = ["a", "b", "c"].map(|letter| letter.repeat(50));
    for content in &contents {
        fill_part(&store, content, 10..50).await?;
    }
    let parts = folder.path().join("cache/origins/secured/a.io/org/a/_parts/sha256");
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 2);
    fill(&store, &contents[2]).await?;
    assert_eq!(part(&store, &contents[2], 20..22).await?, "cc");
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 1, "the whole has its parts");
    Ok(())
}

#[tokio::test]
async fn seek_indexes_count_and_go_as_content_does() -> Result<()> {
    let (store, folder) = bounded(100);
    let contents = ["a", "b", "c"].map(|letter| letter.repeat(40));
    store.pin(&digest(&contents[0])).await?;
    for content in &contents {
        store.add_member(&here(), &digest(content)).await?;
        store.keep_seek_index(&digest(content), Bytes::from(content.clone())).await?;
    }
    assert!(store.seek_index(&digest(&contents[0])).await?.is_some(), "it is pinned");
    assert_eq!(store.seek_index(&digest(&contents[1])).await?, None);
    assert!(store.seek_index(&digest(&contents[2])).await?.is_some());
    assert!(store.is_member(&here(), &digest(&contents[2])).await?);
    assert!(!store.is_member(&here(), &digest(&contents[1])).await?);

    store.keep_seek_index(&digest("large"), Bytes::from(vec![0; 101])).await?;
    assert_eq!(store.seek_index(&digest("large")).await?, None);
    let place = folder.path().join("cache/indexes/sha256").join(digest("linked").encoded());
    symlink("/etc/hostname", place).unwrap();
    fails(store.seek_index(&digest("linked")).await, ErrorKind::Corrupt);
    Ok(())
}
