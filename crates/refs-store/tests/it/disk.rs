//! What a store on disk promises beyond what every store does.

use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use bytes::Bytes;
use refs_registry::{ErrorKind, Result, Resume};
use refs_store::{DiskOptions, DiskStore, Layout, MemoryStore, Store};
use refs_testkit::until;

use crate::{
    content::{digest, drain, fails, push, read, tag, text},
    store::{fill, here, on_disk, origin, seen},
};

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
async fn damaged_files_of_the_layout_are_made_anew() -> Result<()> {
    for name in ["index.json", "oci-layout"] {
        let (store, folder) = on_disk();
        fill(&store, "one").await?;
        std::fs::write(folder.path().join("cache").join(name), "junk").unwrap();
        let other = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
        assert_eq!(text(other.blob(&digest("one"), Resume::START).await?.stream).await?, "one", "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_half_written_record_counts_as_none() -> Result<()> {
    let (store, folder) = on_disk();
    let origin = origin("a.io", "org/b");
    store.record(&origin, &tag("v1"), &seen("one", 1)).await?;
    std::fs::write(folder.path().join("cache/origins/secured/a.io/org/b/_tags/v1"), "{\"descr").unwrap();
    assert_eq!(store.recorded(&origin, &tag("v1")).await?, None);
    store.record(&origin, &tag("v1"), &seen("one", 2)).await?;
    assert_eq!(store.recorded(&origin, &tag("v1")).await?, Some(seen("one", 2)));
    Ok(())
}

#[tokio::test]
async fn origins_are_those_that_something_is_known_of() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
    assert_eq!(store.origins().await?, []);
    assert!(!folder.path().join("cache").exists());
    let (one, other) = (origin("a.io", "org/b"), origin("localhost:5000", "c/d/e"));
    store.record(&one, &tag("v1"), &seen("one", 1)).await?;
    store.add_member(&other, &digest("one")).await?;
    let mut found = store.origins().await?;
    found.sort();
    assert_eq!(found, [one, other]);
    std::fs::create_dir_all(folder.path().join("cache/origins/secured/NO HOST/x/_tags")).unwrap();
    assert_eq!(store.origins().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_store_on_disk_is_shared_by_its_handles() -> Result<()> {
    let (store, folder) = on_disk();
    let other = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
    fill(&store, "one").await?;
    store.pin(&digest("one")).await?;
    fails(other.remove(&here(), &digest("one")).await, ErrorKind::Conflict);
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

    let tag = std::fs::read_to_string(path.join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"), "{tag}");
    Ok(())
}

/// Asserts that a store in `path` has nothing and takes nothing, and changes nothing there.
async fn check_is_left_alone(path: &Path) {
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let store = DiskStore::new(path, &DiskOptions { max_bytes: 10, ..DiskOptions::default() });
    fails(store.stat(&digest("one")).await, ErrorKind::Io);
    fails(store.remove(&here(), &digest("one")).await, ErrorKind::Io);
    fails(fill(&store, "0123456789").await, ErrorKind::Io);
    assert_eq!(names(), before);
}

#[tokio::test]
async fn a_folder_that_was_not_made_as_a_cache_is_left_alone() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path().join("layout")).await?;
    push(&layout, "one", &["v1"]).await?;
    check_is_left_alone(layout.path()).await;
    assert_eq!(read(&layout, &digest("one")).await?, "one");

    let foreign_tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Of another program.\n";
    for (name, text) in [("letter", ""), ("CACHEDIR.TAG", foreign_tag)] {
        let theirs = folder.path().join(name.to_lowercase());
        std::fs::create_dir(&theirs).unwrap();
        std::fs::write(theirs.join(name), text).unwrap();
        check_is_left_alone(&theirs).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_others_may_write_is_left_alone() -> Result<()> {
    for (mode, is_taken) in [(0o700, true), (0o755, true), (0o770, false), (0o707, false), (0o1777, false)] {
        let (store, folder) = on_disk();
        let path = folder.path().join("cache");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        if !is_taken {
            check_is_left_alone(&path).await;
            continue;
        }
        fill(&store, "one").await?;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700,
            "an empty one becomes private"
        );

        std::fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        fails(DiskStore::new(&path, &DiskOptions::default()).stat(&digest("one")).await, ErrorKind::Io);
    }
    Ok(())
}

#[tokio::test]
async fn no_link_is_followed_to_write() -> Result<()> {
    let linked = ["usage", "evict", "lock", "origins/secured/a.io/org/a/_members/sha256", "pins/sha256"];
    for name in linked {
        let (store, folder) = on_disk();
        fill(&store, "one").await?;
        let (cache, victim) = (folder.path().join("cache"), folder.path().join("victim"));
        let link =
            if name.ends_with("sha256") { cache.join(name).join(digest("one").encoded()) } else { cache.join(name) };
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::remove_file(&link).ok();
        symlink(&victim, &link).unwrap();
        if name != "usage" {
            // The next fill counts anew.
            std::fs::remove_file(cache.join("usage")).unwrap();
        }
        let mut failures = 0;
        failures += usize::from(fill(&store, "three").await.is_err());
        failures += usize::from(store.add_member(&here(), &digest("one")).await.is_err());
        failures += usize::from(store.pin(&digest("one")).await.is_err());
        assert!(!victim.exists(), "{name}");
        assert_eq!(failures, 1, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_whose_making_was_cut_off_is_made() -> Result<()> {
    for begun in [None, Some(""), Some("Signature: 8a47")] {
        let (store, folder) = on_disk();
        let path = folder.path().join("cache");
        std::fs::create_dir(&path).unwrap();
        if let Some(begun) = begun {
            std::fs::write(path.join("CACHEDIR.TAG"), begun).unwrap();
        }
        fill(&store, "one").await?;
        let again = DiskStore::new(&path, &DiskOptions::default());
        assert_eq!(again.stat(&digest("one")).await?, Some(3), "{begun:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_is_made_once_by_many() -> Result<()> {
    let (_, folder) = on_disk();
    let stores: Vec<_> = (0..8).map(|_| DiskStore::new(folder.path().join("cache"), &DiskOptions::default())).collect();
    let content = digest("one");
    for kept in futures_util::future::join_all(stores.iter().map(|store| store.stat(&content))).await {
        assert_eq!(kept?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_fill_that_is_given_up_leaves_no_file() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let mut given_up = store.fill(&here(), &digest("two"), 3).await?.unwrap();
    given_up.write(Bytes::from("tw")).await?;
    drop(given_up);
    let ingest = folder.path().join("cache/ingest");
    until(async || std::fs::read_dir(&ingest).unwrap().count() == 0).await;
    Ok(())
}
