//! Copies that are cut, refused, lied to and given up.

use std::{future::poll_fn, pin::pin, task::Poll};

use http::Method;
use refs_client::copy::{Fate, Outcome};
use refs_registry::ErrorKind;
use refs_testkit::{Close, Fault, On, Quirks, Seen, open_uploads, quirks, until};

use super::*;

const LARGE: usize = 3 << 20;

/// Two registries, the first with an image of one large layer as `o/from:v1`.
async fn large(to: refs_testkit::Builder) -> (FakeRegistry, FakeRegistry, Manifest) {
    let (from, to) = (FakeRegistry::start().await, to.start().await);
    let image = Image::new().layer(MediaType::OCI_LAYER, noise(LARGE, 7));
    let image = image.push(&*from.repository("o/from"), &["v1"]).await.unwrap();
    (from, to, image)
}

fn layer() -> Digest {
    Digest::sha256(&noise(LARGE, 7))
}

/// That a copy succeeds in spite of `fault` at the source or the destination.
async fn check_survives(side: Side, on: On, fault: Fault) {
    let (from, to, image) = large(FakeRegistry::builder()).await;
    let registry = if side == Side::Source { &from } else { &to };
    registry.fault(on, fault.clone());
    let copied = copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
    assert_eq!(copied.tally(Fate::Copied).count, 2, "{fault:?}");
    let digest = &image.descriptor.digest;
    let (there, here) =
        (content(&*to.repository("o/to"), digest).await, content(&*from.repository("o/from"), digest).await);
    assert!(there == here, "{fault:?}");
}

#[tokio::test]
async fn what_passes_is_survived_on_either_side() {
    let layer = format!("/blobs/{}", layer());
    let cut = Fault::Cut { after: 1 << 20, close: Close::Reset };
    check_survives(Side::Source, On::get(&layer), cut.clone()).await;
    check_survives(Side::Source, On::get(&layer).times(3), cut).await;
    let unwell = Fault::Status { status: 503, headers: Vec::new() };
    check_survives(Side::Source, On::get("/v2/"), unwell.clone()).await;
    check_survives(Side::Destination, On::put("/blobs/uploads/").times(2), unwell).await;
    let cut = Fault::CutRequest { after: 1 << 20, close: Close::Reset };
    check_survives(Side::Destination, On::put("/blobs/uploads/").skip(1), cut.clone()).await;
    check_survives(Side::Destination, On::put("/blobs/uploads/"), cut).await;
}

#[tokio::test]
async fn a_cut_in_the_session_of_a_refused_mount_is_survived() {
    let quirks = Quirks { mount: quirks::Mount::Session, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let image = Image::new().layer(MediaType::OCI_LAYER, noise(LARGE, 7));
    let image = image.push(&*registry.repository("o/from"), &["v1"]).await.unwrap();
    registry.fault(On::new(Method::PATCH, "/v2/o/to/"), Fault::CutRequest { after: 1000, close: Close::Reset });
    copy(&anonymous(), &place(&registry, "o/from:v1"), &place(&registry, "o/to:v1")).await;
    let digest = &image.descriptor.digest;
    assert!(
        content(&*registry.repository("o/to"), digest).await == content(&*registry.repository("o/from"), digest).await
    );
}

#[tokio::test]
async fn a_registry_that_is_full_is_sent_nothing_in_another_session_than_that_of_the_refused_mount() {
    let quirks = Quirks { mount: quirks::Mount::Session, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let image = Image::new().layer(MediaType::OCI_LAYER, noise(LARGE, 7));
    image.push(&*registry.repository("o/from"), &["v1"]).await.unwrap();
    for method in [Method::PATCH, Method::PUT] {
        let full = Fault::Status { status: 507, headers: Vec::new() };
        registry.fault(On::new(method, "/v2/o/to/blobs/uploads/").always(), full);
    }
    let (source, target) = (place(&registry, "o/from:v1"), place(&registry, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Destination, ErrorKind::Unreachable));
    let requests = registry.requests();
    let begun = requests.iter().filter(|request| request.method == Method::POST);
    assert!(begun.clone().count() > 0 && begun.clone().all(|post| post.query.contains("mount=")), "{requests:?}");
}

/// That a copy fails on `side`, and says so.
async fn check_fails(on_side: Side, on: On, fault: Fault, expect: ErrorKind) {
    let (from, to, _) = large(FakeRegistry::builder()).await;
    let registry = if on_side == Side::Source { &from } else { &to };
    registry.fault(on.always(), fault.clone());
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (on_side, expect), "{fault:?}: {error:?}");
    assert_eq!(tagged(&to, "o/to", "v1").await, None, "{fault:?}");
}

#[tokio::test]
async fn the_side_that_fails_is_named() {
    let status = |status| Fault::Status { status, headers: Vec::new() };
    let layer = format!("/blobs/{}", layer());
    check_fails(Side::Source, On::get("/manifests/"), status(403), ErrorKind::Denied).await;
    check_fails(Side::Source, On::get(&layer), status(404), ErrorKind::NotFound).await;
    check_fails(Side::Source, On::get(&layer), status(500), ErrorKind::Unreachable).await;
    check_fails(Side::Source, On::get(&layer), Fault::Flip { at: 2 << 20 }, ErrorKind::Digest).await;
    let none = Fault::Cut { after: 100, close: Close::Reset };
    check_fails(Side::Source, On::get(&layer), none, ErrorKind::Unreachable).await;
    check_fails(Side::Destination, On::new(Method::POST, "/uploads/"), status(403), ErrorKind::Denied).await;
    check_fails(Side::Destination, On::put("/blobs/uploads/"), status(500), ErrorKind::Unreachable).await;
    check_fails(Side::Destination, On::put("/manifests/"), status(400), ErrorKind::Protocol).await;
}

/// That a copy whose destination is cut fails on the side of the source, which gives who asks for the layer a changed one:
/// the first, or all who come after that.
async fn check_changed(asked: On, at: u64) {
    let (from, to, _) = large(FakeRegistry::builder()).await;
    // The config's, too, whichever comes first.
    to.fault(On::put("/blobs/uploads/").times(2), Fault::CutRequest { after: 1 << 20, close: Close::Reset });
    from.fault(asked.clone(), Fault::Flip { at });
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Source, ErrorKind::Digest), "{asked:?} {at}: {error:?}");
    assert_eq!(tagged(&to, "o/to", "v1").await, None);
    assert_eq!(to.repository("o/to").stat_blob(&layer()).await.unwrap(), None);
}

#[tokio::test]
async fn a_source_that_changes_while_the_destination_is_cut_is_named() {
    let layer = format!("/blobs/{}", layer());
    // Of what is read again, and of the rest.
    for at in [7, 900_000, (2 << 20) - 1] {
        check_changed(On::get(&layer).skip(1).always(), at).await;
    }
    check_changed(On::get(&layer), 7).await;
}

#[tokio::test]
async fn a_copy_that_was_interrupted_moves_what_is_missing() {
    let (from, to, index) = pair().await;
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    // The third manifest is refused.
    to.fault(On::put("/manifests/").skip(2).always(), Fault::Status { status: 400, headers: Vec::new() });
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Destination, ErrorKind::Protocol));
    to.clear_faults();
    from.take_requests();
    let copied = copy(&anonymous(), &source, &target).await;
    assert_eq!(copied.outcome, Outcome::Copied);
    // What refers was not reached before.
    assert_eq!(copied.tally(Fate::Copied).count, 3, "{:?}", copied.blobs);
    let digest = &index.descriptor.digest;
    assert!(content(&*to.repository("o/to"), digest).await == content(&*from.repository("o/from"), digest).await);
}

/// That a copy to `to`, whose tag leads to `before`, leaves that as it is when a signature's blob is missing, and the next
/// copy goes on.
async fn check_referrer_missing(to: &FakeRegistry, before: Option<Digest>) {
    let from = FakeRegistry::start().await;
    let index = graph(&*from.repository("o/from")).await;
    let digest = &index.descriptor.digest;
    let signature = Digest::sha256(format!("text/x-signature {digest}").as_bytes());
    from.fault(On::get(&format!("/blobs/{signature}")).always(), Fault::Status { status: 404, headers: Vec::new() });
    let (source, target) = (place(&from, "o/from:v1"), place(to, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Source, ErrorKind::NotFound));
    assert!(matches!(error, Error::Copy { what: Portion::Referrers, .. }), "{error:?}");
    assert_eq!(tagged(to, "o/to", "v1").await, before);
    assert!(to.repository("o/to").resolve(&Target::Digest(digest.clone())).await.is_ok());
    from.clear_faults();
    let copied = copy(&anonymous(), &source, &target).await;
    // The signature of it is about the one that failed, and was not reached.
    let moved = copied.blobs.iter().filter(|blob| blob.fate == Fate::Copied).map(|blob| &blob.descriptor.digest);
    assert!(moved.clone().any(|moved| *moved == signature) && moved.count() <= 3, "{:?}", copied.blobs);
    assert_eq!((copied.outcome, tagged(to, "o/to", "v1").await.as_ref()), (Outcome::Copied, Some(digest)));
    assert!(content(&*to.repository("o/to"), digest).await == content(&*from.repository("o/from"), digest).await);
}

#[tokio::test]
async fn a_referrer_that_is_missing_leaves_the_tag_as_it_was() {
    for quirks in [Quirks::default(), Quirks::docker_hub()] {
        let to = FakeRegistry::builder().quirks(quirks).start().await;
        check_referrer_missing(&to, None).await;
        let other = FakeRegistry::start().await;
        let old = Image::new().file("old", "old").push(&*other.repository("o/to"), &["v1"]).await.unwrap();
        check_referrer_missing(&other, Some(old.descriptor.digest)).await;
    }
}

#[tokio::test]
async fn a_list_of_referrers_that_fails_leaves_no_tag() {
    let (from, to, index) = pair().await;
    let list = format!("/referrers/{}", index.descriptor.digest);
    from.fault(On::get(&list).always(), Fault::Status { status: 403, headers: Vec::new() });
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Copy { side: Side::Source, what: Portion::Referrers, .. }), "{error:?}");
    assert_eq!(tagged(&to, "o/to", "v1").await, None);
}

#[tokio::test]
async fn a_referrer_that_was_written_and_not_listed_is_listed_by_the_next_copy() {
    let from = FakeRegistry::start().await;
    let to = FakeRegistry::builder().quirks(Quirks::docker_hub()).start().await;
    let index = graph(&*from.repository("o/from")).await;
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    // The list of what refers to the index.
    let list = format!("/manifests/{}", index.descriptor.digest.to_string().replace(':', "-"));
    to.fault(On::put(&list).always(), Fault::Status { status: 403, headers: Vec::new() });
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Destination, ErrorKind::Denied));
    to.clear_faults();
    let client = anonymous();
    copy(&client, &source, &target).await;
    let seen = client.source(&target).await.unwrap();
    let digest = &index.descriptor.digest;
    assert!(content(&*seen, digest).await == content(&*from.repository("o/from"), digest).await);
}

#[tokio::test]
async fn a_referrer_that_is_listed_and_gone_is_written_by_the_next_copy() {
    let from = FakeRegistry::start().await;
    let to = FakeRegistry::builder().quirks(Quirks::docker_hub()).start().await;
    let index = graph(&*from.repository("o/from")).await;
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let client = anonymous();
    copy(&client, &source, &target).await;
    let listed = from.repository("o/from");
    let listed: Vec<Descriptor> =
        listed.referrers(&index.descriptor.digest, Default::default()).try_collect().await.unwrap();
    let gone = format!("/v2/o/to/manifests/{}", listed[0].digest);
    to.fault(On::new(Method::HEAD, &gone), Fault::Status { status: 404, headers: Vec::new() });
    to.take_requests();
    let copied = copy(&client, &source, &target).await;
    assert_eq!((copied.manifests.count, copied.manifests_present), (1, 8));
    assert!(to.take_requests().iter().any(|seen| *seen == format!("PUT {gone}")));
}

#[tokio::test]
async fn a_manifest_that_lies_about_the_size_of_a_blob_is_refused() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let sink = from.repository("o/from");
    let image = Image::new().file("a", "a").push(&*sink, &[]).await.unwrap();
    let refs_registry::spec::Document::Image(mut lie) = image.parse().unwrap() else { panic!("no image") };
    lie.layers[0].size += 1;
    sink.put_manifest(&Manifest::image(&lie).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Source, ErrorKind::Size), "{error:?}");
    assert_eq!(tagged(&to, "o/to", "v1").await, None);
}

#[tokio::test]
async fn a_blob_that_two_manifests_list_with_two_sizes_is_refused_whichever_comes_first() {
    for wrong in [0, 1] {
        let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
        let sink = from.repository("o/from");
        let mut listed = Vec::new();
        for number in 0..2 {
            let image = Image::new().file("a", "shared").annotate("number", &number.to_string());
            let image = image.push(&*sink, &[]).await.unwrap();
            let refs_registry::spec::Document::Image(mut manifest) = image.parse().unwrap() else { panic!("no image") };
            manifest.layers[0].size += u64::from(number == wrong);
            let manifest = Manifest::image(&manifest).unwrap();
            sink.put_manifest(&manifest, &[]).await.unwrap();
            listed.push(manifest.descriptor);
        }
        let index = image::index(listed).unwrap();
        sink.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
        let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
        let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
        let Error::Copy { side: Side::Source, source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().ends_with("is listed with 6 and with 7 bytes"), "{source}");
        assert_eq!((source.kind(), tagged(&to, "o/to", "v1").await), (ErrorKind::Size, None));
    }
}

#[tokio::test]
async fn a_blob_that_one_manifest_lists_with_two_sizes_is_refused_whichever_comes_first() {
    for wrong in [0, 1] {
        let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
        let sink = from.repository("o/from");
        let image = Image::new().file("a", "twice").file("b", "twice").push(&*sink, &[]).await.unwrap();
        let refs_registry::spec::Document::Image(mut lie) = image.parse().unwrap() else { panic!("no image") };
        lie.layers[wrong].size += 1;
        sink.put_manifest(&Manifest::image(&lie).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
        let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
        let error = anonymous().copy(&source, &target, &CopyOptions::default()).await.unwrap_err();
        assert_eq!(side(&error), (Side::Source, ErrorKind::Size), "{error:?}");
        let there = to.repository("o/to").stat_blob(&Digest::sha256(b"twice")).await.unwrap();
        assert_eq!((tagged(&to, "o/to", "v1").await, there), (None, None));
    }
}

#[tokio::test]
async fn what_lists_a_manifest_with_another_size_is_not_believed_and_the_digest_is() {
    // A list under a tag is the client's own, and says whatever it was given.
    let quirks = Quirks { referrers: quirks::Referrers::Missing, ..Quirks::default() };
    let from = FakeRegistry::builder().quirks(quirks).start().await;
    let to = FakeRegistry::start().await;
    let sink = from.repository("o/from");
    let wrong = |listed: Descriptor| Descriptor { size: listed.size + 5_000_000, ..listed };
    let image = Image::new().file("a", "a").push(&*sink, &[]).await.unwrap().descriptor;
    let listed = Descriptor { platform: Some(platform("linux/amd64")), ..wrong(image) };
    let index = image::index(vec![listed]).unwrap();
    sink.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
    let note = Image::new().artifact_type("text/x-note").file("note", "note").subject(&index.descriptor);
    let note = note.push(&*sink, &[]).await.unwrap().descriptor;
    let list = image::index(vec![wrong(note)]).unwrap();
    sink.put_manifest(&list, &[index.descriptor.digest.referrers_tag()]).await.unwrap();

    let (client, source) = (anonymous(), place(&from, "o/from:v1"));
    let layout = tempfile::tempdir().unwrap();
    let into = at(&format!("ocidir://{}:v1", layout.path().join("layout").display()));
    for target in [&place(&to, "o/to:v1"), &into] {
        let copied = copy(&client, &source, target).await;
        assert_eq!((copied.manifests.count, copied.referrers), (3, 1), "{target}");
    }
    for at in [&source, &into] {
        let options = ReadOptions { platform: Some(platform("linux/amd64")), ..ReadOptions::default() };
        assert_eq!(client.list_files(at, &options).await.unwrap().entries().count(), 1, "{at}");
        let here = layout.path().join("here");
        let options = PullOptions { read: options, existing: Existing::Replace, ..PullOptions::default() };
        client.pull(at, &here, &options).await.unwrap();
        assert_eq!(std::fs::read(here.join("a")).unwrap(), b"a");
    }
}

#[tokio::test]
async fn a_copy_that_is_given_up_leaves_no_session_open() {
    let (from, to, _) = large(FakeRegistry::builder()).await;
    let layer = format!("/blobs/{}", layer());
    from.fault(On::get(&layer).always(), Fault::Stall { after: 1 << 20 });
    let client = anonymous();
    let (source, target, options) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"), CopyOptions::default());
    {
        let mut copying = pin!(client.copy(&source, &target, &options));
        let is_sent = || to.requests().iter().any(|seen| seen.received >= 1 << 19);
        poll_fn(|context| match copying.as_mut().poll(context) {
            Poll::Ready(done) => panic!("the source has stalled, and the copy has ended: {done:?}"),
            Poll::Pending if is_sent() => Poll::Ready(()),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }
    let is_cancelled = |seen: &Seen| seen.method == Method::DELETE && seen.status == 204;
    until(async || to.requests().iter().any(is_cancelled) && open_uploads(&to.requests()) == 0).await;
    assert_eq!(tagged(&to, "o/to", "v1").await, None);
}
