//! What a repository asks its origin for when it is read through a store, counted by the origin.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use refs_registry::{
    ErrorKind, Manifest, MediaType, Registries, Resolver, Result, Resume, Source, Wire, spec::ImageManifest,
};
use refs_store::CachedResolver;
use refs_testkit::{
    Fault, On,
    conformance::{Capabilities, Fixture, reads},
};
use refs_url::{Digest, Host, RepoName, Target};

use crate::{
    content::{digest, drain, fails, image, index, push, put, put_manifest, read, read_part, tagged},
    place::{Place, get},
};

crate::place::facts! {
    a_tag_that_did_not_move_is_one_request
    a_tag_that_moved_gives_what_it_leads_to_now
    what_is_asked_for_by_digest_is_asked_once
    an_index_and_its_images_are_kept
    a_blob_is_kept_once_it_was_read_to_its_end
    a_blob_that_is_not_what_its_digest_says_is_not_kept
    parts_come_from_the_whole_blob
    the_first_part_of_a_blob_is_kept_and_those_at_its_end
    m145_content_of_one_repository_is_given_for_another_only_if_it_has_it
    m145_parts_of_one_repository_are_not_given_for_another
    a_seek_index_is_given_to_those_who_have_the_blob_until_it_is_distrusted
    a_cached_repository_is_a_source_like_any
}

async fn a_tag_that_did_not_move_is_one_request(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, manifest);
    place.asked(&["GET manifests/v1"]);
    assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, manifest);
    place.asked(&["HEAD manifests/v1"]);
    assert_eq!(place.cached("o/r").resolve(&tagged("v1")).await?, manifest.descriptor);
    place.asked(&["HEAD manifests/v1"]);
    Ok(())
}

async fn a_tag_that_moved_gives_what_it_leads_to_now(place: Place) -> Result<()> {
    let old = push(&*place.repository(), "one", &["v1", "old"]).await?;
    place.cached("o/r").manifest(&tagged("v1")).await?;
    let new = push(&*place.repository(), "two", &["v1"]).await?;
    place.asked(&["GET manifests/v1"]);
    assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, new);
    place.asked(&["HEAD manifests/v1", "GET manifests/v1"]);
    put_manifest(&*place.repository(), &old, &["v1"]).await?;
    assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, old);
    place.asked(&["HEAD manifests/v1"]);

    place.repository().delete_manifest(&tagged("v1")).await?;
    fails(place.cached("o/r").manifest(&tagged("v1")).await, ErrorKind::NotFound);
    Ok(())
}

async fn what_is_asked_for_by_digest_is_asked_once(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let target = Target::Digest(manifest.descriptor.digest.clone());
    place.cached("o/r").manifest(&target).await?;
    place.asked(&[&format!("GET manifests/{target}")]);
    assert_eq!(place.cached("o/r").manifest(&target).await?, manifest);
    assert_eq!(place.cached("o/r").resolve(&target).await?, manifest.descriptor);
    place.asked(&[]);
    Ok(())
}

async fn an_index_and_its_images_are_kept(place: Place) -> Result<()> {
    let child = push(&*place.repository(), "one", &[]).await?;
    let parent = Manifest::index(&index(vec![child.descriptor.clone()]))?;
    put_manifest(&*place.repository(), &parent, &["v1"]).await?;
    let by_digest = Target::Digest(child.descriptor.digest.clone());
    for expected in [&["GET manifests/v1", &format!("GET manifests/{by_digest}")][..], &["HEAD manifests/v1"]] {
        let cached = place.cached("o/r");
        assert_eq!(cached.manifest(&tagged("v1")).await?, parent);
        assert_eq!(cached.manifest(&by_digest).await?, child);
        place.asked(expected);
    }
    Ok(())
}

async fn a_blob_is_kept_once_it_was_read_to_its_end(place: Place) -> Result<()> {
    put(&*place.repository(), "one").await?;
    drop(place.cached("o/r").blob(&digest("one"), Resume::START).await?);
    let mut broken_off = place.cached("o/r").blob(&digest("one"), Resume::START).await?;
    assert_eq!(broken_off.stream.next().await.unwrap()?, "one");
    drop(broken_off);
    place.asked(&[&get("one"), &get("one")]);
    assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one");
    place.asked(&[&get("one")]);
    assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one");
    assert_eq!(place.cached("o/r").stat_blob(&digest("one")).await?, Some(3));
    place.asked(&[]);
    Ok(())
}

async fn a_blob_that_is_not_what_its_digest_says_is_not_kept(place: Place) -> Result<()> {
    put(&*place.repository(), "one").await?;
    place.registry.fault(On::get("/blobs/").times(2), Fault::Flip { at: 1 });
    let blob = place.cached("o/r").blob(&digest("one"), Resume::START).await?;
    fails(drain(blob.stream).await, ErrorKind::Digest);
    assert_eq!(place.store.stat(&digest("one")).await?, None);
    assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one");
    Ok(())
}

async fn parts_come_from_the_whole_blob(place: Place) -> Result<()> {
    put(&*place.repository(), "0123456789").await?;
    let digest = digest("0123456789");
    read(&*place.cached("o/r"), &digest).await?;
    place.registry.take_requests();
    for (range, expected) in [(0..4, "0123"), (3..7, "3456"), (9..10, "9"), (0..10, "0123456789")] {
        assert_eq!(read_part(&*place.cached("o/r"), &digest, range).await?, expected);
    }
    place.asked(&[]);
    Ok(())
}

async fn the_first_part_of_a_blob_is_kept_and_those_at_its_end(place: Place) -> Result<()> {
    put(&*place.repository(), "0123456789").await?;
    let (blob, get) = (digest("0123456789"), get("0123456789"));
    let rows = [
        (1..3, "12", 0),
        (4..6, "45", 1),
        (4..6, "45", 1),
        (7..10, "789", 1),
        (7..10, "789", 0),
        (8..9, "8", 0),
        (4..7, "456", 1),
        (4..7, "456", 0),
        (2..4, "23", 1),
        (2..4, "23", 1),
    ];
    for (range, expected, requests) in rows {
        let cached = place.cached("o/r");
        assert_eq!(read_part(&*cached, &blob, 1..3).await?, "12");
        place.registry.take_requests();
        assert_eq!(read_part(&*cached, &blob, range).await?, expected);
        place.asked(&vec![get.as_str(); requests]);
    }
    assert_eq!(place.store.stat(&blob).await?, None);
    Ok(())
}

async fn m145_content_of_one_repository_is_given_for_another_only_if_it_has_it(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "secret", &["v1"]).await?;
    let target = Target::Digest(manifest.descriptor.digest.clone());
    let (secret, cached) = (digest("secret"), place.cached("o/r"));
    cached.manifest(&target).await?;
    read(&*cached, &secret).await?;
    place.registry.take_requests();

    let other = place.cached("public");
    fails(other.manifest(&target).await, ErrorKind::NotFound);
    fails(other.resolve(&target).await, ErrorKind::NotFound);
    fails(other.blob(&secret, Resume::START).await, ErrorKind::NotFound);
    fails(other.blob_part(&secret, 0..3).await, ErrorKind::NotFound);
    assert_eq!(other.stat_blob(&secret).await?, None);

    push(&*place.registry.repository("public"), "secret", &["v1"]).await?;
    place.registry.take_requests();
    assert_eq!(read(&*other, &secret).await?, "secret");
    assert_eq!(read(&*other, &secret).await?, "secret");
    place.asked(&[&format!("HEAD public/blobs/{secret}")]);
    Ok(())
}

async fn m145_parts_of_one_repository_are_not_given_for_another(place: Place) -> Result<()> {
    for name in ["o/r", "evil"] {
        put(&*place.registry.repository(name), "one").await?;
    }
    let one = digest("one");
    // The other reads first at first, and again when all is kept.
    for _ in 0..2 {
        place.registry.fault(On::get("/v2/evil/blobs/"), Fault::Flip { at: 1 });
        assert_eq!(read_part(&*place.cached("evil"), &one, 0..3).await?, "ooe");
        for _ in 0..2 {
            assert_eq!(read_part(&*place.cached("o/r"), &one, 0..3).await?, "one");
        }
        let evil = place.cached("evil");
        assert_eq!(read_part(&*evil, &one, 0..3).await?, "ooe");
        assert!(evil.distrust().await, "what is kept of it goes, and nothing of others");
    }
    place.asked(&[&format!("GET evil/blobs/{one}"), &get("one"), &format!("GET evil/blobs/{one}")]);
    Ok(())
}

async fn a_seek_index_is_given_to_those_who_have_the_blob_until_it_is_distrusted(place: Place) -> Result<()> {
    put(&*place.repository(), "one").await?;
    let one = digest("one");
    place.cached("o/r").keep_seek_index(&one, Bytes::from("an index")).await;
    let other = place.cached("public");
    assert_eq!(other.seek_index(&one).await, None);
    put(&*place.registry.repository("public"), "one").await?;
    place.registry.take_requests();
    for _ in 0..2 {
        assert_eq!(other.seek_index(&one).await.as_deref(), Some(&b"an index"[..]));
    }
    assert_eq!(place.cached("o/r").seek_index(&one).await.as_deref(), Some(&b"an index"[..]));
    place.asked(&[&format!("HEAD public/blobs/{one}")]);

    assert!(other.distrust().await);
    for name in ["public", "o/r"] {
        assert_eq!(place.cached(name).seek_index(&one).await, None);
    }
    Ok(())
}

async fn a_cached_repository_is_a_source_like_any(place: Place) -> Result<()> {
    let fixture = Fixture::push(&*place.repository()).await?;
    for _ in 0..2 {
        reads(&*place.cached("o/r"), &fixture, &Capabilities::default()).await.require();
    }
    Ok(())
}

#[tokio::test]
async fn a_manifest_is_kept_if_its_bytes_say_what_it_is() -> Result<()> {
    let place = Place::on_disk().await;
    put(&*place.repository(), "one").await?;
    let raw = Manifest::image(&ImageManifest { media_type: None, ..image("one") })?.raw;
    let manifest = |media_type| Manifest::new(media_type, raw.clone());
    for (manifest, is_kept) in
        [(manifest(MediaType::OCI_MANIFEST), true), (manifest(MediaType::DOCKER_MANIFEST), false)]
    {
        put_manifest(&*place.repository(), &manifest, &["v1"]).await?;
        for _ in 0..2 {
            assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, manifest);
        }
        let last = place.registry.take_requests().pop().unwrap();
        assert_eq!(last, if is_kept { "HEAD /v2/o/r/manifests/v1" } else { "GET /v2/o/r/manifests/v1" });
        place.store.remove(&place.origin("o/r"), &manifest.descriptor.digest).await.ok();
    }
    Ok(())
}

#[tokio::test]
async fn a_cached_place_lists_and_refuses_as_its_origin_does() -> Result<()> {
    let place = Place::on_disk().await;
    push(&*place.repository(), "one", &["v1"]).await?;
    let (resolver, host) = (place.resolver(), place.registry.host());
    let names: Vec<RepoName> = resolver.repositories(&host).try_collect().await?;
    assert_eq!(names, ["o/r".parse::<RepoName>().unwrap()]);
    resolver.check_auth(&host).await?;
    place.registry.stop();
    fails(resolver.check_auth(&host).await, ErrorKind::Unreachable);
    Ok(())
}

#[tokio::test]
async fn many_readers_of_a_cold_cache_all_read_right() -> Result<()> {
    let place = Place::on_disk().await;
    let large = "0123456789".repeat(100_000);
    put(&*place.repository(), &large).await?;
    let digest: Digest = digest(&large);
    let readers: Vec<Arc<dyn Source>> = (0..8).map(|_| place.cached("o/r")).collect();
    let read = futures_util::future::join_all(readers.iter().map(|reader| read(&**reader, &digest))).await;
    for content in read {
        assert!(content? == large);
    }
    place.registry.take_requests();
    assert!(crate::content::read(&*place.cached("o/r"), &digest).await? == large);
    place.asked(&[]);
    Ok(())
}

/// Registries, and what lies between them and here.
#[derive(Debug)]
struct Behind(Registries, Wire);

impl Resolver for Behind {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        self.0.source(host, repository)
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        self.0.repositories(host)
    }

    fn wire(&self, _: &Host) -> Wire {
        self.1
    }
}

#[tokio::test]
async fn what_came_over_an_open_wire_is_asked_again_over_a_secured_one() -> Result<()> {
    let place = Place::on_disk().await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    put(&*place.repository(), "part").await?;
    let by_digest = Target::Digest(manifest.descriptor.digest.clone());
    let (get_manifest, head_one) = (format!("GET manifests/{by_digest}"), format!("HEAD blobs/{}", digest("one")));
    let (get_one, get_part) = (get("one"), get("part"));
    let rows = [
        (Wire::Open, &[&*get_manifest, &get_one, &get_part][..]),
        (Wire::Open, &[]),
        (Wire::Secured, &[&*get_manifest, &head_one, &get_part]),
        (Wire::Secured, &[]),
    ];
    for (wire, asked) in rows {
        let behind = Behind(Registries::default(), wire);
        let resolver = CachedResolver::new(Arc::new(behind), Arc::clone(&place.store));
        let cached = resolver.source(&place.registry.host(), &"o/r".parse().unwrap())?;
        assert_eq!(resolver.wire(&place.registry.host()), wire);
        cached.manifest(&by_digest).await?;
        read(&*cached, &digest("one")).await?;
        read_part(&*cached, &digest("part"), 0..2).await?;
        place.asked(asked);
    }
    Ok(())
}
