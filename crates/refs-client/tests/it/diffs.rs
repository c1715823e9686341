//! What `diff` says of two artifacts, and what it fetches to know.

use std::sync::Arc;

use refs_client::{Access, Aspect, Change, Diff, DiffOptions, Error, Times};
use refs_estargz::{Footer, TOC_DIGEST_ANNOTATION};
use refs_registry::MediaType;
use refs_store::Memories;
use refs_testkit::{FakeRegistry, Image, Tree, image::gzip};
use refs_url::Digest;

use crate::setup::{IN_MEMORY, anonymous, at, directory, memory, noise, patterns, push};

const OLD: &str = r#"
    755 bin/
    755 bin/run "run"
    777 here -> bin
    644 kept "kept"
    644 longer "abc"
    644 other "abc"
    644 removed "x"
    644 was-file "x"
    777 where -> bin
"#;
const NEW: &str = r#"
    755 bin/
    644 bin/run "run"
    644 bin/added "x"
    777 here -> bin
    644 kept "kept"
    644 longer "abcd"
    644 other "abX"
    755 was-file/
    777 where -> kept
"#;

/// The differences in words: a letter, the path, and what differs.
fn words(diff: &Diff) -> Vec<String> {
    let word = |change: &Change| match change {
        Change::Added(entry) => format!("A {}", entry.path),
        Change::Removed(entry) => format!("D {}", entry.path),
        Change::Changed { new, aspects, .. } => format!("M {} {aspects:?}", new.path),
    };
    diff.changes.iter().map(word).collect()
}

const DIFFERENCES: [&str; 7] = [
    "A bin/added",
    "M bin/run [Mode]",
    "M longer [Content]",
    "M other [Content]",
    "D removed",
    "M was-file [Kind, Mode]",
    "M where [Target]",
];

async fn of_trees(old: &str, new: &str, options: &DiffOptions) -> Result<Diff, Error> {
    let (_memories, client) = memory();
    let there = at("localhost/o/r:v2");
    push(&client, &Tree::parse(old), &at(IN_MEMORY)).await;
    push(&client, &Tree::parse(new), &there).await;
    client.diff(&at(IN_MEMORY), &there, options).await
}

#[tokio::test]
async fn tables_tell_what_differs() {
    let diff = of_trees(OLD, NEW, &DiffOptions::default()).await.unwrap();
    assert_eq!(words(&diff), DIFFERENCES);
    assert_eq!((diff.old.access, diff.new.access), (Access::Index, Access::Index));
}

#[tokio::test]
async fn patterns_choose_what_is_compared() {
    let chosen = |chosen: &[&str]| DiffOptions { read: patterns(chosen), ..DiffOptions::default() };
    let diff = of_trees(OLD, NEW, &chosen(&["bin/**", "kept"])).await.unwrap();
    assert_eq!(words(&diff), ["A bin/added", "M bin/run [Mode]"]);
    let diff = of_trees(OLD, NEW, &chosen(&["removed"])).await.unwrap();
    assert_eq!(words(&diff), ["D removed"]);
    let error = of_trees(OLD, NEW, &chosen(&["nothing"])).await.unwrap_err();
    assert!(matches!(error, Error::NoMatch { .. }), "{error:?}");
}

#[tokio::test]
async fn times_differ_only_where_asked_for() {
    let (_memories, client) = memory();
    let there = at("localhost/o/r:v2");
    for (at, time) in [(&at(IN_MEMORY), 1), (&there, 2)] {
        let source = directory(&Tree::parse(&format!("644 f \"x\" @{time}")));
        client.push(source.path(), at, &refs_client::PushOptions::default()).await.unwrap();
    }
    let diff = |times| {
        let (client, there) = (&client, &there);
        async move { client.diff(&at(IN_MEMORY), there, &DiffOptions { times, ..DiffOptions::default() }).await.unwrap() }
    };
    assert_eq!(diff(Times::Ignored).await.changes, []);
    let changes = diff(Times::Compared).await.changes;
    let [Change::Changed { aspects, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(*aspects, [Aspect::Time]);
}

#[tokio::test]
async fn two_tables_are_four_requests_and_the_same_layers_are_two() {
    let registry = FakeRegistry::start().await;
    let client = anonymous();
    let name = |tag| at(&format!("{}/o/r:{tag}", registry.host()));
    let old = (0..3).fold(Tree::new(), |tree, n| tree.file(&format!("{n}"), noise(1 << 20, n)));
    push(&client, &old, &name("v1")).await;
    push(&client, &old, &name("same")).await;
    push(&client, &old.file("1", noise(1 << 20, 7)), &name("v2")).await;
    registry.take_requests();
    let diff = client.diff(&name("v1"), &name("v2"), &DiffOptions::default()).await.unwrap();
    assert_eq!(words(&diff), ["M 1 [Content]"]);
    let requests = registry.take_requests();
    let sent: u64 = requests.iter().map(|request| request.sent).sum();
    assert!(requests.len() == 4 && sent < 20_000, "{requests:?}");
    let diff = client.diff(&name("v1"), &name("same"), &DiffOptions::default()).await.unwrap();
    assert_eq!((diff.changes.len(), diff.old.access, registry.take_requests().len()), (0, Access::Index, 2));
}

/// An image of one plain layer with these files, under `tag`.
async fn image(memories: &Memories, tag: &str, files: &[(&str, &str)]) {
    let tree = files.iter().fold(Tree::new(), |tree, (path, content)| tree.file(path, content.to_string()));
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    Image::new().tree(&tree).push(&repository, &[tag]).await.unwrap();
}

#[tokio::test]
async fn files_that_no_table_tells_of_are_hashed_once_they_may_be_the_same() {
    let memories = Memories::new();
    image(&memories, "v1", &[("a", "same"), ("b", "12345"), ("c", "short"), ("empty", "")]).await;
    image(&memories, "v2", &[("a", "same"), ("b", "1234X"), ("c", "longer"), ("empty", "")]).await;
    let registry = FakeRegistry::builder().store(Arc::new(memories)).start().await;
    let name = |tag| at(&format!("{}/o/r:{tag}", registry.host()));
    let diff = anonymous().diff(&name("v1"), &name("v2"), &DiffOptions::default()).await.unwrap();
    assert_eq!(words(&diff), ["M b [Content]", "M c [Content]"]);
    assert_eq!((diff.old.access, diff.new.access), (Access::Stream, Access::Stream));
    // A layer that is read twice is fetched once.
    let layers = registry.requests().iter().filter(|request| request.path.contains("/blobs/")).count();
    assert_eq!(layers, 2, "{:?}", registry.requests());
}

#[tokio::test]
async fn a_packed_artifact_and_a_plain_image_of_the_same_files_are_the_same() {
    let (memories, client) = memory();
    image(&memories, "v2", &[("a", "one"), ("b", "two")]).await;
    push(&client, &Tree::parse("644 a \"one\"\n644 b \"two\""), &at(IN_MEMORY)).await;
    let diff = client.diff(&at(IN_MEMORY), &at("localhost/o/r:v2"), &DiffOptions::default()).await.unwrap();
    assert_eq!(words(&diff), [] as [&str; 0]);
    assert_eq!((diff.old.access, diff.new.access), (Access::Index, Access::Stream));
}

#[tokio::test]
async fn blobs_that_are_files_are_compared_by_their_digests() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    for (tag, content) in [("v1", "abc"), ("v2", "abX")] {
        Image::new().artifact_type("text/plain").file("f", content).push(&repository, &[tag]).await.unwrap();
    }
    let diff = client.diff(&at(IN_MEMORY), &at("localhost/o/r:v2"), &DiffOptions::default()).await.unwrap();
    assert_eq!(words(&diff), ["M f [Content]"]);
    assert_eq!((diff.old.access, diff.new.access), (Access::Index, Access::Index));
}

/// An image of the one file `f`. Its table has no digest of the file, only those of its chunks.
fn chunked(chunks: &[Vec<u8>]) -> Image {
    let size: usize = chunks.iter().map(Vec::len).sum();
    let (mut payload, mut elements, mut start) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        let (kind, digest) = (if start == 0 { "reg" } else { "chunk" }, Digest::sha256(chunk));
        let place = format!(r#""offset":{},"chunkOffset":{start},"chunkSize":{}"#, payload.len(), chunk.len());
        elements.push(format!(
            r#"{{"name":"f","type":"{kind}","mode":420,"size":{size},{place},"chunkDigest":"{digest}"}}"#
        ));
        payload.extend(gzip(chunk));
        start += chunk.len();
    }
    let json = format!(r#"{{"version":1,"entries":[{}]}}"#, elements.join(","));
    let toc = gzip(&Tree::new().file("stargz.index.json", json.clone()).tar());
    let blob = [&payload[..], &toc, &Footer::encode(payload.len() as u64)].concat();
    let digest = Digest::sha256(json.as_bytes());
    Image::new().layer(MediaType::OCI_LAYER_GZIP, blob).annotate_last(TOC_DIGEST_ANNOTATION, digest.as_str())
}

/// What differs between [`chunked`] of these chunks and the same file in a plain layer.
async fn of_chunks(chunks: &[Vec<u8>], plain: Vec<u8>) -> Vec<String> {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    chunked(chunks).push(&repository, &["v1"]).await.unwrap();
    Image::new().tree(&Tree::new().file("f", plain)).push(&repository, &["v2"]).await.unwrap();
    // By the table, however short the layer is: whole it would have to be a tar archive.
    let options = DiffOptions { read: patterns(&["f"]), ..DiffOptions::default() };
    words(&client.diff(&at(IN_MEMORY), &at("localhost/o/r:v2"), &options).await.unwrap())
}

#[tokio::test]
async fn chunks_that_many_threads_inflate_are_one_file() {
    // Each is more than a thread gets at a time.
    let chunks: Vec<Vec<u8>> = (0..12).map(|seed| noise(300_000, seed)).collect();
    assert_eq!(of_chunks(&chunks, chunks.concat()).await, [] as [&str; 0]);
    let mut other = chunks.concat();
    other[1_000_000] ^= 1;
    assert_eq!(of_chunks(&chunks, other).await, ["M f [Content]"]);
}
