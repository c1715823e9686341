//! A second push of the same, or nearly the same, files.

use super::*;

#[tokio::test]
async fn second_push_sends_no_blob() {
    let registry = FakeRegistry::start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    let first = push(&client, &Tree::parse(SMALL), &at).await;
    assert_eq!((first.layer_sent, client.meter().skipped()), (Sent::Uploaded, 0));
    registry.take_requests();
    let second = push(&client, &Tree::parse(SMALL), &at).await;
    assert_eq!((second.layer_sent, &second.descriptor), (Sent::Present, &first.descriptor));
    assert_eq!(client.meter().skipped(), first.layer.size);
    let config = config(&*registry.repository("o/r")).await;
    let head = |digest| format!("HEAD /v2/o/r/blobs/{digest}");
    let manifest = "PUT /v2/o/r/manifests/v1".to_owned();
    assert_eq!(registry.take_requests(), [head(&first.layer.digest), head(&config), manifest]);
}

/// What a push of `tree` to a registry that has its first version asks for, and how many bytes it sends of the layer.
async fn second_push(registry: &FakeRegistry, tree: &Tree) -> (Pushed, Vec<String>, u64) {
    registry.take_requests();
    let pushed = push(&anonymous(), tree, &artifact(registry)).await;
    let seen = registry.take_requests();
    let bytes = seen.iter().filter(|request| request.path.contains("/uploads/")).map(|request| request.received);
    (pushed, lines(&seen), bytes.sum())
}

#[tokio::test]
async fn second_push_of_a_large_layer_sends_no_byte_of_it() {
    let registry = FakeRegistry::start().await;
    let first = push(&anonymous(), &large(), &artifact(&registry)).await;
    assert_eq!(first.layer_sent, Sent::Uploaded);
    let (second, seen, sent) = second_push(&registry, &large()).await;
    assert_eq!((second.layer_sent, &second.descriptor, sent), (Sent::Present, &first.descriptor, 0));
    let layer = &first.layer.digest;
    let config = config(&*registry.repository("o/r")).await;
    assert_eq!(
        seen,
        [
            "GET /v2/o/r/manifests/v1".to_owned(),
            format!("GET /v2/o/r/blobs/{layer}"),
            format!("HEAD /v2/o/r/blobs/{layer}"),
            format!("HEAD /v2/o/r/blobs/{config}"),
            "PUT /v2/o/r/manifests/v1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn layer_that_only_looks_unchanged_is_sent_when_it_is_known() {
    let registry = FakeRegistry::start().await;
    let first = push(&anonymous(), &large(), &artifact(&registry)).await;
    let other = Tree::new().file("noise", noise(5 << 20, 4));
    // The first attempt is cut, and goes on from there.
    registry.fault(On::put("/uploads/"), Fault::CutRequest { after: 1 << 20, close: Close::Reset });
    let (second, seen, sent) = second_push(&registry, &other).await;
    assert_eq!(second.layer_sent, Sent::Uploaded);
    assert_ne!(second.layer.digest, first.layer.digest);
    let writes: Vec<&str> = seen.iter().filter(|line| line.contains("/uploads/ID")).map(String::as_str).collect();
    let [put, ask, patch, end] =
        ["PUT", "GET", "PATCH", "PUT"].map(|method| format!("{method} /v2/o/r/blobs/uploads/ID"));
    assert_eq!(writes[..4], [put, ask, patch, end]);
    assert!(sent < second.layer.size + (1 << 20), "{sent}");
    assert_eq!(blob(&anonymous(), &artifact(&registry), &second.layer.digest).await.len() as u64, second.layer.size);
    let (_, elsewhere) = memory();
    assert_eq!(push(&elsewhere, &other, &at_memory()).await.descriptor, second.descriptor);
}

#[tokio::test]
async fn changed_large_layer_is_streamed() {
    let more = large().file("more", "one more");
    let longer = Tree::new().file("noise", noise((5 << 20) + 1, 3));
    for other in [more, longer] {
        let registry = FakeRegistry::start().await;
        push(&anonymous(), &large(), &artifact(&registry)).await;
        let (second, seen, _) = second_push(&registry, &other).await;
        assert_eq!(second.layer_sent, Sent::Uploaded);
        assert_eq!(seen.iter().filter(|line| line.starts_with("PATCH")).count(), 1, "{seen:?}");
    }
}

/// What is behind the tag can't be told, or can't be compared: the layer is sent as if there were nothing, and found to be
/// there at the end.
#[tokio::test]
async fn large_layer_that_cannot_be_foreseen_is_streamed() {
    for (path, status) in [("/manifests/", 403), ("/manifests/", 404), ("/blobs/sha256", 403), ("/blobs/sha256", 500)] {
        let registry = FakeRegistry::start().await;
        let first = push(&anonymous(), &large(), &artifact(&registry)).await;
        registry.fault(On::new(http::Method::GET, path).always(), Fault::Status { status, headers: Vec::new() });
        let (second, seen, _) = second_push(&registry, &large()).await;
        assert_eq!((second.layer_sent, &second.descriptor), (Sent::Present, &first.descriptor), "{path} {status}");
        assert_eq!(seen.iter().filter(|line| line.starts_with("PATCH")).count(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn what_nothing_vouches_for_foresees_nothing() {
    let changes: [fn(&mut ImageManifest); 3] = [
        |image| image.layers[0].annotations.clear(),
        |image| image.layers.push(image.layers[0].clone()),
        |image| {
            let other = refs_url::Digest::sha256(b"another table").to_string();
            image.layers[0].annotations.insert(TOC_DIGEST_ANNOTATION.to_owned(), other);
        },
    ];
    for change in changes {
        let registry = FakeRegistry::start().await;
        push(&anonymous(), &large(), &artifact(&registry)).await;
        let mut image = manifest(&anonymous(), &artifact(&registry)).await;
        change(&mut image);
        let manifest = refs_registry::Manifest::image(&image).unwrap();
        registry.repository("o/r").put_manifest(&manifest, &[Tag::parse("v1").unwrap()]).await.unwrap();
        let (second, seen, _) = second_push(&registry, &large()).await;
        assert_eq!(second.layer_sent, Sent::Present);
        assert_eq!(seen.iter().filter(|line| line.starts_with("PATCH")).count(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn streamed_layer_that_is_there_ends_its_session() {
    let registry = FakeRegistry::start().await;
    push(&anonymous(), &large(), &artifact(&registry)).await;
    let elsewhere = at(&format!("{}/o/r:v2", registry.host()));
    registry.take_requests();
    assert_eq!(push(&anonymous(), &large(), &elsewhere).await.layer_sent, Sent::Present);
    let seen = lines(&registry.take_requests());
    assert_eq!(seen.iter().filter(|line| line.starts_with("DELETE /v2/o/r/blobs/uploads/")).count(), 1, "{seen:?}");
}

#[tokio::test]
async fn layer_that_is_there_with_another_size_is_sent_again() {
    for tree in [Tree::parse(SMALL), large()] {
        let parent = tempfile::tempdir().unwrap();
        let (client, at) = (anonymous(), at(&format!("ocidir://{}/layout:v1", parent.path().display())));
        let first = push(&client, &tree, &at).await;
        let stored = parent.path().join("layout/blobs/sha256").join(first.layer.digest.encoded());
        std::fs::remove_file(&stored).unwrap();
        std::fs::write(&stored, "cut").unwrap();
        let second = push(&client, &tree, &at).await;
        assert_eq!((second.layer_sent, &second.descriptor), (Sent::Uploaded, &first.descriptor));
        assert_eq!(blob(&client, &at, &first.layer.digest).await.len() as u64, first.layer.size);
    }
}
