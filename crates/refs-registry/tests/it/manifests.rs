use refs_registry::{
    Descriptor, Error, ErrorKind, Manifest, MediaType, Sink, Source,
    error::{Fault, ManifestFault, Wanted},
};
use refs_url::{Digest, Hasher, Tag, Target};

use crate::{
    peer::{Peer, Reply},
    setup::{anonymous, at, repository, tag},
};

const RAW: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn served() -> Reply {
    let digest = Digest::sha256(RAW.as_bytes());
    Reply::ok(RAW).header("content-type", INDEX).header("docker-content-digest", digest.as_str())
}

fn described() -> Descriptor {
    Descriptor::of(MediaType::OCI_INDEX, RAW.as_bytes())
}

#[tokio::test]
async fn a_tag_is_resolved_by_head_alone() {
    let peer = Peer::start(|_| served()).await;
    assert_eq!(repository(&anonymous(), &peer).resolve(&tag("v1")).await.unwrap(), described());
    assert_eq!(peer.lines(), ["HEAD /v2/a/b/manifests/v1"]);
    let accept = peer.seen()[0].header("accept").unwrap().to_owned();
    assert!(MediaType::MANIFESTS.iter().all(|media_type| accept.contains(media_type.as_str())), "{accept}");
}

#[tokio::test]
async fn a_head_that_says_too_little_is_followed_by_get() {
    let announced = || Reply::ok(RAW).header("content-type", INDEX);
    // No reference can hold such a digest.
    let md5 = announced().header("docker-content-digest", "md5:d41d8cd98f00b204e9800998ecf8427e");
    for poor in [Reply::status(405), announced(), md5, Reply::ok(RAW), Reply::status(501)] {
        let peer = Peer::start(move |request| if request.method == "HEAD" { poor.clone() } else { served() }).await;
        assert_eq!(repository(&anonymous(), &peer).resolve(&tag("v1")).await.unwrap(), described());
        assert_eq!(peer.seen().len(), 2);
    }
}

#[tokio::test]
async fn what_is_no_whole_manifest_of_the_registry_is_refused() {
    for status in [203, 206] {
        let digest = Digest::sha256(RAW.as_bytes());
        let peer = Peer::start(move |_| {
            let reply = Reply::status(status).body(RAW).header("content-type", INDEX);
            reply.header("docker-content-digest", digest.as_str())
        });
        let peer = peer.await;
        let repository = repository(&anonymous(), &peer);
        for error in [
            repository.resolve(&tag("v1")).await.unwrap_err(),
            repository.manifest(&tag("v1")).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Protocol { fault: Fault::BadBody(_), .. }), "{status}: {error}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let peer = Peer::start(move |_| Reply::status(404).body(body)).await;
    let repository = repository(&anonymous(), &peer);
    let expect = format!("manifest `v1` not found in {}/a/b", peer.host);
    assert_eq!(repository.resolve(&tag("v1")).await.unwrap_err().to_string(), expect);
    assert_eq!(repository.manifest(&tag("v1")).await.unwrap_err().to_string(), expect);
}

#[track_caller]
fn is_digest(error: &Error) -> bool {
    error.kind() == ErrorKind::Digest
}

#[tokio::test]
async fn m058_m060_m061_m064_manifests_that_are_not_what_they_claim_are_refused() {
    async fn check(target: Target, reply: Reply, is_expected: fn(&Error) -> bool) {
        let peer = Peer::start(move |_| reply.clone()).await;
        let error = repository(&anonymous(), &peer).manifest(&target).await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    }
    let other = Digest::sha256(b"other");
    let forged = served().header("docker-content-digest", other.as_str());
    check(at(&other), served(), is_digest).await;
    check(at(&other), forged, is_digest).await;
    let lying = Reply::ok(RAW).header("content-type", INDEX).header("docker-content-digest", other.as_str());
    check(tag("v1"), lying, |error| matches!(error, Error::Protocol { fault: Fault::WrongDigest(_), .. })).await;
    let junk = Reply::ok(RAW).header("content-type", INDEX).header("docker-content-digest", "sha256:../../x");
    check(tag("v1"), junk, |error| matches!(error, Error::Protocol { fault: Fault::BadHeader { .. }, .. })).await;
    let image = Reply::ok(RAW).header("content-type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
    check(tag("v1"), image, |error| matches!(error, Error::Manifest { fault: ManifestFault::MediaType { .. }, .. }))
        .await;
    check(tag("v1"), Reply::ok("<html>").header("content-type", "text/html; charset=UTF-8"), |error| {
        matches!(error, Error::Protocol { fault: Fault::Page, .. })
    })
    .await;
    check(tag("v1"), Reply::ok("no json"), |error| {
        matches!(error, Error::Manifest { fault: ManifestFault::Json(_), .. })
    })
    .await;
    let large = Reply::ok(vec![b' '; 4 * 1024 * 1024 + 1]);
    check(tag("v1"), large, |error| matches!(error, Error::TooLarge { limit: 4_194_304, .. })).await;
    let sha384 = Digest::parse(&format!("sha384:{}", "0".repeat(96))).unwrap();
    check(at(&sha384), served(), |error| matches!(error, Error::Unsupported { wanted: Wanted::Algorithm(_), .. }))
        .await;
}

/// The digest that registries report of a signed one is that of what was signed.
#[tokio::test]
async fn m074_manifests_of_schema_1_are_unsupported_whatever_their_digest() {
    let raw = r#"{"schemaVersion":1,"name":"o/r","tag":"v1","fsLayers":[],"history":[],"signatures":[]}"#;
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ] {
        for digest in [Digest::sha256(raw.as_bytes()), Digest::sha256(b"what was signed")] {
            let reply =
                Reply::ok(raw).header("content-type", media_type).header("docker-content-digest", digest.as_str());
            let peer = Peer::start(move |_| reply.clone()).await;
            for target in [tag("v1"), at(&digest)] {
                let read = repository(&anonymous(), &peer).manifest(&target).await;
                let error = read.and_then(|manifest| manifest.parse()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
                assert!(error.to_string().contains(media_type), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_cut_manifest_is_asked_for_again() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        if count < 3 { served().cut_at(10) } else { served() }
    })
    .await;
    let manifest = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap();
    assert_eq!((manifest.descriptor, &manifest.raw[..]), (described(), RAW.as_bytes()));
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test]
async fn types_that_say_nothing_give_way_to_the_one_in_the_body() {
    for vague in ["application/json", "text/plain; charset=utf-8", "application/octet-stream"] {
        let peer = Peer::start(move |_| Reply::ok(RAW).header("content-type", vague)).await;
        assert_eq!(repository(&anonymous(), &peer).resolve(&tag("v1")).await.unwrap(), described());
    }
}

#[tokio::test]
async fn sha512_addresses_and_verifies() {
    let mut hasher = Hasher::for_digest(&Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap()).unwrap();
    hasher.update(RAW.as_bytes());
    let digest = hasher.finish();
    let peer = Peer::start(|_| served()).await;
    let manifest = repository(&anonymous(), &peer).manifest(&at(&digest)).await.unwrap();
    assert_eq!(manifest.descriptor.digest, digest);
}

fn manifest() -> Manifest {
    Manifest::new(MediaType::OCI_INDEX, RAW.into())
}

#[tokio::test]
async fn a_manifest_is_put_under_each_tag_or_its_digest() {
    let peer = Peer::start(|_| Reply::status(201)).await;
    let repository = repository(&anonymous(), &peer);
    let tags = ["v1", "latest"].map(|tag| Tag::parse(tag).unwrap());
    repository.put_manifest(&manifest(), &tags[..1]).await.unwrap();
    let stored = repository.put_manifest(&manifest(), &tags).await.unwrap();
    assert_eq!((stored.digest.clone(), stored.subject), (described().digest, None));
    repository.put_manifest(&manifest(), &[]).await.unwrap();
    repository.put_manifest(&manifest(), &tags).await.unwrap();
    let digest = stored.digest.as_str();
    // A registry that sets no tags along with a manifest is asked once.
    let at_once = format!("{digest}?tag=v1&tag=latest");
    let targets = ["v1", &at_once, "v1", "latest", digest, "v1", "latest"];
    assert_eq!(peer.lines(), targets.map(|target| format!("PUT /v2/a/b/manifests/{target}")));
    assert!(peer.seen().iter().all(|put| put.header("content-type") == Some(INDEX) && put.body == RAW.as_bytes()));
}

#[tokio::test]
async fn a_manifest_that_is_refused_for_its_size_says_so() {
    for status in [400, 413] {
        let peer = Peer::start(move |_| Reply::status(status)).await;
        let repository = repository(&anonymous(), &peer);
        let large = Manifest::new(MediaType::OCI_INDEX, vec![b' '; 4 * 1024 * 1024 + 1].into());
        let error = repository.put_manifest(&large, &[]).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 4_194_304, .. }), "{error:?}");
        let error = repository.put_manifest(&manifest(), &[]).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn tags_that_the_registry_takes_along_with_a_manifest_are_not_set_again() {
    async fn check(count: usize, answer: fn(&[String]) -> Reply, expect: &[&str]) {
        let peer = Peer::start(move |put| {
            let query = put.target.split_once('?').map_or("", |(_, query)| query);
            answer(
                &query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).map(str::to_owned).collect::<Vec<_>>(),
            )
        })
        .await;
        let tags: Vec<Tag> = (0..count).map(|n| Tag::parse(&format!("v{n}")).unwrap()).collect();
        repository(&anonymous(), &peer).put_manifest(&manifest(), &tags).await.unwrap();
        let digest = described().digest;
        let short = |line: &str| line.replace("PUT /v2/a/b/manifests/", "").replace(digest.as_str(), "D");
        assert_eq!(peer.lines().iter().map(|line| short(line)).collect::<Vec<_>>(), expect);
    }
    fn all(tags: &[String]) -> Reply {
        tags.iter().fold(Reply::status(201), |reply, tag| reply.header("oci-tag", tag))
    }
    fn joined(tags: &[String]) -> Reply {
        Reply::status(201).header("oci-tag", tags.join(", "))
    }
    fn first(tags: &[String]) -> Reply {
        all(&tags[..tags.len().min(1)])
    }
    fn too_long(tags: &[String]) -> Reply {
        if tags.is_empty() { Reply::status(201) } else { Reply::status(414) }
    }
    check(2, all, &["D?tag=v0&tag=v1"]).await;
    check(2, joined, &["D?tag=v0&tag=v1"]).await;
    check(3, first, &["D?tag=v0&tag=v1&tag=v2", "v1", "v2"]).await;
    check(2, too_long, &["D?tag=v0&tag=v1", "v0", "v1"]).await;
    let ten = "D?tag=v0&tag=v1&tag=v2&tag=v3&tag=v4&tag=v5&tag=v6&tag=v7&tag=v8&tag=v9";
    check(12, all, &[ten, "D?tag=v10&tag=v11"]).await;
}

#[tokio::test]
async fn a_put_is_repeated_and_its_refusal_told() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        if count < 3 { Reply::status(500) } else { Reply::status(201) }
    })
    .await;
    repository(&anonymous(), &peer).put_manifest(&manifest(), &[]).await.unwrap();
    assert_eq!(peer.seen().len(), 3);

    let body = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown","detail":{"Digest":"x"}}]}"#;
    let peer = Peer::start(move |_| Reply::status(400).body(body)).await;
    let error = repository(&anonymous(), &peer).put_manifest(&manifest(), &[]).await.unwrap_err();
    assert!(error.to_string().ends_with("was answered with 400: MANIFEST_BLOB_UNKNOWN: blob unknown"), "{error}");
    assert_eq!(error.code(), Some(refs_registry::error::Code::ManifestBlobUnknown));

    let other = Digest::sha256(b"other");
    let peer = Peer::start(move |_| Reply::status(201).header("docker-content-digest", other.as_str())).await;
    let error = repository(&anonymous(), &peer).put_manifest(&manifest(), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::WrongDigest(_), .. }), "{error:?}");
}

#[tokio::test]
async fn deleting_is_done_or_known_not_to_be_possible() {
    async fn delete(replies: Vec<Reply>, target: Target) -> Result<(), Error> {
        let mut replies = replies.into_iter();
        // A manifest is read first, for the subject that it may have.
        let peer =
            Peer::start(move |request| if request.method == "GET" { served() } else { replies.next().unwrap() }).await;
        repository(&anonymous(), &peer).delete_manifest(&target).await
    }
    let digest = at(&described().digest);
    delete(vec![Reply::status(202)], digest.clone()).await.unwrap();
    // The first answer was lost, and the request was not.
    delete(vec![Reply::dropped(), Reply::status(404)], digest.clone()).await.unwrap();
    let absent = delete(vec![Reply::status(404)], digest.clone()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    for (status, target) in [(405, digest.clone()), (400, tag("v1"))] {
        let error = delete(vec![Reply::status(status)], target).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { wanted: Wanted::Delete, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn page_that_answers_whatever_is_asked_is_no_manifest_and_no_success() {
    let peer = Peer::start(|_| Reply::ok("<html>log in").header("content-type", "text/html; charset=utf-8")).await;
    let repository = repository(&anonymous(), &peer);
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(error.to_string().contains(&peer.host.to_string()), "{error}");
    assert!(matches!(error, Error::Protocol { fault: Fault::Page, .. }), "{error:?}");
    let error = repository.put_manifest(&manifest(), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::MissingHeader("location"), .. }), "{error:?}");
}
