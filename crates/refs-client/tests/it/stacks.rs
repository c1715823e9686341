//! Layers that lie on each other, however each is packed: what they show is listed, read and pulled alike.

use proptest::prelude::*;
use refs_client::{Client, Error, FileEntry, Kind, ReadOptions};
use refs_store::Memories;
use refs_testkit::{FakeRegistry, Image, Tree};
use refs_url::Digest;

use crate::packed::{FORMATS, Format, image, turns, with};
use crate::setup::{
    IN_MEMORY, artifact, at, client, guarded, memory, names, noise, paths, pull, pull_of, pulled, without_times,
};

pub(crate) async fn stored(image: &Image) -> (Memories, Client) {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    (memories, client)
}

/// What is listed, in lines as those of layers.
fn line(entry: &FileEntry) -> String {
    let path = &entry.path;
    match &entry.kind {
        Kind::Directory => format!("{path}/"),
        Kind::Symlink { target } => format!("{path} -> {target}"),
        Kind::Hardlink { target } => format!("{path} = {target}"),
        _ => format!("{path} {}", entry.size()),
    }
}

/// The tree that is pulled of an image, and the lines that are listed: they tell of the same, and each file can be read.
pub(crate) async fn shown(client: &Client) -> Result<(Tree, Vec<String>), Error> {
    let here = at(IN_MEMORY);
    let listing = client.list_files(&here, &ReadOptions::default()).await?;
    let (tree, _) = pull(client, &here, &pull_of(&[])).await?;
    let tree = without_times(&tree);
    let text = tree.to_string();
    for entry in listing.entries() {
        let slash = if entry.is_directory() { "/" } else { "" };
        let named = format!(" {}{slash}", entry.path);
        assert!(text.lines().any(|line| line[3..].starts_with(&named)), "{named} is not pulled:\n{text}");
        if entry.is_file() {
            let content = client.read_file(&here, &entry.path, &ReadOptions::default(), Vec::new()).await?;
            assert_eq!(content.len() as u64, entry.size(), "{named}");
            let part = pulled(client, &here, &pull_of(&[&entry.path])).await.to_string();
            assert!(part.contains(&format!("{:?}", String::from_utf8(content).unwrap())), "{part}");
        }
    }
    let others = text.lines().filter(|line| !line.ends_with('/')).count();
    assert_eq!(others, listing.entries().filter(|entry| !entry.is_directory()).count(), "{text}");
    Ok((tree, listing.entries().map(|entry| line(&entry)).collect()))
}

/// The layers show this tree, whatever formats they have.
async fn check(layers: &[&[&str]], expected: &str) {
    for (start, first) in FORMATS.iter().enumerate() {
        let (_, client) = stored(&image(layers, turns(start))).await;
        let (tree, _) = shown(&client).await.unwrap();
        assert_eq!(tree, Tree::parse(expected), "{layers:?} from {first:?} on");
    }
}

async fn check_error(layers: &[&[&str]], expected: &str) {
    for (start, first) in FORMATS.iter().enumerate() {
        let (_, client) = stored(&image(layers, turns(start))).await;
        let error = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{layers:?} from {first:?} on");
    }
}

#[tokio::test]
async fn layers_of_all_formats_add_up() {
    let layers: [&[&str]; 5] = [&["a 1", "d/", "d/x 1"], &["a 2", "d/y 2"], &["e/f 3"], &["d/x 4"], &["b 5", "a 5"]];
    let expected = r#"
        644 a "5"
        644 b "5"
        755 d/
        644 d/x "4"
        644 d/y "2"
        755 e/
        644 e/f "3"
    "#;
    check(&layers, expected).await;
}

#[tokio::test]
async fn deleted_files_are_gone_and_can_come_again() {
    check(&[&["a 1", "b 1"], &[".wh.a"]], r#"644 b "1""#).await;
    check(&[&["a 1"], &[".wh.a"], &["a 3"]], r#"644 a "3""#).await;
    check(&[&["d/", "d/x 1", "d/y 1"], &[".wh.d", "d/z 2"]], "755 d/\n644 d/z \"2\"").await;
    check(&[&["d/", "d/x 1", "e 1"], &["d/", "d/.wh..wh..opq", "d/y 2"]], "755 d/\n644 d/y \"2\"\n644 e \"1\"").await;
    check(&[&["a 1", "d/x 1"], &[".wh..wh..opq", "b 2"]], r#"644 b "2""#).await;
    check(&[&["d/", "d/x 1"], &["d now a file"]], r#"644 d "now a file""#).await;
    check(&[&["d a file"], &["d/", "d/x 2"]], "755 d/\n644 d/x \"2\"").await;
}

#[tokio::test]
async fn a_directory_that_no_entry_names_stays_when_its_files_are_deleted() {
    let layers: [&[&str]; 2] = [&["a/c 1", "b 2"], &["a/.wh.c x"]];
    for (start, first) in FORMATS.iter().enumerate() {
        let (_, client) = stored(&image(&layers, turns(start)).diff_id(Digest::sha256(b""))).await;
        let (tree, listed) = shown(&client).await.unwrap();
        assert_eq!(listed, ["a/", "b 1"], "from {first:?} on");
        assert_eq!(tree, Tree::parse("755 a/\n644 b \"2\""), "from {first:?} on");
        let chosen = pulled(&client, &at(IN_MEMORY), &pull_of(&["a"])).await;
        assert_eq!(without_times(&chosen), Tree::parse("755 a/"), "from {first:?} on");
    }
}

#[tokio::test]
async fn what_lies_above_a_link_to_a_directory_is_in_the_directory() {
    check(
        &[&["usr/", "usr/lib/", "usr/lib/a 1", "lib -> usr/lib"], &["lib/b 2"], &["lib/.wh.a"]],
        "777 lib -> usr/lib\n755 usr/\n755 usr/lib/\n644 usr/lib/b \"2\"",
    )
    .await;
}

#[tokio::test]
async fn names_keep_the_content_that_a_layer_above_replaced() {
    check(&[&["a 1", "b = a", "c = a"], &["a 2"]], "644 a \"2\"\n644 b \"1\"\n644 c \"1\"").await;
    check(&[&["a 1", "b = a"], &[".wh.a"]], r#"644 b "1""#).await;
    check(&[&["d/a 1", "b = d/a"], &[".wh.d"], &["b2 3"]], "644 b \"1\"\n644 b2 \"3\"").await;
}

#[tokio::test]
async fn a_name_may_be_of_a_file_of_a_layer_below() {
    for format in [Format::Estargz, Format::Tar, Format::Chunked] {
        let image = image(&[&["a 1", "e 1"], &["b = a"], &["a 3"]], [format, Format::Gzip, format]);
        let (_, client) = stored(&image).await;
        let (tree, lines) = shown(&client).await.unwrap();
        assert_eq!(tree, Tree::parse("644 a \"3\"\n644 b \"1\"\n644 e \"1\""), "{format:?}");
        assert_eq!(lines, ["a 1", "b 1", "e 1"], "{format:?}");
    }
}

#[tokio::test]
async fn a_file_is_read_through_links_of_all_layers() {
    let layers: [&[&str]; 3] = [&["usr/lib/f content", "lib -> usr/lib"], &["name -> lib/g"], &["lib/g = lib/f"]];
    let (_, client) = stored(&image(&layers, [Format::Estargz, Format::Zstd, Format::Tar])).await;
    for path in ["name", "lib/f", "usr/lib/g", "lib/g"] {
        let content = client.read_file(&at(IN_MEMORY), path, &ReadOptions::default(), Vec::new()).await.unwrap();
        assert_eq!(content, b"content", "{path}");
    }
}

#[tokio::test]
async fn a_file_of_a_name_that_marks_a_deletion_is_a_file_in_an_artifact() {
    let lone = Image::new().tree(&Tree::parse(r#"644 .wh.a "x""#)).artifact_type("application/vnd.example");
    let (_, client) = stored(&lone).await;
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&[])).await, Tree::parse(r#"644 .wh.a "x""#));
    let files = Image::new().file("a", "1").file(".wh.a", "x").folder("d", &Tree::parse(r#"644 d/.wh.b "y""#));
    let (_, client) = stored(&files).await;
    let expected = "644 .wh.a \"x\"\n644 a \"1\"\n755 d/\n644 d/.wh.b \"y\"";
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&[])).await, Tree::parse(expected));
}

#[tokio::test]
async fn m123_deletions_that_lead_out_delete_nothing_outside() {
    let layers: [&[&str]; 3] = [&["etc/", "etc/passwd 1", "out -> ../../etc"], &["out/.wh.passwd"], &[".wh.out"]];
    check(&layers, "755 etc/").await;
    for name in [".wh.", ".wh..", ".wh...", "d/.wh."] {
        let expected = format!("path `{name}` in a layer is not safe: it deletes what is no name");
        check_error(&[&["a 1"], &[&format!("{name} x")]], &expected).await;
    }
}

#[tokio::test]
async fn m106_m116_a_link_that_leads_out_is_neither_followed_nor_made() {
    for (target, reason) in [("/etc", "absolute"), ("../../../../etc", "outside of the destination")] {
        let expected = format!("link `x` to `{target}` in a layer is not safe: the target is {reason}");
        check_error(&[&[&format!("x -> {target}")], &["x/passwd evil"]], &expected).await;
    }
}

#[tokio::test]
async fn a_link_that_leads_out_is_no_harm_where_a_layer_above_hides_it() {
    check(&[&["x -> /etc", "a 1"], &[".wh.x"]], r#"644 a "1""#).await;
    check(&[&["x -> ../../etc"], &["x 2"]], r#"644 x "2""#).await;
}

/// A registry with an image, which counts requests.
pub(crate) async fn served(image: &Image) -> (FakeRegistry, Client) {
    let (memories, _) = stored(image).await;
    let registry = guarded(&memories).start().await;
    let client = client(&registry);
    (registry, client)
}

/// For each blob, how often it was asked for.
pub(crate) fn fetches(registry: &FakeRegistry) -> Vec<usize> {
    let mut blobs = std::collections::BTreeMap::new();
    for request in registry.take_requests() {
        if request.method == "GET" && request.path.contains("/blobs/") && request.status < 300 {
            *blobs.entry(request.path).or_insert(0) += 1;
        }
    }
    blobs.into_values().collect()
}

#[tokio::test]
async fn no_layer_is_fetched_twice() {
    let content = String::from_utf8(noise(200_000, 1).into_iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    let (low, high) = (format!("big {content}"), format!("other {content}"));
    let layers: [&[&str]; 3] = [&[&low, "d/x 1"], &["l -> big", "d/.wh.x"], &[&high]];
    let (registry, client) = served(&image(&layers, [Format::Gzip, Format::Tar, Format::Zstd])).await;
    let at = artifact(&registry);
    client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(fetches(&registry), [1, 1, 1]);
    pull(&client, &at, &pull_of(&[])).await.unwrap();
    assert_eq!(fetches(&registry), [1, 1, 1]);
    for path in ["big", "l"] {
        let read = client.read_file(&at, path, &ReadOptions::default(), Vec::new()).await.unwrap();
        assert!(read == content.as_bytes());
        assert_eq!(fetches(&registry), [1, 1, 1], "{path}");
    }
}

#[tokio::test]
async fn layers_with_tables_are_read_by_ranges() {
    let content = "x".repeat(50_000);
    let low = format!("big {content}");
    let layers: [&[&str]; 2] = [&[&low, "a 1"], &[".wh.a", "b 2"]];
    let (registry, client) = served(&image(&layers, [Format::Estargz, Format::Chunked])).await;
    let listing = client.list_files(&artifact(&registry), &ReadOptions::default()).await.unwrap();
    assert_eq!((paths(&listing), listing.access), (vec!["b", "big"], refs_client::Access::Index));
    assert!(registry.take_requests().iter().all(|seen| !seen.path.contains("/blobs/") || seen.range.is_some()));
}

#[tokio::test]
async fn as_many_layers_as_there_may_be_are_read_and_more_are_refused() {
    let lines: Vec<String> = (0..129).map(|at| format!("f{at} {at}")).collect();
    let image =
        |layers: usize| lines[..layers].iter().fold(Image::new(), |image, line| with(image, &[line], Format::Tar));
    let (_, client) = stored(&image(128)).await;
    let tree = pulled(&client, &at(IN_MEMORY), &pull_of(&[])).await;
    assert_eq!(tree.to_string().lines().count(), 128);
    let (_, client) = stored(&image(129)).await;
    let error = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
    let limit = refs_client::LayerLimit::Layers(128);
    assert!(matches!(error, Error::LayerLimit { limit: told, .. } if told == limit), "{error:?}");
}

#[tokio::test]
async fn a_layer_that_is_damaged_leaves_nothing() {
    let layers: [&[&str]; 2] = [&["a 1", "b 1"], &["c 2"]];
    let (registry, client) = served(&image(&layers, [Format::Gzip, Format::Gzip])).await;
    registry.fault(refs_testkit::On::get("/blobs/").always(), refs_testkit::Fault::Flip { at: 40 });
    let parent = tempfile::tempdir().unwrap();
    client.pull(&artifact(&registry), &parent.path().join("here"), &pull_of(&[])).await.unwrap_err();
    assert_eq!(names(parent.path()), [] as [&str; 0]);
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(" content".to_owned()),
        2 => Just("/".to_owned()),
        1 => "[ab](/[ab])?".prop_map(|target| format!(" -> {target}")),
        1 => Just(" deleted".to_owned()),
        1 => Just(" opaque".to_owned()),
    ]
}

/// A layer in which nothing lies below what is no directory, and each file has a further name.
fn layer() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_map("[ab](/[ab]){0,2}", kind(), 0..6).prop_map(|tree| {
        let is_leaf = |path: &str| tree.get(path).is_some_and(|kind| kind == " content" || kind.starts_with(" -> "));
        let mut lines = std::collections::BTreeSet::new();
        let mut links = Vec::new();
        for (path, kind) in &tree {
            if path.match_indices('/').any(|(slash, _)| is_leaf(&path[..slash])) {
                continue;
            }
            let (directory, name) =
                path.rsplit_once('/').map_or(("", &path[..]), |(above, _)| path.split_at(above.len() + 1));
            match kind.as_str() {
                " deleted" => lines.insert(format!("{directory}.wh.{name} x")),
                " opaque" => lines.insert(format!("{path}/.wh..wh..opq x")),
                " content" => {
                    links.push(format!("{directory}{name}2 = {path}"));
                    lines.insert(format!("{path} {path}"))
                }
                _ => lines.insert(format!("{path}{kind}")),
            };
        }
        lines.into_iter().chain(links).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_layers_show_the_same_by_tables_and_by_streams(layers in prop::collection::vec(layer(), 2..4)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let lines: Vec<Vec<&str>> = layers.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let layers: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
        let of = |format: Format| runtime.block_on(async {
            let (_, client) = stored(&image(&layers, std::iter::repeat(format))).await;
            shown(&client).await.map_err(|error| error.to_string())
        });
        let streamed = of(Format::Gzip);
        prop_assert_eq!(&of(Format::Estargz), &streamed);
        prop_assert_eq!(&of(Format::Chunked), &streamed);
    }
}
