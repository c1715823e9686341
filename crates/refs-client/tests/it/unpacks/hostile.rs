//! Images that want to reach what is not theirs, or that are not what they say.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use refs_client::{DestinationFault, Error, Limits, UnpackOptions};
use refs_registry::MediaType;
use refs_testkit::Tree;
use refs_url::Digest;

use super::{Archive, Image, unpack, unpack_with};
use crate::setup::{IN_MEMORY, at, names};

#[track_caller]
fn is_unsafe(error: &Error) {
    assert!(matches!(error, Error::UnsafePath { .. } | Error::UnsafeLink { .. }), "{error:?}");
}

/// Unpacks where a link could reach what lies outside, and says what is there after.
async fn beside_canary(image: &Image) -> (Result<(), Error>, Tree) {
    let (_, client, _) = image.stored().await;
    let ground = tempfile::tempdir().unwrap();
    Tree::parse("644 canary \"alive\"\n755 outside/\n644 outside/file \"untouched\"\n").write(ground.path()).unwrap();
    let before = Tree::read_with_times(&ground.path().join("outside")).unwrap();
    let dest = ground.path().join("rootfs");
    let result = client.unpack(&at(IN_MEMORY), &dest, &UnpackOptions::default()).await.map(drop);
    assert_eq!(fs::read_to_string(ground.path().join("canary")).unwrap(), "alive");
    assert_eq!(Tree::read_with_times(&ground.path().join("outside")).unwrap(), before);
    assert_eq!(fs::metadata(ground.path().join("outside")).unwrap().permissions().mode() & 0o7777, 0o755);
    let tree = if result.is_ok() { Tree::read(&dest).unwrap() } else { Tree::new() };
    let left = if result.is_ok() { vec!["canary", "outside", "rootfs"] } else { vec!["canary", "outside"] };
    assert_eq!(names(ground.path()), left);
    (result, tree)
}

#[tokio::test]
async fn m114_names_that_lead_elsewhere_are_refused() {
    for name in ["../canary", "/../canary", "a/../../canary", "//../x", "a/.."] {
        is_unsafe(&beside_canary(&Image::of(&[Archive::new().file(name, "x")])).await.0.unwrap_err());
    }
}

#[tokio::test]
async fn m114_a_name_that_begins_at_the_root_begins_at_the_images() {
    let low = Archive::new().directory("/").directory("/d/").file("/d/file", "x").file("//other", "y");
    let high = Archive::new().hardlink("/link", "/d/file").symlink("/canary", "/d/file").file("/d/.wh.file", "");
    let (result, tree) = beside_canary(&Image::of(&[low, high])).await;
    result.unwrap();
    let expected = "777 canary -> /d/file\n755 d/\n644 link \"x\"\n644 other \"y\"\n";
    assert_eq!(tree, Tree::parse(expected));
}

#[tokio::test]
async fn m116_what_is_written_through_a_link_lands_inside() {
    for target in ["../outside", "../../../../outside", "/outside"] {
        let image = Image::of(&[Archive::new().symlink("l", target), Archive::new().file("l/file", "inside")]);
        let (result, tree) = beside_canary(&image).await;
        result.unwrap();
        assert_eq!(tree, Tree::parse(&format!("777 l -> {target}\n755 outside/\n644 outside/file \"inside\"\n")));
    }
    // In one layer, too, and through a link that replaced a directory.
    let image = Image::of(&[
        Archive::new().directory("d/").symlink("d", "../outside").file("d/file", "x").symlink("d/up", "../../.."),
        Archive::new().file("d/up/canary", "x"),
    ]);
    let (result, tree) = beside_canary(&image).await;
    result.unwrap();
    assert!(tree.to_string().contains("644 canary \"x\""), "{tree}");
}

#[tokio::test]
async fn m118_a_file_over_a_link_replaces_it() {
    let image = Image::of(&[Archive::new().symlink("l", "../canary"), Archive::new().file("l", "file")]);
    let (result, tree) = beside_canary(&image).await;
    result.unwrap();
    assert_eq!(tree, Tree::parse("644 l \"file\"\n"));
}

#[tokio::test]
async fn m119_a_directory_over_a_link_changes_no_mode_elsewhere() {
    let open = |header: &mut tar::Header| header.set_mode(0o777);
    let image = Image::of(&[Archive::new().symlink("l", "../outside"), Archive::new().made(b'5', "l/", b"", open)]);
    let (result, tree) = beside_canary(&image).await;
    result.unwrap();
    assert_eq!(tree, Tree::parse("777 l/\n"));
}

/// RUSTSEC-2026-0113: the mode of a directory that comes after a link of its name was given to what the link leads to.
#[tokio::test]
async fn rustsec_2026_0113_a_directory_after_a_link_of_its_name_changes_no_mode_outside() {
    let open = |header: &mut tar::Header| header.set_mode(0o777);
    for name in ["l", "l/", "l/.", "./l/"] {
        for target in ["../outside", "/outside"] {
            let link = Archive::new().symlink("l", target);
            let directory = |archive: Archive| archive.made(b'5', name, b"", open);
            for image in [vec![directory(link.clone())], vec![link.clone(), directory(Archive::new())]] {
                let (result, tree) = beside_canary(&Image::of(&image)).await;
                result.unwrap();
                assert_eq!(tree, Tree::parse("777 l/\n"), "{name} {target}");
            }
        }
    }
}

#[tokio::test]
async fn m121_hard_links_to_what_is_not_in_the_image_are_refused() {
    for target in ["/etc/passwd", "../canary", "none"] {
        is_unsafe(&beside_canary(&Image::of(&[Archive::new().hardlink("h", target)])).await.0.unwrap_err());
    }
    let through = Archive::new().symlink("l", "..").hardlink("h", "l/canary");
    is_unsafe(&beside_canary(&Image::of(&[through])).await.0.unwrap_err());
    let of_link = Archive::new().symlink("l", "../canary").hardlink("h", "l");
    let (result, tree) = beside_canary(&Image::of(&[of_link])).await;
    result.unwrap();
    assert_eq!(tree, Tree::parse("777 h -> ../canary\n777 l -> ../canary\n"));
}

#[tokio::test]
async fn m123_whiteouts_delete_nothing_outside() {
    for name in ["l/.wh.canary", "l/.wh..wh..opq", "l/.wh.outside"] {
        let image = Image::of(&[Archive::new().symlink("l", ".."), Archive::new().file(name, "")]);
        let (result, _) = beside_canary(&image).await;
        result.unwrap();
    }
    for name in [".wh.", ".wh..", ".wh...", "d/.wh."] {
        is_unsafe(&beside_canary(&Image::of(&[Archive::new().file(name, "")])).await.0.unwrap_err());
    }
}

#[tokio::test]
async fn m125_devices_and_pipes_do_no_harm() {
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    };
    let archive =
        Archive::new().made(b'3', "null", b"", device).made(b'4', "disk", b"", device).entry(b'6', "pipe", b"");
    let (_, client, _) = Image::of(&[archive]).stored().await;
    let ground = tempfile::tempdir().unwrap();
    let dest = ground.path().join("d");
    let unpacked = client.unpack(&at(IN_MEMORY), &dest, &UnpackOptions::default()).await.unwrap();
    assert_eq!((unpacked.placeholders, unpacked.pipes, unpacked.files), (2, 1, 0));
    assert_eq!(fs::read(dest.join("null")).unwrap(), b"");
    let socket = Archive::new().entry(b's', "socket", b"");
    assert!(matches!(unpack(&Image::of(&[socket])).await, Err(Error::SpecialFile { .. })));
}

#[tokio::test]
async fn m126_modes_are_kept_and_owners_written_down() {
    let change = |header: &mut tar::Header| {
        header.set_mode(0o6777);
        header.set_uid(1000);
    };
    let archive = Archive::new()
        .pax(&[("uid", "1099511627776"), ("SCHILY.xattr.security.selinux", "label")])
        .made(b'0', "f", b"x", change);
    let (_, client, _) = Image::of(&[archive]).stored().await;
    let ground = tempfile::tempdir().unwrap();
    client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &UnpackOptions::default()).await.unwrap();
    let found = fs::metadata(ground.path().join("d/f")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o6777);
    let own = fs::metadata(ground.path()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), std::os::unix::fs::MetadataExt::uid(&own));
}

#[tokio::test]
async fn m127_the_extended_size_counts() {
    let inner = Archive::new().file("smuggled", "x").0;
    let size = inner.len().to_string();
    let zero = |header: &mut tar::Header| header.set_size(0);
    let archive = Archive::new().pax(&[("size", &size)]).made(b'0', "outer", &inner, zero);
    let (tree, unpacked) = unpack(&Image::of(&[archive])).await.unwrap();
    assert_eq!((unpacked.files, tree.to_string().contains("smuggled\"")), (1, false), "{tree}");
}

/// RUSTSEC-2026-0112: entries that one reader sees and another does not, by a size or a name that is said twice.
#[tokio::test]
async fn rustsec_2026_0112_what_is_said_twice_shows_the_same_entries_to_all() {
    async fn shows(archive: Archive, expected: &[&str]) {
        let (tree, unpacked) = unpack(&Image::of(&[archive])).await.unwrap();
        let lines: Vec<_> = tree.to_string().lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(
            (lines, unpacked.files),
            (expected.iter().map(|name| (*name).to_owned()).collect(), expected.len() as u64)
        );
    }
    let inner = Archive::new().file("smuggled", "x").0;
    let (all, none) = (inner.len().to_string(), "0");
    for claimed in [0, 1, 512] {
        let claim = move |header: &mut tar::Header| header.set_size(claimed);
        shows(Archive::new().pax(&[("size", &all)]).made(b'0', "outer", &inner, claim), &["outer"]).await;
        let last_counts = Archive::new().pax(&[("size", none), ("size", &all)]);
        assert!(unpack(&Image::of(&[last_counts.made(b'0', "outer", &inner, claim)])).await.is_ok());
    }
    shows(Archive::new().pax(&[("size", none)]).entry(b'0', "outer", &inner), &["outer", "smuggled"]).await;
    // It is the size of the file, not of the long name between them, nor of what comes next.
    let named = Archive::new().pax(&[("size", "3")]).entry(b'L', "L", b"named\0").file("x", "abc").file("y", "1234");
    shows(named, &["named", "y"]).await;
    for twice in [
        Archive::new().pax(&[("path", "a")]).entry(b'L', "L", b"b\0").file("x", ""),
        Archive::new().entry(b'L', "L", b"b\0").pax(&[("path", "a")]).file("x", ""),
        Archive::new().pax(&[("linkpath", "a")]).entry(b'K', "K", b"b\0").symlink("x", "c"),
    ] {
        let error = unpack(&Image::of(&[twice])).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_layer_that_unpacks_to_something_else_is_refused() {
    let tar = Archive::new().file("a", "a").tar();
    let image = Image::new().layer(MediaType::OCI_LAYER_GZIP, &tar);
    let mut wrong = Image { rootfs: refs_registry::spec::RootFs::layers(vec![Digest::sha256(b"other")]), ..image };
    let error = unpack(&wrong).await.unwrap_err();
    assert!(matches!(&error, Error::DiffId { actual, .. } if *actual == Digest::sha256(&tar)), "{error:?}");
    // What follows the archive counts, too.
    wrong = Image::new().blob(MediaType::OCI_LAYER, [&tar[..], b"more"].concat(), Digest::sha256(&tar));
    assert!(matches!(unpack(&wrong).await, Err(Error::DiffId { .. })));
    let sealed = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".parse().unwrap();
    assert!(matches!(
        unpack(&Image::new().blob(MediaType::OCI_LAYER, tar, sealed)).await,
        Err(Error::UnsupportedLayer { .. })
    ));
}

#[tokio::test]
async fn m132_archives_that_are_broken_are_refused() {
    let gzipped = refs_testkit::image::gzip(&Archive::new().file("a", "a").tar()).to_vec();
    for broken in [gzipped[..gzipped.len() - 9].to_vec(), b"<html>".to_vec()] {
        let image = Image::new().blob(MediaType::OCI_LAYER_GZIP, broken, Digest::sha256(b""));
        let error = unpack(&image).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn m148_of_many_who_want_one_destination_one_gets_it() {
    let (_, client, _) = Image::of(&[Archive::new().file("a", "a").directory("d/")]).stored().await;
    let ground = tempfile::tempdir().unwrap();
    let dest = Arc::new(ground.path().join("rootfs"));
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let (client, dest) = (client.clone(), Arc::clone(&dest));
            tokio::spawn(async move { client.unpack(&at(IN_MEMORY), &dest, &UnpackOptions::default()).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(Error::Destination { fault: DestinationFault::Taken | DestinationFault::NotEmpty, .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((won, names(ground.path())), (1, vec!["rootfs".to_owned()]));
    assert_eq!(Tree::read(&dest).unwrap(), Tree::parse("644 a \"a\"\n755 d/\n"));
}

#[tokio::test]
async fn m165_limits_hold_on_what_all_layers_hold() {
    async fn check(image: &Image, limits: Limits) -> Error {
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        unpack_with(image, &options).await.unwrap_err()
    }
    let none = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };
    let image = Image::of(&[Archive::new().file("a", "12345"), Archive::new().file("a", "1")]);
    let error = check(&image, Limits { file_bytes: 4, ..none }).await;
    assert!(matches!(error, Error::FileTooLarge { size: 5, .. }), "{error:?}");
    let error = check(&image, Limits { total_bytes: 5, ..none }).await;
    assert!(matches!(error, Error::TotalTooLarge { total: 6, .. }), "{error:?}");
    let error = check(&image, Limits { entries: 1, ..none }).await;
    assert!(matches!(error, Error::TooManyEntries { .. }), "{error:?}");
    unpack_with(&image, &UnpackOptions { limits: none, ..UnpackOptions::default() }).await.unwrap();
    unpack_with(
        &image,
        &UnpackOptions { limits: Limits { file_bytes: 5, total_bytes: 6, entries: 2 }, ..UnpackOptions::default() },
    )
    .await
    .unwrap();
}

/// An archive of `entries` files, each with `number` attributes of `bytes` bytes.
fn attributed(entries: usize, number: usize, bytes: usize) -> Archive {
    let (names, value) =
        ((0..number).map(|at| format!("SCHILY.xattr.user.{at}")).collect::<Vec<_>>(), "v".repeat(bytes));
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    (0..entries).fold(Archive::new(), |archive, at| archive.pax(&records).file(&at.to_string(), ""))
}

#[tokio::test]
async fn m165_attributes_are_bounded_by_their_number_and_by_their_bytes() {
    for (entries, number, bytes) in [(1, 1, 2 << 20), (12, 20_000, 1), (36, 2, 500_000)] {
        // Neither layer holds too much by itself.
        let tar = attributed(entries, number, bytes).tar();
        let image = Image::new().layer(MediaType::OCI_LAYER, &tar).layer(MediaType::OCI_LAYER, &tar);
        let error = unpack(&image).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::LayerLimit { .. }), "{number}: {error:?}");
    }
}

#[tokio::test]
async fn m170_a_size_that_is_only_claimed_costs_nothing() {
    let huge = |header: &mut tar::Header| header.set_size(1 << 62);
    let archive = Archive::new().made(b'0', "huge", b"", huge);
    let none = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };
    let options = UnpackOptions { limits: none, ..UnpackOptions::default() };
    let error = unpack_with(&Image::of(&[archive]), &options).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}
