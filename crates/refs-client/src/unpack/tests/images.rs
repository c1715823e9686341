//! Root file systems of images: what is given to files beside their content.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    sync::Arc,
};

use refs_estargz::{Entry, Kind};

use super::{
    super::{
        Budget, Existing, Limits, Staging,
        rootfs::{Rootfs, Written},
    },
    Ground, Item, directory, file, hardlink, symlink,
};
use crate::{
    Error, Result,
    layer::{Origin, Shown},
    receive::Hand,
};

impl Item {
    fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.entry.uid, self.entry.gid) = (uid, gid);
        self
    }

    fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.entry.xattrs.insert(name.to_owned(), value.to_vec());
        self
    }
}

/// An item as most of an image are: of root, without attributes.
fn plain(mut item: Item) -> Item {
    item.entry.xattrs.clear();
    item.owner(0, 0)
}

fn special(path: &str, kind: Kind, mode: u32) -> Item {
    plain(Item::new(path, kind, mode))
}

const NO_LIMIT: Limits = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };

/// Writes what is shown, of which directories come before what is in them; each with some nanoseconds.
fn fill(staging: &Staging, items: &[Item], top: Option<(Entry, u32)>, limits: Limits) -> Result<Written> {
    let shown = items.iter().enumerate().map(|(index, item)| {
        let origin = Some(Origin { layer: index % 2, index });
        Shown { entry: item.entry.clone(), nanos: index as u32, origin }
    });
    let (rootfs, wanted) = Rootfs::start(staging.root(), &Arc::new(Budget::new(limits)), shown.collect())?;
    for (index, file) in wanted.into_values().flatten() {
        let mut hands = [rootfs.hand(), rootfs.hand()];
        let content = &items[index].content;
        if content.is_empty() {
            hands[0].piece(&file, 0, &[])?;
        }
        for (i, piece) in content.chunks(4).enumerate() {
            hands[i % 2].piece(&file, i as u64 * 4, piece)?;
        }
    }
    rootfs.finish(top)
}

fn unpack(ground: &Ground, items: &[Item], top: Option<(Entry, u32)>) -> Result<Written> {
    let staging = Staging::beside(&ground.dest(), Existing::Refuse)?;
    let mode = top.as_ref().map(|(top, _)| top.mode);
    let written = fill(&staging, items, top, NO_LIMIT)?;
    staging.with_mode(mode).publish()?;
    Ok(written)
}

/// What is at a path: type, mode, time and names.
fn line(path: &Path) -> String {
    let found = fs::symlink_metadata(path).unwrap();
    let kind = match found.file_type() {
        kind if kind.is_dir() => "d",
        kind if kind.is_symlink() => "l",
        kind if kind.is_fifo() => "p",
        kind if kind.is_file() => "f",
        _ => "?",
    };
    let mode = if found.is_symlink() { 0 } else { found.mode() & 0o7777 };
    let names = if found.is_dir() { 1 } else { found.nlink() };
    format!("{kind} {mode:o} {}.{:09} {names}", found.mtime(), found.mtime_nsec())
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 100];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

#[track_caller]
fn check(items: &[Item], expected: &[(&str, &str)]) {
    let ground = Ground::new();
    unpack(&ground, items, None).unwrap();
    let dest = ground.dest();
    let lines: Vec<_> = expected.iter().map(|(path, _)| (*path, line(&dest.join(path)))).collect();
    let expected: Vec<_> = expected.iter().map(|(path, line)| (*path, (*line).to_owned())).collect();
    assert_eq!(lines, expected);
}

#[test]
fn modes_are_the_images_in_all_twelve_bits() {
    let (setuid, none) = (plain(file("a", "12345678")).mode(0o4755), plain(file("b", "")).mode(0));
    check(&[setuid, none], &[("a", "f 4755 1000000000.000000000 1"), ("b", "f 0 1000000000.000000001 1")]);
    check(
        &[
            plain(directory("d")).mode(0o3777),
            plain(directory("d/locked")).mode(0o000),
            plain(file("d/locked/x", "12345")).mode(0o2666),
        ],
        &[("d", "d 3777 1000000000.000000000 1"), ("d/locked", "d 0 1000000000.000000001 1")],
    );
}

#[test]
fn times_have_nanoseconds_whatever_is_made_in_a_directory() {
    check(
        &[
            plain(directory("d")).mtime(-5),
            plain(file("d/big", "123456789")).mtime(7),
            plain(symlink("d/l", "/etc/passwd")).mtime(8),
            plain(hardlink("d/h", "d/big")),
        ],
        &[
            ("d", "d 755 -5.000000000 1"),
            ("d/big", "f 644 7.000000001 2"),
            ("d/l", "l 0 8.000000002 1"),
            ("d/h", "f 644 7.000000001 2"),
        ],
    );
}

#[test]
fn devices_become_empty_files_and_pipes_pipes() {
    let null = Kind::CharDevice { major: 1, minor: 3 };
    let disk = Kind::BlockDevice { major: 8, minor: 0 };
    check(
        &[
            special("a-null", null, 0o666),
            special("b-disk", disk, 0o600),
            special("c-pipe", Kind::Fifo, 0o622),
            plain(hardlink("d-pipe", "c-pipe")),
            plain(hardlink("e-null", "a-null")),
        ],
        &[
            ("a-null", "f 666 1000000000.000000000 2"),
            ("b-disk", "f 600 1000000000.000000001 1"),
            ("c-pipe", "p 622 1000000000.000000002 2"),
        ],
    );
}

#[test]
fn a_symbolic_link_may_have_further_names_and_point_anywhere() {
    let ground = Ground::new();
    let target = "../../../../etc/passwd";
    let items = [plain(hardlink("h", "l")), plain(symlink("l", target)), plain(symlink("root", "/"))];
    let written = unpack(&ground, &items, None).unwrap();
    assert_eq!(line(&ground.dest().join("h")), "l 0 1000000000.000000001 2");
    assert_eq!(fs::read_link(ground.dest().join("h")).unwrap(), Path::new(target));
    assert_eq!(fs::read_link(ground.dest().join("root")).unwrap(), Path::new("/"));
    assert_eq!(written, Written { links: 3, ..Written::default() });
}

#[test]
fn owners_are_written_down_and_attributes_set() {
    const OWNER: &str = "user.rootlesscontainers";
    let ground = Ground::new();
    if rustix::fs::setxattr(ground.path(""), "user.probe", b"1", rustix::fs::XattrFlags::empty()).is_err() {
        // A file system without attributes has nothing to look at.
        return;
    }
    let items = [
        plain(file("a", "12345")).mode(0o444).owner(1000, 0).xattr("user.color", b"blue\0"),
        plain(directory("d")).mode(0o555).owner(1, 2),
        plain(file("e", "")).xattr(OWNER, b"a lie").xattr("security.selinux", b"label"),
        plain(file("f", "")).mode(0o4755).owner(0, 50).xattr(OWNER, b"a lie"),
    ];
    unpack(&ground, &items, None).unwrap();
    let at = |path: &str| ground.dest().join(path);
    assert_eq!(xattr(&at("a"), "user.color").unwrap(), b"blue\0");
    assert_eq!(xattr(&at("a"), OWNER).unwrap(), [8, 0xe8, 7, 16, 0xff, 0xff, 0xff, 0xff, 0xf]);
    assert_eq!(xattr(&at("d"), OWNER).unwrap(), [8, 1, 16, 2]);
    assert_eq!(xattr(&at("e"), OWNER), None);
    assert_ne!(xattr(&at("e"), "security.selinux").as_deref(), Some(&b"label"[..]));
    assert_eq!(xattr(&at("f"), OWNER).unwrap(), [8, 0xff, 0xff, 0xff, 0xff, 0xf, 16, 50]);
    assert_eq!(line(&at("a")), "f 444 1000000000.000000000 1");
    assert_eq!(line(&at("d")), "d 555 1000000000.000000001 1");
    assert_eq!(line(&at("f")), "f 4755 1000000000.000000003 1");
}

#[test]
fn attributes_that_nobody_can_set_are_counted() {
    let ground = Ground::new();
    let items = [plain(symlink("l", "x")).xattr("user.a", b"1"), plain(file("f", "")).xattr("nowhere.a", b"1")];
    assert_eq!(unpack(&ground, &items, None).unwrap().unset_xattrs, 2);
}

#[test]
fn the_root_is_as_its_entry_says() {
    let ground = Ground::new();
    let top = directory("").mode(0o1555).mtime(42).entry;
    unpack(&ground, &[plain(file("a", ""))], Some((plain(Item { entry: top, content: vec![] }).entry, 9))).unwrap();
    assert_eq!(line(&ground.dest()), "d 1555 42.000000009 1");
}

#[test]
fn a_root_without_an_entry_has_a_mode_and_time_of_its_own() {
    let ground = Ground::new();
    unpack(&ground, &[plain(file("a", ""))], None).unwrap();
    assert_eq!(line(&ground.dest()), "d 755 0.000000000 1");

    let ground = Ground::new();
    fs::create_dir(ground.dest()).unwrap();
    fs::set_permissions(ground.dest(), std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    unpack(&ground, &[plain(file("a", ""))], None).unwrap();
    assert_eq!(line(&ground.dest()), "d 500 0.000000000 1");
}

#[test]
fn a_locked_tree_is_replaced_by_another() {
    let ground = Ground::new();
    let locked = || Some((plain(directory("")).mode(0o555).entry, 0));
    unpack(&ground, &[plain(file("old", ""))], locked()).unwrap();
    let staging = Staging::beside(&ground.dest(), Existing::Replace).unwrap();
    fill(&staging, &[plain(file("new", "")).mode(0o600)], locked(), NO_LIMIT).unwrap();
    staging.with_mode(Some(0o555)).publish().unwrap();
    let expected = BTreeMap::from([("dest", "555 directory"), ("dest/new", "600 \"\"")]);
    assert_eq!(ground.snapshot(), expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect());
}

#[test]
fn what_comes_too_short_or_is_in_the_way_leaves_nothing() {
    #[track_caller]
    fn check(items: &[Item], limits: Limits, is_expected: impl Fn(&Error) -> bool) {
        let ground = Ground::new();
        let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
        let error = fill(&staging, items, None, limits).unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        drop(staging);
        assert!(ground.snapshot().is_empty());
    }
    let no_file_over = |file_bytes| Limits { file_bytes, ..NO_LIMIT };
    let short = Item { content: b"12345".to_vec(), ..plain(Item::new("a", Kind::File { size: 9 }, 0o644)) };
    check(&[short], NO_LIMIT, |error| matches!(error, Error::Worker));
    let long = Item { content: b"12345".to_vec(), ..plain(Item::new("a", Kind::File { size: 2 }, 0o644)) };
    check(&[long], NO_LIMIT, |error| matches!(error, Error::Worker));
    check(&[plain(file("a", "1234"))], no_file_over(3), |error| matches!(error, Error::FileTooLarge { .. }));
    let two = [plain(file("a", "")), plain(file("b", ""))];
    check(&two, Limits { entries: 1, ..NO_LIMIT }, |error| matches!(error, Error::TooManyEntries { .. }));
    check(&[plain(file("a", "")), plain(file("a", ""))], NO_LIMIT, |error| matches!(error, Error::PathConflict { .. }));
    check(&[plain(file("../a", ""))], NO_LIMIT, |error| matches!(error, Error::UnsafePath { .. }));
    let (link, through) = (plain(symlink("l", "/tmp")), plain(hardlink("h", "l/x")));
    check(&[link, through], NO_LIMIT, |error| matches!(error, Error::Io { .. }));
}
