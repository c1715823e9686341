//! Where a pull writes, what it refuses before it asks, and what it leaves when it fails.

use std::{fs, os::unix::fs::symlink, path::Path};

use refs_client::{DestinationFault, Error, Existing, PullOptions};
use refs_registry::ErrorKind;
use refs_testkit::{Close, FakeRegistry, Fault, On, Tree};

use crate::setup::{anonymous, artifact, at, directory, kind, names, noise, pull, pull_of, push};

const TREE: &str = r#"644 a "new""#;

async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    push(&anonymous(), &Tree::parse(TREE), &artifact(&registry)).await;
    registry.take_requests();
    registry
}

/// Pulls to `destination`, which is refused before the registry is asked anything.
async fn check_refused(destination: &Path, existing: Existing, expected: DestinationFault) {
    let registry = registry().await;
    let options = PullOptions { existing, ..PullOptions::default() };
    let error = anonymous().pull(&artifact(&registry), destination, &options).await.unwrap_err();
    let Error::Destination { fault, .. } = error else { panic!("{error:?}") };
    assert_eq!(fault, expected);
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

async fn check_written(destination: &Path, existing: Existing) {
    let registry = registry().await;
    let options = PullOptions { existing, ..PullOptions::default() };
    anonymous().pull(&artifact(&registry), destination, &options).await.unwrap();
    assert_eq!(Tree::read(destination).unwrap(), Tree::parse(TREE));
}

#[tokio::test]
async fn directory_with_something_in_it_is_refused_before_any_request() {
    let old = directory(&Tree::parse(r#"644 old "old""#));
    check_refused(old.path(), Existing::Refuse, DestinationFault::NotEmpty).await;
    assert_eq!(names(old.path()), ["old"]);
}

#[tokio::test]
async fn what_is_no_directory_is_refused_before_any_request() {
    let parent = directory(&Tree::parse("644 file \"x\""));
    symlink("nowhere", parent.path().join("dangling")).unwrap();
    for existing in [Existing::Refuse, Existing::Replace] {
        check_refused(&parent.path().join("file"), existing, DestinationFault::NotDirectory).await;
        check_refused(&parent.path().join("dangling"), existing, DestinationFault::NotDirectory).await;
        check_refused(Path::new("/"), existing, DestinationFault::NoName).await;
    }
    assert_eq!(names(parent.path()), ["dangling", "file"]);
}

#[tokio::test]
async fn absent_and_empty_directories_are_written() {
    let parent = tempfile::tempdir().unwrap();
    check_written(&parent.path().join("absent"), Existing::Refuse).await;
    check_written(&parent.path().join("with/parents/absent"), Existing::Refuse).await;
    fs::create_dir(parent.path().join("empty")).unwrap();
    check_written(&parent.path().join("empty"), Existing::Refuse).await;
}

#[tokio::test]
async fn old_tree_is_replaced_when_asked_for() {
    let parent = directory(&Tree::parse("644 d/old \"old\"\n755 d/sub/"));
    check_written(&parent.path().join("d"), Existing::Replace).await;
    assert_eq!(names(parent.path()), ["d"]);
}

#[tokio::test]
async fn failed_replacement_leaves_the_old_tree() {
    let registry = registry().await;
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 40 });
    let parent = directory(&Tree::parse(r#"644 d/old "old""#));
    let options = PullOptions { existing: Existing::Replace, ..PullOptions::default() };
    anonymous().pull(&artifact(&registry), &parent.path().join("d"), &options).await.unwrap_err();
    assert_eq!(Tree::read(parent.path()).unwrap(), Tree::parse("755 d/\n644 d/old \"old\""));
}

#[tokio::test]
async fn bad_pattern_is_refused_before_any_request() {
    let registry = registry().await;
    let (client, at) = (anonymous(), artifact(&registry));
    for pattern in ["[", "a[", "{a,b", "a/[z-a]"] {
        let pulled = pull(&client, &at, &pull_of(&["a", pattern])).await.map(drop);
        let listed = client.list_files(&at, &crate::setup::patterns(&["a", pattern])).await.map(drop);
        for outcome in [pulled, listed] {
            let error = outcome.unwrap_err();
            let Error::InvalidGlob { pattern: named, .. } = &error else { panic!("{error:?}") };
            assert_eq!(named, pattern);
        }
    }
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn location_without_a_target_is_refused_before_anything_is_made() {
    let registry = registry().await;
    let parent = tempfile::tempdir().unwrap();
    let at = at(&format!("{}/o/r", registry.host()));
    let destination = parent.path().join("with/parents/d");
    let error = anonymous().pull(&at, &destination, &PullOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Location { .. }), "{error:?}");
    assert_eq!(names(parent.path()), [] as [&str; 0]);
    assert_eq!(registry.requests(), [] as [&str; 0]);
}

/// Large enough that a part of it is fetched by itself: `b` is away from the tail.
async fn large() -> FakeRegistry {
    let tree = ["a", "b", "c"].into_iter().zip(0..);
    let tree = tree.fold(Tree::new(), |tree, (name, seed)| tree.file(name, noise(1 << 20, seed)));
    let registry = FakeRegistry::start().await;
    push(&anonymous(), &tree, &artifact(&registry)).await;
    registry
}

#[tokio::test]
async fn flipped_bit_of_a_whole_layer_is_an_error_of_its_digest() {
    let registry = large().await;
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 1 << 20 });
    // Which of the two checks sees it first is a matter of where in the stream it lies.
    match pull(&anonymous(), &artifact(&registry), &PullOptions::default()).await.unwrap_err() {
        Error::Registry(error) => assert_eq!(error.kind(), ErrorKind::Digest),
        Error::Corrupt { .. } => {}
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn flipped_bit_of_a_part_is_an_error_of_the_layer() {
    let registry = large().await;
    registry.fault(On::get("/blobs/").skip(1).always(), Fault::Flip { at: 1_000 });
    let error = pull(&anonymous(), &artifact(&registry), &pull_of(&["b"])).await.unwrap_err();
    assert!(matches!(error, Error::Estargz { .. }), "{error:?}");
    registry.clear_faults();
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 100 });
    let error = pull(&anonymous(), &artifact(&registry), &pull_of(&["b"])).await.unwrap_err();
    assert!(matches!(error, Error::Estargz { .. }), "{error:?}");
}

#[tokio::test]
async fn cut_layer_goes_on_where_it_was_cut() {
    for chosen in [&[][..], &["b"]] {
        let registry = large().await;
        registry.take_requests();
        let cut = Fault::Cut { after: 300_000, close: Close::Reset };
        let on = On::get("/blobs/").skip(if chosen.is_empty() { 0 } else { 1 });
        registry.fault(on, cut);
        let (tree, _) = pull(&anonymous(), &artifact(&registry), &pull_of(chosen)).await.unwrap();
        assert_eq!(tree.to_string().lines().count(), if chosen.is_empty() { 3 } else { 1 });
        let resumed = registry.requests().pop().unwrap();
        assert!(resumed.range.is_some(), "{resumed}");
        assert!(resumed.sent < 3 << 20, "{} bytes", resumed.sent);
    }
}

/// Large enough that all of it is read by its table of contents.
async fn longer() -> (FakeRegistry, Tree) {
    let files = ["a", "b", "c"].into_iter().zip(0..);
    let tree = files.fold(Tree::new(), |tree, (name, seed)| tree.file(name, noise(1 << 20, seed)));
    let tree = tree.file("d", noise((5 << 19) + 1, 9)).file("empty", "");
    let registry = FakeRegistry::start().await;
    push(&anonymous(), &tree, &artifact(&registry)).await;
    (registry, tree)
}

#[tokio::test]
async fn longer_layer_is_its_table_and_one_get_and_comes_back_whole() {
    let (registry, tree) = longer().await;
    registry.take_requests();
    let (pulled, _) = pull(&anonymous(), &artifact(&registry), &PullOptions::default()).await.unwrap();
    assert_eq!(pulled.to_string().replace(" @0", ""), tree.to_string());
    let requests = registry.take_requests();
    let ranges: Vec<bool> = requests.iter().map(|seen| seen.range.is_some()).collect();
    assert_eq!(ranges, [false, true, false], "{requests:?}");
}

#[tokio::test]
async fn flipped_bit_of_a_longer_layer_is_an_error_of_its_digest() {
    let (registry, _) = longer().await;
    for at in [3, 1 << 20, 4 << 20] {
        registry.fault(On::get("/blobs/").skip(1), Fault::Flip { at });
        let error = pull(&anonymous(), &artifact(&registry), &PullOptions::default()).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Digest, "{at}: {error:?}");
        registry.clear_faults();
    }
}

#[tokio::test]
async fn longer_layer_that_is_cut_goes_on_where_it_was_cut() {
    let (registry, tree) = longer().await;
    registry.take_requests();
    registry.fault(On::get("/blobs/").skip(1), Fault::Cut { after: 3_000_000, close: Close::Fin });
    let (pulled, _) = pull(&anonymous(), &artifact(&registry), &PullOptions::default()).await.unwrap();
    assert_eq!(pulled.to_string().replace(" @0", ""), tree.to_string());
    let resumed = registry.requests().pop().unwrap();
    assert!(resumed.range.is_some() && resumed.sent < 4 << 20, "{resumed:?}");
}

#[tokio::test]
async fn layer_that_is_cut_every_time_leaves_nothing() {
    let registry = large().await;
    registry.fault(On::get("/blobs/").always(), Fault::Cut { after: 1_000, close: Close::Fin });
    let error = pull(&anonymous(), &artifact(&registry), &PullOptions::default()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
}
