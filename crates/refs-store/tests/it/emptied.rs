//! A store on disk whose folder somebody empties while it is in use.

use std::{fs, path::Path, sync::Arc};

use refs_registry::{ErrorKind, Result};
use refs_store::{DiskOptions, DiskStore, PruneOptions, Store};

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

/// Whatever `change` leaves in the folder of a store that was emptied, the next who opens it knows it, and what is put in its
/// place is left alone.
async fn check<T>(what: &str, change: impl AsyncFn(DiskStore) -> Result<T>) -> Result<()> {
    let (store, folder) = on_disk();
    let cache = folder.path().join("cache");
    fill(&store, "one").await?;
    empty(&cache);
    drop(change(store.clone()).await);
    assert_eq!(found(&cache, "one").await?, None, "{what}");
    empty(&cache);
    fs::write(cache.join("thesis.tex"), "theirs").unwrap();
    assert!(change(store).await.is_err(), "{what}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "{what}");
    Ok(())
}

#[tokio::test]
async fn whoever_opens_an_emptied_store_next_knows_it_whatever_was_written_there() -> Result<()> {
    let one = digest("one");
    check("record", async |store| store.record(&here(), &tag("v1"), &seen("one", 1)).await).await?;
    check("add_member", async |store| store.add_member(&here(), &one).await).await?;
    check("pin", async |store| store.pin(&one).await).await?;
    check("unpin", async |store| store.unpin(&one).await).await?;
    check("flight", async |store| store.flight(&one).await).await?;
    check("journal", async |store| store.journal(&here(), "upload").await).await?;
    check("keep_seek_index", async |store| store.keep_seek_index(&one, "index".into()).await).await?;
    check("remove", async |store| store.remove(&here(), &one).await).await?;
    check("verify", async |store| store.verify(&Arc::default()).await).await?;
    check("prune", async |store| store.prune(&PruneOptions::default()).await).await
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
