//! Which paths a pattern means: for a list and a pull alike.

use refs_client::{Error, MANIFEST_FILE, PullOptions, ReadOptions};
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, MANIFEST, at, paths, patterns, pull, pull_of, pulled, pushed};

/// The files of a tree that `chosen` means; none when it is refused with `NoMatch`.
async fn matched(files: &[&str], chosen: &[&str]) -> Vec<String> {
    let tree = files.iter().fold(Tree::new(), |tree, path| tree.file(path, "x"));
    let (_, client, _) = pushed(&tree).await;
    let listed = match client.list_files(&at(IN_MEMORY), &patterns(chosen)).await {
        Ok(listing) => listing.entries().filter(|entry| entry.is_file()).map(|entry| entry.path).collect(),
        Err(Error::NoMatch { patterns, .. }) => {
            assert_eq!(patterns, chosen);
            Vec::new()
        }
        Err(error) => panic!("{error:?}"),
    };
    match pull(&client, &at(IN_MEMORY), &pull_of(chosen)).await {
        Ok((tree, report)) => {
            assert_eq!(report.files, listed.len() as u64, "{chosen:?} pulled {tree}");
        }
        Err(Error::NoMatch { .. }) => assert_eq!(listed, [] as [&str; 0], "{chosen:?}"),
        Err(error) => panic!("{error:?}"),
    }
    listed
}

async fn check(files: &[&str], chosen: &str, expected: &[&str]) {
    assert_eq!(matched(files, &[chosen]).await, expected, "{chosen}");
}

const TREE: [&str; 8] = [
    "config.json",
    "data/file1.json",
    "data/file2.txt",
    "data/sub/file3.json",
    "readme.txt",
    "src/main.go",
    "src/util/helper.go",
    "test/main_test.go",
];

#[tokio::test]
async fn any_of_several_patterns_is_enough() {
    let expected = [
        "config.json",
        "data/file1.json",
        "data/sub/file3.json",
        "src/main.go",
        "src/util/helper.go",
        "test/main_test.go",
    ];
    assert_eq!(matched(&TREE, &["**/*.json", "**/*.go"]).await, expected);
    assert_eq!(matched(&TREE, &["none", "readme.txt"]).await, ["readme.txt"]);
}

#[tokio::test]
async fn star_stops_at_a_slash_and_two_do_not() {
    check(&TREE, "*.json", &["config.json"]).await;
    check(&TREE, "data/*", &["data/file1.json", "data/file2.txt"]).await;
    check(&TREE, "data/**", &["data/file1.json", "data/file2.txt", "data/sub/file3.json"]).await;
    check(&["a/x/y", "a/y/x", "b/x/z"], "*/x/**", &["a/x/y", "b/x/z"]).await;
    check(&["a/1/b/2/c", "a/b/c", "a/c", "a/x/c"], "a/**/b/**/c", &["a/1/b/2/c", "a/b/c"]).await;
}

#[tokio::test]
async fn slash_at_the_end_means_all_below() {
    check(&["data/x", "database/x", "x/data/y"], "data/", &["data/x"]).await;
    check(&["data/x", "database/x", "x/data/y"], "data/**", &["data/x"]).await;
    check(&TREE, "./", &TREE).await;
    check(&TREE, "/", &TREE).await;
}

#[tokio::test]
async fn dot_or_slash_at_the_start_means_nothing() {
    for pattern in ["./data/file1.json", "/data/file1.json", ".//data/file1.json", "/./data/file1.json"] {
        check(&TREE, pattern, &["data/file1.json"]).await;
    }
}

#[tokio::test]
async fn pattern_that_matches_nothing_is_an_error() {
    for pattern in ["", "none", "*.none", "DATA/**", "data/file", "!readme.txt"] {
        check(&TREE, pattern, &[]).await;
    }
}

#[tokio::test]
async fn manifest_file_comes_along_and_is_no_match() {
    let (_, client, _) = pushed(&Tree::parse("644 a \"a\"\n644 b/c \"c\"").file(MANIFEST_FILE, MANIFEST)).await;
    let here = at(IN_MEMORY);
    let expected = Tree::parse("755 b/\n644 b/c \"c\"").file(MANIFEST_FILE, MANIFEST);
    assert_eq!(pulled(&client, &here, &pull_of(&["b/*"])).await, expected);
    let error = pull(&client, &here, &pull_of(&["none"])).await.unwrap_err();
    assert!(matches!(error, Error::NoMatch { .. }), "{error:?}");
    assert_eq!(pulled(&client, &here, &pull_of(&[".sow-*"])).await, Tree::new().file(MANIFEST_FILE, MANIFEST));
    let listing = client.list_files(&here, &patterns(&["a"])).await.unwrap();
    assert_eq!(paths(&listing), ["a"]);
}

#[tokio::test]
async fn no_pattern_means_all() {
    let (_, client, _) = pushed(&Tree::parse(r#"644 a/b "x""#)).await;
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!(paths(&listing), ["a", "a/b"]);
    assert_eq!(pull(&client, &at(IN_MEMORY), &PullOptions::default()).await.unwrap().1.files, 1);
}

#[tokio::test]
async fn links_and_directories_are_chosen_by_their_own_paths() {
    let (_, client, _) = pushed(&Tree::parse("755 empty/\n644 file \"x\"\n777 link -> file")).await;
    let here = at(IN_MEMORY);
    assert_eq!(pulled(&client, &here, &pull_of(&["empty"])).await, Tree::parse("755 empty/"));
    assert_eq!(pulled(&client, &here, &pull_of(&["link"])).await, Tree::parse("777 link -> file"));
}
