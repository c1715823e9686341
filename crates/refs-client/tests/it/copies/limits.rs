//! Graphs that are larger than any that people make.

use refs_client::GraphLimit;
use refs_store::Memory;

use super::*;
use crate::setup::{IN_MEMORY, memory};

/// The limit that the copy of what `build` makes runs into.
async fn check<F: Future<Output = Descriptor>>(
    build: impl FnOnce(Memory) -> F,
    expect: GraphLimit,
) -> (Memories, Digest) {
    let (memories, client) = memory();
    let sink = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let root = build(sink).await.digest;
    let from = at(&format!("localhost/o/r@{root}"));
    let error = client.copy(&from, &at("example.com/o/r:v1"), &CopyOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::GraphTooLarge { limit, .. } if limit == expect), "{error:?}");
    (memories, root)
}

async fn is_tagged(memories: &Memories) -> bool {
    let there = memories.repository(&"example.com".parse().unwrap(), &"o/r".parse().unwrap());
    there.resolve(&"v1".parse().unwrap()).await.is_ok()
}

#[tokio::test]
async fn indexes_are_followed_eight_deep() {
    let nested = |sink: Memory, depth: usize| async move {
        let mut last = Image::new().push(&sink, &[]).await.unwrap().descriptor;
        for _ in 1..depth {
            let index = image::index(vec![last]).unwrap();
            sink.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
            last = index.descriptor;
        }
        last
    };
    let (memories, _) = check(|sink| nested(sink, 9), GraphLimit::Depth(8)).await;
    assert!(!is_tagged(&memories).await);
    let (memories, client) = memory();
    nested(memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap()), 8).await;
    assert_eq!(copy(&client, &at(IN_MEMORY), &at("example.com/o/r:v1")).await.manifests.count, 8);
}

#[tokio::test]
async fn referrers_are_followed_eight_deep_and_the_artifact_has_no_tag_before() {
    let row = |sink: Memory| async move {
        let root = Image::new().push(&sink, &[]).await.unwrap().descriptor;
        let mut last = root.clone();
        for _ in 0..9 {
            last = Image::new().subject(&last).push(&sink, &[]).await.unwrap().descriptor;
        }
        root
    };
    let (memories, root) = check(row, GraphLimit::Depth(8)).await;
    assert!(!is_tagged(&memories).await);
    let there = memories.repository(&"example.com".parse().unwrap(), &"o/r".parse().unwrap());
    assert_eq!(content(&there, &root).await.len(), 9 + 1, "eight that refer, the artifact, and the one config of all");
}

#[tokio::test]
async fn an_index_of_more_manifests_than_anybody_lists_is_refused_before_any_is_read() {
    let wide = |sink: Memory| async move {
        let listed = |n: u32| Descriptor::of(MediaType::OCI_MANIFEST, &n.to_le_bytes());
        let index = image::index((0..10_000).map(listed).collect()).unwrap();
        sink.put_manifest(&index, &[]).await.unwrap();
        index.descriptor
    };
    let (memories, _) = check(wide, GraphLimit::Manifests(10_000)).await;
    assert!(!is_tagged(&memories).await);
}

#[tokio::test]
async fn a_list_of_more_referrers_than_anybody_has_is_not_held() {
    let crowd = |sink: Memory| async move {
        let root = Image::new().push(&sink, &[]).await.unwrap().descriptor;
        for n in 0..=10_000 {
            Image::new().artifact_type(&format!("text/n{n}")).subject(&root).push(&sink, &[]).await.unwrap();
        }
        root
    };
    let (memories, _) = check(crowd, GraphLimit::Manifests(10_000)).await;
    assert!(!is_tagged(&memories).await);
}
