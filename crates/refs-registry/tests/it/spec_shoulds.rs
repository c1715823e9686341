//! What the distribution spec says that a client SHOULD do, a test each, in the order of the spec
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>). Retries and `Retry-After` are in `retry`,
//! uploads in pieces in `uploads`.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    Descriptor, Error, ErrorKind, Farewells, Filter, Manifest, MediaType, Mounted, Options, Registries, Repository,
    Resume, Sink, Source, Warnings, auth::Anonymous, error::ManifestFault,
};
use refs_testkit::{FakeRegistry, Image};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, at, bytes, collect, name, options, repository, tag},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const RAW: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn raw() -> Reply {
    Reply::ok(RAW).header("content-type", INDEX)
}

fn manifest() -> Manifest {
    Manifest::new(MediaType::OCI_INDEX, RAW.into())
}

/// "Pulling manifests": the client SHOULD send `Accept` with the types that it reads.
#[tokio::test]
async fn a_manifest_is_asked_for_with_the_types_that_are_read() {
    let peer = Peer::start(|_| raw()).await;
    let repository = repository(&anonymous(), &peer);
    repository.manifest(&tag("v1")).await.unwrap();
    repository.resolve(&tag("v1")).await.unwrap();
    for request in peer.seen() {
        let accepts: Vec<_> = request.headers.iter().filter(|(name, _)| name == "accept").collect();
        assert_eq!(accepts.len(), 1, "some registries read the first only");
        assert_eq!(
            accepts[0].1.split(", ").collect::<Vec<_>>(),
            MediaType::MANIFESTS.each_ref().map(MediaType::as_str)
        );
    }
}

/// "Pulling manifests": parameters of a `Content-Type` SHOULD be ignored, and none be sent.
#[tokio::test]
async fn parameters_of_a_content_type_are_neither_read_nor_sent() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "PUT" => Reply::status(201),
        _ => Reply::ok(RAW).header("content-type", format!("{INDEX}; charset=utf-8; x=\"y\"")),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let read = repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(read, manifest());
    repository.put_manifest(&read, &[]).await.unwrap();
    assert_eq!(peer.seen().pop().unwrap().header("content-type"), Some(INDEX));
}

/// "Pulling manifests": a body whose `mediaType` is not its `Content-Type` SHOULD be rejected.
#[tokio::test]
async fn a_manifest_that_says_to_be_another_than_announced_is_refused() {
    let peer = Peer::start(|_| Reply::ok(RAW).header("content-type", MediaType::OCI_MANIFEST.as_str())).await;
    let error = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Manifest { fault: ManifestFault::MediaType { .. }, .. }), "{error:?}");
}

/// "Pulling manifests", "Pulling blobs": what comes SHOULD be verified against the digest that it was asked for by.
#[tokio::test]
async fn what_comes_is_verified_against_the_digest_asked_for() {
    let peer = Peer::start(|_| raw()).await;
    let repository = repository(&anonymous(), &peer);
    let other = Digest::sha256(b"other");
    assert_eq!(repository.manifest(&at(&other)).await.unwrap_err().kind(), ErrorKind::Digest);
    let blob = repository.blob(&other, Resume::START).await.unwrap();
    assert_eq!(collect(blob.stream).await.unwrap_err().kind(), ErrorKind::Digest);
}

/// "POST then PUT": the `Location` SHOULD be used as it is, its query included, with the digest added.
#[tokio::test]
async fn the_location_of_an_upload_is_used_as_it_is() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("location", "/elsewhere/%2F?b=2&a=1%2B1&_state=x=="),
        _ => Reply::status(201),
    })
    .await;
    let blob = Descriptor::of(MediaType::OCI_LAYER, b"x");
    repository(&anonymous(), &peer).put_blob(&blob, Bytes::from_static(b"x").into()).await.unwrap();
    let digest = blob.digest.to_string().replace(':', "%3A");
    assert_eq!(peer.lines().pop().unwrap(), format!("PUT /elsewhere/%2F?b=2&a=1%2B1&_state=x==&digest={digest}"));
}

/// "Pushing a blob in chunks": each request SHOULD go to the newest `Location`.
#[tokio::test]
async fn each_request_of_an_upload_goes_to_the_newest_location() {
    let mut count = 0;
    let peer = Peer::start(move |request| {
        count += 1;
        match request.method.as_str() {
            "PUT" => Reply::status(201),
            _ => Reply::status(202).header("location", format!("/v2/a/b/blobs/uploads/{count}")),
        }
    })
    .await;
    let content = bytes(10_000);
    let mut upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    for chunk in content.chunks(2_000) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    upload.commit(&Digest::sha256(&content)).await.unwrap();
    for (before, request) in peer.seen().iter().enumerate().skip(1) {
        assert!(request.target.starts_with(&format!("/v2/a/b/blobs/uploads/{before}")), "{}", request.target);
    }
}

/// "Cancelling a blob upload": a session that is given up SHOULD be deleted, whatever is answered.
#[tokio::test]
async fn an_upload_that_is_given_up_is_deleted() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "DELETE" => Reply::status(404),
        _ => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
    })
    .await;
    let upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    drop(upload.abort().await);
    assert_eq!(peer.lines().pop().unwrap(), "DELETE /v2/a/b/blobs/uploads/1");
}

/// That a session is deleted whose beginning was given up after it was asked for, and before the answer was heard.
async fn check_unheard<T>(begin: impl AsyncFnOnce(Repository) -> T) {
    let peer = Peer::start(|request| match request.method.as_str() {
        "DELETE" => Reply::status(204),
        _ => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
    })
    .await;
    let farewells = Farewells::default();
    let options = Options { farewells: farewells.clone(), ..options(&TestClock::new(), vec![Arc::new(Anonymous)]) };
    {
        let mut begun = pin!(begin(repository(&Registries::new(options), &peer)));
        poll_fn(|context| {
            if peer.lines().iter().any(|line| line.starts_with("POST")) {
                return Poll::Ready(());
            }
            assert!(begun.as_mut().poll(context).is_pending());
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    farewells.said().await;
    assert_eq!(peer.lines().pop().unwrap(), "DELETE /v2/a/b/blobs/uploads/1");
}

#[tokio::test]
async fn an_upload_that_is_given_up_before_it_began_is_deleted() {
    check_unheard(async |repository| repository.upload(None).await).await;
    check_unheard(async |repository| repository.mount(&Digest::sha256(b"x"), &"c/d".parse().unwrap()).await).await;
}

/// "Mounting a blob": a 202 SHOULD be gone on with as an upload.
#[tokio::test]
async fn a_mount_that_becomes_a_session_is_gone_on_with() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "POST" => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
        "PATCH" => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
        _ => Reply::status(201),
    })
    .await;
    let digest = Digest::sha256(b"x");
    let from = RepoName::parse("c/d").unwrap();
    let Mounted::Upload(mut upload) = repository(&anonymous(), &peer).mount(&digest, &from).await.unwrap() else {
        panic!("nothing was mounted");
    };
    upload.write(Bytes::from_static(b"x")).await.unwrap();
    upload.commit(&digest).await.unwrap();
    let posts = peer.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 1, "{:?}", peer.lines());
}

/// "Pushing manifests": manifests of 4 MiB SHOULD be taken, by clients as by registries.
#[tokio::test]
async fn a_manifest_of_four_mebibytes_is_pushed_and_pulled() {
    let registry = FakeRegistry::start().await;
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    let most = usize::try_from(Manifest::MAX_BYTES).unwrap();
    let raw = format!("{RAW}{}", " ".repeat(most - RAW.len()));
    let large = Manifest::new(MediaType::OCI_INDEX, raw.into());
    repository.put_manifest(&large, &[]).await.unwrap();
    assert!(repository.manifest(&at(&large.descriptor.digest)).await.unwrap() == large);
}

/// "Pushing manifests with subject": the index SHOULD NOT get the same manifest twice, and the push SHOULD fail when the tag
/// leads to no index.
#[tokio::test]
async fn a_list_has_no_manifest_twice_and_nothing_else_is_overwritten() {
    let subject = Descriptor::of(MediaType::OCI_MANIFEST, b"subject");
    let tag = subject.digest.referrers_tag();
    let list = Arc::new(Mutex::new(None::<Vec<u8>>));
    let held = list.clone();
    let peer = Peer::start(move |request| {
        let mut held = held.lock().unwrap();
        match request.method.as_str() {
            "PUT" if request.target.ends_with(tag.as_str()) => *held = Some(request.body.clone()),
            "PUT" => {}
            _ => {
                return held
                    .clone()
                    .map_or_else(|| Reply::status(404), |raw| Reply::ok(raw).header("content-type", INDEX));
            }
        }
        Reply::status(201)
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let about = Image::new().subject(&subject).manifest().unwrap();
    for _ in 0..2 {
        repository.put_manifest(&about, &[]).await.unwrap();
    }
    let written: serde_json::Value = serde_json::from_slice(list.lock().unwrap().as_ref().unwrap()).unwrap();
    assert_eq!(written["manifests"].as_array().unwrap().len(), 1);

    let image = Image::new().manifest().unwrap().raw;
    let peer = Peer::start(move |request| match request.method.as_str() {
        "PUT" => Reply::status(201),
        _ => Reply::ok(image.clone()).header("content-type", MediaType::OCI_MANIFEST.as_str()),
    })
    .await;
    let error = crate::setup::repository(&anonymous(), &peer).put_manifest(&about, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(peer.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

/// "Listing referrers": a client SHOULD filter by itself unless `OCI-Filters-Applied` says that it was done.
#[tokio::test]
async fn referrers_are_filtered_unless_the_registry_has() {
    let wanted = MediaType::new("application/vnd.wanted");
    let other = Descriptor { artifact_type: Some(MediaType::new("a/b")), ..manifest().descriptor };
    let body = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, serde_json::to_string(&other).unwrap());
    for (applied, expect) in [(None, 0), (Some("other"), 0), (Some("artifactType"), 1), (Some("x, artifactType"), 1)] {
        let body = body.clone();
        let peer = Peer::start(move |_| {
            let reply = Reply::ok(body.clone()).header("content-type", INDEX);
            match applied {
                Some(applied) => reply.header("oci-filters-applied", applied),
                None => reply,
            }
        })
        .await;
        let filter = Filter { artifact_type: Some(wanted.clone()) };
        let repository = repository(&anonymous(), &peer);
        let listed: Vec<_> = repository.referrers(&Digest::sha256(b"s"), filter).try_collect().await.unwrap();
        assert_eq!(listed.len(), expect, "{applied:?}");
    }
}

/// "Listing tags", "Listing referrers": the next page SHOULD be the one that `Link` names.
#[tokio::test]
async fn the_next_page_is_the_one_that_is_linked() {
    let mut pages = 0;
    let peer = Peer::start(move |request| {
        pages += 1;
        let reply = match request.target.contains("/referrers/") {
            true => Reply::ok(r#"{"schemaVersion":2,"manifests":[]}"#).header("content-type", INDEX),
            false => Reply::json(&format!(r#"{{"tags":["v{pages}"]}}"#)),
        };
        let path = request.target.split('?').next().unwrap_or_default();
        if pages % 3 == 0 { reply } else { reply.header("link", format!("<{path}?cursor={pages}>; rel=\"next\"")) }
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let tags: Vec<String> = repository.tags(None).map_ok(|tag| tag.to_string()).try_collect().await.unwrap();
    assert_eq!(tags, ["v1", "v2", "v3"]);
    let subject = Digest::sha256(b"s");
    let listed: Vec<_> = repository.referrers(&subject, Filter::default()).try_collect().await.unwrap();
    assert!(listed.is_empty());
    let queries: Vec<_> = peer.lines().iter().filter_map(|line| Some(line.split_once('?')?.1.to_owned())).collect();
    assert_eq!(queries, ["n=1000", "cursor=1", "cursor=2", "cursor=4", "cursor=5"]);
}

/// "API": clients SHOULD follow redirects.
#[tokio::test]
async fn redirects_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        let peer = Peer::start(move |request| match request.target.as_str() {
            "/moved" => raw(),
            _ => Reply::redirect(status, "/moved"),
        })
        .await;
        let read = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap();
        assert_eq!(read, manifest(), "{status}");
    }
}

/// "Warnings": clients SHOULD show a warning without getting in the way, and once.
#[tokio::test]
async fn a_warning_is_told_once() {
    let told = Arc::new(Mutex::new(0));
    let count = told.clone();
    let warnings = Warnings::to(move |_| *count.lock().unwrap() += 1);
    let peer = Peer::start(|_| raw().header("warning", r#"299 - "moves soon""#)).await;
    let options = Options { warnings, ..options(&TestClock::new(), vec![Arc::new(Anonymous)]) };
    let registries = Registries::new(options);
    for _ in 0..3 {
        repository(&registries, &peer).manifest(&tag("v1")).await.unwrap();
    }
    assert_eq!(*told.lock().unwrap(), 1);
}

/// "Registry proxying": `ns` SHOULD NOT be sent to a registry that is no proxy.
#[tokio::test]
async fn no_request_names_a_registry_to_the_registry() {
    let registry = FakeRegistry::start().await;
    let repository = anonymous().repository(&registry.host(), &name()).unwrap();
    let image = Image::new().file("a", "a").push(&repository, &["v1", "v2"]).await.unwrap();
    repository.manifest(&tag("v1")).await.unwrap();
    drop(repository.tags(None).try_collect::<Vec<_>>().await.unwrap());
    drop(repository.referrers(&image.descriptor.digest, Filter::default()).try_collect::<Vec<_>>().await.unwrap());
    assert!(registry.requests().iter().all(|seen| !seen.query.contains("ns=")));
}

/// "Deleting": a registry that refuses to delete is known by its answer, for tags, manifests and blobs.
#[tokio::test]
async fn what_cannot_be_deleted_is_unsupported() {
    for status in [405, 501] {
        let peer =
            Peer::start(move |request| if request.method == "GET" { raw() } else { Reply::status(status) }).await;
        let repository = repository(&anonymous(), &peer);
        let digest = manifest().descriptor.digest;
        for refused in [
            repository.delete_manifest(&tag("v1")).await,
            repository.delete_manifest(&at(&digest)).await,
            repository.delete_blob(&digest).await,
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported, "{status}");
        }
    }
}
