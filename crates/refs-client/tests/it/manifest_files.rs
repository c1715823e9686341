//! What the manifest file of a directory does to a push, and of an artifact to a pull.

use std::{fs, os::unix::fs::symlink};

use refs_client::{
    Client, Error, MANIFEST_FILE, ManifestName, PackOptions, PushOptions, Pushed, ReadOptions, SourceFault,
};
use refs_registry::spec::Document;
use refs_testkit::{FakeRegistry, Tree};

use crate::setup::{
    IN_MEMORY, MANIFEST, anonymous, artifact, at, directory, memory, noise, packed_as, paths, pull_of, pulled,
    timeless, timeless_pack,
};

fn with(more: &str) -> Tree {
    Tree::new().file(MANIFEST_FILE, format!("{MANIFEST}{more}"))
}

async fn annotations(client: &Client) -> Vec<(String, String)> {
    let manifest = client.source(&at(IN_MEMORY)).await.unwrap().manifest(&"v1".parse().unwrap()).await.unwrap();
    let Document::Image(image) = manifest.parse().unwrap() else { panic!("no image") };
    image.annotations.into_iter().collect()
}

async fn push(client: &Client, tree: &Tree, options: &PushOptions) -> Result<Pushed, Error> {
    client.push(directory(tree).path(), &at(IN_MEMORY), options).await
}

async fn listed(client: &Client) -> Vec<String> {
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    paths(&listing).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_it_says_is_annotated_and_the_caller_outweighs_it() {
    let (_, client) = memory();
    let given = [("org.opencontainers.image.title", "Mine"), ("k", "v")];
    let annotations_given = given.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let options = PushOptions { annotations: annotations_given, ..timeless() };
    push(&client, &with("provenance: {license: MIT}\n"), &options).await.unwrap();
    let expected = [
        ("com.sow.ref.classifications", r#"[{"type":"runbook"}]"#),
        ("com.sow.ref.link", "guide"),
        ("com.sow.ref.tags", "t"),
        ("k", "v"),
        ("org.opencontainers.image.description", "d"),
        ("org.opencontainers.image.licenses", "MIT"),
        ("org.opencontainers.image.title", "Mine"),
    ];
    assert_eq!(annotations(&client).await, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn nothing_is_annotated_without_one() {
    let (_, client) = memory();
    push(&client, &Tree::parse("644 a \"a\""), &timeless()).await.unwrap();
    assert_eq!(annotations(&client).await, []);
}

#[tokio::test]
async fn its_exclusions_come_before_those_of_the_caller() {
    let (_, client) = memory();
    let tree = |more: &str| with(more).file("a.draft.md", "a").file("b.draft.md", "b").file(".DS_Store", "x");
    let options = packed_as(PackOptions { exclude: vec!["!a.draft.md".to_owned()], ..timeless_pack() });
    push(&client, &tree("packaging: {exclude: ['*.draft.md']}\n"), &options).await.unwrap();
    assert_eq!(listed(&client).await, [MANIFEST_FILE, "a.draft.md"]);
    push(&client, &tree("packaging: {exclude: ['!.DS_Store', '*']}\n"), &timeless()).await.unwrap();
    assert_eq!(listed(&client).await, [MANIFEST_FILE]);
}

/// The bytes at the end of a layer that hold what is read first.
fn tail_bytes(pushed: &Pushed) -> u64 {
    pushed.layer.annotations["dev.refs.estargz.tail"].parse().unwrap()
}

#[tokio::test]
async fn its_primary_files_are_beside_the_table_of_contents() {
    let (_, client) = memory();
    let tree = |more: &str| {
        let tree =
            with(more).file("first/one.bin", noise(10 << 10, 1)).file("first/large.bin", noise((16 << 10) + 1, 2));
        tree.file("z.bin", noise(10 << 10, 3))
    };
    let none = tail_bytes(&push(&client, &tree(""), &timeless()).await.unwrap());
    let primary = "hints: {primary_files: ['./first/**', none.md]}\n";
    let some = tail_bytes(&push(&client, &tree(primary), &timeless()).await.unwrap());
    assert!((10 << 10..11 << 10).contains(&(some - none)), "{none} {some}");
}

#[tokio::test]
async fn all_that_is_wrong_with_it_is_told_before_anything_is_requested() {
    let registry = FakeRegistry::builder().start().await;
    let source = directory(&Tree::new().file(MANIFEST_FILE, "schema_version: 2.0.0\nref: {title: 5}\nfoo: 1\n"));
    let error = anonymous().push(source.path(), &artifact(&registry), &timeless()).await.unwrap_err();
    let Error::ManifestFile { path, source: faults } = &error else { panic!("{error:?}") };
    assert_eq!(path, &source.path().join(MANIFEST_FILE));
    assert_eq!(faults.0.len(), 7, "{faults}");
    assert!(faults.to_string().contains("2:14: ref.title: found the number 5, allowed: text"), "{faults}");
    assert_eq!(registry.requests(), [""; 0]);
}

#[tokio::test]
async fn it_has_to_be_a_regular_file() {
    let (_, client) = memory();
    let source = directory(&Tree::new().file("real.yaml", MANIFEST));
    let path = source.path().join(MANIFEST_FILE);
    let check = async || {
        let error = client.push(source.path(), &at(IN_MEMORY), &timeless()).await.unwrap_err();
        let Error::Source { path: named, fault: SourceFault::ManifestNotFile } = &error else { panic!("{error:?}") };
        assert_eq!(named, &path);
    };
    symlink("real.yaml", &path).unwrap();
    check().await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check().await;
    fs::remove_dir(&path).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    check().await;
    fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    check().await;
}

#[tokio::test]
async fn it_may_have_another_name() {
    let (_, client) = memory();
    let name: ManifestName = "artifact.yaml".parse().unwrap();
    let tree =
        Tree::parse("644 a \"a\"\n644 b \"b\"").file("artifact.yaml", MANIFEST).file(MANIFEST_FILE, "free: text");
    let exclude = vec!["*.yaml".to_owned()];
    let options =
        packed_as(PackOptions { manifest_file: name.clone(), require_manifest: true, exclude, ..timeless_pack() });
    push(&client, &tree, &options).await.unwrap();
    assert_eq!(listed(&client).await, ["a", "artifact.yaml", "b"]);
    assert_eq!(annotations(&client).await.last().unwrap().1, "Guide");

    let read = ReadOptions { manifest_file: name, ..ReadOptions::default() };
    assert_eq!(client.get_manifest(&at(IN_MEMORY), &read).await.unwrap(), MANIFEST);
    let error = client.get_manifest(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap_err();
    assert!(matches!(&error, Error::ManifestNotFound { name, .. } if name == MANIFEST_FILE), "{error:?}");

    let mut pull = pull_of(&["b"]);
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull).await, Tree::parse("644 b \"b\""));
    pull.read.manifest_file = read.manifest_file;
    let expected = Tree::parse("644 b \"b\"").file("artifact.yaml", MANIFEST);
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull).await, expected);
}
