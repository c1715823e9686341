//! Listing an artifact, and reading one file of it.

use std::sync::Arc;

use refs_estargz::TOC_DIGEST_ANNOTATION;
use refs_registry::{Descriptor, MediaType};
use refs_url::Digest;

use super::{
    super::{Contents, Trust},
    fixtures::{Counted, Ranged, annotated, artifact, estargz, gzip, layer, noise, tar},
};
use crate::{ByteRange, Error, Result, select::Selection};

const TITLE: &str = "org.opencontainers.image.title";
const UNPACK: &str = "io.deis.oras.content.unpack";

fn open(source: Counted, config: MediaType, layers: Vec<Descriptor>, trust: Trust) -> (Arc<Counted>, Result<Contents>) {
    let source = Arc::new(source);
    let contents = Contents::open(Arc::clone(&source) as _, &artifact(config, layers), trust);
    (source, contents)
}

/// The contents of an image of `layers`.
fn image(source: Counted, layers: Vec<Descriptor>) -> (Arc<Counted>, Contents) {
    let (source, contents) = open(source, MediaType::OCI_CONFIG, layers, Trust::Verified);
    (source, contents.unwrap())
}

/// The contents of what `oras push` makes of `layers`.
fn pushed(source: Counted, layers: Vec<Descriptor>) -> (Arc<Counted>, Contents) {
    let config = MediaType::new("application/vnd.unknown.config.v1+json");
    let (source, contents) = open(source, config, layers, Trust::Verified);
    (source, contents.unwrap())
}

async fn paths(contents: &Contents) -> Result<Vec<String>> {
    Ok(contents.list(&Selection::All).await?.entries().map(|entry| entry.path).collect())
}

async fn read(contents: &Contents, path: &str) -> Result<Vec<u8>> {
    contents.read_file(path, ByteRange::ALL, u64::MAX, Vec::new()).await
}

/// Files of 2 MiB in all that gzip can't make smaller.
fn large() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a/", vec![]),
        ("a/one", noise(1, 1 << 20)),
        ("b/", vec![]),
        ("b/two", noise(2, 1 << 20)),
        ("c->b/two", vec![]),
    ]
}

#[tokio::test]
async fn listing_an_estargz_layer_is_one_ranged_read() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &large(), &[]);
    let (source, contents) = image(source, vec![layer]);
    assert_eq!(paths(&contents).await.unwrap(), ["a", "a/one", "b", "b/two", "c"]);
    assert_eq!(source.requests(), (0, 1));
    assert_eq!(paths(&contents).await.unwrap().len(), 5);
    assert_eq!(source.requests(), (0, 1));
}

#[tokio::test]
async fn a_file_beside_the_table_of_contents_costs_nothing_more() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &large(), &[("README.md", b"hello".to_vec())]);
    let (source, contents) = image(source, vec![layer]);
    assert_eq!(read(&contents, "README.md").await.unwrap(), b"hello");
    assert_eq!(source.requests(), (0, 1));
}

#[tokio::test]
async fn another_file_costs_its_range() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &large(), &[]);
    let (source, contents) = image(source, vec![layer]);
    assert_eq!(read(&contents, "c").await.unwrap(), noise(2, 1 << 20));
    assert_eq!(source.requests(), (0, 2));
    let bytes = source.bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(bytes < (1 << 20) * 11 / 10, "{bytes}");
}

#[tokio::test]
async fn without_ranges_the_layer_is_streamed() {
    let mut source = Counted::default();
    source.ranges = Ranged::Refused;
    let layer = estargz(&mut source, &large(), &[]);
    let (source, contents) = image(source, vec![layer]);
    assert_eq!(paths(&contents).await.unwrap(), ["a", "a/one", "b", "b/two", "c"]);
    assert_eq!(read(&contents, "a/one").await.unwrap(), noise(1, 1 << 20));
    assert_eq!(source.requests(), (2, 1));
}

#[tokio::test]
async fn m104_a_table_of_contents_that_nothing_vouches_for_is_not_read() {
    let mut source = Counted::default();
    let mut layer = estargz(&mut source, &large(), &[]);
    layer.annotations.clear();
    let (source, contents) = image(source, vec![layer.clone()]);
    assert_eq!(paths(&contents).await.unwrap().len(), 5);
    assert_eq!(source.requests(), (1, 0));

    let mut source = Counted::default();
    estargz(&mut source, &large(), &[]);
    let (source, contents) = open(source, MediaType::OCI_CONFIG, vec![layer], Trust::Unverified);
    assert_eq!(paths(&contents.unwrap()).await.unwrap().len(), 5);
    assert_eq!(source.requests(), (0, 1));
}

#[tokio::test]
async fn m104_another_table_of_contents_than_the_manifest_s_is_refused() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &large(), &[]);
    let layer = annotated(layer, &[(TOC_DIGEST_ANNOTATION, Digest::sha256(b"other").as_ref())]);
    let (_, contents) = image(source, vec![layer]);
    let error = paths(&contents).await.unwrap_err();
    assert!(matches!(error, Error::Estargz { source: refs_estargz::Error::TocDigest { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn archives_are_read_whatever_their_type_says() {
    let archive = tar(&[("b", b"2"), ("a", b"1")]);
    let custom = MediaType::new("application/vnd.example.thing");
    for (media_type, bytes) in [
        (MediaType::OCI_LAYER, archive.clone()),
        (MediaType::OCI_LAYER_GZIP, gzip(&archive)),
        (MediaType::DOCKER_LAYER_GZIP, gzip(&archive)),
        (MediaType::OCI_LAYER, gzip(&archive)),
        (MediaType::OCI_LAYER_GZIP, archive.clone()),
        (custom.clone(), archive.clone()),
        (custom, [gzip(&archive[..700]), gzip(&archive[700..])].concat()),
    ] {
        let mut source = Counted::default();
        let layer = layer(&mut source, media_type, bytes);
        let (source, contents) = image(source, vec![layer]);
        assert_eq!(paths(&contents).await.unwrap(), ["a", "b"]);
        assert_eq!(source.requests(), (1, 0));
        assert_eq!(read(&contents, "b").await.unwrap(), b"2");
        assert_eq!(source.requests(), (2, 0));
    }
}

#[tokio::test]
async fn other_bytes_are_named_for_what_they_are() {
    let archive = tar(&[("a", b"1")]);
    let gzipped = gzip(&archive);
    let mut bad_crc = gzipped.clone();
    let crc = bad_crc.len() - 8;
    bad_crc[crc] ^= 1;
    let custom = || MediaType::new("application/vnd.example.thing");
    for (media_type, bytes, expected) in [
        (MediaType::OCI_LAYER_GZIP, gzipped[..gzipped.len() - 20].to_vec(), "it ends in the middle of an entry"),
        (MediaType::OCI_LAYER_GZIP, bad_crc, "it cannot be inflated"),
        (MediaType::OCI_LAYER_GZIP, gzip(&gzip(&noise(1, 2000))), "a header's"),
        (MediaType::OCI_LAYER_GZIP, b"<html></html>".repeat(100), "a header's"),
        (MediaType::OCI_LAYER_ZSTD, b"\x28\xb5\x2f\xfd\x20\x04\x27rest".to_vec(), "it cannot be inflated"),
        (custom(), b"\x28\xb5\x2f\xfd\x20\x04\x21".to_vec(), "it ends in the middle of an entry"),
        (custom(), b"{\"some\": \"json\"}".to_vec(), "it is no tar archive"),
    ] {
        let mut source = Counted::default();
        let layer = layer(&mut source, media_type, bytes);
        let (_, contents) = image(source, vec![layer]);
        let error = paths(&contents).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn files_that_oras_pushed_are_listed_without_a_request() {
    let mut source = Counted::default();
    let note = annotated(layer(&mut source, MediaType::OCI_LAYER, b"a note".to_vec()), &[(TITLE, "note.txt")]);
    let packed = tar(&[("dir/", b""), ("dir/in", b"inside")]);
    let directory = layer(&mut source, MediaType::OCI_LAYER_GZIP, gzip(&packed));
    let directory = annotated(directory, &[(TITLE, "dir"), (UNPACK, "true")]);
    let deep = annotated(layer(&mut source, MediaType::new("text/plain"), b"deep".to_vec()), &[(TITLE, "x/./y")]);

    let (source, contents) = pushed(source, vec![note.clone(), deep.clone(), directory]);
    assert_eq!(paths(&contents).await.unwrap(), ["dir", "dir/in", "note.txt", "x/y"]);
    assert_eq!(source.requests(), (1, 0));
    assert_eq!(read(&contents, "/note.txt").await.unwrap(), b"a note");
    assert_eq!(read(&contents, "dir/in").await.unwrap(), b"inside");

    let (source, contents) = pushed(Counted::default(), vec![note, deep]);
    assert_eq!(contents.list(&Selection::All).await.unwrap().entry_at(0).size(), 6);
    assert_eq!(source.requests(), (0, 0));
}

#[tokio::test]
async fn what_oras_would_not_write_is_refused() {
    let mut source = Counted::default();
    let packed = layer(&mut source, MediaType::OCI_LAYER_GZIP, gzip(&tar(&[("other/in", b"1")])));
    let (_, contents) = pushed(source, vec![annotated(packed, &[(TITLE, "dir"), (UNPACK, "true")])]);
    assert!(matches!(paths(&contents).await, Err(Error::UnsafePath { .. })));
    for title in ["../up", "/abs", "."] {
        let file = annotated(Descriptor::of(MediaType::OCI_LAYER, b"x"), &[(TITLE, title)]);
        let config = MediaType::new("application/vnd.unknown.config.v1+json");
        let (_, contents) = open(Counted::default(), config, vec![file], Trust::Verified);
        assert!(matches!(contents, Err(Error::UnsafePath { .. })), "{title}");
    }
}

#[tokio::test]
async fn an_artifact_without_content_has_no_entries() {
    let (source, contents) = pushed(Counted::default(), vec![Descriptor::of(MediaType::OCI_EMPTY, b"{}")]);
    assert!(paths(&contents).await.unwrap().is_empty());
    assert_eq!(source.requests(), (0, 0));
}

#[tokio::test]
async fn upper_layers_replace_lower_ones() {
    let mut source = Counted::default();
    let lower = tar(&[("a", b"low"), ("b", b"low"), ("dir/x", b"low"), ("file", b"low"), ("stargz.index.json", b"{}")]);
    let upper = tar(&[
        ("a", b"high"),
        ("dir", b"now a file"),
        ("file/y", b"now a directory"),
        ("z", b"1"),
        ("z", b"2"),
        ("zz->z", b""),
    ]);
    let layers = vec![
        layer(&mut source, MediaType::OCI_LAYER, lower),
        layer(&mut source, MediaType::OCI_LAYER_GZIP, gzip(&upper)),
    ];
    let (_, contents) = image(source, layers);
    assert_eq!(paths(&contents).await.unwrap(), ["a", "b", "dir", "file", "file/y", "z", "zz"]);
    assert_eq!(read(&contents, "a").await.unwrap(), b"high");
    assert_eq!(read(&contents, "b").await.unwrap(), b"low");
    assert_eq!(read(&contents, "z").await.unwrap(), b"2");
    assert_eq!(read(&contents, "zz").await.unwrap(), b"2");
}

#[tokio::test]
async fn deletions_are_carried_out_and_in_an_artifact_of_one_layer_they_are_names() {
    let whiteout = tar(&[("dir/.wh.gone", b"")]);
    let mut source = Counted::default();
    let lower = layer(&mut source, MediaType::OCI_LAYER, tar(&[("dir/gone", b""), ("dir/kept", b"")]));
    let upper = layer(&mut source, MediaType::OCI_LAYER, whiteout.clone());
    let (_, contents) = image(source, vec![lower, upper]);
    assert_eq!(paths(&contents).await.unwrap(), ["dir", "dir/kept"]);

    for (config, shown) in [(MediaType::OCI_CONFIG, vec![]), (MediaType::OCI_EMPTY, vec!["dir/.wh.gone"])] {
        let mut source = Counted::default();
        let alone = layer(&mut source, MediaType::OCI_LAYER, whiteout.clone());
        let (_, contents) = open(source, config, vec![alone], Trust::Verified);
        assert_eq!(paths(&contents.unwrap()).await.unwrap(), shown);
    }
}

#[tokio::test]
async fn a_file_in_a_stream_is_read_through_links() {
    let mut source = Counted::default();
    let archive = tar(&[("one", b"1"), ("soft->one", b""), ("hard=>one", b"")]);
    let layer = layer(&mut source, MediaType::OCI_LAYER, archive);
    let (source, contents) = image(source, vec![layer]);
    assert_eq!(read(&contents, "one").await.unwrap(), b"1");
    assert_eq!(source.requests(), (1, 0));
    assert_eq!(read(&contents, "soft").await.unwrap(), b"1");
    assert_eq!(source.requests(), (2, 0));
    assert_eq!(read(&contents, "hard").await.unwrap(), b"1");
}

#[tokio::test]
async fn a_range_of_a_file_is_the_same_from_any_layer() {
    let content = noise(3, 9 << 20);
    let mut source = Counted::default();
    let indexed = estargz(&mut source, &[("file", content.clone())], &[]);
    let streamed = layer(&mut source, MediaType::OCI_LAYER_GZIP, gzip(&tar(&[("file", &content)])));
    let alone = layer(&mut source, MediaType::OCI_LAYER, content.clone());
    let alone = annotated(alone, &[(TITLE, "file")]);
    let config = MediaType::new("application/vnd.unknown.config.v1+json");
    let source = Arc::new(source);
    for (layer, config) in [(indexed, MediaType::OCI_CONFIG), (streamed, MediaType::OCI_CONFIG), (alone, config)] {
        let contents =
            Contents::open(Arc::clone(&source) as _, &artifact(config, vec![layer]), Trust::Verified).unwrap();
        let size = content.len();
        for (range, expected) in [
            ("0-0", 0..1),
            ("4194303-4194304", (4 << 20) - 1..(4 << 20) + 1),
            ("100-8388707", 100..(8 << 20) + 100),
            ("-10", size - 10..size),
            ("9437184-", size..size),
        ] {
            let read = contents.read_file("file", range.parse().unwrap(), u64::MAX, Vec::new()).await.unwrap();
            assert!(read == content[expected], "{range}: {} bytes", read.len());
        }
        let outside = contents.read_file("file", ByteRange::From(size as u64 + 1), u64::MAX, Vec::new()).await;
        assert!(matches!(outside, Err(Error::RangeOutside { .. })), "{outside:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_large_is_named() {
    let mut source = Counted::default();
    let layer = layer(&mut source, MediaType::OCI_LAYER, tar(&[("dir/note.txt", b"12345")]));
    let (_, contents) = image(source, vec![layer]);
    let Err(Error::FileNotFound { nearest, .. }) = read(&contents, "note.txt").await else { panic!("found") };
    assert_eq!(nearest.as_deref(), Some("dir/note.txt"));
    assert!(matches!(read(&contents, "dir").await, Err(Error::NotFile { kind: "directory", .. })));
    assert!(matches!(read(&contents, "../x").await, Err(Error::FileNotFound { .. })));
    let error = contents.read_file("dir/note.txt", ByteRange::ALL, 4, Vec::new()).await.unwrap_err();
    assert!(matches!(error, Error::FileTooLarge { size: 5, limit: 4, .. }));
    assert_eq!(contents.read_file("dir/note.txt", ByteRange::ALL, 5, Vec::new()).await.unwrap(), b"12345");
}

#[tokio::test]
async fn a_blob_that_was_changed_gives_no_byte_of_a_file() {
    let mut source = Counted::default();
    let archive = tar(&[("a", b"right"), ("b", b"")]);
    let layer = layer(&mut source, MediaType::OCI_LAYER, archive.clone());
    let mut wrong = archive;
    wrong[512] = b'b';
    source.keep(&layer, wrong);
    let (_, contents) = image(source, vec![layer]);
    let error = read(&contents, "a").await.unwrap_err();
    assert!(matches!(error, Error::Registry(refs_registry::Error::Digest { .. })), "{error:?}");
}
