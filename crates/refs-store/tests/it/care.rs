//! What a store on disk tells of itself, and how it is cleaned.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{Descriptor, Result, Resume};
use refs_store::{DiskOptions, DiskStore, Held, PruneOptions, Pruned, Store, TagRecord, Verified, Verifying};
use refs_testkit::{check_layout, require_layout, until};
use refs_url::Digest;

use crate::{
    content::{digest, tag, text},
    images::{keep, listed, names, path_of},
    store::{fill, fill_part, here, on_disk},
};

const EVERYTHING: PruneOptions = PruneOptions { max_bytes: Some(0), unread_since: None };

/// Begins a long fill and leaves it.
async fn begin(store: &DiskStore, content: &str) -> Result<()> {
    const TOTAL: u64 = 2 << 20;
    let mut fill = store.fill(&here(), &digest(content), TOTAL).await?.unwrap();
    fill.write(Bytes::from_static(b"begun")).await?;
    drop(fill);
    until(async || !store.left().is_empty()).await;
    Ok(())
}

/// What a prune would remove, which removes nothing.
async fn foreseen(store: &DiskStore, options: &PruneOptions) -> Result<Pruned> {
    let before = store.info().await?;
    let foreseen = store.foresee_prune(options).await?;
    assert_eq!(store.info().await?, before);
    Ok(foreseen)
}

async fn verify(store: &DiskStore) -> Result<Verified> {
    store.verify(&Arc::default()).await
}

#[tokio::test]
async fn a_store_that_is_not_there_holds_nothing_and_is_not_made() -> Result<()> {
    let (store, folder) = on_disk();
    let info = store.info().await?;
    assert_eq!((info.bytes(), info.images.len(), info.max_bytes), (0, 0, DiskOptions::default().max_bytes));
    assert_eq!(info.path, folder.path().join("cache"));
    assert!(verify(&store).await?.is_sound());
    assert_eq!(store.prune(&EVERYTHING).await?.removed, Held::default());
    assert!(!folder.path().join("cache").exists());
    Ok(())
}

#[tokio::test]
async fn all_that_a_store_holds_is_told() -> Result<()> {
    let (store, folder) = on_disk();
    let one = listed(&store, "one", "v1").await?;
    fill_part(&store, "0123456789", 2..6).await?;
    begin(&store, "long").await?;
    keep(&store, &here(), b"damaged").await?;
    let damaged = path_of(&folder, b"damaged");
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, "damage").unwrap();
    store.quarantine(&here(), &digest("damaged")).await?;
    drop(store.journal(&here(), "upload").await?.unwrap());

    let info = store.info().await?;
    assert_eq!(info.blobs, Held { files: 3, bytes: 2 + 3 + one.manifest.size });
    assert_eq!((info.parts, info.partials), (Held { files: 1, bytes: 4 }, Held { files: 1, bytes: 5 }));
    assert_eq!(info.quarantined, Held { files: 1, bytes: 6 });
    assert_eq!(info.bytes(), info.blobs.bytes + 15);
    let images: Vec<_> = info.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!((images, info.uploads), (vec!["a.io/org/a:v1"], 0));
    Ok(())
}

/// What `harm` does to a blob that an image needs is found, and the image is not listed any more.
async fn check_finds(harm: impl Fn(&Path)) -> Result<()> {
    let (store, folder) = on_disk();
    listed(&store, "one", "v1").await?;
    listed(&store, "two", "v2").await?;
    let sound = verify(&store).await?;
    assert!(sound.is_sound());
    assert_eq!(sound.blobs, 5);

    let path = path_of(&folder, b"one");
    fs::remove_file(&path).unwrap();
    harm(&path);
    let verified = verify(&store).await?;
    assert_eq!(verified.damaged, std::slice::from_ref(&path));
    assert_eq!(verified.unlisted.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["a.io/org/a:v1"]);
    assert_eq!(names(&store).await?, ["a.io/org/a:v2"]);
    let aside = folder.path().join("cache/quarantine").join(format!("sha256-{}", digest("one").encoded()));
    assert!(aside.symlink_metadata().is_ok());
    require_layout(&folder.path().join("cache"));
    assert!(verify(&store).await?.is_sound());

    fill(&store, "one").await?;
    assert_eq!(text(store.blob(&digest("one"), Resume::START).await?.stream).await?, "one");
    Ok(())
}

#[tokio::test]
async fn m140_damage_is_found_put_away_and_healed() -> Result<()> {
    check_finds(|path| fs::write(path, "One").unwrap()).await?;
    check_finds(|path| fs::write(path, "on").unwrap()).await?;
    check_finds(|path| fs::write(path, "").unwrap()).await?;
    check_finds(|path| fs::create_dir(path).unwrap()).await?;
    check_finds(|path| symlink("/etc/passwd", path).unwrap()).await
}

#[tokio::test]
async fn m141_an_image_whose_blob_is_missing_is_taken_off_the_index() -> Result<()> {
    let (store, folder) = on_disk();
    listed(&store, "one", "v1").await?;
    fs::remove_file(path_of(&folder, b"one")).unwrap();
    assert!(!check_layout(&folder.path().join("cache")).unwrap().is_empty());
    let verified = verify(&store).await?;
    assert_eq!((verified.damaged.len(), verified.unlisted.len()), (0, 1));
    require_layout(&folder.path().join("cache"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_blob_is_found_among_blobs() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let blobs = folder.path().join("cache/blobs");
    fs::write(blobs.join("sha256/letter"), "").unwrap();
    fs::write(blobs.join("note"), "").unwrap();
    let progress = Arc::<Verifying>::default();
    let verified = store.verify(&progress).await?;
    assert_eq!(verified.damaged, [blobs.join("note"), blobs.join("sha256/letter")]);
    assert_eq!((progress.hashed(), progress.expected(), verified.bytes), (3, 3, 3));
    require_layout(&folder.path().join("cache"));
    Ok(())
}

fn age(path: &Path, age: Duration) {
    let times = FileTimes::new().set_modified(SystemTime::now() - age);
    File::open(path).unwrap().set_times(times).unwrap();
}

#[tokio::test]
async fn what_was_not_read_for_long_is_pruned_first() -> Result<()> {
    let (store, folder) = on_disk();
    for (days, content) in [(3, "aaaa"), (2, "bbbb"), (1, "cccc")] {
        fill(&store, content).await?;
        age(&path_of(&folder, content.as_bytes()), Duration::from_secs(days * 86_400));
    }
    let day = SystemTime::now() - Duration::from_secs(60 * 3600);
    let old = PruneOptions { unread_since: Some(day), ..PruneOptions::default() };
    let expected = foreseen(&store, &old).await?;
    let pruned = store.prune(&old).await?;
    assert_eq!(pruned, expected);
    assert_eq!((pruned.removed, pruned.kept), (Held { files: 1, bytes: 4 }, Held { files: 2, bytes: 8 }));
    assert_eq!(store.stat(&digest("aaaa")).await?, None);
    let small = PruneOptions { max_bytes: Some(7), ..PruneOptions::default() };
    let expected = foreseen(&store, &small).await?;
    let pruned = store.prune(&small).await?;
    assert_eq!(pruned, expected);
    assert_eq!((pruned.removed, pruned.kept), (Held { files: 1, bytes: 4 }, Held { files: 1, bytes: 4 }));
    assert_eq!(store.stat(&digest("cccc")).await?, Some(4));
    assert!(!store.is_member(&here(), &digest("aaaa")).await?);
    Ok(())
}

#[tokio::test]
async fn all_is_pruned_but_what_is_pinned_and_what_is_filled() -> Result<()> {
    let (store, folder) = on_disk();
    listed(&store, "one", "v1").await?;
    fill(&store, "pinned").await?;
    store.pin(&digest("pinned")).await?;
    fill_part(&store, "0123456789", 2..6).await?;
    begin(&store, "long").await?;
    let mut filling = store.fill(&here(), &digest("other"), 2 << 20).await?.unwrap();
    filling.write(Bytes::from_static(b"begun")).await?;
    let reading = store.blob(&digest("one"), Resume::START).await?;
    let partials = folder.path().join("cache/origins/secured/a.io/org/a/_partials/sha256");
    let written = || fs::read_dir(&partials).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    until(async || written() >= 2 * "begun".len() as u64).await;

    foreseen(&store, &PruneOptions { max_bytes: Some(4), unread_since: None }).await?;
    let expected = foreseen(&store, &EVERYTHING).await?;
    let pruned = store.prune(&EVERYTHING).await?;
    assert_eq!(pruned, expected);
    assert_eq!(pruned.unlisted.len(), 1);
    let info = store.info().await?;
    assert_eq!((info.blobs, info.parts.files, info.partials.files), (Held { files: 1, bytes: 6 }, 0, 1));
    assert_eq!(text(reading.stream).await?, "one");
    drop(filling);
    require_layout(&folder.path().join("cache"));
    Ok(())
}

/// Notes that `name` leads to `manifest`, as somebody saw an hour ago.
async fn noted(store: &DiskStore, name: &str, manifest: Descriptor) -> Result<()> {
    let seen = SystemTime::now() - Duration::from_secs(60 * 60);
    store.record(&here(), &tag(name), &TagRecord::new(manifest, seen)).await
}

#[tokio::test]
async fn tags_are_forgotten_with_the_last_of_what_they_led_to() -> Result<()> {
    let (hours, now) = (|hours: u64| Duration::from_secs(60 * 60 * hours), SystemTime::now());
    for (options, forgotten) in [
        (PruneOptions { max_bytes: Some(1), unread_since: None }, false),
        (PruneOptions { max_bytes: None, unread_since: Some(now - hours(2)) }, false),
        (PruneOptions { max_bytes: None, unread_since: Some(now + hours(1)) }, true),
        (EVERYTHING, true),
    ] {
        let (store, _folder) = on_disk();
        noted(&store, "v1", listed(&store, "one", "v1").await?.manifest).await?;
        let expected = foreseen(&store, &options).await?;
        assert_eq!(store.prune(&options).await?, expected, "{options:?}");
        assert_eq!(store.recorded(&here(), &tag("v1")).await?.is_none(), forgotten, "{options:?}");
        assert_eq!(store.origins().await?.is_empty(), forgotten, "{options:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_tag_of_a_manifest_that_is_pinned_is_known_after_all_else_is_pruned() -> Result<()> {
    let (store, _folder) = on_disk();
    let manifest = listed(&store, "one", "v1").await?.manifest;
    store.pin(&manifest.digest).await?;
    noted(&store, "v1", manifest).await?;
    store.prune(&EVERYTHING).await?;
    assert!(store.recorded(&here(), &tag("v1")).await?.is_some());
    assert_eq!(store.origins().await?, [here()]);
    Ok(())
}

#[tokio::test]
async fn m142_what_a_killed_process_left_of_writing_is_gone_when_the_next_one_begins() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let cache = folder.path().join("cache");
    let left = [cache.join("ingest/upload-0123456789abcdefghijklmn"), cache.join("locks/sha256-0")];
    fs::create_dir_all(cache.join("locks")).unwrap();
    left.iter().for_each(|path| fs::write(path, "left").unwrap());
    let held = File::create(cache.join("ingest/upload-held")).unwrap();
    held.lock().unwrap();

    assert_eq!(DiskStore::new(&cache, &DiskOptions::default()).stat(&digest("one")).await?, Some(3));
    assert!(left.iter().all(|path| !path.exists()));
    assert!(cache.join("ingest/upload-held").exists());
    drop(held);
    fs::write(cache.join("ingest/upload-held"), "let go").unwrap();
    // Nor does it go because a store that was not open yet is asked.
    let anew = || DiskStore::new(&cache, &DiskOptions::default());
    let temporary = Held { files: 1, bytes: 6 };
    assert_eq!(anew().foresee_prune(&PruneOptions::default()).await?.temporary, temporary);
    assert!(cache.join("ingest/upload-held").exists());
    assert_eq!(anew().prune(&PruneOptions::default()).await?.temporary, temporary);
    assert_eq!(anew().prune(&PruneOptions::default()).await?.temporary, Held::default());
    require_layout(&cache);
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_place_of_something_else_is_foreseen_to_go() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let cache = folder.path().join("cache");
    fs::create_dir(cache.join("evict.d")).unwrap();
    fs::write(cache.join("pins"), "a file").unwrap();
    fs::create_dir_all(cache.join("locks/folder")).unwrap();
    fs::write(cache.join("locks/folder/file"), "in it").unwrap();
    let foreseen = foreseen(&store, &PruneOptions::default()).await?;
    assert_eq!(foreseen.removed, Held { files: 2, bytes: 11 });
    let pruned = store.prune(&PruneOptions::default()).await?;
    assert_eq!((pruned.removed, pruned.kept), (foreseen.removed, foreseen.kept));
    Ok(())
}

/// The user may have put the notes where other things are, some of which are called much as notes are.
#[tokio::test]
async fn what_is_not_the_stores_behind_a_link_in_the_place_of_its_notes_stays() -> Result<()> {
    let (store, folder) = on_disk();
    fill_part(&store, "one", 1..3).await?;
    fill(&store, "two").await?;
    begin(&store, "three").await?;
    let (cache, theirs) = (folder.path().join("cache"), folder.path().join("theirs"));
    fs::rename(cache.join("origins"), &theirs).unwrap();
    symlink(&theirs, cache.join("origins")).unwrap();
    let precious = [
        "notes.txt",
        "work/my_parts/sha256/a",
        "work/_parts/sha256/a",
        "work/_partials/sha256/a-1",
        "work/_members/sha256/a",
        "secured/ghcr.io/_parts/photo.jpg",
        "secured/ghcr.io/o/r/_parts/sha256/photo.jpg",
        "secured/ghcr.io/o/r/_members/todo.txt",
        "secured/ghcr.io/o/r/_partials/sha256/draft",
    ]
    .map(|name| theirs.join(name));
    for path in &precious {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "precious").unwrap();
    }
    let anew = || DiskStore::new(&cache, &DiskOptions { max_bytes: 2 << 20, ..DiskOptions::default() });
    let foreseen = anew().foresee_prune(&EVERYTHING).await?;
    assert!(verify(&anew()).await?.damaged.is_empty());
    // Too much by far, so that all goes that may.
    fill(&anew(), &"four".repeat(1 << 19)).await?;
    begin(&anew(), "five").await?;
    let pruned = anew().prune(&EVERYTHING).await?;
    assert_eq!((foreseen.removed.files, foreseen.kept, pruned.kept), (3, Held::default(), Held::default()));
    for path in &precious {
        assert_eq!(fs::read_to_string(path).ok().as_deref(), Some("precious"), "{}", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_in_quarantine_goes_when_there_is_no_room() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions { max_bytes: 10_000, ..DiskOptions::default() };
    let store = DiskStore::new(folder.path().join("cache"), &options);
    let damaged = "damaged".repeat(400);
    fill(&store, &damaged).await?;
    let path = path_of(&folder, damaged.as_bytes());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "x".repeat(2_800)).unwrap();
    store.quarantine(&here(), &Digest::sha256(damaged.as_bytes())).await?;
    assert_eq!(store.info().await?.quarantined.files, 1);
    for number in 0..3 {
        fill(&store, &number.to_string().repeat(2_800)).await?;
    }
    assert_eq!(store.info().await?.quarantined.files, 0);
    assert_eq!(store.info().await?.blobs.files, 3);
    Ok(())
}
