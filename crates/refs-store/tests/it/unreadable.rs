//! A cache that can't be read where nobody else may be asked.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::TryStreamExt;
use refs_registry::{ErrorKind, Filter, Result, Source};
use refs_store::{Cached, DiskOptions, DiskStore};
use refs_url::{Tag, Target};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{
    content::{digest, fails, push, read, read_part, tagged},
    place::Place,
};

/// The repository as another process would read it offline.
fn offline(place: &Place) -> Cached {
    let store = DiskStore::new(place.folder.path().join("cache"), &DiskOptions::default());
    Cached::offline(place.origin("o/r"), Arc::new(store))
}

async fn tags(source: &dyn Source) -> Result<Vec<String>> {
    let tags: Vec<Tag> = source.tags(None).try_collect().await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

/// Where the record of the tag is.
fn record(folder: &Path, tag: &str) -> PathBuf {
    let below = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.ends_with("_tags") {
            return folder.join(tag);
        }
        folders.extend(below(&folder).into_iter().filter(|path| path.is_dir()));
    }
    panic!("no tag is recorded")
}

#[tokio::test]
async fn why_a_cache_cannot_be_read_is_what_is_told() -> Result<()> {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil); 3] = [
        ("others may write it", |cache| fs::set_permissions(cache, Permissions::from_mode(0o777)).unwrap()),
        ("it is somebody's folder", |cache| {
            fs::remove_dir_all(cache).unwrap();
            fs::create_dir(cache).unwrap();
            fs::write(cache.join("letter"), "").unwrap();
        }),
        ("it is a file", |cache| {
            fs::remove_dir_all(cache).unwrap();
            fs::write(cache, "").unwrap();
        }),
    ];
    for (what, spoil) in ways {
        let place = Place::on_disk().await;
        let manifest = push(&*place.repository(), "one", &["v1"]).await?;
        place.cached("o/r").manifest(&tagged("v1")).await?;
        read(&*place.cached("o/r"), &digest("one")).await?;
        spoil(&place.folder.path().join("cache"));
        for target in [tagged("v1"), Target::Digest(manifest.descriptor.digest.clone())] {
            fails(offline(&place).manifest(&target).await, ErrorKind::Io);
            fails(offline(&place).resolve(&target).await, ErrorKind::Io);
        }
        fails(read(&offline(&place), &digest("one")).await, ErrorKind::Io);
        fails(read_part(&offline(&place), &digest("one"), 0..1).await, ErrorKind::Io);
        fails(offline(&place).stat_blob(&digest("one")).await, ErrorKind::Io);
        let told = fails(tags(&offline(&place)).await, ErrorKind::Io);
        assert!(told.to_string().contains("cache"), "{what}: {told}");
        let cached = offline(&place);
        fails(cached.stat_blob(&digest("one")).await, ErrorKind::Io);
        let referrers = cached.referrers(&digest("one"), Filter::default()).try_collect::<Vec<_>>().await;
        fails(referrers, ErrorKind::Io);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_place_of_a_record_is_no_record_and_spoils_no_other() -> Result<()> {
    type PutThere = fn(&Path);
    let in_the_way: [(&str, PutThere); 4] = [
        ("a link", |path| symlink("v2", path).unwrap()),
        ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
        ("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap()),
        ("a folder", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, put_there) in in_the_way {
        let place = Place::on_disk().await;
        for (content, tag) in [("one", "v1"), ("two", "v2")] {
            push(&*place.repository(), content, &[tag]).await?;
            place.cached("o/r").manifest(&tagged(tag)).await?;
        }
        let path = record(&place.folder.path().join("cache"), "v1");
        fs::remove_file(&path).unwrap();
        put_there(&path);
        assert_eq!(tags(&offline(&place)).await?, ["v2"], "{what}");
        fails(offline(&place).manifest(&tagged("v1")).await, ErrorKind::NotCached);

        // The rest of the cache goes on as before.
        let cached = place.cached("o/r");
        cached.manifest(&tagged("v1")).await?;
        read(&*cached, &digest("one")).await?;
        place.registry.take_requests();
        assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one", "{what}");
        place.asked(&[]);
    }
    Ok(())
}
