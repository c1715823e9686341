//! The same tree gives the same digest.

use std::{fs, path::Path};

use refs_client::{Mtime, PackOptions, PushOptions};
use refs_testkit::Tree;
use refs_url::Digest;

use crate::setup::{IN_MEMORY, at, directory, memory, packed_as, timeless, timeless_pack};

const TREE: &str = r#"
    644 .sow-ref.yaml "schema_version: 1.0.0\nref: {title: Guide, link: guide}\ncontent: {description: d, tags: [t], classifications: [{type: runbook}]}\n" @1000000000
    644 README.md "read me" @1000000001
    755 a/ @1000000002
    644 a-b "before a/b" @1000000003
    755 a/b "run" @1000000004
    755 empty/ @1000000005
    777 link -> a/b
    644 z.txt "last" @1000000006
"#;

async fn digest(source: &Path, options: &PushOptions) -> Digest {
    let (_, client) = memory();
    client.push(source, &at(IN_MEMORY), options).await.unwrap().descriptor.digest
}

#[tokio::test]
async fn copies_have_one_digest() {
    let (one, other) = (directory(&Tree::parse(TREE)), directory(&Tree::parse(TREE)));
    let options = PushOptions::default();
    assert_eq!(digest(one.path(), &options).await, digest(other.path(), &options).await);
}

#[tokio::test]
async fn copy_with_its_attributes_has_the_digest_of_the_original() {
    let (source, elsewhere) = (directory(&Tree::parse(TREE)), tempfile::tempdir().unwrap());
    let copy = elsewhere.path().join("another name");
    let copied = std::process::Command::new("cp").arg("-a").arg(source.path()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let options = PushOptions::default();
    assert_eq!(digest(source.path(), &options).await, digest(&copy, &options).await);
}

/// A checkout keeps the content, the executable bit and the links of what was committed, and nothing else.
#[tokio::test]
async fn fresh_checkout_has_the_digest_of_another_when_times_are_fixed() {
    let (old, umask) = (directory(&Tree::parse(TREE)), TREE.replace("755", "700").replace("644", "600"));
    let without_times: String =
        umask.lines().map(|line| line.split(" @").next().unwrap_or(line).to_owned() + "\n").collect();
    let fresh = directory(&Tree::parse(&without_times));
    assert_eq!(digest(old.path(), &timeless()).await, digest(fresh.path(), &timeless()).await);
    let keep = PushOptions::default();
    assert_ne!(digest(old.path(), &keep).await, digest(fresh.path(), &keep).await);
}

#[tokio::test]
async fn order_in_which_files_were_made_does_not_count() {
    let text = |name: usize| format!("644 f{name:03} \"{name}\" @1000000000");
    let (forth, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in 0..100 {
        Tree::parse(&text(name)).write(forth.path()).unwrap();
        Tree::parse(&text(99 - name)).write(back.path()).unwrap();
    }
    let options = PushOptions::default();
    assert_eq!(digest(forth.path(), &options).await, digest(back.path(), &options).await);
}

#[tokio::test]
async fn times_count_unless_they_are_fixed() {
    let (old, new) = (directory(&Tree::parse(TREE)), directory(&Tree::parse(&TREE.replace("@10", "@15"))));
    let keep = PushOptions::default();
    assert_ne!(digest(old.path(), &keep).await, digest(new.path(), &keep).await);
    assert_eq!(digest(old.path(), &timeless()).await, digest(new.path(), &timeless()).await);
    let other = packed_as(PackOptions { mtime: Mtime::Fixed(1), ..timeless_pack() });
    assert_ne!(digest(old.path(), &timeless()).await, digest(old.path(), &other).await);
}

#[tokio::test]
async fn permissions_count_as_far_as_the_owner_may_execute() {
    let push = async |mode: &str| digest(directory(&Tree::parse(&format!("{mode} f \"x\""))).path(), &timeless()).await;
    assert_eq!(push("644").await, push("600").await);
    assert_eq!(push("644").await, push("666").await);
    assert_eq!(push("700").await, push("755").await);
    assert_eq!(push("755").await, push("4755").await);
    assert_ne!(push("644").await, push("755").await);
}

#[tokio::test]
async fn pulled_tree_is_pushed_to_the_same_digest() {
    let (_, client) = memory();
    let options = PushOptions::default();
    let source = directory(&Tree::parse(TREE));
    let first = client.push(source.path(), &at(IN_MEMORY), &options).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let copy = parent.path().join("copy");
    client.pull(&at(IN_MEMORY), &copy, &Default::default()).await.unwrap();
    let second = client.push(&copy, &at("localhost/o/copy:v1"), &options).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn one_byte_more_or_one_entry_more_is_another_digest() {
    let source = directory(&Tree::parse(TREE));
    let before = digest(source.path(), &timeless()).await;
    fs::write(source.path().join("z.txt"), "last!").unwrap();
    let after = digest(source.path(), &timeless()).await;
    fs::create_dir(source.path().join("new")).unwrap();
    assert_ne!(before, after);
    assert_ne!(after, digest(source.path(), &timeless()).await);
}

/// Golden: the digest of a layer must not move with a new version, or everything would be pushed again.
#[tokio::test]
async fn digest_is_the_one_it_always_was() {
    let (_, client) = memory();
    let source = directory(&Tree::parse(TREE));
    let pushed = client.push(source.path(), &at(IN_MEMORY), &timeless()).await.unwrap();
    assert_eq!(
        pushed.layer.digest.to_string(),
        "sha256:e25d0a176bb2bbfae58a8062c68706c1b572a2254c8841380044db4ecf5e63ca"
    );
    assert_eq!(
        pushed.descriptor.digest.to_string(),
        "sha256:d72f9bf3f755b4fc0c0d3ef9056021f410d5ae22b53f67abf713dc6c28a32714"
    );
}
