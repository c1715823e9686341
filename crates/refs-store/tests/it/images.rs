//! The images that a store on disk has as a whole, and that its index tells nothing else.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::future;
use refs_registry::{Descriptor, ErrorKind, Manifest, MediaType, Platform, Result, Resume, Source};
use refs_store::{DiskOptions, DiskStore, Layout, ListedRepository, Origin, Store, StoredImage, TagRecord};
use refs_testkit::{Flaw, check_layout, require_layout};
use refs_url::{Digest, Target};
use tempfile::TempDir;

use crate::content::{digest, drain, fails, image, index, tag, tagged};
use crate::store::{bounded, here, on_disk, origin};

pub(crate) async fn keep(store: &DiskStore, origin: &Origin, bytes: &[u8]) -> Result<()> {
    let mut fill = store.fill(origin, &Digest::sha256(bytes), bytes.len() as u64).await?.unwrap();
    fill.write(Bytes::copy_from_slice(bytes)).await?;
    fill.commit().await
}

/// Keeps the image of `content` with its blobs, and gives it as it is asked for by `target`.
async fn kept(store: &DiskStore, content: &str, target: impl Into<Target>) -> Result<StoredImage> {
    let manifest = Manifest::image(&image(content))?;
    for bytes in [b"{}".as_slice(), content.as_bytes(), &manifest.raw] {
        keep(store, &here(), bytes).await?;
    }
    Ok(StoredImage { target: target.into(), manifest: manifest.descriptor, index: None, platform: None })
}

pub(crate) async fn listed(store: &DiskStore, content: &str, name: &str) -> Result<StoredImage> {
    let image = kept(store, content, tag(name)).await?;
    store.list_image(&here(), &image).await?;
    Ok(image)
}

pub(crate) async fn names(store: &DiskStore) -> Result<Vec<String>> {
    Ok(store.images().await?.into_iter().map(|image| image.name).collect())
}

pub(crate) fn path_of(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    folder.path().join("cache/blobs/sha256").join(Digest::sha256(bytes).encoded())
}

#[tokio::test]
async fn an_image_is_listed_by_what_it_was_asked_by_and_once() -> Result<()> {
    let (store, folder) = on_disk();
    let one = listed(&store, "one", "v1").await?;
    store.list_image(&here(), &one).await?;
    let by_digest = StoredImage { target: one.manifest.digest.clone().into(), ..one.clone() };
    store.list_image(&here(), &by_digest).await?;
    store.list_image(&origin("b.io:5000", "org/b"), &one).await?;
    let digest = &one.manifest.digest;
    let expected = ["a.io/org/a:v1", &format!("a.io/org/a@{digest}"), "b.io:5000/org/b:v1"];
    assert_eq!(names(&store).await?, expected);

    let two = listed(&store, "two", "v1").await?;
    assert_eq!(names(&store).await?, [expected[1], expected[2], expected[0]]);
    assert_eq!(store.images().await?[2].manifest, two.manifest);
    require_layout(&folder.path().join("cache"));
    Ok(())
}

#[tokio::test]
async fn a_listed_image_is_found_by_readers_of_layouts() -> Result<()> {
    let (store, folder) = on_disk();
    let one = listed(&store, "one", "v1").await?;
    let layout = Layout::open(folder.path().join("cache")).await?;
    assert_eq!(layout.resolve(&tagged("v1")).await?, one.manifest);
    assert_eq!(layout.manifest(&one.manifest.digest.clone().into()).await?.descriptor, one.manifest);
    drain(layout.blob(&digest("one"), Resume::START).await?.stream).await
}

#[tokio::test]
async fn the_index_that_an_image_was_chosen_from_is_noted() -> Result<()> {
    let (store, folder) = on_disk();
    let one = kept(&store, "one", tag("v1")).await?;
    let other = Descriptor::of(MediaType::OCI_MANIFEST, b"of another platform");
    let index = Manifest::index(&index(vec![other, one.manifest.clone()]))?;
    let one = StoredImage { index: Some(index.descriptor.clone()), ..one };
    fails(store.list_image(&here(), &one).await, ErrorKind::NotCached);
    keep(&store, &here(), &index.raw).await?;
    store.list_image(&here(), &one).await?;
    let [image] = store.images().await?.try_into().unwrap();
    assert_eq!((image.index, image.manifest), (Some(index.descriptor.digest), one.manifest));
    require_layout(&folder.path().join("cache"));
    fs::remove_file(path_of(&folder, &index.raw)).unwrap();
    assert!(matches!(check_layout(&folder.path().join("cache")).unwrap()[..], [Flaw::Missing { .. }]));
    Ok(())
}

#[tokio::test]
async fn images_of_one_tag_for_two_platforms_have_names_of_their_own() -> Result<()> {
    let (store, folder) = on_disk();
    let foreign = |platform: &str| Platform::parse(platform).filter(|foreign| *foreign != Platform::linux_here());
    let index = Manifest::index(&index(Vec::new()))?;
    keep(&store, &here(), &index.raw).await?;
    for (content, platform) in [
        ("here", Some(Platform::linux_here())),
        ("there", foreign("linux/s390x")),
        ("variant", foreign("linux/riscv64/v9")),
        ("here again", Some(Platform::linux_here())),
        ("windows", foreign("windows(10.0.20348)/amd64")),
    ] {
        let index = Some(index.descriptor.clone());
        let image = StoredImage { index, platform: platform.clone(), ..kept(&store, content, tag("v1")).await? };
        store.list_image(&here(), &image).await?;
    }
    let expected = ["v1--linux-s390x", "v1--linux-riscv64-v9", "v1", "v1--windows-10-0-20348--amd64"];
    assert_eq!(names(&store).await?, expected.map(|tag| format!("a.io/org/a:{tag}")));

    let other = kept(&store, "other", index.descriptor.digest.clone()).await?;
    let by_digest = StoredImage { platform: foreign("linux/s390x"), ..other };
    store.list_image(&here(), &by_digest).await?;
    let name = format!("a.io/org/a@{}", by_digest.manifest.digest);
    assert_eq!(names(&store).await?.last(), Some(&name));

    let layout = Layout::open(folder.path().join("cache")).await?;
    let found = layout.repository("a.io/org/a").resolve(&Target::Tag(tag("v1--linux-s390x"))).await?;
    assert_eq!(found.platform, Platform::parse("linux/s390x"));
    assert!(layout.names().await?.contains(&name));
    let listed = [ListedRepository { name: Some("a.io/org/a".to_owned()), tags: vec![tag("v1")] }];
    assert_eq!(layout.repositories().await?, listed);
    assert_eq!(layout.repository("a.io/org/a").repositories().await?, listed);
    fails(layout.repository("a.io/org/b").repositories().await, ErrorKind::NotFound);
    require_layout(&folder.path().join("cache"));
    Ok(())
}

#[tokio::test]
async fn an_image_that_is_not_whole_is_not_listed() -> Result<()> {
    for missing in [b"{}".as_slice(), b"one", &Manifest::image(&image("one"))?.raw] {
        let (store, folder) = on_disk();
        let one = kept(&store, "one", tag("v1")).await?;
        fs::remove_file(path_of(&folder, missing)).unwrap();
        fails(store.list_image(&here(), &one).await, ErrorKind::NotCached);
        fs::write(path_of(&folder, missing), "cut off").unwrap();
        assert!(store.list_image(&here(), &one).await.is_err());
        assert_eq!(store.images().await?, []);
    }
    Ok(())
}

#[tokio::test]
async fn an_image_is_unlisted_before_anything_of_it_goes() -> Result<()> {
    let (store, folder) = on_disk();
    listed(&store, "one", "v1").await?;
    listed(&store, "two", "v2").await?;
    store.remove(&here(), &digest("one")).await?;
    assert_eq!(names(&store).await?, ["a.io/org/a:v2"]);
    require_layout(&folder.path().join("cache"));
    // Both have the same config.
    listed(&store, "one", "v1").await?;
    store.remove(&here(), &digest("{}")).await?;
    assert_eq!(names(&store).await?, [] as [&str; 0]);
    require_layout(&folder.path().join("cache"));
    Ok(())
}

#[tokio::test]
async fn eviction_leaves_no_image_that_is_not_whole() -> Result<()> {
    const IMAGES: usize = 12;
    let (store, folder) = bounded(20_000);
    for number in 0..IMAGES {
        listed(&store, &format!("{number:04}").repeat(1_000), &format!("v{number}")).await?;
        require_layout(&folder.path().join("cache"));
    }
    let names = names(&store).await?;
    assert!((1..IMAGES).contains(&names.len()), "{names:?}");
    assert_eq!(names.last().unwrap(), &format!("a.io/org/a:v{}", IMAGES - 1));
    Ok(())
}

#[tokio::test]
async fn m147_many_who_list_lose_nothing() -> Result<()> {
    let (store, folder) = on_disk();
    let path = folder.path().join("cache");
    kept(&store, "0", tag("v0")).await?;
    let listing = |number: usize| {
        let store = DiskStore::new(&path, &DiskOptions::default());
        async move { listed(&store, &number.to_string(), &format!("v{number}")).await.map(drop) }
    };
    future::try_join_all((0..20).map(listing)).await?;
    let mut names = names(&store).await?;
    names.sort();
    let mut expected: Vec<_> = (0..20).map(|number| format!("a.io/org/a:v{number}")).collect();
    expected.sort();
    assert_eq!(names, expected);
    require_layout(&path);
    Ok(())
}

#[tokio::test]
async fn m141_a_damaged_index_goes_to_quarantine_and_what_is_whole_is_listed_again() -> Result<()> {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Met {
        Verify,
        Reader,
        Writer,
    }
    let damages = ["", r#"{"schemaVersion":2,"manif"#, r#"{"schemaVersion":2"#, "\0\x7f random"];
    for (damage, met) in
        damages.iter().flat_map(|damage| [Met::Verify, Met::Reader, Met::Writer].map(|met| (damage, met)))
    {
        let (store, folder) = on_disk();
        let cache = folder.path().join("cache");
        for (seconds, content) in ["one", "two", "gone"].iter().enumerate() {
            let image = listed(&store, content, content).await?;
            let seen = UNIX_EPOCH + Duration::from_secs(seconds as u64);
            store.record(&here(), &tag(content), &TagRecord::new(image.manifest, seen)).await?;
        }
        fs::remove_file(path_of(&folder, b"gone")).unwrap();
        fs::write(cache.join("index.json"), damage).unwrap();
        let mut expected = vec!["a.io/org/a:one", "a.io/org/a:two"];
        match met {
            Met::Verify => assert_eq!(store.verify(&Arc::default()).await?.damaged, [cache.join("index.json")]),
            Met::Reader => drop(DiskStore::new(&cache, &DiskOptions::default()).stat(&digest("one")).await?),
            Met::Writer => {
                listed(&store, "three", "three").await?;
                expected.push("a.io/org/a:three");
            }
        }
        assert_eq!(names(&store).await?, expected, "{damage} {met:?}");
        assert_eq!(fs::read_to_string(cache.join("quarantine/index.json")).unwrap(), *damage, "{met:?}");
        assert!(store.verify(&Arc::default()).await?.is_sound());
        require_layout(&cache);
    }
    Ok(())
}

#[tokio::test]
async fn an_image_of_an_index_is_listed_again_as_it_was() -> Result<()> {
    let (store, folder) = on_disk();
    let cache = folder.path().join("cache");
    let one = kept(&store, "one", tag("v1")).await?;
    let platform = Some(Platform::linux_here());
    let other =
        Descriptor { platform: Platform::parse("linux/s390x"), ..Descriptor::of(MediaType::OCI_MANIFEST, b"other") };
    let within = Descriptor { platform: platform.clone(), ..one.manifest.clone() };
    let index = Manifest::index(&index(vec![other, within]))?;
    keep(&store, &here(), &index.raw).await?;
    store.list_image(&here(), &StoredImage { index: Some(index.descriptor.clone()), platform, ..one }).await?;
    let record = TagRecord::new(index.descriptor, UNIX_EPOCH);
    store.record(&here(), &tag("v1"), &record).await?;
    let before = fs::read(cache.join("index.json")).unwrap();
    fs::remove_file(cache.join("index.json")).unwrap();
    fs::create_dir(cache.join("index.json")).unwrap();
    assert!(!store.verify(&Arc::default()).await?.is_sound());
    assert_eq!(fs::read(cache.join("index.json")).unwrap(), before);
    Ok(())
}

#[tokio::test]
async fn m141_an_index_that_leads_nowhere_heals_when_something_is_evicted() -> Result<()> {
    let (store, folder) = bounded(20_000);
    listed(&store, "one", "v1").await?;
    fs::remove_file(path_of(&folder, &Manifest::image(&image("one"))?.raw)).unwrap();
    for number in 0..8 {
        keep(&store, &here(), format!("{number:04}").repeat(1_000).as_bytes()).await?;
    }
    require_layout(&folder.path().join("cache"));
    Ok(())
}
