//! What is around an artifact: trees within their limits, tags set, things deleted, single blobs.

use refs_client::{Beneath, Error, Role, TreeOptions};
use refs_registry::{ErrorKind, Sent, Writable};
use refs_testkit::Image;
use refs_url::{Digest, Tag};

use crate::setup::{IN_MEMORY, at, kind, memory};

/// A client, and a row of artifacts, each about the one before; the first is `v1`.
async fn row(length: usize) -> refs_client::Client {
    let (memories, client) = memory();
    let place = at(IN_MEMORY);
    let (host, repository) = place.registry().unwrap();
    let sink = memories.sink(host, repository).unwrap();
    let mut last = Image::new().file("a", "a").push(&*sink, &["v1"]).await.unwrap().descriptor;
    for _ in 1..length {
        last = Image::new().artifact_type("text/x-note").subject(&last).push(&*sink, &[]).await.unwrap().descriptor;
    }
    client
}

/// How many manifests of a row of five a tree has under `options`, and what is known of what is beneath the last of them.
#[track_caller]
fn check(client: &refs_client::Client, options: &TreeOptions, expect: (usize, Beneath)) {
    let place = at(IN_MEMORY);
    let tree = futures_util::FutureExt::now_or_never(client.tree(&place, options)).unwrap().unwrap();
    let (mut node, mut count) = (&tree, 1);
    while let Some(next) = node.children.iter().find(|child| child.role == Role::Referrer) {
        (node, count) = (next, count + 1);
    }
    assert_eq!((count, node.beneath), expect, "{options:?}");
}

#[tokio::test]
async fn a_tree_ends_where_its_limits_are() {
    let (client, whole) = (row(5).await, TreeOptions::default());
    check(&client, &whole, (5, Beneath::Known));
    check(&client, &TreeOptions { max_depth: 3, ..whole }, (4, Beneath::Cut));
    check(&client, &TreeOptions { max_manifests: 2, ..whole }, (3, Beneath::Cut));
    check(&client, &TreeOptions { max_bytes: 1, ..whole }, (1, Beneath::Cut));
}

#[tokio::test]
async fn what_names_lead_to_is_set_and_deleted() {
    let client = row(1).await;
    let tags = ["v2", "v3"].map(|tag| Tag::parse(tag).unwrap());
    let set = client.set_tags(&at(IN_MEMORY), &tags).await.unwrap();
    assert_eq!(client.get_digest(&at("localhost/o/r:v3")).await.unwrap(), set.digest);
    client.delete(&at("localhost/o/r:v3")).await.unwrap();
    assert_eq!(client.list_tags(&at(IN_MEMORY)).await.unwrap().len(), 2);
    let gone = client.delete(&at("localhost/o/r:v3")).await.unwrap_err();
    assert_eq!(kind(&gone), ErrorKind::NotFound);
    let nowhere = client.delete(&at("localhost/o/r")).await.unwrap_err();
    assert!(matches!(nowhere, Error::Location { .. }), "{nowhere:?}");
}

#[tokio::test]
async fn blobs_are_put_once_and_read_whole() {
    let client = row(1).await;
    let (blob, sent) = client.put_stream(&at("localhost/o/r"), &b"content"[..]).await.unwrap();
    assert_eq!((blob.digest.clone(), blob.size, sent), (Digest::sha256(b"content"), 7, Sent::Uploaded));
    let place = at(&format!("localhost/o/r@{}", blob.digest));
    assert_eq!(client.put_stream(&place, &b"content"[..]).await.unwrap().1, Sent::Present);
    assert_eq!(client.read_blob(&place, Vec::new()).await.unwrap(), b"content");
    assert_eq!(client.blob_size(&place).await.unwrap(), Some(7));
    let other = client.put_stream(&place, &b"other"[..]).await.unwrap_err();
    assert_eq!(kind(&other), ErrorKind::Digest);
}
