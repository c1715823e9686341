//! What is told of an artifact without fetching its files.

use refs_client::{Inspection, LayerKind, MANIFEST_FILE, ManifestName, ReadOptions};
use refs_registry::{MediaType, Platform};
use refs_testkit::{FakeRegistry, Image, Quirks, Tree, quirks::Ranges};

use crate::setup::{IN_MEMORY, MANIFEST, artifact, at, client, guarded, memory, noise, pushed};

fn tree() -> Tree {
    Tree::parse("644 README.md \"read me\"\n644 a \"a\"").file(MANIFEST_FILE, MANIFEST)
}

#[tokio::test]
async fn small_artifact_takes_three_requests_and_ten_kilobytes() {
    let (memories, _, pushed) = pushed(&tree()).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (client(&registry), artifact(&registry));
    client.list_tags(&at).await.unwrap();
    registry.take_requests();
    let inspection = client.inspect(&at, &ReadOptions::default()).await.unwrap();
    let seen = registry.requests();
    let config = &inspection.image.as_ref().unwrap().config.digest;
    let blob = |digest: &refs_url::Digest| format!("GET /v2/o/r/blobs/{digest}");
    assert_eq!(seen, ["GET /v2/o/r/manifests/v1".to_owned(), blob(config), blob(&pushed.layer.digest)]);
    assert!(seen.iter().map(|request| request.sent).sum::<u64>() < 10_000, "{seen:?}");
    assert_eq!(inspection.descriptor, pushed.descriptor);
    let image = inspection.image.unwrap();
    assert_eq!((image.layers[0].kind, image.layers[0].files), (LayerKind::Estargz, Some(3)));
    assert_eq!(image.layers[0].file_bytes, Some(8 + MANIFEST.len() as u64));
    assert_eq!(image.manifest_file.unwrap().unwrap().title, "Guide");
}

#[tokio::test]
async fn manifest_file_may_have_another_name() {
    let (_, client, _) = pushed(&tree().file("other.yaml", "free: text")).await;
    let other: ManifestName = "other.yaml".parse().unwrap();
    let options = ReadOptions { manifest_file: other, ..ReadOptions::default() };
    let image = client.inspect(&at(IN_MEMORY), &options).await.unwrap().image.unwrap();
    assert_eq!(image.manifest_file.unwrap().unwrap_err().0[0].field, "free");
    let options = ReadOptions { manifest_file: "none".parse().unwrap(), ..ReadOptions::default() };
    assert_eq!(client.inspect(&at(IN_MEMORY), &options).await.unwrap().image.unwrap().manifest_file, None);
}

async fn inspected(image: Image) -> Inspection {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    client.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap()
}

#[tokio::test]
async fn what_cannot_be_read_is_described() {
    for (media_type, kind) in [
        (MediaType::OCI_LAYER, LayerKind::Tar),
        (MediaType::OCI_LAYER_GZIP, LayerKind::TarGzip),
        (MediaType::OCI_LAYER_ZSTD, LayerKind::TarZstd),
        (MediaType::new("application/x-what"), LayerKind::Other),
    ] {
        let image = inspected(Image::new().layer(media_type, noise(100, 1))).await.image.unwrap();
        assert_eq!((image.layers[0].kind, image.layers[0].files, image.image_config), (kind, None, None));
    }
}

#[tokio::test]
async fn registry_without_ranges_is_not_asked_for_whole_layers() {
    let (memories, _, _) = pushed(&tree().file("large", noise(1 << 20, 1))).await;
    let quirks = Quirks { ranges: Ranges::Ignored, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).store(std::sync::Arc::new(memories)).start().await;
    let image = crate::setup::anonymous().inspect(&artifact(&registry), &ReadOptions::default()).await;
    let image = image.unwrap().image.unwrap();
    assert_eq!((image.layers[0].kind, image.layers[0].files), (LayerKind::TarGzip, None));
    assert_eq!(image.manifest_file, None);
    assert_eq!(registry.requests().len(), 3, "{:?}", registry.requests());
}

#[tokio::test]
async fn platform_that_was_asked_for_has_to_be_there() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let platform = Platform::new("plan9", "386");
    let images = [(platform.clone(), Image::new().tree(&tree()))];
    refs_testkit::image::push_index(&repository, &images, &["v1"]).await.unwrap();
    let inspection = client.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!((inspection.manifests[0].platform.as_ref(), inspection.image), (Some(&platform), None));
    let asked = |platform| ReadOptions { platform: Some(platform), ..ReadOptions::default() };
    assert!(client.inspect(&at(IN_MEMORY), &asked(platform)).await.unwrap().image.is_some());
    let error = client.inspect(&at(IN_MEMORY), &asked(Platform::new("linux", "amd64"))).await.unwrap_err();
    assert!(matches!(error, refs_client::Error::PlatformNotFound { .. }), "{error:?}");
}
