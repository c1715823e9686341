//! Archives made block by block, and what the walker says of them.

use std::io::{self, BufReader, Cursor, Read};

use proptest::prelude::*;
use refs_estargz::Entry;
use refs_url::Digest;

use super::{
    super::tar::Walk,
    fixtures::{shown, tar},
};
use crate::{ArchiveFault, Error, Result};

/// All entries of an archive with their content.
pub(crate) fn walk(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut walk = Walk::new(BufReader::with_capacity(700, Cursor::new(archive)), Digest::sha256(b""));
    let mut found = Vec::new();
    while let Some(entry) = walk.next_entry()? {
        let mut content = Vec::new();
        walk.content(|bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        found.push((entry, content));
    }
    walk.finish()?;
    Ok(found)
}

/// A header of `kind`, and `content` behind it.
fn block(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
    made(kind, name, content, |_| {})
}

fn made(kind: u8, name: &[u8], content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkflag = [kind];
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn linked(kind: u8, name: &[u8], target: &[u8]) -> Vec<u8> {
    made(kind, name, b"", |header| header.as_old_mut().linkname[..target.len()].copy_from_slice(target))
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    block(
        b'x',
        b"PaxHeaders/x",
        &records.iter().map(|(key, value)| record(key, value)).collect::<String>().into_bytes(),
    )
}

fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
    format!("{length} {key}={value}\n")
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[track_caller]
fn check(blocks: &[Vec<u8>], expected: &[&str]) {
    let lines: Vec<String> = walk(&blocks.concat()).unwrap().iter().map(shown).collect();
    assert_eq!(lines, expected);
}

#[track_caller]
fn check_error(blocks: &[Vec<u8>], expected: &str) {
    let text = match walk(&blocks.concat()).unwrap_err() {
        Error::Corrupt { fault, .. } => fault.to_string(),
        error => error.to_string(),
    };
    assert_eq!(text, expected);
}

#[test]
fn entries_of_each_type_are_read() {
    check(&[end()], &[]);
    check(&[], &[]);
    check(&[block(b'0', b"a", b"1"), end()], &["f 644 a 1"]);
    check(&[block(b'\0', b"a", b"1")], &["f 644 a 1"]);
    check(&[block(b'7', b"a", b"1")], &["f 644 a 1"]);
    check(&[block(b'\0', b"old/", b"")], &["d 644 old"]);
    check(&[block(b'5', b"./", b""), block(b'5', b"./a/", b"")], &["d 644 a"]);
    check(&[linked(b'2', b"l", b"/etc/passwd")], &["l 644 l -> /etc/passwd"]);
    check(&[linked(b'1', b"h", b"./a")], &["h 644 h -> a"]);
    check(&[block(b'6', b"p", b"")], &["p 644 p"]);
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    };
    check(&[made(b'3', b"c", b"", device)], &["c 644 c 1,3"]);
    check(&[made(b'4', b"b", b"", device)], &["b 644 b 1,3"]);
}

#[test]
fn the_mode_is_twelve_bits() {
    check(&[made(b'0', b"a", b"", |header| header.set_mode(0o104_755))], &["f 4755 a "]);
}

#[test]
fn m114_m121_paths_that_lead_elsewhere_are_refused() {
    let unsafe_path = |path: &str, reason: &str| format!("path `{path}` in a layer is not safe: {reason}");
    for path in ["/abs", "//x"] {
        check_error(&[block(b'0', path.as_bytes(), b"")], &unsafe_path(path, "it is absolute"));
    }
    for path in ["../x", "a/../../x", "a/..", ".."] {
        check_error(&[block(b'0', path.as_bytes(), b"")], &unsafe_path(path, "it leads upwards"));
    }
    check_error(&[block(b'0', b"\xff", b"")], &unsafe_path("\u{fffd}", "it is not valid UTF-8"));
    check_error(&[block(b'0', b"./", b"x")], &unsafe_path("./", "it is the root and no directory"));
    check_error(&[pax(&[("path", "a\0b")]), block(b'0', b"a", b"")], &unsafe_path("a\0b", "it holds a NUL"));
    let hard = |target: &str, reason: &str| format!("link `h` to `{target}` in a layer is not safe: {reason}");
    check_error(&[linked(b'1', b"h", b"../x")], &hard("../x", "it leads upwards"));
    check_error(&[linked(b'1', b"h", b"/x")], &hard("/x", "it is absolute"));
    check_error(&[linked(b'1', b"h", b"")], &hard("", "it names no file"));
    check_error(&[linked(b'2', b"h", b"")], &hard("", "it points nowhere"));
}

#[test]
fn extended_headers_say_more() {
    let path = "d/".repeat(100) + "f";
    check(&[pax(&[("path", &path)]), block(b'0', b"x", b"1")], &[&format!("f 644 {path} 1")]);
    check(&[pax(&[("linkpath", "far")]), linked(b'2', b"l", b"near")], &["l 644 l -> far"]);
    check(&[block(b'L', b"././@LongLink", b"long\0"), block(b'0', b"x", b"1")], &["f 644 long 1"]);
    check(&[block(b'K', b"././@LongLink", b"far\0"), linked(b'2', b"l", b"near")], &["l 644 l -> far"]);
    check(&[pax(&[("path", "a")]), block(b'L', b"L", b"a\0"), block(b'0', b"x", b"")], &["f 644 a "]);
    check(&[block(b'g', b"g", record("comment", "c0ffee").as_bytes()), block(b'0', b"a", b"")], &["f 644 a "]);
    let found =
        walk(&[pax(&[("mtime", "9.9"), ("SCHILY.xattr.user.x", "1")]), block(b'0', b"a", b"")].concat()).unwrap();
    let (entry, _) = &found[0];
    assert_eq!((entry.mtime, entry.xattrs["user.x"].as_slice()), (9, &b"1"[..]));
    let global = block(b'g', b"g", record("mtime", "7").as_bytes());
    assert_eq!(walk(&[global, block(b'0', b"a", b"")].concat()).unwrap()[0].0.mtime, 7);
}

/// CVE-2025-62518 and RUSTSEC-2026-0068: a reader that takes the other size finds headers in the content.
#[test]
fn the_extended_size_wins_over_the_header_s() {
    let inner = block(b'0', b"smuggled", b"x");
    let size = inner.len().to_string();
    for own in [0, 5, inner.len() as u64] {
        let outer = made(b'0', b"outer", &inner, |header| header.set_size(own));
        let found = walk(&[pax(&[("size", &size)]), outer, block(b'0', b"last", b"")].concat()).unwrap();
        let paths: Vec<&str> = found.iter().map(|(entry, _)| entry.path.as_str()).collect();
        assert_eq!(paths, ["outer", "last"]);
        assert_eq!(found[0].1, inner);
    }
}

/// GHSA-3pv8-6f4r-ffg2: the size of an extended header is of the entry, not of the long name between them.
#[test]
fn an_extended_size_is_not_taken_for_a_long_name_s() {
    let blocks =
        [pax(&[("size", "3")]), block(b'L', b"L", b"named\0"), block(b'0', b"x", b"abc"), block(b'0', b"b", b"")];
    check(&blocks, &["f 644 named abc", "f 644 b "]);
}

#[test]
fn m127_what_two_readers_may_take_for_different_things_is_refused() {
    let field = |name: &str| format!("a header's field `{name}` cannot be read");
    check_error(&[pax(&[("path", "a")]), block(b'L', b"L", b"b\0"), block(b'0', b"x", b"")], &field("path"));
    check_error(&[pax(&[("path", "a")]), pax(&[("path", "b")]), block(b'0', b"x", b"")], &field("extended header"));
    check_error(&[block(b'L', b"L", b"a"), block(b'L', b"L", b"b"), block(b'0', b"x", b"")], &field("long name"));
    for global in [("path", "a"), ("size", "5"), ("linkpath", "l")] {
        check_error(&[block(b'g', b"g", record(global.0, global.1).as_bytes())], &field("global header"));
    }
    for kind in *b"123456" {
        let with_data = made(kind, b"a", b"hidden", |header| header.as_old_mut().linkname[0] = b't');
        check_error(&[with_data], "`a` declares data that its type cannot have");
    }
    check_error(&[pax(&[("size", "9")]), block(b'5', b"a", b"")], "`a` declares data that its type cannot have");
    check_error(&[vec![0; 512], block(b'0', b"a", b"")], "a header's checksum is wrong");
}

#[test]
fn extensions_are_bounded_before_they_are_read() {
    for kind in *b"xgLK" {
        let huge = made(kind, b"x", b"", |header| header.set_size(1 << 40));
        check_error(&[huge], "an extension header has 1099511627776 bytes, more than 1048576");
    }
}

#[test]
fn m165_what_is_said_beside_entries_is_bounded_together() {
    let said = "an extension header has";
    let global = block(b'g', b"x", record("comment", &"c".repeat(1_000_000)).as_bytes());
    check_error_starts(&vec![global; 70], said);
    check_error_starts(&vec![block(b'5', b"./", b""); 140_000], said);
    // As many entries as like may have an ordinary one each.
    let entry = [pax(&[("comment", &"c".repeat(3500))]), block(b'0', b"a", b"")].concat();
    assert_eq!(walk(&entry.repeat(18_000)).unwrap().len(), 18_000);
}

#[track_caller]
fn check_error_starts(blocks: &[Vec<u8>], expected: &str) {
    let Error::Corrupt { fault, .. } = walk(&blocks.concat()).unwrap_err() else { panic!("no fault of the archive") };
    assert!(fault.to_string().starts_with(expected), "{fault}");
}

#[test]
fn m132_broken_archives_are_told_apart() {
    let archive = [block(b'0', b"a", b"content"), end()].concat();
    check_error(&[archive[..100].to_vec()], "it ends in the middle of an entry");
    check_error(&[archive[..514].to_vec()], "it ends in the middle of an entry");
    check_error(&[archive[..600].to_vec()], "it ends in the middle of an entry");
    check_error(&[pax(&[("path", "a")])], "it ends in the middle of an entry");
    check_error(&[pax(&[("path", "a")]), end()], "it ends in the middle of an entry");
    check_error(&[b"<html>".repeat(200)], "a header's field `checksum` cannot be read");
    let mut flipped = archive;
    flipped[0] ^= 1;
    check_error(&[flipped], "a header's checksum is wrong");
    let negative = made(b'0', b"a", b"", |header| header.as_old_mut().size = [0xff; 12]);
    check_error(&[negative], "a header's field `size` cannot be read");
}

#[test]
fn things_that_are_no_files_are_named() {
    check_error(&[block(b'S', b"a", b"")], "`a` in a layer is a sparse file, which is not written");
    check_error(&[block(b'M', b"a", b"")], "`a` in a layer is a thing of an unknown type, which is not written");
    let sparse = [pax(&[("GNU.sparse.major", "1")]), block(b'0', b"a", b"")];
    check_error(&sparse, "`a` in a layer is a sparse file, which is not written");
}

#[test]
fn a_fault_says_where_it_is() {
    let archive = [block(b'0', b"a", b"1"), b"garbage ".repeat(64)].concat();
    let Err(Error::Corrupt { offset, fault, .. }) = walk(&archive) else { panic!("no fault") };
    assert_eq!((offset, fault), (1024, ArchiveFault::Field("checksum")));
}

#[test]
fn bytes_behind_the_end_are_read_and_ignored() {
    check(&[block(b'0', b"a", b"1"), end(), b"anything".to_vec()], &["f 644 a 1"]);
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = walk(&bytes);
    }

    #[test]
    fn any_change_of_an_archive_is_walked_without_panic(at in 0_usize..4096, byte in any::<u8>(), fix in any::<bool>()) {
        let mut archive =
            [pax(&[("path", "a"), ("size", "3")]), block(b'L', b"L", b"a\0"), block(b'0', b"x", b"abc"), end()].concat();
        let at = at % archive.len();
        archive[at] = byte;
        if fix {
            let start = at / 512 * 512;
            let mut header = tar::Header::from_byte_slice(&archive[start..start + 512]).clone();
            header.set_cksum();
            archive[start..start + 512].copy_from_slice(header.as_bytes());
        }
        let _ = walk(&archive);
    }

    #[test]
    fn what_the_tar_crate_writes_comes_back(
        files in prop::collection::btree_map("[a-zé]{1,80}(/[a-z0-9]{1,80}){0,3}", prop::collection::vec(any::<u8>(), 0..1500), 0..8),
    ) {
        let entries: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
        let found = walk(&tar(&entries)).unwrap();
        let found: Vec<(&str, &[u8])> = found.iter().map(|(entry, content)| (entry.path.as_str(), content.as_slice())).collect();
        prop_assert_eq!(found, entries);
    }
}

#[test]
fn an_archive_may_be_padded_but_not_without_end() {
    let follows = |bytes: u64| {
        let archive = Cursor::new(end()).chain(io::repeat(0).take(bytes));
        let mut walk = Walk::new(BufReader::with_capacity(1 << 16, archive), Digest::sha256(b""));
        assert!(walk.next_entry().unwrap().is_none());
        walk.finish()
    };
    follows(64 << 20).unwrap();
    let fault = ArchiveFault::TooMuchPadding { limit: 64 << 20 };
    assert!(matches!(follows(1 << 40), Err(Error::Corrupt { fault: found, .. }) if found == fault));
}
