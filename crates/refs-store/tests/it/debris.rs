//! Folders in the place of files of a cache, files in the place of its folders, links and pipes.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{ErrorKind, Result, Source};
use refs_store::{Cached, DiskOptions, DiskStore, Memory, PruneOptions, Store};
use refs_testkit::{Tree, require_layout};
use rustix::fs::{FileType, Mode};

use crate::{
    content::{digest, push, read, read_part, tagged},
    store::{fill, here, on_disk},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debris {
    Folder,
    File,
    DanglingLink,
    /// To a folder with something in it.
    LinkOutside,
    Pipe,
}

const ALL: [Debris; 5] = [Debris::Folder, Debris::File, Debris::DanglingLink, Debris::LinkOutside, Debris::Pipe];

impl Debris {
    fn put(self, path: &Path, outside: &Path) {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
        }
        match self {
            Self::Folder => fs::create_dir(path).and_then(|()| fs::write(path.join("in it"), "")).unwrap(),
            Self::File => fs::write(path, "debris").unwrap(),
            Self::DanglingLink => symlink("nowhere/at/all", path).unwrap(),
            Self::LinkOutside => symlink(outside, path).unwrap(),
            Self::Pipe => {
                rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            }
        }
    }
}

/// What belongs at a place of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    File,
    Folder,
    /// Or a link to one.
    LinkedFolder,
}

fn places() -> Vec<(String, Belongs)> {
    use Belongs::{File, Folder, LinkedFolder};
    let (blob, notes) = (format!("sha256/{}", digest("one").encoded()), "origins/secured/a.io/org/a");
    let mut places: Vec<_> = ["index.json", "oci-layout", "CACHEDIR.TAG", "usage", "evict", "lock"]
        .iter()
        .map(|name| ((*name).to_owned(), File))
        .chain(["blobs", "indexes", "pins", "origins"].iter().map(|name| ((*name).to_owned(), LinkedFolder)))
        .chain(
            ["quarantine", "ingest", "locks", "uploads", "blobs/sha256"]
                .iter()
                .map(|name| ((*name).to_owned(), Folder)),
        )
        .chain(["blobs", "indexes"].iter().map(|shelf| (format!("{shelf}/{blob}"), File)))
        .collect();
    places.extend([
        (format!("locks/sha256-{}", digest("one").encoded()), File),
        ("indexes/sha256".to_owned(), Folder),
        ("origins/secured".to_owned(), Folder),
        (notes.to_owned(), Folder),
        (format!("{notes}/_tags"), Folder),
        (format!("{notes}/_tags/v1"), File),
        (format!("{notes}/_members"), Folder),
        (format!("{notes}/_members/{blob}"), File),
        (format!("{notes}/_partials"), Folder),
        (format!("{notes}/_partials/{blob}-3000000"), File),
        (format!("{notes}/_parts"), Folder),
        (format!("{notes}/_parts/{blob}"), Folder),
        (format!("{notes}/_parts/{blob}/0-1-3"), File),
    ]);
    places
}

/// What reading asks of a store, by a manifest, a whole blob and a part of one. What it gives can't be wrong.
async fn reads(origin: &Memory, store: &Arc<dyn Store>) -> Result<()> {
    let cached = Cached::new(Arc::new(origin.clone()), here(), Arc::clone(store));
    cached.manifest(&tagged("v1")).await?;
    assert_eq!(read_part(&cached, &digest("one"), 1..3).await?, "ne");
    assert_eq!(read(&cached, &digest("one")).await?, "one");
    Ok(())
}

/// Whether there is something else at `path` than what `belongs` there.
fn is_misplaced(path: &Path, belongs: Belongs) -> bool {
    let Ok(metadata) = path.symlink_metadata() else { return false };
    match belongs {
        Belongs::File => !metadata.is_file(),
        Belongs::Folder => !metadata.is_dir(),
        Belongs::LinkedFolder => !path.is_dir(),
    }
}

async fn check((origin, sound): (&Memory, &Tree), (at, belongs): &(String, Belongs), debris: Debris) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let [cache, outside] = ["cache", "outside"].map(|name| folder.path().join(name));
    let opened = || -> Arc<dyn Store> { Arc::new(DiskStore::new(&cache, &DiskOptions::default())) };
    sound.write(&cache).unwrap();
    fs::create_dir_all(outside.join("Theirs")).unwrap();
    fs::write(outside.join("Theirs/precious"), "").unwrap();
    fs::write(outside.join("precious"), "").unwrap();
    let path = cache.join(at);
    debris.put(&path, &outside);

    let what = format!("{debris:?} at {at}");
    reads(origin, &opened()).await?;
    let store = DiskStore::new(&cache, &DiskOptions::default());
    let info = store.info().await?;
    // Reading replaces some by what belongs there.
    let is_left = is_misplaced(&path, *belongs);
    if at != "CACHEDIR.TAG" && !at.starts_with("blobs/sha256/") {
        assert_eq!(info.misplaced.contains(&path), is_left, "{what}: {:?}", info.misplaced);
    }
    let verified = store.verify(&Arc::default()).await?;
    if is_left {
        assert!(verified.damaged.contains(&path), "{what}: {verified:?}");
        assert!(fs::read_dir(cache.join("quarantine")).unwrap().count() > 0, "{what}");
    }
    let again = store.verify(&Arc::default()).await?;
    assert!(again.is_sound(), "{what}: {again:?}");
    // What their user has put elsewhere stays, whatever it is.
    let is_linked = *belongs == Belongs::LinkedFolder && debris == Debris::LinkOutside;
    assert_eq!(again.misplaced.contains(&path.join("precious")), is_linked, "{what}: {again:?}");
    assert_eq!(store.info().await?.misplaced.is_empty(), !is_linked, "{what}");
    if !is_linked {
        require_layout(&cache);
    }

    let store = opened();
    reads(origin, &store).await?;
    assert_eq!(store.stat(&digest("one")).await?, Some(3), "{what}");
    let all = PruneOptions { max_bytes: Some(0), unread_since: None };
    let pruned = DiskStore::new(&cache, &DiskOptions::default()).prune(&all).await;
    pruned.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(fs::read_dir(cache.join("quarantine")).map_or(0, Iterator::count), 0, "{what}");
    assert!(outside.join("Theirs/precious").exists() && outside.join("precious").exists(), "{what}");
    Ok(())
}

#[tokio::test]
async fn whatever_is_in_the_place_of_something_else_is_moved_aside_and_healed() -> Result<()> {
    let origin = Memory::new();
    push(&origin, "one", &["v1"]).await?;
    let (store, folder) = on_disk();
    reads(&origin, &(Arc::new(store) as Arc<dyn Store>)).await?;
    let sound = Tree::read(&folder.path().join("cache")).unwrap();
    let places = places();
    let cases = places.iter().flat_map(|at| ALL.map(|debris| (at, debris)));
    let is_debris = |((_, belongs), debris): &(&(String, Belongs), Debris)| {
        *debris != if *belongs == Belongs::File { Debris::File } else { Debris::Folder }
    };
    // At once, as they wait for the disk.
    let checks = stream::iter(cases.filter(is_debris)).map(|(at, debris)| check((&origin, &sound), at, debris));
    checks.buffer_unordered(16).try_collect().await
}

#[tokio::test]
async fn pruning_moves_it_aside_too_and_removes_it() -> Result<()> {
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let cache = folder.path().join("cache");
    Debris::Folder.put(&cache.join("index.json"), folder.path());
    Debris::LinkOutside.put(&cache.join("locks"), folder.path());
    store.prune(&PruneOptions::default()).await?;
    assert_eq!(fs::read_dir(cache.join("quarantine")).map_or(0, Iterator::count), 0);
    require_layout(&cache);
    assert_eq!(store.stat(&digest("one")).await?, Some(3));
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_place_of_both_folders_for_quarantine_is_healed_and_costs_no_link_what_it_leads_to() -> Result<()>
{
    for (begun, there) in ALL[1..].iter().flat_map(|begun| ALL[1..].iter().map(move |there| (begun, there))) {
        let (store, folder) = on_disk();
        fill(&store, "one").await?;
        let (cache, outside) = (folder.path().join("cache"), folder.path().join("outside"));
        fs::create_dir_all(outside.join("quarantine/p")).unwrap();
        begun.put(&cache.join("quarantine-begun"), &outside);
        there.put(&cache.join("quarantine"), &outside);
        assert!(
            store.verify(&Arc::default()).await?.damaged.contains(&cache.join("quarantine")),
            "{begun:?} {there:?}"
        );
        assert!(store.verify(&Arc::default()).await?.is_sound(), "{begun:?} {there:?}");
        store.prune(&PruneOptions::default()).await?;
        assert!(outside.join("quarantine/p").exists(), "{begun:?} {there:?}");
        assert_eq!(store.stat(&digest("one")).await?, Some(3));
    }
    Ok(())
}

#[tokio::test]
async fn blobs_behind_a_link_to_another_file_system_are_verified_and_pruned() -> Result<()> {
    // Where there is none, the same holds of a link to this one.
    let elsewhere = Path::new("/dev/shm");
    let elsewhere = if elsewhere.is_dir() { tempfile::tempdir_in(elsewhere) } else { tempfile::tempdir() }.unwrap();
    let (store, folder) = on_disk();
    fill(&store, "one").await?;
    let (cache, blob) = (folder.path().join("cache"), format!("sha256/{}", digest("one").encoded()));
    fs::create_dir(elsewhere.path().join("sha256")).unwrap();
    fs::write(elsewhere.path().join(&blob), "bad").unwrap();
    fs::write(elsewhere.path().join("sha256/stray"), "").unwrap();
    fs::create_dir(elsewhere.path().join("sha256/strays")).unwrap();
    Debris::LinkOutside.put(&cache.join("blobs"), elsewhere.path());

    let verified = store.verify(&Arc::default()).await?;
    assert_eq!(verified.damaged, [cache.join("blobs").join(&blob)]);
    assert_eq!(verified.misplaced, ["stray", "strays"].map(|name| cache.join("blobs/sha256").join(name)));
    assert!(store.verify(&Arc::default()).await?.is_sound());
    store.prune(&PruneOptions { max_bytes: Some(0), unread_since: None }).await?;
    assert!(elsewhere.path().join("sha256/stray").exists() && !elsewhere.path().join(&blob).exists());
    Ok(())
}

#[tokio::test]
async fn a_store_without_its_tag_is_known_by_its_shape() -> Result<()> {
    let (store, folder) = on_disk();
    let origin = Memory::new();
    push(&origin, "one", &["v1"]).await?;
    reads(&origin, &(Arc::new(store) as Arc<dyn Store>)).await?;
    let cache = folder.path().join("cache");
    let opened = || DiskStore::new(&cache, &DiskOptions::default());
    fs::remove_file(cache.join("CACHEDIR.TAG")).unwrap();
    assert_eq!(opened().stat(&digest("one")).await?, Some(3));
    assert!(cache.join("CACHEDIR.TAG").is_file());

    fs::remove_file(cache.join("CACHEDIR.TAG")).unwrap();
    fs::write(cache.join("thesis.tex"), "").unwrap();
    let error = opened().stat(&digest("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    for refused in [opened().verify(&Arc::default()).await.err(), opened().info().await.err()] {
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Io));
    }
    assert!(!cache.join("CACHEDIR.TAG").exists());
    Ok(())
}
