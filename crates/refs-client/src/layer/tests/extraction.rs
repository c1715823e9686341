//! Handing over what is meant, and nothing that is not verified in the end.

use std::sync::{Arc, atomic::Ordering};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use refs_registry::{Descriptor, MediaType};

use super::{
    super::{Contents, Trust},
    fixtures::{Counted, Recorder, annotated, artifact, estargz, gzip, layer, noise, shown, tar},
};
use crate::{
    ByteRange, Error, Result,
    receive::{Hand, Receive},
    select::Selection,
};

fn open(source: Counted, layers: Vec<Descriptor>) -> (Arc<Counted>, Contents) {
    let source = Arc::new(source);
    let artifact = artifact(MediaType::OCI_CONFIG, layers);
    let contents = Contents::open(Arc::clone(&source) as _, &artifact, Trust::Verified).unwrap();
    (source, contents)
}

/// A receiver that is asked for once.
fn only<R: Receive>(receiver: R) -> impl FnMut() -> BoxFuture<'static, Result<R>> {
    let mut receiver = Some(receiver);
    move || ready(Ok(receiver.take().unwrap())).boxed()
}

async fn extract(contents: &Contents, patterns: &[&str]) -> Result<Vec<String>> {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let receiver = contents.extract(&Selection::new(&patterns)?, only(Recorder::default())).await?;
    Ok(receiver.lines())
}

fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a/", vec![]),
        ("a/empty", vec![]),
        ("a/one", b"1".to_vec()),
        ("a/same=>a/one", vec![]),
        ("a/void=>a/empty", vec![]),
        ("b->a/one", vec![]),
        ("pad/1", noise(1, 700_000)),
        ("pad/2", noise(2, 700_000)),
        ("z", b"26".to_vec()),
    ]
}

#[tokio::test]
async fn all_of_a_short_estargz_layer_is_one_request() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &small(), &[]);
    let (source, contents) = open(source, vec![layer]);
    assert_eq!(extract(&contents, &[]).await.unwrap().len(), 9);
    assert_eq!(source.requests(), (1, 0));
}

#[tokio::test]
async fn all_of_a_longer_estargz_layer_is_one_request_after_the_table() {
    let mut source = Counted::default();
    let mut files = small();
    files.push(("pad/3", noise(3, 3 << 20)));
    let layer = estargz(&mut source, &files, &[]);
    let (source, contents) = open(source, vec![layer]);
    let receiver = contents.extract(&Selection::All, only(Recorder::default())).await.unwrap();
    assert_eq!(source.requests(), (1, 1), "the table of contents, and the layer");
    let received = receiver.received();
    let mut paths: Vec<&str> = received.iter().map(|(entry, _)| entry.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["a", "a/empty", "a/one", "a/same", "a/void", "b", "pad/1", "pad/2", "pad/3", "z"]);
    assert_eq!(
        received[received.len() - 2..].iter().map(shown).collect::<Vec<_>>(),
        ["h 644 a/void -> a/empty", "h 644 a/same -> a/one"]
    );
}

#[tokio::test]
async fn a_directory_of_an_estargz_layer_is_little_more_than_its_bytes() {
    let mut source = Counted::default();
    let files: Vec<(String, Vec<u8>)> =
        (0..40_u64).map(|i| (format!("d{}/f{i:02}", i / 10), noise(i + 1, 200_000))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, content)| (path.as_str(), content.clone())).collect();
    let layer = estargz(&mut source, &files, &[]);
    let (source, contents) = open(source, vec![layer]);
    assert_eq!(extract(&contents, &["d1/**"]).await.unwrap().len(), 10);
    assert_eq!(source.requests(), (0, 2));
    let bytes = source.bytes.load(Ordering::Relaxed);
    assert!(bytes < 10 * 200_000 * 11 / 10, "{bytes}");
}

#[tokio::test]
async fn most_of_an_estargz_layer_is_one_request() {
    let mut source = Counted::default();
    let files: Vec<(String, Vec<u8>)> = (0..5_u64).map(|i| (format!("f{i}"), noise(i + 1, 1_000_000))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, content)| (path.as_str(), content.clone())).collect();
    let layer = estargz(&mut source, &files, &[]);
    let (source, contents) = open(source, vec![layer]);
    assert_eq!(extract(&contents, &["f?"]).await.unwrap().len(), 5);
    assert_eq!(source.requests(), (1, 1));
}

#[tokio::test]
async fn selected_entries_come_with_files_before_their_links() {
    let mut source = Counted::default();
    let layer = estargz(&mut source, &small(), &[("hot", b"h".to_vec())]);
    let (source, contents) = open(source, vec![layer]);
    let expected = ["d 644 a", "f 644 a/empty ", "f 644 a/one 1", "f 644 hot h", "l 644 b -> a/one"];
    let links = ["h 644 a/void -> a/empty", "h 644 a/same -> a/one"];
    assert_eq!(extract(&contents, &["a", "a/**", "b", "hot"]).await.unwrap(), [&expected[..], &links[..]].concat());
    assert_eq!(source.requests(), (0, 2));
    assert_eq!(extract(&contents, &["a/same", "a/void"]).await.unwrap(), ["f 644 a/void ", "f 644 a/same 1"]);
    assert!(extract(&contents, &["none"]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_link_to_a_file_that_was_not_selected_is_that_file() {
    let archive = tar(&[("one", b"1"), ("x=>one", b""), ("y=>one", b""), ("two", b"2")]);
    let mut source = Counted::default();
    let layer = layer(&mut source, MediaType::OCI_LAYER_GZIP, gzip(&archive));
    let (source, contents) = open(source, vec![layer]);
    assert_eq!(extract(&contents, &["x", "y", "two"]).await.unwrap(), ["f 644 two 2", "f 644 x 1", "h 644 y -> x"]);
    assert_eq!(source.requests(), (2, 0));
    assert_eq!(extract(&contents, &["one", "x"]).await.unwrap(), ["f 644 one 1", "h 644 x -> one"]);
    assert_eq!(source.requests(), (3, 0));
}

#[tokio::test]
async fn a_link_to_no_file_is_an_error() {
    let mut source = Counted::default();
    let layer = layer(&mut source, MediaType::OCI_LAYER, tar(&[("x=>gone", b"")]));
    let (_, contents) = open(source, vec![layer]);
    assert!(matches!(extract(&contents, &["x"]).await, Err(Error::UnsafeLink { .. })));
}

#[tokio::test]
async fn each_path_is_handed_over_from_the_uppermost_layer() {
    let mut source = Counted::default();
    let low = vec![("a", b"low".to_vec()), ("d/", vec![]), ("d/low", b"l".to_vec()), ("f", b"low".to_vec())];
    let low = estargz(&mut source, &low, &[]);
    let high = layer(&mut source, MediaType::OCI_LAYER, tar(&[("a", b"high"), ("d/high", b"h"), ("f/x", b"")]));
    let (_, contents) = open(source, vec![low, high]);
    let mut all = extract(&contents, &[]).await.unwrap();
    all.sort_unstable();
    assert_eq!(all, ["d 644 d", "f 644 a high", "f 644 d/high h", "f 644 d/low l", "f 644 f/x "]);
    assert_eq!(extract(&contents, &["d/*"]).await.unwrap(), ["f 644 d/low l", "f 644 d/high h"]);
}

#[tokio::test]
async fn what_was_not_selected_hides_as_well() {
    let mut source = Counted::default();
    let low = estargz(&mut source, &[("d/", vec![]), ("d/x", b"low".to_vec()), ("e", b"low".to_vec())], &[]);
    let high = estargz(&mut source, &[("d", b"a file".to_vec()), ("pad", noise(1, 1 << 20))], &[]);
    let (_, contents) = open(source, vec![low, high]);
    assert_eq!(extract(&contents, &["d/*", "e"]).await.unwrap(), ["f 644 e low"]);
}

#[tokio::test]
async fn a_link_keeps_the_content_that_a_layer_above_replaced() {
    let files = [("a", b"old".to_vec()), ("b=>a", vec![]), ("c=>a", vec![])];
    let archive = tar(&[("a", b"old"), ("b=>a", b""), ("c=>a", b"")]);
    for format in ["estargz", "tar"] {
        let mut source = Counted::default();
        let low = match format {
            "tar" => layer(&mut source, MediaType::OCI_LAYER, archive.clone()),
            _ => estargz(&mut source, &files, &[]),
        };
        let high = layer(&mut source, MediaType::OCI_LAYER, tar(&[("a", b"new"), ("d=>c", b"")]));
        let (_, contents) = open(source, vec![low, high]);
        let mut all = extract(&contents, &[]).await.unwrap();
        all.sort_unstable();
        assert_eq!(all, ["f 644 a new", "f 644 b old", "h 644 c -> b", "h 644 d -> b"], "{format}");
        assert_eq!(extract(&contents, &["a", "b"]).await.unwrap(), ["f 644 b old", "f 644 a new"], "{format}");
        assert_eq!(extract(&contents, &["c", "d"]).await.unwrap(), ["f 644 c old", "h 644 d -> c"], "{format}");
        for path in ["b", "c", "d"] {
            assert_eq!(
                contents.read_file(path, ByteRange::ALL, u64::MAX, Vec::new()).await.unwrap(),
                b"old",
                "{format}"
            );
        }
    }
}

#[tokio::test]
async fn files_of_their_own_blobs_are_fetched_when_they_are_meant() {
    let mut source = Counted::default();
    let mut titled = |title: &str, content: &[u8]| {
        let layer = layer(&mut source, MediaType::new("text/plain"), content.to_vec());
        annotated(layer, &[("org.opencontainers.image.title", title)])
    };
    let layers = vec![titled("a.txt", b"a"), titled("b.bin", b"b"), titled("a.txt", b"newer")];
    let (source, contents) = open(source, layers);
    assert_eq!(extract(&contents, &["*.txt"]).await.unwrap(), ["f 644 a.txt newer"]);
    assert_eq!(source.requests(), (1, 0));
}

/// A receiver of an extraction that fails is not given back: what it was handed may be anything.
async fn failed(source: Counted, layer: Descriptor, patterns: &[&str]) -> (Error, u64) {
    let (_, contents) = open(source, vec![layer]);
    let recorder = Recorder::default();
    let received = Arc::clone(&recorder.content_bytes);
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let error = contents.extract(&Selection::new(&patterns).unwrap(), only(recorder)).await.unwrap_err();
    (error, received.load(Ordering::Relaxed))
}

#[tokio::test]
async fn changed_and_cut_streams_fail_by_digest_and_size() {
    let archive = tar(&[("a", &noise(7, 100_000))]);
    for (media_type, bytes) in [(MediaType::OCI_LAYER, archive.clone()), (MediaType::OCI_LAYER_GZIP, gzip(&archive))] {
        for at in [0, 100, 50_000, bytes.len() - 1] {
            let mut source = Counted::default();
            let layer = layer(&mut source, media_type.clone(), bytes.clone());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            source.keep(&layer, flipped);
            let (error, _) = failed(source, layer, &[]).await;
            assert!(matches!(error, Error::Registry(refs_registry::Error::Digest { .. })), "{at}: {error:?}");
        }
        for length in [0, 1, 700, 60_000, bytes.len() - 1] {
            let mut source = Counted::default();
            let layer = layer(&mut source, media_type.clone(), bytes.clone());
            source.keep(&layer, bytes[..length].to_vec());
            let (error, _) = failed(source, layer, &[]).await;
            assert!(matches!(error, Error::Registry(refs_registry::Error::Digest { .. })), "{length}: {error:?}");
        }
    }
}

#[tokio::test]
async fn m132_a_broken_archive_that_is_what_the_manifest_names_is_corrupt() {
    let mut source = Counted::default();
    let archive = tar(&[("a", &noise(7, 100_000))]);
    let layer = layer(&mut source, MediaType::OCI_LAYER, archive[..5_000].to_vec());
    let (error, _) = failed(source, layer, &[]).await;
    assert!(matches!(error, Error::Corrupt { fault: crate::ArchiveFault::Truncated, .. }), "{error:?}");
}

#[tokio::test]
async fn m107_nothing_of_a_chunk_that_was_changed_is_handed_over() {
    let mut source = Counted::default();
    let files = vec![("a", noise(1, 1 << 20)), ("b", noise(2, 3 << 20))];
    let layer = estargz(&mut source, &files, &[]);
    let mut wrong = source.kept(&layer);
    // In the second of the chunks of `b`, each of 1 MiB.
    wrong[(5 << 20) / 2] ^= 1;
    source.keep(&layer, wrong);
    let (error, received) = failed(source, layer, &["b"]).await;
    assert!(matches!(error, Error::Estargz { source: refs_estargz::Error::Member { .. }, .. }), "{error:?}");
    // The chunks around it may have been: the first, and the third.
    assert!(received <= 2 << 20, "{received}");
}

/// Fails at a path.
#[derive(Debug)]
struct Choosy(&'static str);

impl Receive for Choosy {
    type Hand = Self;

    fn entry(&mut self, entry: &refs_estargz::Entry) -> Result<()> {
        match entry.path == self.0 {
            true => Err(Error::PathConflict { path: entry.path.clone() }),
            false => Ok(()),
        }
    }

    fn hand(&self) -> Self {
        Self(self.0)
    }
}

impl Hand for Choosy {
    fn piece(&mut self, file: &refs_estargz::Entry, _: u64, _: &[u8]) -> Result<()> {
        match self.0.strip_prefix("content of ") == Some(&file.path) {
            true => Err(Error::PathConflict { path: file.path.clone() }),
            false => Ok(()),
        }
    }

    fn copy(&mut self, file: &refs_estargz::Entry, _: std::fs::File) -> Result<()> {
        self.piece(file, 0, b"")
    }
}

#[tokio::test]
async fn the_error_of_a_receiver_or_of_its_hands_is_the_one_reported() {
    let archive = [("a/", &b""[..]), ("a/empty", b""), ("a/one", b"1"), ("z", b"26")];
    for patterns in [vec![], vec!["a/**".to_owned(), "z".to_owned()]] {
        for format in ["estargz", "tar"] {
            let selection = Selection::new(&patterns).unwrap();
            let mut source = Counted::default();
            let layer = match format {
                "tar" => layer(&mut source, MediaType::OCI_LAYER, tar(&archive)),
                _ => estargz(&mut source, &small(), &[]),
            };
            let (_, contents) = open(source, vec![layer]);
            contents.extract(&selection, only(Choosy("none"))).await.unwrap();
            for at in ["z", "content of z", "a/empty", "content of a/empty"] {
                let error = contents.extract(&selection, only(Choosy(at))).await.unwrap_err();
                assert!(matches!(error, Error::PathConflict { .. }), "{format}, {at}: {error:?}");
            }
        }
    }
}
