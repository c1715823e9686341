//! A cache that is damaged, distrusted or broken, and what is asked of the origin then.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use refs_registry::{Descriptor, ErrorKind, MediaType, Result, Source};
use refs_store::{Cached, DiskOptions, DiskStore};
use refs_testkit::{Fault, On};
use refs_url::Target;

use crate::{
    content::{digest, fails, push, put, read, read_part, tagged},
    place::{FOR_EVER, Place, get},
    store::here,
};

/// Changes what is on the disk beneath a store.
fn damage(path: &Path, content: &str) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_damaged_manifest_is_fetched_anew() -> Result<()> {
    let place = Place::on_disk().await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let target = Target::Digest(manifest.descriptor.digest.clone());
    place.cached("o/r").manifest(&target).await?;
    let path = place.folder.path().join("cache/blobs/sha256").join(manifest.descriptor.digest.encoded());
    damage(&path, "{}");
    place.registry.take_requests();
    for asked in [&[&*format!("GET manifests/{target}")][..], &[]] {
        assert_eq!(place.cached("o/r").manifest(&target).await?, manifest);
        place.asked(asked);
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_blob_is_an_error_once() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    read(&*place.cached("o/r"), &digest("one")).await?;
    for damaged in ["onE", "one more"] {
        damage(&place.path_of("one"), damaged);
        fails(read(&*place.cached("o/r"), &digest("one")).await, ErrorKind::Digest);
        assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one");
    }
    damage(&place.path_of("one"), "o");
    assert_eq!(read_part(&*place.cached("o/r"), &digest("one"), 1..3).await?, "ne");
    Ok(())
}

#[tokio::test]
async fn what_a_power_cut_has_emptied_is_as_good_as_none() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    let one = digest("one");
    read(&*place.cached("o/r"), &one).await?;
    let path = place.path_of("one");
    damage(&path, "");
    assert_eq!(read(&*place.cached("o/r"), &one).await?, "one");
    damage(&path, "");
    assert_eq!(read_part(&*place.cached("o/r"), &one, 1..3).await?, "ne");
    read(&*place.cached("o/r"), &one).await?;
    damage(&path, "");
    assert_eq!(place.cached("o/r").stat_blob(&one).await?, Some(3));
    read(&*place.cached("o/r"), &one).await?;
    damage(&path, "");
    let offline = Cached::offline(place.origin("o/r"), Arc::clone(&place.store));
    fails(offline.stat_blob(&one).await, ErrorKind::Digest);
    assert!(place.quarantined("one").exists());
    // There is nothing to lack in nothing.
    put(&*place.repository(), "").await?;
    read(&*place.cached("o/r"), &digest("")).await?;
    place.registry.take_requests();
    assert_eq!(place.cached("o/r").stat_blob(&digest("")).await?, Some(0));
    place.asked(&[]);
    Ok(())
}

#[tokio::test]
async fn what_an_unusable_store_does_not_keep_fails_with_why() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    let blob = Descriptor::of(MediaType::OCI_MANIFEST, b"one");
    let file = place.folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let foreign = place.folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.tex"), "").unwrap();
    for path in [foreign, file.join("below it")] {
        let store = Arc::new(DiskStore::new(path, &DiskOptions::default()));
        let cached = Cached::new(place.repository(), here(), store);
        fails(cached.keep(&blob).await.map(drop), ErrorKind::Io);
    }
    // What comes after it is no cause.
    let small =
        DiskStore::new(place.folder.path().join("small"), &DiskOptions { max_bytes: 1, ..DiskOptions::default() });
    fails(Cached::new(place.repository(), here(), Arc::new(small)).keep(&blob).await.map(drop), ErrorKind::NotCached);
    Ok(())
}

#[tokio::test]
async fn what_a_reader_distrusts_is_gone_and_is_asked_of_the_origin() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    let cached = place.cached("o/r");
    assert!(!cached.distrust().await, "nothing of the cache was given");
    read(&*place.cached("o/r"), &digest("one")).await?;

    let cached = place.cached("o/r");
    damage(&place.path_of("one"), "onE");
    assert_eq!(read_part(&*cached, &digest("one"), 0..3).await?, "onE");
    assert!(cached.distrust().await);
    assert_eq!(place.store.stat(&digest("one")).await?, None);
    assert_eq!(read_part(&*cached, &digest("one"), 0..3).await?, "one");
    assert!(!cached.distrust().await);

    place.registry.fault(On::get("/blobs/"), Fault::Flip { at: 1 });
    let cached = place.cached("o/r");
    assert_eq!(read_part(&*cached, &digest("one"), 0..3).await?, "ooe");
    assert!(!cached.distrust().await, "what was wrong came from the origin");
    assert_eq!(read_part(&*place.cached("o/r"), &digest("one"), 0..3).await?, "one");
    Ok(())
}

#[tokio::test]
async fn of_what_a_reader_distrusts_only_what_is_damaged_comes_again() -> Result<()> {
    let place = Place::on_disk().await;
    for content in ["one", "two"] {
        put(&*place.repository(), content).await?;
        read(&*place.cached("o/r"), &digest(content)).await?;
    }
    let cached = place.cached("o/r");
    for content in ["one", "two"] {
        read_part(&*cached, &digest(content), 0..3).await?;
    }
    assert!(!cached.distrust().await, "all of it is as it should be");
    place.registry.take_requests();

    damage(&place.path_of("one"), "onE");
    let cached = place.cached("o/r");
    assert_eq!(read_part(&*cached, &digest("one"), 0..3).await?, "onE");
    assert_eq!(read_part(&*cached, &digest("two"), 0..3).await?, "two");
    assert!(cached.distrust().await);
    assert!(place.quarantined("one").exists());
    for content in ["one", "two"] {
        assert_eq!(read(&*cached, &digest(content)).await?, content);
    }
    place.asked(&[&get("one")]);
    Ok(())
}

#[tokio::test]
async fn where_nothing_comes_again_damage_is_what_is_told_and_the_rest_stays() -> Result<()> {
    let place = Place::on_disk().await;
    for content in ["one", "two", "three"] {
        put(&*place.repository(), content).await?;
    }
    for content in ["one", "two"] {
        read(&*place.cached("o/r"), &digest(content)).await?;
    }
    read_part(&*place.cached("o/r"), &digest("three"), 1..5).await?;
    place.registry.take_requests();

    let cached = Cached::offline(place.origin("o/r"), Arc::clone(&place.store));
    damage(&place.path_of("one"), "onE");
    for (content, expected) in [("one", "ne"), ("two", "wo"), ("three", "hr")] {
        let given = read_part(&cached, &digest(content), 1..3).await?;
        assert_eq!(given.to_lowercase(), expected);
    }
    assert!(!cached.distrust().await, "it would be given nothing else");
    assert!(place.quarantined("one").exists());
    assert_eq!(read(&cached, &digest("two")).await?, "two");
    assert_eq!(read_part(&cached, &digest("three"), 1..5).await?, "hree");

    damage(&place.path_of("two"), "twO");
    for _ in 0..2 {
        let told = fails(read(&cached, &digest("two")).await, ErrorKind::Digest);
        assert!(told.to_string().contains(&digest("two").to_string()), "{told}");
        assert!(!cached.distrust().await);
    }
    assert!(place.quarantined("two").exists());
    place.asked(&[]);
    Ok(())
}

#[tokio::test]
async fn a_damaged_manifest_of_a_tag_is_told_where_nothing_comes_again() -> Result<()> {
    let place = Place::on_disk().await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    place.cached("o/r").manifest(&tagged("v1")).await?;
    let path = place.folder.path().join("cache/blobs/sha256").join(manifest.descriptor.digest.encoded());
    for target in [tagged("v1"), Target::Digest(manifest.descriptor.digest)] {
        place.cached("o/r").manifest(&target).await?;
        damage(&path, "{}");
        let cached = Cached::offline(place.origin("o/r"), Arc::clone(&place.store));
        fails(cached.manifest(&target).await, ErrorKind::Digest);
    }
    Ok(())
}

#[tokio::test]
async fn a_seek_index_that_cannot_be_is_read_around_where_its_blob_is_whole() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    for is_whole in [false, true] {
        place.store.keep_seek_index(&digest("one"), "an index".into()).await?;
        place.store.add_member(&place.origin("o/r"), &digest("one")).await?;
        if is_whole {
            read(&*place.cached("o/r"), &digest("one")).await?;
        }
        let cached = Cached::offline(place.origin("o/r"), Arc::clone(&place.store));
        assert!(cached.seek_index(&digest("one")).await.is_some());
        assert_eq!(cached.distrust().await, is_whole);
        assert_eq!(cached.seek_index(&digest("one")).await.is_none(), is_whole);
        assert_eq!(cached.stat_blob(&digest("one")).await.is_ok(), is_whole);
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_done_without() -> Result<()> {
    let place = Place::new(|path| {
        std::fs::write(path, "in the way").unwrap();
        Arc::new(DiskStore::new(path, &DiskOptions::default()))
    })
    .await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let cached = place.cached("o/r");
    for _ in 0..2 {
        assert_eq!(cached.manifest(&tagged("v1")).await?, manifest);
        assert_eq!(read(&*cached, &digest("one")).await?, "one");
        assert_eq!(read_part(&*cached, &digest("one"), 1..3).await?, "ne");
        place.asked(&["GET manifests/v1", &get("one"), &get("one")]);
    }
    assert_eq!(std::fs::read_to_string(place.folder.path().join("cache")).unwrap(), "in the way");
    Ok(())
}

#[tokio::test]
async fn a_cache_that_breaks_while_it_is_used_is_done_without() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    let cached = place.cached("o/r");
    read(&*cached, &digest("{}")).await.unwrap_err();
    std::fs::remove_dir_all(place.folder.path().join("cache/ingest")).ok();
    std::fs::write(place.folder.path().join("cache/ingest"), "").unwrap();
    for _ in 0..2 {
        assert_eq!(read(&*cached, &digest("one")).await?, "one");
    }
    place.asked(&[&get("{}"), &get("one"), &get("one")]);
    Ok(())
}

#[tokio::test]
async fn a_cache_that_takes_nothing_more_gives_what_it_has() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    put(&*place.repository(), "one").await?;
    put(&*place.repository(), "two").await?;
    read(&*place.cached("o/r"), &digest("one")).await?;
    for folder in ["locks", "ingest"] {
        std::fs::remove_dir_all(place.folder.path().join("cache").join(folder)).ok();
        std::fs::write(place.folder.path().join("cache").join(folder), "").unwrap();
    }
    place.registry.take_requests();
    let cached = place.cached("o/r");
    for content in ["two", "one", "two", "one"] {
        assert_eq!(read(&*cached, &digest(content)).await?, content);
    }
    place.asked(&[&get("two"), &get("two")]);
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_place_of_a_blob_is_put_away_and_the_blob_kept_anew() -> Result<()> {
    type PutThere = fn(&Path);
    let in_the_way: [(&str, PutThere); 4] = [
        ("a link", |path| symlink("/dev/null", path).unwrap()),
        ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
        ("an empty folder", |path| std::fs::create_dir(path).unwrap()),
        ("a folder of somebody's", |path| {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("letter"), "").unwrap();
        }),
    ];
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    read(&*place.cached("o/r"), &digest("one")).await?;
    for (what, put_there) in in_the_way {
        std::fs::remove_file(place.path_of("one")).unwrap();
        put_there(&place.path_of("one"));
        place.registry.take_requests();
        assert_eq!(place.cached("o/r").stat_blob(&digest("one")).await?, Some(3), "{what}");
        assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one", "{what}");
        place.asked(&[&get("one").replace("GET", "HEAD"), &get("one")]);
        assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one", "{what}");
        place.asked(&[]);
    }
    let aside = place.folder.path().join("cache/quarantine").join(format!("sha256-{}", digest("one").encoded()));
    assert!(aside.join("letter").exists());

    // A second one takes its place.
    std::fs::remove_dir_all(&aside).unwrap();
    std::fs::write(&aside, "").unwrap();
    std::fs::remove_file(place.path_of("one")).unwrap();
    std::fs::create_dir(place.path_of("one")).unwrap();
    std::fs::write(place.path_of("one").join("letter"), "").unwrap();
    let cached = place.cached("o/r");
    for _ in 0..2 {
        assert_eq!(read(&*cached, &digest("one")).await?, "one");
    }
    place.asked(&[&get("one")]);
    assert!(aside.join("letter").exists());
    Ok(())
}
