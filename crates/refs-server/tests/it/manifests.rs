//! Manifests, in and out.

use refs_registry::{Manifest, MediaType};
use refs_testkit::Image;
use refs_url::{Algorithm, Hasher};

use crate::client::{Peer, digest, header, refusal};

const OCI: (&str, &str) = ("content-type", "application/vnd.oci.image.manifest.v1+json");

/// A manifest whose blobs are in `o/r`.
async fn manifest(peer: &Peer) -> Manifest {
    Image::new().file("hello.txt", "hello").push(&*peer.registry.repository("o/r"), &[]).await.unwrap()
}

#[tokio::test]
async fn a_manifest_is_read_as_it_was_written() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    let digest = &manifest.descriptor.digest;
    for target in ["v1", digest.as_str()] {
        let path = format!("/v2/o/r/manifests/{target}");
        let put = peer.put(("PUT", &path), &[OCI], manifest.raw.clone()).await;
        assert_eq!((put.status().as_u16(), header(&put, "docker-content-digest")), (201, digest.as_str()));
        assert_eq!(header(&put, "location"), format!("/v2/o/r/manifests/{digest}"));
        for method in ["GET", "HEAD"] {
            let response = peer.send(method, &path).await;
            assert_eq!(response.status(), 200);
            assert_eq!(header(&response, "content-type"), OCI.1);
            assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
            assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
            assert_eq!(header(&response, "content-length"), manifest.raw.len().to_string());
            let body = response.bytes().await.unwrap();
            assert_eq!(body, if method == "GET" { manifest.raw.clone() } else { bytes::Bytes::new() });
        }
        let known = peer.ask("GET", &path).header("if-none-match", format!("\"{digest}\"")).send().await.unwrap();
        assert_eq!(known.status(), 304);
    }
}

#[tokio::test]
async fn a_manifest_by_sha512_keeps_its_digest() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    let mut hasher = Hasher::new(Algorithm::Sha512).unwrap();
    hasher.update(&manifest.raw);
    let path = format!("/v2/o/r/manifests/{}", hasher.finish());
    let put = peer.put(("PUT", &path), &[OCI], manifest.raw.clone()).await;
    assert_eq!((put.status().as_u16(), header(&put, "location")), (201, path.as_str()));
    assert_eq!(peer.send("GET", &path).await.bytes().await.unwrap(), manifest.raw);
}

#[tokio::test]
async fn a_manifest_says_its_type_itself_where_the_client_does_not() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    assert_eq!(peer.put(("PUT", "/v2/o/r/manifests/v1"), &[], manifest.raw.clone()).await.status(), 201);
    let parameters = ("content-type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
    assert_eq!(peer.put(("PUT", "/v2/o/r/manifests/v1"), &[parameters], manifest.raw).await.status(), 201);
}

#[tokio::test]
async fn a_manifest_comes_under_several_tags() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    let path = format!("/v2/o/r/manifests/{}?tag=a&tag=b", manifest.descriptor.digest);
    let put = peer.put(("PUT", &path), &[OCI], manifest.raw.clone()).await;
    let tags: Vec<_> = put.headers().get_all("oci-tag").iter().map(|tag| tag.to_str().unwrap()).collect();
    assert_eq!((put.status().as_u16(), tags), (201, vec!["a", "b"]));
    assert_eq!(peer.send("GET", "/v2/o/r/manifests/b").await.bytes().await.unwrap(), manifest.raw);
}

#[tokio::test]
async fn bad_manifests_are_refused_with_their_code() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    let index = ("content-type", "application/vnd.oci.image.index.v1+json");
    let absent = Image::new().layer(MediaType::OCI_LAYER, "absent").manifest().unwrap().raw;
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    let by_digest = format!("/v2/o/r/manifests/{}", digest("other"));
    let rows = [
        ("/v2/o/r/manifests/v1", OCI, "not json".into(), "400 MANIFEST_INVALID"),
        ("/v2/o/r/manifests/v1", OCI, "".into(), "400 MANIFEST_INVALID"),
        ("/v2/o/r/manifests/v1", ("x-none", ""), "{}".into(), "400 MANIFEST_INVALID"),
        ("/v2/o/r/manifests/v1", OCI, both.into(), "400 MANIFEST_INVALID"),
        ("/v2/o/r/manifests/v1", index, manifest.raw.clone(), "400 MANIFEST_INVALID"),
        ("/v2/o/r/manifests/v1", OCI, absent, "400 MANIFEST_BLOB_UNKNOWN"),
        ("/v2/o/r/manifests/sha256:00", OCI, manifest.raw.clone(), "400 DIGEST_INVALID"),
        (&by_digest, OCI, manifest.raw.clone(), "400 DIGEST_INVALID"),
    ];
    for (path, media_type, body, expect) in rows {
        assert_eq!(refusal(peer.put(("PUT", path), &[media_type], body).await).await, expect, "{path}");
    }
    assert_eq!(peer.send("HEAD", "/v2/o/r/manifests/v1").await.status(), 404);
}

#[tokio::test]
async fn a_manifest_may_have_four_mebibytes_and_no_more() {
    let peer = Peer::start().await;
    manifest(&peer).await;
    let mut padded = manifest(&peer).await.raw.to_vec();
    padded.resize(4 * 1024 * 1024, b' ');
    assert_eq!(peer.put(("PUT", "/v2/o/r/manifests/v1"), &[OCI], padded.clone()).await.status(), 201);
    padded.push(b' ');
    let refused = peer.put(("PUT", "/v2/o/r/manifests/v2"), &[OCI], padded).await;
    assert_eq!(refusal(refused).await, "413 SIZE_INVALID");
}

#[tokio::test]
async fn tags_and_manifests_are_deleted() {
    let peer = Peer::start().await;
    let manifest = manifest(&peer).await;
    let by_digest = format!("/v2/o/r/manifests/{}", manifest.descriptor.digest);
    for tag in ["a", "b"] {
        peer.put(("PUT", &format!("/v2/o/r/manifests/{tag}")), &[OCI], manifest.raw.clone()).await;
    }
    assert_eq!(peer.send("DELETE", "/v2/o/r/manifests/a").await.status(), 202);
    assert_eq!(refusal(peer.send("GET", "/v2/o/r/manifests/a").await).await, "404 MANIFEST_UNKNOWN");
    assert_eq!(peer.send("GET", &by_digest).await.status(), 200);
    assert_eq!(peer.send("DELETE", &by_digest).await.status(), 202);
    assert_eq!(refusal(peer.send("GET", "/v2/o/r/manifests/b").await).await, "404 MANIFEST_UNKNOWN");
}
