//! Layers made by the reference implementations, with the program `tests/data/main.go`.

use bytes::Bytes;
use refs_estargz::{Archive, Expected, Footer, Kind, OpenOptions};
use refs_url::Digest;

use crate::support::{member_offsets, wait};

const WHOLE: &[u8] = include_bytes!("../data/whole.tar.gz");
const CHUNKS_OF_4: &[u8] = include_bytes!("../data/chunks-of-4.tar.gz");
const SHARED_MEMBERS: &[u8] = include_bytes!("../data/shared-members.tar.gz");
const PRIORITIZED: &[u8] = include_bytes!("../data/prioritized.tar.gz");
const LEGACY: &[u8] = include_bytes!("../data/legacy.tar.gz");

const FILES: [(&str, &str); 5] = [
    ("bar/bar.txt", "aaa"),
    ("bar/empty", ""),
    ("foo.txt", "This is twenty-three b."),
    ("link", "This is twenty-three b."),
    ("twelve", "abcdefghijkl"),
];

#[track_caller]
fn check(blob: &'static [u8], expected: Expected<'_>) {
    let archive = wait(Archive::open(Bytes::from_static(blob), expected, &OpenOptions::default())).unwrap();
    let kinds: Vec<_> =
        archive.entries().iter().map(|entry| (entry.path.as_str(), entry.kind.clone(), entry.mode)).collect();
    let target = |target: &str| target.to_owned();
    let all = [
        ("bar", Kind::Directory, 0o1777),
        ("bar/bar.txt", Kind::File { size: 3 }, 0o4755),
        ("bar/empty", Kind::File { size: 0 }, 0o644),
        ("char", Kind::CharDevice { major: 111, minor: 222 }, 0o600),
        ("foo.txt", Kind::File { size: 23 }, 0o644),
        ("link", Kind::Hardlink { target: target("foo.txt") }, 0o644),
        ("symlink", Kind::Symlink { target: target("../../x") }, 0o777),
        ("twelve", Kind::File { size: 12 }, 0o644),
    ];
    assert_eq!(kinds, all);
    assert!(archive.entries().iter().all(|entry| (entry.uid, entry.gid, entry.mtime) == (50, 100, 1_700_000_000)));
    assert_eq!(archive.toc().entry("foo.txt").unwrap().xattrs["user.foo"], b"bar");
    for (path, content) in FILES {
        assert_eq!(wait(archive.read_file(path)).unwrap(), content.as_bytes(), "{path}");
        let part: Vec<u8> = content.bytes().skip(1).take(4).collect();
        assert_eq!(wait(archive.read_range(path, 1..5)).unwrap(), part, "{path}");
    }
}

#[track_caller]
fn check_verified(blob: &'static [u8], toc_digest: &str) {
    check(blob, Expected::Digest(&Digest::parse(toc_digest).unwrap()));
}

#[test]
fn files_of_one_chunk() {
    check_verified(WHOLE, "sha256:635570908f6d007257ba0e74ba5fa7d533f7de3ed0abf0d8f5d854c55306ed9a");
}

#[test]
fn files_of_many_chunks() {
    check_verified(CHUNKS_OF_4, "sha256:955b85771b45e5efa06e8317145ecd10e0ea4b17512e3b02c795aaab8bf9110c");
}

#[test]
fn files_that_share_a_member() {
    assert!(member_offsets(SHARED_MEMBERS).len() < member_offsets(WHOLE).len());
    check_verified(SHARED_MEMBERS, "sha256:69c27812329d0f44a59a08c72207497ce9dd23894b6d226498bad2a33b84c8f3");
}

#[test]
fn prioritized_files() {
    check_verified(PRIORITIZED, "sha256:7f990c89beb9231a68c6b03b02502c7facb90bd95368a51a1db8b3708fd9d596");
}

#[test]
fn older_stargz() {
    let footer = Footer::parse(LEGACY, LEGACY.len() as u64).unwrap();
    assert!(matches!(footer, Footer::Legacy { .. }));
    check(LEGACY, Expected::Unverified);
}
