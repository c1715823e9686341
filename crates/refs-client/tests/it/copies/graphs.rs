//! What arrives is what was there, of any graph, between any two places.

use proptest::{prelude::*, test_runner::TestCaseError};
use refs_client::copy::{Fate, Outcome};
use refs_store::Layout;
use refs_testkit::Quirks;

use super::*;

#[tokio::test]
async fn a_graph_arrives_whole_between_two_registries() {
    let (from, to, index) = pair().await;
    let copied = copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v2")).await;
    assert_eq!((copied.outcome, &copied.manifest.digest), (Outcome::Copied, &index.descriptor.digest));
    // Six manifests of the index, and three that refer.
    assert_eq!((copied.manifests.count, copied.manifests_present, copied.referrers), (9, 0, 3));
    // A shared layer, one of each of four images, three notes, and the empty config.
    assert_eq!((copied.tally(Fate::Copied).count, copied.tally(Fate::Present).count), (9, 0));
    let digest = &index.descriptor.digest;
    assert_eq!(tagged(&to, "o/to", "v2").await.as_ref(), Some(digest));
    let (there, here) =
        (content(&*to.repository("o/to"), digest).await, content(&*from.repository("o/from"), digest).await);
    assert!(there == here);
}

#[tokio::test]
async fn a_graph_goes_into_a_layout_and_out_again() {
    let (from, to, index) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let layout = |tag: &str| at(&format!("ocidir://{}/layout{tag}", folder.path().display()));
    let client = anonymous();
    let copied = copy(&client, &place(&from, "o/from:v1"), &layout(":v1")).await;
    assert_eq!((copied.outcome, copied.manifests.count, copied.referrers), (Outcome::Copied, 9, 3));
    let digest = &index.descriptor.digest;
    let on_disk = Layout::open(folder.path().join("layout")).await.unwrap();
    let expect = content(&*from.repository("o/from"), digest).await;
    assert!(content(&on_disk, digest).await == expect);
    refs_testkit::require_layout(&folder.path().join("layout"));
    copy(&client, &layout(":v1"), &place(&to, "o/to:v1")).await;
    assert!(content(&*to.repository("o/to"), digest).await == expect);
    let itself = copy(&client, &layout(":v1"), &layout("")).await;
    assert_eq!((itself.outcome, itself.manifests.count, itself.blobs.len()), (Outcome::Itself, 0, 0));
}

#[tokio::test]
async fn a_layer_in_a_file_becomes_an_artifact() {
    let to = FakeRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let layer = folder.path().join("layer.tar.gz");
    std::fs::write(&layer, image::gzip(&refs_testkit::Tree::new().file("a", "a").tar())).unwrap();
    let from = Location::File(layer);
    let copied = copy(&anonymous(), &from, &place(&to, "o/to:v1")).await;
    assert_eq!(copied.tally(Fate::Copied).count, 2);
    assert_eq!(tagged(&to, "o/to", "v1").await, Some(copied.manifest.digest));
    let back = anonymous().copy(&place(&to, "o/to:v1"), &from, &CopyOptions::default()).await.unwrap_err();
    assert!(matches!(back, Error::Location { .. }), "{back:?}");
}

#[tokio::test]
async fn what_a_list_under_a_tag_says_to_refer_arrives_where_there_are_such_lists() {
    for quirks in [Quirks::docker_hub(), Quirks::ghcr(), Quirks::ecr()] {
        let from = FakeRegistry::start().await;
        let index = graph(&*from.repository("o/from")).await;
        let to = FakeRegistry::builder().quirks(quirks.clone()).start().await;
        copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
        let expect = content(&*from.repository("o/from"), &index.descriptor.digest).await;
        // As a client sees it, who has to know where the list is.
        let client = anonymous();
        let seen = client.source(&place(&to, "o/to:v1")).await.unwrap();
        assert!(content(&*seen, &index.descriptor.digest).await == expect, "{quirks:?}");
        // And from there on, too.
        let third = FakeRegistry::start().await;
        copy(&client, &place(&to, "o/to:v1"), &place(&third, "o/to:v1")).await;
        assert!(content(&*third.repository("o/to"), &index.descriptor.digest).await == expect, "{quirks:?}");
    }
}

/// How to make a graph: images by their layers, then indexes by what they list of what was made before, then what refers.
#[derive(Debug, Clone)]
struct Shape {
    images: Vec<Vec<u8>>,
    indexes: Vec<Vec<prop::sample::Index>>,
    about: Vec<(prop::sample::Index, u8)>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let images = prop::collection::vec(prop::collection::vec(0_u8..6, 0..4), 1..5);
    let indexes = prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..3);
    let about = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..6), 0..4);
    (images, indexes, about).prop_map(|(images, indexes, about)| Shape { images, indexes, about })
}

async fn build(shape: &Shape, sink: &dyn Sink) -> Digest {
    let layers = |layers: &[u8]| {
        layers.iter().fold(Image::new(), |image, layer| image.layer(MediaType::OCI_LAYER, vec![*layer; 100]))
    };
    let mut made: Vec<Descriptor> = Vec::new();
    for of in &shape.images {
        made.push(layers(of).push(sink, &[]).await.unwrap().descriptor);
    }
    for lists in &shape.indexes {
        let index = image::index(lists.iter().map(|listed| listed.get(&made).clone()).collect()).unwrap();
        sink.put_manifest(&index, &[]).await.unwrap();
        made.push(index.descriptor);
    }
    let root = made.last().unwrap().digest.clone();
    for (subject, layer) in &shape.about {
        made.push(layers(&[*layer]).subject(subject.get(&made)).push(sink, &[]).await.unwrap().descriptor);
    }
    root
}

/// Copies a graph of this shape twice.
async fn check(shape: &Shape) -> Result<(), TestCaseError> {
    let memories = Memories::new();
    let client = Client::new(Arc::new(memories.clone()));
    let (host, other) = ("localhost".parse().unwrap(), "example.com".parse().unwrap());
    let (from, to) = ("o/from".parse().unwrap(), "o/to".parse().unwrap());
    let source = memories.repository(&host, &from);
    let root = build(shape, &source).await;
    let from = at(&format!("localhost/o/from@{root}"));
    for (host, name) in [(&host, "localhost/o/to:v1"), (&other, "example.com/o/to:v1")] {
        copy(&client, &from, &at(name)).await;
        let there = memories.repository(host, &to);
        prop_assert!(content(&there, &root).await == content(&source, &root).await);
        let again = copy(&client, &from, &at(name)).await;
        prop_assert_eq!(again.outcome, Outcome::Present);
        prop_assert_eq!(again.manifests.count, 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_graph_arrives_whole_and_once(shape in shapes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&shape))?;
    }
}

#[tokio::test]
async fn what_is_listed_for_another_than_its_subject_is_left_out() {
    let from = FakeRegistry::builder().quirks(Quirks::docker_hub()).start().await;
    let (sink, to) = (from.repository("o/from"), FakeRegistry::start().await);
    let root = Image::new().push(&*sink, &["v1"]).await.unwrap().descriptor;
    let other = image_of(1).push(&*sink, &[]).await.unwrap().descriptor;
    let about = |kind: &str, subject: &Descriptor| Image::new().artifact_type(kind).subject(subject);
    let good = about("text/x-signature", &root).push(&*sink, &[]).await.unwrap().descriptor;
    let stray = about("text/x-stray", &other).push(&*sink, &[]).await.unwrap().descriptor;
    let list = image::index(vec![stray.clone(), other.clone(), good.clone()]).unwrap();
    sink.put_manifest(&list, &[root.digest.referrers_tag()]).await.unwrap();
    let client = anonymous();
    let (here, there) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let copied = copy(&client, &here, &there).await;
    assert_eq!((copied.referrers, copied.manifests.count), (1, 2));
    assert_eq!(copy(&client, &here, &there).await.outcome, Outcome::Present);
    let there = to.repository("o/to");
    assert!(there.resolve(&Target::Digest(good.digest)).await.is_ok());
    for out in [stray, other] {
        assert!(there.resolve(&Target::Digest(out.digest)).await.is_err());
    }
}
