//! A store on disk whose folder somebody empties while it is in use.

use std::{fs, path::Path};

use refs_registry::{ErrorKind, Result};
use refs_store::{DiskOptions, DiskStore, Store};

use crate::{
    content::{digest, fails, tag},
    store::{fill, here, on_disk, seen},
};

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// What another process finds of `content` in the store at `cache`.
async fn found(cache: &Path, content: &str) -> Result<Option<u64>> {
    DiskStore::new(cache, &DiskOptions::default()).stat(&digest(content)).await
}

#[tokio::test]
async fn whoever_opens_an_emptied_store_next_knows_it() -> Result<()> {
    let (store, folder) = on_disk();
    let cache = folder.path().join("cache");
    fill(&store, "one").await?;
    for content in ["two", &"three".repeat(1 << 18)] {
        empty(&cache);
        drop(store.flight(&digest(content)).await?);
        fill(&store, content).await?;
        assert_eq!(found(&cache, content).await?, Some(content.len() as u64));
        assert!(cache.join("oci-layout").is_file() && cache.join("index.json").is_file());
    }
    empty(&cache);
    store.record(&here(), &tag("v1"), &seen("one", 1)).await?;
    store.make_room().await?;
    assert_eq!(found(&cache, "one").await?, None);
    Ok(())
}

#[tokio::test]
async fn what_is_put_in_the_place_of_a_store_is_left_alone() -> Result<()> {
    for name in ["thesis.tex", "oci-layout"] {
        let (store, folder) = on_disk();
        let cache = folder.path().join("cache");
        fill(&store, "one").await?;
        empty(&cache);
        fs::write(cache.join(name), "theirs").unwrap();
        fails(fill(&store, "two").await, ErrorKind::Io);
        fails(store.make_room().await, ErrorKind::Io);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "{name}");
    }
    Ok(())
}
