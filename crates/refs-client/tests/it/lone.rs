//! Images of one layer: what they show is what a runtime makes of the layer, though nothing lies below it.

use std::sync::Arc;

use proptest::prelude::*;
use refs_client::{Error, ReadOptions};
use refs_registry::MediaType;
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{Image, Tree, image::gzip};
use refs_url::Digest;

use crate::packed::{FORMATS, Format, image};
use crate::setup::{IN_MEMORY, artifact, at, client, guarded, noise, pull, pull_of, pulled, without_times};
use crate::stacks::{fetches, served, shown, stored};

/// A container image of one layer.
fn lone(lines: &[&str], format: Format) -> Image {
    image(&[lines], [format]).diff_id(Digest::sha256(b""))
}

/// The layer shows this tree and this listing, whatever its format.
async fn check(lines: &[&str], tree: &str, listing: &[&str]) {
    for format in FORMATS {
        check_in(format, lines, tree, listing).await;
    }
}

async fn check_in(format: Format, lines: &[&str], tree: &str, listing: &[&str]) {
    let (_, client) = stored(&lone(lines, format)).await;
    let (pulled, listed) = shown(&client).await.unwrap();
    assert_eq!(listed, listing, "{lines:?} as {format:?}");
    assert_eq!(pulled, Tree::parse(tree), "{lines:?} as {format:?}");
}

#[tokio::test]
async fn what_deletes_is_not_shown() {
    let lines = ["a 1", ".wh.b x", "d/", "d/.wh.a x", "d/.wh..wh..opq x", ".wh..wh.plnk/1 x"];
    check(&lines, "644 a \"1\"\n755 d/", &["a 1", "d/"]).await;
    check(&["a 1", ".wh.a x"], "644 a \"1\"", &["a 1"]).await;
}

#[tokio::test]
async fn names_begin_at_the_root() {
    let lines = ["/", "/a 1", "/d/", "/d/b 2", "/d/c = /a"];
    let tree = "644 a \"1\"\n755 d/\n644 d/b \"2\"\n644 d/c \"1\"";
    for format in [Format::Tar, Format::Gzip, Format::Zstd] {
        check_in(format, &lines, tree, &["a 1", "d/", "d/b 1", "d/c = a"]).await;
    }
}

#[tokio::test]
async fn what_is_below_a_link_is_where_it_leads() {
    let lines = ["usr/", "usr/lib/", "lib -> usr/lib", "lib/a 1", "b = lib/a"];
    let tree = "644 b \"1\"\n777 lib -> usr/lib\n755 usr/\n755 usr/lib/\n644 usr/lib/a \"1\"";
    for format in [Format::Tar, Format::Gzip, Format::Zstd] {
        check_in(format, &lines, tree, &["b = usr/lib/a", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a 1"]).await;
    }
}

#[tokio::test]
async fn what_comes_later_takes_the_place_of_what_is_there() {
    for format in [Format::Tar, Format::Gzip, Format::Zstd] {
        check_in(format, &["a 1", "b = a", "a 2"], "644 a \"2\"\n644 b \"1\"", &["a 1", "b 1"]).await;
        check_in(format, &["d/", "d/x 1", "d now a file"], "644 d \"now a file\"", &["d 10"]).await;
        check_in(format, &["d a file", "d/x 1"], "755 d/\n644 d/x \"1\"", &["d/", "d/x 1"]).await;
    }
}

#[tokio::test]
async fn m123_a_name_that_deletes_no_name_is_refused() {
    for format in FORMATS {
        let (_, client) = stored(&lone(&["a 1", ".wh. x"], format)).await;
        let error = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        assert_eq!(error.to_string(), "path `.wh.` in a layer is not safe: it deletes what is no name", "{format:?}");
    }
}

#[tokio::test]
async fn directories_that_no_entry_names_are_listed() {
    check(&["a/b/c 1"], "755 a/\n755 a/b/\n644 a/b/c \"1\"", &["a/", "a/b/", "a/b/c 1"]).await;
}

#[tokio::test]
async fn directories_that_no_entry_names_are_pulled_by_their_name() {
    for format in FORMATS {
        let (_, client) = stored(&lone(&["a/b 1", "c 2"], format)).await;
        let chosen = pulled(&client, &at(IN_MEMORY), &pull_of(&["?/"])).await;
        assert_eq!(without_times(&chosen), Tree::parse("755 a/\n644 a/b \"1\""), "{format:?}");
        let chosen = pulled(&client, &at(IN_MEMORY), &pull_of(&["[ab]"])).await;
        assert_eq!(without_times(&chosen), Tree::parse("755 a/"), "{format:?}");
    }
}

#[tokio::test]
async fn a_selection_finds_files_where_they_are_shown() {
    let lines = ["usr/lib/x 1", "lib -> usr/lib", "lib/a 2", "usr/lib/x 3", ".wh.a x"];
    let (_, client) = stored(&lone(&lines, Format::Gzip)).await;
    let chosen = pulled(&client, &at(IN_MEMORY), &pull_of(&["usr/**"])).await;
    assert_eq!(chosen, Tree::parse("755 usr/\n755 usr/lib/\n644 usr/lib/a \"2\"\n644 usr/lib/x \"3\""));
    let error = pull(&client, &at(IN_MEMORY), &pull_of(&["lib/a"])).await.unwrap_err();
    assert!(matches!(error, Error::NoMatch { .. }), "{error:?}");
}

#[tokio::test]
async fn files_are_read_through_links_whose_root_is_the_image_s() {
    let lines = ["usr/lib/a 1", "lib -> /usr/lib", "d/up -> ../../../usr/lib/a", "d/absolute -> /lib/a", "lib/b 2"];
    let artifact = |format| image(&[&lines[..4]], [format]);
    for format in [Format::Tar, Format::Gzip, Format::Zstd] {
        let (_, client) = stored(&lone(&lines, format)).await;
        let read = async |path| client.read_file(&at(IN_MEMORY), path, &ReadOptions::default(), Vec::new()).await;
        for path in ["d/up", "d/absolute", "lib/a", "/usr/lib/a"] {
            assert_eq!(read(path).await.unwrap(), b"1", "{path} as {format:?}");
        }
        assert_eq!(read("lib/b").await.unwrap(), b"2", "{format:?}");
        let (_, client) = stored(&artifact(format)).await;
        let error = client.read_file(&at(IN_MEMORY), "d/up", &ReadOptions::default(), Vec::new()).await.unwrap_err();
        assert!(matches!(error, Error::UnsafeLink { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_says_to_be_another_kind_of_artifact_is_no_image() {
    let layer = Tree::parse("644 .wh.a \"x\"\n644 b \"1\"").tar();
    let image = Image::new().layer(MediaType::DOCKER_LAYER_GZIP, gzip(&layer)).diff_id(Digest::sha256(&layer));
    let (_, client) = stored(&image).await;
    assert_eq!(shown(&client).await.unwrap().1, ["b 1"]);
    let (_, client) = stored(&image.artifact_type("application/vnd.example")).await;
    assert_eq!(shown(&client).await.unwrap().1, [".wh.a 1", "b 1"]);
}

#[tokio::test]
async fn a_layer_is_fetched_once() {
    let content = String::from_utf8(noise(200_000, 1).into_iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    let (big, deletes) = (format!("big {content}"), ".wh.x x");
    let (registry, client) = served(&lone(&[&big, deletes, "/d/y 1"], Format::Gzip)).await;
    let at = artifact(&registry);
    client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(fetches(&registry), [1]);
    pull(&client, &at, &pull_of(&[])).await.unwrap();
    assert_eq!(fetches(&registry), [1]);
    client.read_file(&at, "big", &ReadOptions::default(), Vec::new()).await.unwrap();
    assert_eq!(fetches(&registry), [1]);
}

#[tokio::test]
async fn a_pull_that_reads_a_layer_twice_fetches_it_once() {
    let bent = lone(&["a 1", "b = a", "a 2"], Format::Gzip);
    let renamed = ["a 1", "b = a"];
    for (stored, chosen, tree) in [
        (bent, &[][..], "644 a \"2\"\n644 b \"1\""),
        (lone(&renamed, Format::Gzip), &["b"], "644 b \"1\""),
        (image(&[&renamed], [Format::Gzip]), &["b"], "644 b \"1\""),
    ] {
        let (registry, client) = served(&stored).await;
        let pulled = pulled(&client, &artifact(&registry), &pull_of(chosen)).await;
        assert_eq!(pulled, Tree::parse(tree));
        assert_eq!(fetches(&registry), [1], "{tree}");
    }
}

#[tokio::test]
async fn an_image_with_a_table_is_listed_by_two_requests() {
    let (registry, client) = served(&lone(&["a 1", ".wh.b x"], Format::Estargz)).await;
    let listing = client.list_files(&artifact(&registry), &ReadOptions::default()).await.unwrap();
    assert_eq!((listing.path_at(0), listing.access), ("a", refs_client::Access::Index));
    let asked = registry.take_requests();
    assert_eq!(asked.iter().filter(|seen| seen.status < 300 && seen.path.starts_with("/v2/o/")).count(), 2);
}

/// What the index that an image left of a layer makes of an artifact of the same layer.
async fn check_refused_after_image(lines: &[&str], path: &str, expected: &str) {
    let (memories, _) = stored(&lone(lines, Format::Gzip)).await;
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image(&[lines], [Format::Gzip]).push(&repository, &["v2"]).await.unwrap();
    let registry = guarded(&memories).start().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(DiskStore::new(folder.path(), &DiskOptions::default()));
    let client = client(&registry).with_store(store);
    let files = at(&format!("{}/o/r:v2", registry.host()));
    let refused = async || pull(&client, &files, &pull_of(&[path])).await.unwrap_err().to_string();
    assert_eq!(refused().await, expected);
    client.read_file(&artifact(&registry), path, &ReadOptions::default(), Vec::new()).await.unwrap();
    assert_eq!(refused().await, expected);
    if expected.ends_with("it is absolute") {
        let listed = client.list_files(&files, &ReadOptions::default()).await.unwrap_err();
        let read = client.read_file(&files, path, &ReadOptions::default(), Vec::new()).await.unwrap_err();
        assert_eq!([listed.to_string(), read.to_string()], [expected; 2]);
    }
}

#[tokio::test]
async fn an_index_of_an_image_lets_no_artifact_pass() {
    let content = String::from_utf8(noise(16 << 20, 1).into_iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    let big = format!("big {content}");
    let absolute = "path `/abs/a` in a layer is not safe: it is absolute";
    check_refused_after_image(&["/abs/a 1", &big], "abs/a", absolute).await;
    let twice = "`a` is in a layer twice, as different things";
    check_refused_after_image(&["a 1", "a 2", &big], "a", twice).await;
}

/// Entries that may well be in the way of each other. No link is absolute: the first that is ends the pull of a lone layer,
/// even if what follows would hide it.
fn entries() -> impl Strategy<Value = Vec<String>> {
    let path = || "[ab](/[ab]){0,2}";
    let entry = prop_oneof![
        4 => path().prop_map(|path| format!("{path} {path}")),
        3 => path().prop_map(|path| format!("{path}/")),
        2 => (path(), "[ab](/[ab])?").prop_map(|(path, target)| format!("{path} -> {target}")),
        1 => (path(), path()).prop_map(|(path, target)| format!("{path} = {target}")),
        1 => path().prop_map(|path| format!(".wh.{path} x")),
        1 => path().prop_map(|path| format!("/{path} {path}")),
    ];
    prop::collection::vec(entry, 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_layer_shows_the_same_alone_as_below_one_that_is_empty(lines in entries()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let of = |image: Image| runtime.block_on(async {
            let (_, client) = stored(&image.diff_id(Digest::sha256(b""))).await;
            shown(&client).await.map_err(|error| error.to_string())
        });
        let alone = of(image(&[&lines], [Format::Gzip]));
        let below = of(image(&[&lines, &[]], [Format::Gzip, Format::Tar]));
        prop_assert_eq!(alone, below);
    }
}
