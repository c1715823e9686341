//! What a push leaves out, in gitignore's grammar.

use std::{fs, os::unix::fs::PermissionsExt};

use refs_client::{Error, PackOptions, ReadOptions, SourceFault};
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, at, directory, memory, packed_as, paths, timeless_pack};

const TREE: &str = r#"
    755 .git/
    644 .git/config "x"
    644 .DS_Store "x"
    644 .sow-ref.yaml "schema_version: 1.0.0\nref: {title: Guide, link: guide}\ncontent: {description: d, tags: [t], classifications: [{type: runbook}]}\n"
    644 a.draft.md "x"
    644 a.md "x"
    644 sub/.DS_Store "x"
    644 sub/.sow-ref.yaml "x"
    644 sub/b.draft.md "x"
    644 sub/node_modules/m/index.js "x"
    644 sub/tmp "no directory"
    644 tmp/x "x"
"#;

async fn check(exclude: &[&str], expected: &[&str]) {
    let (_, client) = memory();
    let exclude = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
    let options = packed_as(PackOptions { exclude, ..timeless_pack() });
    client.push(directory(&Tree::parse(TREE)).path(), &at(IN_MEMORY), &options).await.unwrap();
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!(paths(&listing), expected, "{:?}", options.pack.exclude);
}

#[tokio::test]
async fn a_pattern_that_is_not_closed_is_refused() {
    for pattern in ["[", "a[", "{a", "[z-a]"] {
        let (_, client) = memory();
        let options = packed_as(PackOptions { exclude: vec![pattern.to_owned()], ..timeless_pack() });
        let error = client.push(directory(&Tree::parse(TREE)).path(), &at(IN_MEMORY), &options).await.unwrap_err();
        let Error::Source { fault: SourceFault::BadExclusion(found), .. } = error else { panic!("{error}") };
        assert_eq!(found, pattern);
    }
}

#[tokio::test]
async fn working_copies_and_caches_are_left_out() {
    let all = [
        ".sow-ref.yaml",
        "a.draft.md",
        "a.md",
        "sub",
        "sub/.sow-ref.yaml",
        "sub/b.draft.md",
        "sub/tmp",
        "tmp",
        "tmp/x",
    ];
    check(&[], &all).await;
    check(&["", "# a comment"], &all).await;
}

#[tokio::test]
async fn pattern_without_a_slash_holds_at_any_depth() {
    check(&["*.draft.md"], &[".sow-ref.yaml", "a.md", "sub", "sub/.sow-ref.yaml", "sub/tmp", "tmp", "tmp/x"]).await;
}

#[tokio::test]
async fn pattern_with_a_slash_holds_from_the_root() {
    let without = [".sow-ref.yaml", "a.md", "sub", "sub/.sow-ref.yaml", "sub/b.draft.md", "sub/tmp", "tmp", "tmp/x"];
    check(&["/*.draft.md"], &without).await;
}

#[tokio::test]
async fn pattern_with_a_slash_at_its_end_is_for_directories() {
    check(&["tmp/"], &[".sow-ref.yaml", "a.draft.md", "a.md", "sub", "sub/.sow-ref.yaml", "sub/b.draft.md", "sub/tmp"])
        .await;
}

#[tokio::test]
async fn later_pattern_brings_back() {
    check(&["*.md", "!a.md"], &[".sow-ref.yaml", "a.md", "sub", "sub/.sow-ref.yaml", "sub/tmp", "tmp", "tmp/x"]).await;
    let with_default = [
        ".sow-ref.yaml",
        "sub",
        "sub/.sow-ref.yaml",
        "sub/b.draft.md",
        "sub/node_modules",
        "sub/node_modules/m",
        "sub/node_modules/m/index.js",
        "sub/tmp",
    ];
    check(&["/tmp", "/a*", "!node_modules/"], &with_default).await;
}

#[tokio::test]
async fn manifest_file_at_the_root_stays() {
    check(&["*"], &[".sow-ref.yaml"]).await;
    check(&[".sow-ref.yaml", "sub/", "tmp/", "*.md"], &[".sow-ref.yaml"]).await;
}

#[tokio::test]
async fn excluded_directory_is_not_walked() {
    let source = directory(&Tree::parse("644 a \"x\"\n755 locked/"));
    // Neither a socket nor, for anyone but root, a directory that can't be read is in the way there.
    let _listener = std::os::unix::net::UnixListener::bind(source.path().join("locked/socket")).unwrap();
    fs::set_permissions(source.path().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let (_, client) = memory();
    let options = packed_as(PackOptions { exclude: vec!["locked/".to_owned()], ..timeless_pack() });
    let pushed = client.push(source.path(), &at(IN_MEMORY), &options).await;
    fs::set_permissions(source.path().join("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(pushed.unwrap().entries, 1);
}
