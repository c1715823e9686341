//! What is pushed is what is pulled, from every kind of place.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use refs_client::{Client, Location, PullOptions, PushOptions};
use refs_store::Memories;
use refs_testkit::{FakeRegistry, Tree};

use crate::setup::{
    IN_MEMORY, MANIFEST, anonymous, artifact, at, client, directory, guarded, memory, noise, pull, timeless,
};

/// Pushes `tree` to a registry, to memory and to a layout, and pulls it whole from each.
async fn check(source: &Path, expected: &Tree) {
    let registry = guarded(&Memories::new()).start().await;
    let layout = tempfile::tempdir().unwrap();
    let in_layout = at(&format!("ocidir://{}:v1", layout.path().join("layout").display()));
    for (client, at) in
        [(client(&registry), artifact(&registry)), (memory().1, at(IN_MEMORY)), (anonymous(), in_layout)]
    {
        let pushed = client.push(source, &at, &PushOptions::default()).await.unwrap();
        let (tree, report) = pull(&client, &at, &PullOptions::default()).await.unwrap();
        assert_eq!(tree, *expected, "{at}");
        assert_eq!(report.descriptor.digest, pushed.descriptor.digest);
        assert_eq!(
            (report.files + report.directories + report.links, report.written_bytes),
            (pushed.entries, pushed.file_bytes)
        );
    }
}

#[tokio::test]
async fn everything_a_tree_can_hold_comes_back() {
    let long = format!("{0}/{0}/{0}", "long-".repeat(30));
    let text = format!(
        r#"
        644 %2e%2e%2fliteral "percent" @1000000001
        755 ..data/ @1000000002
        644 ..data/x "x" @1000000003
        644 .sow-ref.yaml {MANIFEST:?} @1000000004
        755 bin/ @1000000005
        755 bin/run "\#!/bin/sh\n" @1000000006
        777 bin/sibling -> ../docs/guide.md
        755 docs/ @1000000007
        777 docs/dangling -> nothing/here
        644 docs/guide.md "guide" @1000000008
        777 docs/self -> ./guide.md
        644 docs/file\x20(with\x20parentheses)+=@.txt "odd" @1000000009
        644 docs/naïve.md "naive" @1000000010
        755 empty/ @1000000011
        755 empty/nested/ @1000000012
        644 empty-file "" @1000000013
        644 {long} "long" @1000000014
        644 日本.txt "nihon" @1000000015
        "#
    )
    .replace("\\#", "#");
    let tree = Tree::parse(&text);
    let source = directory(&tree);
    check(source.path(), &Tree::read_with_times(source.path()).unwrap()).await;
}

#[tokio::test]
async fn permissions_are_those_of_an_artifact() {
    let source = directory(&Tree::parse(
        r#"
        600 private "a" @1000000000
        4755 setuid "b" @1000000000
        2711 setgid "c" @1000000000
        777 open "d" @1000000000
        555 closed/ @1000000000
        444 closed/readable "e" @1000000000
        1777 sticky/ @1000000000
        "#,
    ));
    let expected = Tree::parse(
        r#"
        644 private "a" @1000000000
        755 setuid "b" @1000000000
        755 setgid "c" @1000000000
        755 open "d" @1000000000
        755 closed/ @1000000000
        644 closed/readable "e" @1000000000
        755 sticky/ @1000000000
        "#,
    );
    check(source.path(), &expected).await;
    fs::set_permissions(source.path().join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn hard_links_on_disk_are_files_of_their_own() {
    let source = directory(&Tree::parse(r#"644 one "same" @1000000000"#));
    fs::hard_link(source.path().join("one"), source.path().join("two")).unwrap();
    let expected = Tree::parse("644 one \"same\" @1000000000\n644 two \"same\" @1000000000");
    check(source.path(), &expected).await;
}

#[tokio::test]
async fn file_that_is_uploaded_while_it_is_compressed_comes_back() {
    let source = directory(&Tree::new().file("noise", noise(9 << 20, 1)).file("zeroes", vec![0; 3 << 20]));
    check(source.path(), &Tree::read_with_times(source.path()).unwrap()).await;
}

#[tokio::test]
async fn empty_directory_is_an_artifact() {
    let source = tempfile::tempdir().unwrap();
    check(source.path(), &Tree::new()).await;
}

async fn digest(client: &Client, at: &Location) -> String {
    client.get_digest(at).await.unwrap().to_string()
}

#[tokio::test]
async fn artifact_is_the_same_in_every_place() {
    let source = directory(&Tree::parse(r#"644 a "a""#));
    let registry = FakeRegistry::start().await;
    let layout = tempfile::tempdir().unwrap();
    let in_layout = at(&format!("ocidir://{}:v1", layout.path().display()));
    let (_, in_memory) = memory();
    let mut digests = Vec::new();
    for (client, at) in [(anonymous(), artifact(&registry)), (in_memory, at(IN_MEMORY)), (anonymous(), in_layout)] {
        let pushed = client.push(source.path(), &at, &timeless()).await.unwrap();
        assert_eq!(digest(&client, &at).await, pushed.descriptor.digest.to_string());
        digests.push(pushed.descriptor.digest);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}
