//! What the test suite of the reference implementation holds it to, in its order: for its layers and for ours. Where we do
//! otherwise, the row says what.

use bytes::Bytes;
use refs_estargz::{
    Archive, ChunkFault, Entry, Error, Expected, Kind, MemberFault, OpenOptions, PathFault, PlanOptions, WriteOptions,
    Writer,
};
use refs_url::Digest;

use crate::{
    reference,
    support::{
        Item, build, chunked, dir, entry, file, gunzip, hardlink, layer_error, member_offsets, open, other, parse,
        symlink, table, wait,
    },
    threads::threads,
};

/// A layer of the reference.
#[track_caller]
fn theirs(file: &str) -> Archive<Bytes> {
    reference::open(&reference::layer(file).0).unwrap()
}

fn entry_of(file: &str, path: &str) -> Entry {
    theirs(file).toc().entry(path).unwrap()
}

fn entries(archive: &Archive<Bytes>) -> Vec<Entry> {
    archive.toc().entries().collect()
}

/// How many members there are in a layer of `items`: in the reference's own test, and in ours, which always has a landmark.
/// That adds a member for its header and one for its content, in which the headers that follow are, too.
#[track_caller]
fn check_members(items: &[Item], theirs: usize, ours: usize) {
    let (blob, built) = build(items, &chunked(4)).unwrap();
    assert_eq!(member_offsets(&blob).len(), ours);
    let has_headers = usize::from(!items.is_empty());
    assert_eq!(ours, theirs + 2 - has_headers, "the landmark's two members, one of them with the first headers");
    let archive = open(&blob, &built).unwrap();
    assert_eq!(archive.toc().len(), items.len());
    for (new, content) in items.iter().filter(|(new, _)| matches!(new.kind, Kind::File { .. })) {
        assert_eq!(&wait(archive.read_file(&new.path)).unwrap(), content);
    }
}

#[test]
fn row_01_empty_archive() {
    check_members(&[], 2, 4);
    let empty = theirs("empty.tar.gz");
    assert!(empty.toc().is_empty());
    assert_eq!(empty.toc().below(""), 0..0);
}

#[test]
fn row_02_empty_file() {
    check_members(&[dir("foo"), file("foo/bar.txt", "")], 3, 4);
    assert_eq!(entry_of("whole.tar.gz", "bar/empty").digest, Some(Digest::sha256(b"")));
}

/// Ours are written without attributes.
#[test]
fn row_03_attributes_that_are_no_text() {
    check_members(&[dir("foo"), file("foo/bar.txt", "Some")], 4, 5);
    for layer in ["whole.tar.gz", "legacy.tar.gz", "shared-all.tar.gz"] {
        let found = entry_of(layer, "attributes");
        assert_eq!(found.xattrs["user.foo"], b"bar");
        assert_eq!(found.xattrs["user.invalid"], b"\xff\xfe\xfd");
        for (from, expected) in [(0, "Some contents"), (1, "ome contents")] {
            let read = wait(theirs(layer).read_range("attributes", from..u64::MAX)).unwrap();
            assert_eq!(read, expected.as_bytes());
        }
    }
}

/// Ours all belong to 0.
#[test]
fn row_04_owners() {
    check_members(&[dir("bar"), dir("foo"), file("foo/bar.txt", "Some")], 4, 5);
    let whole = theirs("whole.tar.gz");
    assert!(whole.toc().entries().all(|entry| (entry.uid, entry.gid) == (50, 100)));
    let (blob, built) = build(&[file("f", "")], &WriteOptions::default()).unwrap();
    let ours = open(&blob, &built).unwrap();
    assert_eq!((ours.toc().entry_at(0).uid, ours.toc().entry_at(0).gid), (0, 0));
}

/// Links are not counted here: what is below a directory is a range of the entries.
#[test]
fn row_05_directories_below_each_other() {
    check_members(&[dir("bar"), dir("foo"), dir("foo/bar")], 3, 4);
    let whole = theirs("whole.tar.gz");
    let below: Vec<&str> = whole.toc().below("bar").map(|index| whole.toc().path_at(index)).collect();
    assert_eq!(below, ["bar/bar.txt", "bar/below", "bar/below/deep", "bar/empty"]);
}

#[test]
fn row_06_symbolic_link_is_kept_as_it_is() {
    check_members(&[dir("foo"), symlink("foo/bar", "../../x")], 3, 4);
    assert_eq!(entry_of("whole.tar.gz", "symlink").kind, Kind::Symlink { target: "../../x".to_owned() });
}

#[test]
fn row_07_chunks_of_four_bytes() {
    let content = "This is twenty-three b.";
    let items = [dir("foo"), file("foo/big.txt", content)];
    check_members(&items, 9, 10);
    let (blob, built) = build(&items, &chunked(4)).unwrap();
    for (archive, path) in [(open(&blob, &built).unwrap(), "foo/big.txt"), (theirs("chunks-of-4.tar.gz"), "foo.txt")] {
        for from in 0..content.len() {
            let read = wait(archive.read_range(path, from as u64..u64::MAX)).unwrap();
            assert_eq!(read, &content.as_bytes()[from..], "{path} from {from}");
        }
        let index = archive.toc().index_of(path).unwrap();
        let spans = |at: u64| archive.toc().plan_part(index, at..at + 1, &PlanOptions::default()).unwrap().spans;
        let mut members: Vec<_> = (0..content.len() as u64).map(|at| spans(at)[0].range.clone()).collect();
        members.dedup();
        assert_eq!(members.len(), 6);
        assert!(members.windows(2).all(|pair| pair[0].end == pair[1].start), "a member ends where the next starts");
    }
}

/// The root is not listed here, and so it can't be its own child.
#[test]
fn row_08_root_is_not_below_itself() {
    for layer in ["root.tar.gz", "slashes.tar.gz"] {
        assert!(theirs(layer).toc().entries().all(|entry| !entry.path.is_empty()), "{layer}");
    }
    let mut writer = Writer::new(Vec::new(), &WriteOptions::default()).unwrap();
    let root = writer.append(&entry("", Kind::Directory), &mut std::io::empty());
    assert!(matches!(root, Err(Error::Path { fault: PathFault::Empty, .. })));
}

#[test]
fn row_09_devices_and_pipes() {
    let (block, char) = (Kind::BlockDevice { major: 123, minor: 456 }, Kind::CharDevice { major: 111, minor: 222 });
    check_members(&[other("b", block.clone()), other("c", char.clone()), other("f", Kind::Fifo)], 3, 4);
    for layer in ["whole.tar.gz", "ustar.tar.gz", "gnu.tar.gz", "legacy.tar.gz"] {
        let found = ["block", "char", "fifo"].map(|path| entry_of(layer, path).kind);
        assert_eq!(found, [block.clone(), char.clone(), Kind::Fifo], "{layer}");
    }
}

#[test]
fn row_10_special_modes() {
    let modes = ["bar", "bar/bar.txt", "bar/below", "bar/below/deep"].map(|path| entry_of("whole.tar.gz", path).mode);
    assert_eq!(modes, [0o1777, 0o4755, 0o2755, 0o600]);
    for mode in [0o4755, 0o2755, 0o1755, 0o7777, 0] {
        let (mut new, content) = file("f", "x");
        new.mode = mode;
        let (blob, built) = build(&[(new, content)], &WriteOptions::default()).unwrap();
        assert_eq!(open(&blob, &built).unwrap().toc().entry_at(0).mode, mode);
    }
}

/// The reference drops such an entry, or fails if the archive is to be kept as it is. Ours always fails.
#[test]
fn row_11_archive_with_the_files_of_the_format() {
    let paths = |file: &str| theirs(file).toc().entries().map(|entry| entry.path).collect::<Vec<_>>();
    assert_eq!(paths("marked.tar.gz"), ["a"]);
    let mut writer = Writer::new(Vec::new(), &WriteOptions::default()).unwrap();
    for path in ["stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"] {
        let appended = writer.append(&file(path, "").0, &mut std::io::empty());
        assert!(matches!(appended, Err(Error::Path { fault: PathFault::Reserved, .. })), "{path}");
    }
}

/// Both names lead to one content; the link is listed as a link.
#[test]
fn row_12_hard_link_is_its_file() {
    let (blob, built) =
        build(&[dir("foo"), file("foo/foo1", "abc"), hardlink("link", "foo/foo1")], &chunked(4)).unwrap();
    for (archive, path) in [(open(&blob, &built).unwrap(), "foo/foo1"), (theirs("whole.tar.gz"), "foo.txt")] {
        let toc = archive.toc();
        assert_eq!(toc.file_of(toc.index_of("link").unwrap()), toc.index_of(path));
        assert_eq!(toc.entry("link").unwrap().kind, Kind::Hardlink { target: path.to_owned() });
        assert_eq!(wait(archive.read_file("link")).unwrap(), wait(archive.read_file(path)).unwrap());
    }
}

/// The reference can hand over the neighbours of a file that it passes. Here what is wanted is named before: one span brings
/// all that share a member, inflated once.
#[test]
fn row_13_files_in_one_member() {
    for (file, members) in [("shared.tar.gz", 5), ("shared-chunks.tar.gz", 7)] {
        assert_eq!(member_offsets(&reference::bytes(file)).len(), members, "{file}");
        let archive = theirs(file);
        assert_eq!(archive.toc().len(), 7);
        let wanted = ["foo/foo2", "foo/foo22", "bar/bar.txt"].map(|path| archive.toc().index_of(path).unwrap());
        let plan = archive.toc().plan(wanted, &PlanOptions::default());
        let [span] = &plan.spans[..] else { panic!("{file}: {plan:?}") };
        assert_eq!(span.entries().collect::<Vec<_>>().len(), 3);
        for (path, content) in [("foo/foo2", "bb"), ("foo/foo22", "ccc"), ("bar/bar.txt", "aaa")] {
            assert_eq!(wait(archive.read_file(path)).unwrap(), content.as_bytes());
        }
    }
}

/// Ours makes the archive itself, so there is none to be kept bit for bit; `reference.rs` shows that theirs is.
#[test]
fn row_14_lossless_layer_has_the_same_entries() {
    assert_eq!(entries(&theirs("lossless.tar.gz")), entries(&theirs("whole.tar.gz")));
}

/// That of theirs is compared in `reference.rs`, for every layer.
#[test]
fn row_15_diff_id_is_the_digest_of_what_is_inflated() {
    let (blob, built) = build(&[dir("d"), file("d/f", "content")], &chunked(4)).unwrap();
    assert_eq!(built.diff_id, Digest::sha256(&gunzip(&blob)));
    assert_eq!(built.uncompressed_size, gunzip(&blob).len() as u64);
}

#[test]
fn build_in_parts_has_the_same_entries() {
    assert_ne!(reference::bytes("in-parts.tar.gz"), reference::bytes("whole.tar.gz"));
    assert_eq!(entries(&theirs("in-parts.tar.gz")), entries(&theirs("whole.tar.gz")));
}

/// The names in an archive, in order.
fn names(blob: &[u8]) -> Vec<String> {
    let tar = gunzip(blob);
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).trim_end_matches('/').to_owned())
        .collect()
}

/// The order is the caller's in ours: what is wanted first lies at the end, by the table, since that is what is read first.
#[test]
fn sort_moves_what_is_wanted_first_with_all_it_needs() {
    let long = format!("long/{}", "n".repeat(150));
    let expected =
        ["twelve", "long", &long, "long/hardlink", "bar", "bar/below", "bar/below/deep", ".prefetch.landmark"];
    assert_eq!(names(&reference::bytes("prioritized.tar.gz"))[..8], expected);
    assert_eq!(names(&reference::bytes("whole.tar.gz"))[0], ".no.prefetch.landmark");
    let blob = crate::support::build_hot(&[file("b", "b")], &[file("a", "a")], &WriteOptions::default()).unwrap().0;
    assert_eq!(names(&blob), [".no.prefetch.landmark", "b", "a", "stargz.index.json"]);
}

/// Ours refuses a name that it has already.
#[test]
fn sort_keeps_the_later_of_two_entries() {
    assert_eq!(wait(theirs("twice.tar.gz").read_file("a")).unwrap(), b"second");
    let mut writer = Writer::new(Vec::new(), &WriteOptions::default()).unwrap();
    writer.append(&file("a", "").0, &mut std::io::empty()).unwrap();
    assert!(matches!(writer.append(&file("a", "").0, &mut std::io::empty()), Err(Error::Duplicate { .. })));
}

/// A name that climbs is an error here: `reference.rs`.
#[test]
fn prefixes_of_names_make_no_difference() {
    let plain = theirs("ustar.tar.gz");
    for layer in ["root.tar.gz", "slashes.tar.gz"] {
        assert_eq!(entries(&theirs(layer)), entries(&plain), "{layer}");
    }
}

#[test]
fn parallel_build_is_the_same() {
    let items = [dir("d"), file("d/f", "content"), hardlink("l", "d/f"), file("z", "more")];
    let one = build(&items, &WriteOptions { chunk_bytes: 3, ..threads(1) }).unwrap();
    for count in [2, 6, 8] {
        let many = build(&items, &WriteOptions { chunk_bytes: 3, ..threads(count) }).unwrap();
        assert_eq!((&many.0, &many.1.toc_digest), (&one.0, &one.1.toc_digest));
    }
}

#[test]
fn verify_refuses_another_table() {
    let blob = reference::bytes("whole.tar.gz");
    let other = Digest::sha256(b"other");
    let opened = wait(Archive::open(blob, Expected::Digest(&other), &OpenOptions::default()));
    assert!(matches!(layer_error(opened), Error::TocDigest { .. }));
}

/// The reference looks at offsets alone, and so it refuses each of its own layers in which files share a member. Here a
/// chunk is at an offset and at a place in the member.
#[test]
fn verify_accepts_files_that_share_a_member() {
    for layer in ["shared.tar.gz", "shared-chunks.tar.gz", "shared-all.tar.gz"] {
        theirs(layer);
    }
    let twice = |inner: u64| {
        let digest = Digest::sha256(b"abcd");
        let at = |name: &str, inner: u64| {
            format!(
                r#"{{"name":"{name}","type":"reg","size":4,"offset":9,"innerOffset":{inner},"chunkDigest":"{digest}"}}"#
            )
        };
        parse(&table(&[&at("a", 0), &at("b", inner)]))
    };
    assert!(matches!(twice(0), Err(Error::Chunk { fault: ChunkFault::Overlap, .. })));
    assert!(twice(4).is_ok());
}

#[test]
fn verify_needs_a_digest_for_each_chunk() {
    let table = table(&[r#"{"name":"a","type":"reg","size":4,"offset":9}"#]);
    assert!(matches!(parse(&table), Err(Error::Chunk { fault: ChunkFault::NoDigest, .. })));
}

#[test]
fn verify_finds_one_changed_byte() {
    let (layer, _) = reference::layer("stored.tar.gz");
    let archive = reference::open(&layer).unwrap();
    let index = archive.toc().index_of("twelve").unwrap();
    let span = archive.toc().plan([index], &PlanOptions::default()).spans.remove(0);
    let mut blob = reference::bytes("stored.tar.gz").to_vec();
    // Stored bytes follow the header of the member and that of the block.
    let first = span.range.start as usize + 10 + 5;
    assert_eq!(blob[first], b'a');
    blob[first] = b'A';
    let digest = archive.toc().toc_digest();
    let changed = wait(Archive::open(Bytes::from(blob), Expected::Digest(digest), &OpenOptions::default())).unwrap();
    let read = layer_error(wait(changed.read_file("twelve")));
    assert!(matches!(read, Error::Member { fault: MemberFault::Digest, .. }), "{read:?}");
}

#[test]
fn chunk_of_an_offset_is_found() {
    for (content, found) in [("abcd", vec![true, false]), ("abcdefgh", vec![true, true, false])] {
        let (blob, built) = build(&[file("f", content)], &chunked(4)).unwrap();
        let toc = open(&blob, &built).unwrap();
        let has_chunk = |n: usize| {
            let at = 4 * n as u64;
            !toc.toc().plan_part(0, at..at + 1, &PlanOptions::default()).unwrap().spans.is_empty()
        };
        assert_eq!((0..found.len()).map(has_chunk).collect::<Vec<_>>(), found);
    }
}

/// The writer of the reference says the size of a last chunk that is as long as the others, against its specification.
#[test]
fn last_chunk_may_be_full() {
    assert_eq!(wait(theirs("chunks-that-fit.tar.gz").read_file("twelve")).unwrap(), b"abcdefghijkl");
}
