//! What the distribution spec says that a client MUST do, a test each, in the order of the spec
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    Descriptor, Error, ErrorKind, Filter, Manifest, MediaType, Options, Payload, Registries, Resume, Sink, Source,
    Warnings, auth::Anonymous, error::Fault,
};
use refs_testkit::{FakeRegistry, Image, Quirks};
use refs_url::{Digest, Hasher, RepoName, Tag};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, at, basic, bytes, collect, name, options, repository, tag, with_password},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const RAW: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn raw() -> Reply {
    Reply::ok(RAW).header("content-type", INDEX)
}

fn blob(content: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content)
}

fn sha512(content: &[u8]) -> Digest {
    let any = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    let mut hasher = Hasher::for_digest(&any).unwrap();
    hasher.update(content);
    hasher.finish()
}

/// "Pulling manifests": a name and a tag MUST match their patterns, and a reference be a tag or a digest.
#[test]
fn names_and_references_have_the_grammar_of_the_spec() {
    for name in ["a", "a/b", "a.b/c_d/e__f/g--h", "0"] {
        assert_eq!(RepoName::parse(name).unwrap(), name);
    }
    for name in ["", "A", "a//b", "/a", "a/", "a..b", "a___b", "-a", "a b", "a/../b", "a%2fb", "a?b"] {
        RepoName::parse(name).unwrap_err();
    }
    for tag in ["a", "_", "v1.2-3_4", &"x".repeat(128)] {
        Tag::parse(tag).unwrap();
    }
    for tag in ["", ".a", "-a", "a:b", "a/b", "ä", &"x".repeat(129)] {
        Tag::parse(tag).unwrap_err();
    }
}

/// "Pulling manifests", "Pulling blobs": a client that uses `Docker-Content-Digest` MUST verify it against the body.
#[tokio::test]
async fn a_digest_that_the_registry_reports_is_verified_against_the_body() {
    let other = Digest::sha256(b"other");
    let reported = other.clone();
    let peer = Peer::start(move |_| raw().header("docker-content-digest", reported.as_str())).await;
    let repository = repository(&anonymous(), &peer);
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::WrongDigest(_), .. }), "{error:?}");
    let error = repository.manifest(&at(&other)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Digest);
}

/// "POST then PUT": `Content-Length` MUST be that of the blob, and the digest the blob's.
#[tokio::test]
async fn the_length_and_the_digest_of_an_upload_are_the_blobs() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
        _ => Reply::status(201),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    for content in [bytes(70_000), Vec::new()] {
        repository.put_blob(&blob(&content), Bytes::from(content.clone()).into()).await.unwrap();
        let put = peer.seen().pop().unwrap();
        assert_eq!(put.header("content-length"), Some(content.len().to_string().as_str()));
        let digest = Digest::sha256(&content).to_string().replace(':', "%3A");
        assert_eq!(put.line(), format!("PUT /v2/a/b/blobs/uploads/1?digest={digest}"));
        assert_eq!(put.body, content);
    }
}

/// "Pushing a blob in chunks": the `POST` MUST have the length 0, chunks MUST come in order and name their ranges without a
/// unit, both ends included, from 0 on; and the session MUST be closed by a `PUT` with the digest of all.
#[tokio::test]
async fn an_upload_in_pieces_begins_empty_and_ends_with_the_digest_of_all() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "PATCH" => Reply::status(202)
            .header("location", "/v2/a/b/blobs/uploads/1")
            .header("range", format!("0-{}", request.body.len() - 1)),
        "POST" => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
        "PUT" => Reply::status(201),
        _ => Reply::status(404),
    })
    .await;
    let content = bytes(10_000);
    let chunks: Vec<_> = content.chunks(1_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let stream = Box::pin(futures_util::stream::iter(chunks));
    repository(&anonymous(), &peer).put_blob(&blob(&content), Payload::Once(stream)).await.unwrap();
    let seen: Vec<_> = peer.seen().into_iter().filter(|request| request.method != "HEAD").collect();
    assert_eq!((seen[0].method.as_str(), seen[0].header("content-length")), ("POST", Some("0")));
    let last = seen.last().unwrap();
    assert_eq!(last.method, "PUT");
    assert!(last.target.ends_with(&Digest::sha256(&content).to_string().replace(':', "%3A")), "{}", last.target);
    let mut sent = Vec::new();
    for piece in &seen[1..] {
        if let Some(range) = piece.header("content-range") {
            assert_eq!(range, format!("{}-{}", sent.len(), sent.len() + piece.body.len() - 1));
        }
        sent.extend_from_slice(&piece.body);
    }
    assert!(sent == content);
}

/// "Pushing manifests": a manifest's `Content-Type` MUST be its `mediaType`.
#[tokio::test]
async fn the_content_type_of_a_manifest_is_its_media_type() {
    let peer = Peer::start(|_| Reply::status(201)).await;
    for media_type in MediaType::MANIFESTS {
        let raw = format!("{{\"schemaVersion\":2,\"mediaType\":\"{media_type}\"}}");
        let manifest = Manifest::new(media_type.clone(), raw.into());
        repository(&anonymous(), &peer).put_manifest(&manifest, &[]).await.unwrap();
        assert_eq!(peer.seen().pop().unwrap().header("content-type"), Some(media_type.as_str()));
    }
}

/// "Pushing manifests with subject": without `OCI-Subject` in the answer, the client MUST add the manifest to the index under
/// the referrers tag, with the artifact type, else the type of the config, and all annotations.
#[tokio::test]
async fn a_manifest_with_a_subject_is_listed_where_the_registry_does_not() {
    let registry = FakeRegistry::builder().quirks(Quirks::docker_hub()).start().await;
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    let subject = Image::new().file("a", "a").push(&repository, &["v1"]).await.unwrap().descriptor;
    let image = Image::new().subject(&subject).annotate("a", "1").annotate("b", "2");
    let typed = image.clone().artifact_type("application/vnd.example").push(&repository, &[]).await.unwrap();
    let untyped = image.push(&repository, &[]).await.unwrap();
    let listed: Vec<Descriptor> = repository.referrers(&subject.digest, Filter::default()).try_collect().await.unwrap();
    let kinds = [(typed, MediaType::new("application/vnd.example")), (untyped, MediaType::OCI_EMPTY)];
    for (manifest, kind) in kinds {
        let shown = listed.iter().find(|shown| shown.digest == manifest.descriptor.digest).unwrap();
        assert_eq!(shown.artifact_type.as_ref(), Some(&kind));
        let annotations: Vec<_> = shown.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(annotations, ["a=1", "b=2"]);
    }
    let tag = subject.digest.referrers_tag();
    let listed_at = registry.repository("a/b").manifest(&tag.into()).await.unwrap().descriptor.media_type;
    assert_eq!(listed_at, MediaType::OCI_INDEX);
}

/// "Unavailable referrers API": a 404 MUST lead to the tag, which is the algorithm, at most 32 characters of it, and at most
/// 64 of what follows it.
#[tokio::test]
async fn a_registry_without_the_list_is_asked_for_the_tag() {
    async fn check(digest: &str, expect: &str) {
        let peer = Peer::start(|_| Reply::status(404)).await;
        let digest = Digest::parse(digest).unwrap();
        let repository = repository(&anonymous(), &peer);
        let listed: Vec<_> = repository.referrers(&digest, Filter::default()).try_collect().await.unwrap();
        assert!(listed.is_empty());
        let expect = [format!("GET /v2/a/b/referrers/{digest}"), format!("GET /v2/a/b/manifests/{expect}")];
        assert_eq!(peer.lines(), expect);
    }
    let hex = "0123456789abcdef".repeat(8);
    check(&format!("sha256:{}", &hex[..64]), &format!("sha256-{}", &hex[..64])).await;
    check(&format!("sha512:{hex}"), &format!("sha512-{}", &hex[..64])).await;
    let long = "test+algorithm+using+algorithm+separators+and+lots+of+characters+to+exceed+length:\
                alsoSome=InTheEncodedSectionToShowHyphenReplacementAndLotsAndLotsOfCharactersToExceedLength";
    let expect = "test-algorithm-using-algorithm-s-alsoSome-InTheEncodedSectionToShowHyphenReplacementAndLotsAndLot";
    check(long, expect).await;
}

/// "Backwards compatibility": clients MUST work with registries that implement a part of the spec, or an older one.
#[tokio::test]
async fn a_registry_of_an_older_spec_is_pushed_to_listed_and_pulled_from() {
    let registry = FakeRegistry::builder().quirks(Quirks::old_spec()).start().await;
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    let image = Image::new().file("a", "a").push(&repository, &["v1", "v2"]).await.unwrap();
    let about = Image::new().subject(&image.descriptor).push(&repository, &["about"]).await.unwrap();
    let tags: Vec<String> = repository.tags(None).map_ok(|tag| tag.to_string()).try_collect().await.unwrap();
    let list = image.descriptor.digest.referrers_tag();
    assert_eq!(tags, ["about", list.as_str(), "v1", "v2"]);
    assert_eq!(repository.manifest(&tag("v2")).await.unwrap(), image);
    let error = repository.delete_manifest(&tag("v2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    repository.delete_manifest(&at(&about.descriptor.digest)).await.unwrap();
    let listed: Vec<_> = repository.referrers(&image.descriptor.digest, Filter::default()).try_collect().await.unwrap();
    assert!(listed.is_empty());
}

/// "API": on a redirect to another host, the client MUST NOT forward `Authorization`.
#[tokio::test]
async fn authorization_is_not_forwarded_to_another_host() {
    let content = bytes(100);
    let served = content.clone();
    let cdn = Peer::start(move |_| Reply::ok(served.clone())).await;
    let to = cdn.url("/signed?x=1");
    let peer = Peer::start(move |request| match request.header("authorization") {
        Some(shown) if shown == basic("secret") => Reply::redirect(307, to.clone()),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"r\""),
    })
    .await;
    let read = repository(&with_password(&peer, "secret"), &peer).blob(&blob(&content).digest, Resume::START).await;
    assert_eq!(collect(read.unwrap().stream).await.unwrap(), content);
    assert!(cdn.seen().iter().all(|request| request.header("authorization").is_none()));
}

/// "Warnings": clients MUST NOT act on warnings.
#[tokio::test]
async fn a_warning_changes_nothing_but_what_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut seen = Vec::new();
    for warning in [None, Some(r#"299 - "retry; go away; 503""#)] {
        let peer = Peer::start(move |_| match warning {
            Some(warning) => raw().header("warning", warning),
            None => raw(),
        })
        .await;
        let list = told.clone();
        let warnings = Warnings::to(move |warning| list.lock().unwrap().push(warning.text.clone()));
        let options = Options { warnings, ..options(&TestClock::new(), vec![Arc::new(Anonymous)]) };
        let manifest = repository(&Registries::new(options), &peer).manifest(&tag("v1")).await.unwrap();
        assert_eq!(manifest.raw, RAW);
        seen.push(peer.lines());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(*told.lock().unwrap(), ["retry; go away; 503"]);
}

/// "Digests": content MUST match its digest, whatever registered algorithm that has.
#[tokio::test]
async fn content_is_verified_by_sha512_as_by_sha256() {
    let registry = FakeRegistry::start().await;
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    let content = bytes(200_000);
    let layer = Descriptor::new(MediaType::OCI_LAYER, sha512(&content), content.len() as u64);
    repository.put_blob(&layer, Bytes::from(content.clone()).into()).await.unwrap();
    let read = repository.blob(&layer.digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), content);
    let wrong = Descriptor { digest: sha512(b"other"), ..layer.clone() };
    let error = repository.put_blob(&wrong, Bytes::from(content).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Digest);

    let manifest = Manifest {
        descriptor: Descriptor::new(MediaType::OCI_INDEX, sha512(RAW.as_bytes()), RAW.len() as u64),
        raw: RAW.into(),
    };
    let stored = repository.put_manifest(&manifest, &[Tag::parse("v1").unwrap()]).await.unwrap();
    assert_eq!(stored.digest, manifest.descriptor.digest);
    assert_eq!(repository.manifest(&at(&stored.digest)).await.unwrap(), manifest);
    assert_eq!(repository.resolve(&tag("v1")).await.unwrap().digest, stored.digest);
}
