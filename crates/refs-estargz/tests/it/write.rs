use std::io::Read;

use refs_estargz::{ActualSize, Error, FieldFault, Kind, LinkFault, NewEntry, PathFault, WriteOptions, Writer};
use refs_url::Digest;

use crate::support::{
    Item, build, build_hot, chunked, dir, entry, file, gunzip, hardlink, member_offsets, open, other, symlink, wait,
};

/// Landmark header, landmark content with what follows, table, footer.
const EMPTY_LAYER_MEMBERS: usize = 4;

#[track_caller]
fn check_members(items: &[Item], more: usize) {
    let (blob, built) = build(items, &chunked(4)).unwrap();
    assert_eq!(member_offsets(&blob).len(), EMPTY_LAYER_MEMBERS + more);
    assert_eq!(built.size, blob.len() as u64);
    assert_eq!(built.digest, Digest::sha256(&blob));
    let tar = gunzip(&blob);
    assert_eq!(built.diff_id, Digest::sha256(&tar));
    assert_eq!(built.uncompressed_size, tar.len() as u64);
    assert_eq!(built.entries, items.len() as u64);
    check_archive(&tar, items);
    let archive = open(&blob, &built).unwrap();
    assert_eq!(archive.toc().len(), items.len());
    for (new, content) in items {
        let entry = archive.toc().entry(&new.path).unwrap();
        assert_eq!((&entry.kind, entry.mode, entry.mtime), (&new.kind, new.mode & 0o7777, new.mtime), "{}", new.path);
        if entry.is_file() {
            assert_eq!(entry.digest.as_ref(), Some(&Digest::sha256(content)));
            assert_eq!(&wait(archive.read_file(&new.path)).unwrap(), content);
        }
    }
}

/// Compares what a tar reader sees with what was appended.
#[track_caller]
fn check_archive(tar: &[u8], items: &[Item]) {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().unwrap();
    let landmark = entries.next().unwrap().unwrap();
    assert_eq!(&*landmark.path_bytes(), b".no.prefetch.landmark");
    for (new, content) in items {
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/'), new.path);
        assert_eq!(entry.header().mode().unwrap(), new.mode & 0o7777);
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        if let Kind::Symlink { target } | Kind::Hardlink { target } = &new.kind {
            assert_eq!(&*entry.link_name_bytes().unwrap(), target.as_bytes());
        }
        let mut found = Vec::new();
        entry.read_to_end(&mut found).unwrap();
        assert_eq!(&found, content);
    }
    assert_eq!(&*entries.next().unwrap().unwrap().path_bytes(), b"stargz.index.json");
    assert!(entries.next().is_none());
}

#[test]
fn empty_layer_has_landmark_table_and_footer() {
    check_members(&[], 0);
}

#[test]
fn entries_without_content_make_no_members() {
    check_members(&[dir("foo"), file("foo/bar.txt", "")], 0);
    check_members(&[dir("foo"), symlink("foo/bar", "../../x")], 0);
    let (char, block) = (Kind::CharDevice { major: 111, minor: 222 }, Kind::BlockDevice { major: 123, minor: 456 });
    check_members(&[other("b", block), other("c", char), other("f", Kind::Fifo)], 0);
}

#[test]
fn each_chunk_makes_one_member() {
    check_members(&[dir("foo"), file("foo/big.txt", "This is twenty-three b.")], 6);
    check_members(&[file("exact", "abcd")], 1);
    check_members(&[file("twice", "abcdefgh")], 2);
    check_members(&[file("a", "abcde"), file("b", "1"), file("c", "")], 3);
}

#[test]
fn links_share_the_content_of_their_file() {
    let items = [dir("foo"), file("foo/foo1", "content"), hardlink("foolink", "foo/foo1")];
    check_members(&items, 2);
    let (blob, built) = build(&items, &WriteOptions::default()).unwrap();
    let archive = open(&blob, &built).unwrap();
    assert_eq!(wait(archive.read_file("foolink")).unwrap(), b"content");
}

#[test]
fn special_modes_survive() {
    let with_mode = |(new, content): Item, mode| (NewEntry { mode, ..new }, content);
    let items: Vec<Item> = [0o4755, 0o2755, 0o1755, 0o7777, 0]
        .into_iter()
        .flat_map(|mode| {
            [with_mode(dir(&format!("d{mode:o}")), mode), with_mode(file(&format!("f{mode:o}"), "x"), mode)]
        })
        .collect();
    check_members(&items, 5);
}

#[test]
fn times_survive() {
    for mtime in [0, 1, -1, 0o77_777_777_777, 0o100_000_000_000, 253_402_300_799, -62_167_219_200] {
        let (new, content) = file("f", "x");
        check_members(&[(NewEntry { mtime, ..new }, content)], 1);
    }
}

#[test]
fn long_and_foreign_names_survive() {
    let component = |len: usize| "x".repeat(len);
    for len in [98, 99, 100, 101, 102, 120, 150, 155, 156, 255] {
        check_members(&[file(&component(len), "x")], 1);
        check_members(&[dir(&component(len))], 0);
        check_members(&[symlink("l", &component(len))], 0);
        let nested = format!("{}/{}", component(len), component(100));
        check_members(&[dir(&nested), file(&format!("{nested}/f"), "x"), hardlink("l", &format!("{nested}/f"))], 1);
    }
    check_members(
        &[dir("größe"), file("größe/日本語", "x"), symlink("链接", "größe/日本語"), hardlink("h", "größe/日本語")],
        1,
    );
    let deep = vec!["directory"; 128].join("/");
    check_members(&[file(&deep, "x")], 1);
}

#[test]
fn long_run_of_headers_is_cut() {
    let items: Vec<Item> = (0..300).map(|n| dir(&format!("{n:03}"))).collect();
    check_members(&items, 2);
}

#[test]
fn boundaries_do_not_depend_on_how_content_arrives() {
    struct Slow<'c>(&'c [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let len = buffer.len().min(7);
            self.0.read(&mut buffer[..len])
        }
    }
    let content = b"0123456789".repeat(100);
    let (blob, _) = build(&[file("f", &content)], &chunked(64)).unwrap();
    let mut slow = Vec::new();
    let mut writer = Writer::new(&mut slow, &chunked(64)).unwrap();
    writer.append(&entry("f", Kind::File { size: 1000 }), &mut Slow(&content)).unwrap();
    writer.finish().unwrap();
    assert_eq!(blob, slow);
}

#[test]
fn tail_reaches_back_to_the_hot_files() {
    let (blob, built) =
        build_hot(&[file("a", "cold")], &[file("README", "hot"), file("z", "hot too")], &chunked(4)).unwrap();
    let tail_offset = (built.size - built.tail_bytes) as usize;
    let offsets = member_offsets(&blob);
    // The last members are README, two of z, table, footer.
    assert_eq!(tail_offset, offsets[offsets.len() - 5]);
    let toc_offset = |blob: &[u8]| offsets_of(blob).0;
    for hot in [vec![], vec![dir("z")]] {
        let (blob, built) = build_hot(&[file("a", "cold")], &hot, &chunked(4)).unwrap();
        assert_eq!(built.size - built.tail_bytes, toc_offset(&blob));
    }
}

/// Where table and footer start.
fn offsets_of(blob: &[u8]) -> (u64, u64) {
    let offsets = member_offsets(blob);
    (offsets[offsets.len() - 2] as u64, offsets[offsets.len() - 1] as u64)
}

/// Appends to a writer that holds `file`, `dir/` and `implied/file`, and shows that it goes on after a refusal.
#[track_caller]
fn refused(new: &NewEntry) -> Error {
    let mut blob = Vec::new();
    let mut writer = Writer::new(&mut blob, &WriteOptions::default()).unwrap();
    for (new, content) in [file("file", "x"), dir("dir"), file("implied/file", "x")] {
        writer.append(&new, &mut content.as_slice()).unwrap();
    }
    let error = writer.append(new, &mut std::io::empty()).unwrap_err();
    let (next, content) = file("next", "y");
    writer.append(&next, &mut content.as_slice()).unwrap();
    assert_eq!(writer.finish().unwrap().entries, 4);
    error
}

#[test]
fn unusable_paths_are_refused() {
    for (path, fault) in [
        ("", PathFault::Empty),
        (".", PathFault::Empty),
        ("/a", PathFault::NotNormal),
        ("a/", PathFault::NotNormal),
        ("./a", PathFault::NotNormal),
        ("a//b", PathFault::NotNormal),
        ("../a", PathFault::Parent),
        ("a/..", PathFault::Parent),
        ("a\0", PathFault::Nul),
        (&*"a".repeat(256), PathFault::LongComponent),
        (&*vec!["a"; 129].join("/"), PathFault::Deep),
        ("stargz.index.json", PathFault::Reserved),
        (".no.prefetch.landmark", PathFault::Reserved),
        (".prefetch.landmark", PathFault::Reserved),
        (".wh.a", PathFault::Reserved),
        ("a/.wh..wh..opq", PathFault::Reserved),
    ] {
        let error = refused(&file(path, "").0);
        assert!(matches!(&error, Error::Path { fault: found, .. } if *found == fault), "{path}: {error:?}");
    }
}

#[test]
fn contradictions_are_refused() {
    for path in ["file", "dir", "implied/file"] {
        assert!(matches!(refused(&file(path, "").0), Error::Duplicate { .. }), "{path}");
    }
    assert!(matches!(refused(&file("implied", "").0), Error::NotDirectory { .. }));
    assert!(matches!(refused(&file("file/a", "").0), Error::NotDirectory { .. }));
    assert!(matches!(refused(&file("file/a/b", "").0), Error::NotDirectory { .. }));
    assert!(matches!(refused(&hardlink("l", "absent").0), Error::Link { fault: LinkFault::Missing, .. }));
    assert!(matches!(refused(&hardlink("l", "next").0), Error::Link { fault: LinkFault::Missing, .. }));
    assert!(matches!(refused(&hardlink("l", "dir").0), Error::Link { fault: LinkFault::NotFile, .. }));
    assert!(matches!(refused(&symlink("l", "").0), Error::Link { fault: LinkFault::Empty, .. }));
    assert!(matches!(
        refused(&NewEntry { mtime: i64::MAX, ..dir("d").0 }),
        Error::Field { fault: FieldFault::Mtime, .. }
    ));
    let huge = Kind::CharDevice { major: u32::MAX, minor: 0 };
    assert!(matches!(refused(&entry("c", huge)), Error::Field { fault: FieldFault::Device, .. }));
    assert!(matches!(refused(&entry("f", Kind::File { size: u64::MAX })), Error::TocLimit { .. }));
}

#[test]
fn directory_may_come_after_what_is_below_it() {
    check_members(&[file("d/f", "x"), dir("d")], 1);
}

#[test]
fn file_that_changes_size_tears_the_layer() {
    for (declared, content, expected) in [
        (4, "abc", ActualSize::Ended(3)),
        (9, "abcde", ActualSize::Ended(5)),
        (4, "abcde", ActualSize::GoesOn),
        (0, "a", ActualSize::GoesOn),
    ] {
        let mut blob = Vec::new();
        let mut writer = Writer::new(&mut blob, &chunked(4)).unwrap();
        let error = writer.append(&entry("f", Kind::File { size: declared }), &mut content.as_bytes()).unwrap_err();
        assert!(matches!(&error, Error::SizeChanged { actual, .. } if *actual == expected), "{error:?}");
        assert!(matches!(writer.append(&dir("d").0, &mut std::io::empty()), Err(Error::Abandoned)));
        assert!(matches!(writer.finish(), Err(Error::Abandoned)));
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |options: &WriteOptions| Writer::new(Vec::new(), options).unwrap_err();
    assert!(matches!(refused(&WriteOptions { level: 10, ..WriteOptions::default() }), Error::Level { level: 10 }));
    assert!(matches!(refused(&chunked(0)), Error::ChunkBytes { chunk_bytes: 0, .. }));
    assert!(matches!(refused(&chunked((256 << 20) + 1)), Error::ChunkBytes { .. }));
}
