//! Layers made by the reference implementations, and what these find in them: `cargo xtask golden` makes `tests/data`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use refs_estargz::{
    Archive, Entry, Error, Expected, Footer, Kind, OpenOptions, PathFault, ReadError, TocPosition,
    ZSTD_TOC_DIGEST_ANNOTATION, ZSTD_TOC_POSITION_ANNOTATION,
};
use refs_url::Digest;
use serde::Deserialize;

use crate::support::{gunzip, layer_error, member_offsets, wait};

#[derive(Debug, Deserialize)]
struct Golden {
    layers: Vec<Layer>,
    trees: BTreeMap<String, Vec<Found>>,
}

/// A layer, and what its maker says of it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Layer {
    file: String,
    toc_digest: Option<String>,
    pub(crate) diff_id: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// The digest of the archive that it was made of.
    unpacked: Option<String>,
    pub(crate) tree: String,
}

/// What the reference finds under a path. It gives hard links as the files that they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Found {
    pub(crate) path: String,
    #[serde(rename = "type")]
    kind: String,
    mode: u32,
    size: u64,
    mtime: i64,
    uid: u32,
    gid: u32,
    target: String,
    major: u32,
    minor: u32,
    /// The values in base64.
    xattrs: BTreeMap<String, String>,
    digest: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/golden.json")).unwrap()
}

pub(crate) fn layer(file: &str) -> (Layer, Vec<Found>) {
    let mut golden = golden();
    let layer = golden.layers.iter().find(|layer| layer.file == file).unwrap().clone();
    let tree = golden.trees.remove(&layer.tree).unwrap();
    (layer, tree)
}

pub(crate) fn bytes(file: &str) -> Bytes {
    std::fs::read(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap().into()
}

pub(crate) fn open(layer: &Layer) -> Result<Archive<Bytes>, ReadError<std::io::Error>> {
    let digest = layer.toc_digest.as_ref().map(|digest| Digest::parse(digest).unwrap());
    let expected = digest.as_ref().map_or(Expected::Unverified, Expected::Digest);
    wait(Archive::open(bytes(&layer.file), expected, &OpenOptions::default()))
}

/// Everything in a layer, as the reference would list it; every file is read, whole and in part.
fn found(archive: &Archive<Bytes>) -> Vec<Found> {
    let describe = |(index, entry): (usize, Entry)| {
        let shown = archive.toc().file_of(index).map_or_else(|| entry.clone(), |file| archive.toc().entry_at(file));
        let found = described(&entry.path, &shown);
        if !shown.is_file() {
            return found;
        }
        let content = wait(archive.read_file(&entry.path)).unwrap();
        for range in [1..5, 0..1, 3..u64::MAX] {
            let part = wait(archive.read_range(&entry.path, range.clone())).unwrap();
            let end = content.len().min(usize::try_from(range.end).unwrap());
            assert_eq!(part, content[(range.start as usize).min(end)..end], "{} {range:?}", entry.path);
        }
        Found { digest: Digest::sha256(&content).to_string(), ..found }
    };
    archive.toc().entries().enumerate().map(describe).collect()
}

fn described(path: &str, entry: &Entry) -> Found {
    let found = Found {
        path: path.to_owned(),
        mode: entry.mode,
        size: entry.size(),
        mtime: entry.mtime,
        uid: entry.uid,
        gid: entry.gid,
        xattrs: entry.xattrs.iter().map(|(name, value)| (name.clone(), base64(value))).collect(),
        ..Found::default()
    };
    let device = |kind: &str, major: &u32, minor: &u32, found| Found {
        kind: kind.to_owned(),
        major: *major,
        minor: *minor,
        ..found
    };
    match &entry.kind {
        Kind::Directory => Found { kind: "dir".into(), ..found },
        Kind::File { .. } => Found { kind: "reg".into(), ..found },
        Kind::Symlink { target } => Found { kind: "symlink".into(), target: target.clone(), ..found },
        Kind::Hardlink { .. } => Found { kind: "hardlink".into(), ..found },
        Kind::CharDevice { major, minor } => device("char", major, minor, found),
        Kind::BlockDevice { major, minor } => device("block", major, minor, found),
        Kind::Fifo => Found { kind: "fifo".into(), ..found },
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

/// The same tree as the reference finds, and the same archive.
#[track_caller]
fn check(file: &str) {
    let (layer, tree) = layer(file);
    let archive = open(&layer).unwrap();
    let mut found = found(&archive);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    assert_eq!(found, tree, "{file}");
    if let Some(diff_id) = layer.diff_id.as_ref().filter(|_| file.ends_with(".gz")) {
        assert_eq!(Digest::sha256(&gunzip(&bytes(file))).as_str(), diff_id, "{file}");
    }
}

#[track_caller]
fn check_refused(file: &str) -> Error {
    layer_error(open(&layer(file).0))
}

const SAME: [&str; 22] = [
    "chunks-of-4.tar.gz",
    "chunks-that-fit.tar.gz",
    "empty.tar.gz",
    "fastest.tar.gz",
    "files-lossless.tar.gz",
    "files.tar.gz",
    "gnu.tar.gz",
    "huffman.tar.gz",
    "in-parts.tar.gz",
    "lossless.tar.gz",
    "marked.tar.gz",
    "prioritized.tar.gz",
    "root.tar.gz",
    "shared-all.tar.gz",
    "shared-chunks.tar.gz",
    "shared.tar.gz",
    "slashes.tar.gz",
    "stargz-chunks-of-4.tar.zst",
    "stargz.tar.zst",
    "stored.tar.gz",
    "twice.tar.gz",
    "ustar.tar.gz",
];

#[test]
fn layers_of_the_reference_hold_the_same_here() {
    SAME.into_iter().chain(["whole.tar.gz", "legacy.tar.gz"]).for_each(check);
}

/// The other dialect of zstd:chunked, by the position in its annotations, and by its footer.
#[test]
fn layer_of_containers_storage_holds_the_same_here() {
    let (layer, tree) = layer("storage.tar.zst");
    let digest = Digest::parse(&layer.annotations[ZSTD_TOC_DIGEST_ANNOTATION]).unwrap();
    let toc_position = TocPosition::parse(&layer.annotations[ZSTD_TOC_POSITION_ANNOTATION]);
    assert!(toc_position.is_some());
    for toc_position in [toc_position, None] {
        let options = OpenOptions { toc_position, ..OpenOptions::default() };
        let opened = wait(Archive::open(bytes(&layer.file), Expected::Compressed(&digest), &options));
        let mut found = found(&opened.unwrap());
        found.sort_by(|left, right| left.path.cmp(&right.path));
        assert_eq!(found, tree, "{toc_position:?}");
    }
    let other = Digest::sha256(b"other");
    let opened = wait(Archive::open(bytes(&layer.file), Expected::Compressed(&other), &OpenOptions::default()));
    assert!(matches!(layer_error(opened), Error::TocDigest { .. }));
}

/// Its annotations have their own prefix.
#[test]
fn layer_of_stargz_is_vouched_for_by_its_compressed_table_too() {
    let (layer, _) = layer("stargz.tar.zst");
    let annotation = |name: &str| &layer.annotations[&format!("io.containers.zstd-chunked.{name}")];
    let digest = Digest::parse(annotation("manifest-checksum")).unwrap();
    let toc_position = TocPosition::parse(annotation("manifest-position"));
    let options = OpenOptions { toc_position, ..OpenOptions::default() };
    let opened = wait(Archive::open(bytes(&layer.file), Expected::Compressed(&digest), &options)).unwrap();
    assert_eq!(Some(opened.toc().toc_digest().to_string()), layer.toc_digest);
}

#[test]
fn every_layer_of_the_reference_has_its_test() {
    let others = [
        "appended-twice.tar.gz",
        "external.tar.gz",
        "implied.tar.gz",
        "legacy.tar.gz",
        "parents.tar.gz",
        "storage.tar.zst",
        "whole.tar.gz",
    ];
    let tested: BTreeSet<String> = SAME.into_iter().chain(others).map(str::to_owned).collect();
    assert_eq!(golden().layers.into_iter().map(|layer| layer.file).collect::<BTreeSet<_>>(), tested);
}

#[test]
fn older_stargz_has_a_footer_of_its_own() {
    let legacy = bytes("legacy.tar.gz");
    assert!(matches!(Footer::parse(&legacy, legacy.len() as u64).unwrap(), Footer::Legacy { .. }));
}

#[test]
fn files_that_share_members_make_fewer_of_them() {
    let members = |file| member_offsets(&bytes(file)).len();
    assert_eq!([members("shared.tar.gz"), members("shared-all.tar.gz")], [5, 4]);
    assert!(members("whole.tar.gz") > 10);
}

#[test]
fn lossless_layer_is_its_archive_with_the_table_behind_it() {
    let (layer, blob) = (layer("lossless.tar.gz").0, bytes("lossless.tar.gz"));
    let footer = Footer::parse(&blob, blob.len() as u64).unwrap();
    let payload = gunzip(&blob[..footer.toc_offset().unwrap() as usize]);
    assert_eq!(Some(Digest::sha256(&payload).to_string()), layer.unpacked);
}

/// The reference makes up directories that no entry names; here only what is in the layer is listed.
#[test]
fn directories_that_no_entry_names_are_not_made_up() {
    let (layer, tree) = layer("implied.tar.gz");
    let found = found(&open(&layer).unwrap());
    assert_eq!(found.iter().map(|found| found.path.as_str()).collect::<Vec<_>>(), ["a/b/c"]);
    assert_eq!(tree.iter().map(|found| found.path.as_str()).collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    assert_eq!(tree[2], found[0]);
}

/// The reference drops leading `..`; here such a layer is refused, since whoever unpacks it with tar may write elsewhere.
#[test]
fn names_that_climb_are_refused() {
    assert!(matches!(check_refused("parents.tar.gz"), Error::Path { fault: PathFault::Parent, .. }));
}

/// For the reference the later of two entries is there; here it is an error, since tools differ in what they take.
#[test]
fn two_entries_of_one_name_are_refused() {
    assert!(matches!(check_refused("appended-twice.tar.gz"), Error::Duplicate { .. }));
}

#[test]
fn table_in_another_image_is_told_apart() {
    assert!(matches!(check_refused("external.tar.gz"), Error::ExternalToc));
}
