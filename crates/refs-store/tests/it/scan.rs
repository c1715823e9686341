//! What many large blobs that are read once do to those that are read again and again.

use refs_registry::{Result, Resume};
use refs_store::{DiskOptions, DiskStore, Store};

use crate::{
    content::{digest, drain},
    store::{bounded, fill},
};

const MAX_BYTES: u64 = 100_000;
const HOT: usize = 40;

fn hot(number: usize) -> String {
    format!("{number:01000}")
}

/// Reads what is kept, and fills what is not. Says whether it was there.
async fn read(store: &DiskStore, content: &str) -> Result<bool> {
    let Some(_) = store.stat(&digest(content)).await? else {
        fill(store, content).await?;
        return Ok(false);
    };
    drain(store.blob(&digest(content), Resume::START).await?.stream).await.map(|()| true)
}

/// Reads the hot ones in turn, one after each of so many large ones; gives how often one was there.
async fn scan(store: &DiskStore, large: std::ops::Range<usize>) -> Result<usize> {
    let mut hits = 0;
    for number in large {
        fill(store, &format!("{number:05000}")).await?;
        hits += usize::from(read(store, &hot(number % HOT)).await?);
    }
    Ok(hits)
}

#[tokio::test]
async fn what_is_read_again_outlasts_a_scan() -> Result<()> {
    let (store, folder) = bounded(MAX_BYTES);
    for number in (0..HOT).chain(0..HOT) {
        read(&store, &hot(number)).await?;
    }
    assert_eq!(scan(&store, 0..100).await?, 100);
    let options = DiskOptions { max_bytes: MAX_BYTES, ..DiskOptions::default() };
    let restarted = DiskStore::new(folder.path().join("cache"), &options);
    assert_eq!(scan(&restarted, 100..200).await?, 100);
    std::fs::write(folder.path().join("cache/queues"), "{\"small\":").unwrap();
    let hits = scan(&restarted, 200..400).await?;
    assert!(hits >= 160, "{hits} of 200: which is what is made anew of what was read");
    Ok(())
}

#[tokio::test]
async fn what_comes_back_in_the_middle_of_a_scan_outlasts_the_rest_of_it() -> Result<()> {
    let (store, _folder) = bounded(MAX_BYTES);
    scan(&store, 0..100).await?;
    let hits = scan(&store, 100..200).await?;
    assert!(hits >= 90, "{hits} of 100");
    Ok(())
}
