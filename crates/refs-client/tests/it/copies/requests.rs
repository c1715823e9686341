//! What a copy asks of registries.

use http::Method;
use refs_client::copy::{Fate, Outcome};
use refs_testkit::{Fault, On, Quirks, Seen, quirks};

use super::*;

/// The bytes that went in and out for blobs.
fn blob_bytes(seen: &[Seen]) -> (u64, u64) {
    let blobs = seen.iter().filter(|request| request.path.contains("/blobs/"));
    blobs.fold((0, 0), |(received, sent), request| (received + request.received, sent + request.sent))
}

fn count(seen: &[Seen], method: &Method, path: &str) -> usize {
    seen.iter().filter(|request| request.method == *method && request.path.contains(path)).count()
}

fn is_writing(seen: &Seen) -> bool {
    ![Method::GET, Method::HEAD].contains(&seen.method)
}

#[tokio::test]
async fn within_one_registry_no_byte_of_a_blob_is_moved() {
    let registry = FakeRegistry::start().await;
    let index = graph(&*registry.repository("o/from")).await;
    let copied = copy(&anonymous(), &place(&registry, "o/from:v1"), &place(&registry, "o/to:v1")).await;
    let seen = registry.take_requests();
    assert_eq!(blob_bytes(&seen), (0, 0));
    assert_eq!((copied.tally(Fate::Mounted).count, copied.tally(Fate::Copied).count), (9, 0));
    assert_eq!(count(&seen, &Method::POST, "/v2/o/to/blobs/uploads/"), 9);
    let digest = &index.descriptor.digest;
    assert!(
        content(&*registry.repository("o/to"), digest).await == content(&*registry.repository("o/from"), digest).await
    );
}

#[tokio::test]
async fn where_nothing_is_mounted_the_session_that_was_begun_is_used() {
    let quirks = Quirks { mount: quirks::Mount::Session, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let index = graph(&*registry.repository("o/from")).await;
    let copied = copy(&anonymous(), &place(&registry, "o/from:v1"), &place(&registry, "o/to:v1")).await;
    let seen = registry.take_requests();
    assert_eq!((copied.tally(Fate::Mounted).count, copied.tally(Fate::Copied).count), (0, 9));
    // One session for each blob, and no other.
    assert_eq!(count(&seen, &Method::POST, "/blobs/uploads/"), 9);
    let digest = &index.descriptor.digest;
    assert!(
        content(&*registry.repository("o/to"), digest).await == content(&*registry.repository("o/from"), digest).await
    );
}

#[tokio::test]
async fn m094_blobs_that_were_said_to_be_mounted_and_were_not_are_sent() {
    let quirks = Quirks { mount: quirks::Mount::Claimed, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let index = graph(&*registry.repository("o/from")).await;
    let copied = copy(&anonymous(), &place(&registry, "o/from:v1"), &place(&registry, "o/to:v1")).await;
    let seen = registry.take_requests();
    assert_eq!((copied.tally(Fate::Mounted).count, copied.tally(Fate::Copied).count), (0, 9));
    assert_eq!(count(&seen, &Method::GET, "/v2/o/from/blobs/"), 9);
    let digest = &index.descriptor.digest;
    assert!(
        content(&*registry.repository("o/to"), digest).await == content(&*registry.repository("o/from"), digest).await
    );
}

#[tokio::test]
async fn a_manifest_that_is_refused_though_its_blobs_are_there_is_not_sent_again() {
    let registry = FakeRegistry::start().await;
    graph(&*registry.repository("o/from")).await;
    registry.fault(On::put("/v2/o/to/").always(), Fault::Status { status: 400, headers: Vec::new() });
    let (from, to) = (place(&registry, "o/from:v1"), place(&registry, "o/to:v1"));
    let error = anonymous().copy(&from, &to, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Destination, refs_registry::ErrorKind::Protocol));
    let seen = registry.take_requests();
    assert!(count(&seen, &Method::HEAD, "/v2/o/to/blobs/") > 0);
    assert_eq!((blob_bytes(&seen), count(&seen, &Method::GET, "/v2/o/from/blobs/")), ((0, 0), 0));
}

#[tokio::test]
async fn what_refers_is_asked_for_while_the_blobs_are_on_their_way() {
    let (from, to, index) = pair().await;
    copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
    let seen = from.take_requests();
    let asked = format!("/referrers/{}", index.descriptor.digest);
    let listed = seen.iter().position(|seen| seen.path.contains(&asked)).unwrap();
    let last = seen.iter().rposition(|seen| seen.path.contains("/blobs/")).unwrap();
    assert!(listed < last, "{seen:?}");
}

#[tokio::test]
async fn a_second_copy_moves_nothing() {
    let (from, to, _) = pair().await;
    let client = anonymous();
    let (source, target) = (place(&from, "o/from:v1"), place(&to, "o/to:v1"));
    copy(&client, &source, &target).await;
    from.take_requests();
    to.take_requests();
    let again = copy(&client, &source, &target).await;
    assert_eq!((again.outcome, again.manifests.count, again.manifests_present), (Outcome::Present, 0, 9));
    assert!(again.blobs.iter().all(|blob| blob.fate == Fate::Present), "{:?}", again.blobs);
    let seen = to.take_requests();
    assert!(!seen.iter().any(is_writing), "{seen:?}");
    assert_eq!(blob_bytes(&from.take_requests()), (0, 0));
}

#[tokio::test]
async fn each_blob_is_fetched_once_and_the_tag_is_written_after_all_else() {
    let (from, to, index) = pair().await;
    copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
    assert_eq!(count(&from.take_requests(), &Method::GET, "/blobs/"), 9);
    let seen = to.take_requests();
    let puts: Vec<&Seen> = seen.iter().filter(|seen| seen.method == Method::PUT).collect();
    let tag = puts.iter().position(|put| put.path.ends_with("/manifests/v1")).unwrap();
    // Nine blobs and nine manifests, of which those that refer come after what they refer to.
    assert_eq!((tag, puts.len()), (9 + 9, 9 + 9 + 1), "{puts:?}");
    let root = puts.iter().position(|put| put.path.ends_with(&index.descriptor.digest.to_string())).unwrap();
    let manifests = |puts: &[&Seen]| puts.iter().filter(|put| put.path.contains("/manifests/")).count();
    assert_eq!((manifests(&puts[..root]), manifests(&puts[root + 1..tag])), (5, 3), "{puts:?}");
}

#[tokio::test]
async fn an_image_by_itself_takes_the_requests_that_it_needs() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let image = Image::new().file("a", "a").push(&*from.repository("o/r"), &["v1"]).await.unwrap();
    let client = anonymous();
    copy(&client, &place(&from, "o/r:v1"), &place(&to, "o/r:v1")).await;
    let digest = &image.descriptor.digest;
    let mut seen: Vec<String> = from.take_requests().iter().map(ToString::to_string).collect();
    seen.sort();
    let blob = |content: &str| format!("/v2/o/r/blobs/{}", Digest::sha256(content.as_bytes()));
    let mut expect = [
        "GET /v2/o/r/manifests/v1".to_owned(),
        format!("GET {}", blob("a")),
        format!("GET {}", blob("{}")),
        format!("GET /v2/o/r/referrers/{digest}"),
    ];
    expect.sort();
    assert_eq!(seen, expect);
    let mut seen: Vec<String> = to.take_requests().iter().map(ToString::to_string).collect();
    seen.sort();
    let mut expect = vec![
        "HEAD /v2/o/r/manifests/v1".to_owned(),
        format!("HEAD /v2/o/r/manifests/{digest}"),
        "PUT /v2/o/r/manifests/v1".to_owned(),
    ];
    for blob in [blob("a"), blob("{}")] {
        expect.push(format!("HEAD {blob}"));
        expect.push("POST /v2/o/r/blobs/uploads/".to_owned());
        expect.push("PUT /v2/o/r/blobs/uploads/ID".to_owned());
    }
    expect.sort();
    assert_eq!(seen, expect);

    copy(&client, &place(&from, "o/r:v1"), &place(&to, "o/r:v1")).await;
    assert_eq!(to.take_requests(), ["HEAD /v2/o/r/manifests/v1"]);
    let retagged = copy(&client, &place(&to, "o/r:v1"), &place(&to, "o/r:v2")).await;
    assert_eq!((retagged.outcome, retagged.manifests.count), (Outcome::Copied, 0));
    let put = "PUT /v2/o/r/manifests/v2";
    assert_eq!(to.take_requests(), ["GET /v2/o/r/manifests/v1", "HEAD /v2/o/r/manifests/v2", put]);
    let itself = copy(&client, &place(&to, "o/r:v1"), &place(&to, "o/r:v1")).await;
    assert_eq!((itself.outcome, itself.blobs.len()), (Outcome::Itself, 0));
    assert_eq!(to.take_requests(), ["GET /v2/o/r/manifests/v1", "HEAD /v2/o/r/manifests/v1"]);
}

#[tokio::test]
async fn a_tag_is_asked_once_so_that_one_that_moves_meanwhile_does_not_matter() {
    let (from, to, index) = pair().await;
    let copied = copy(&anonymous(), &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
    assert_eq!(copied.manifest.digest, index.descriptor.digest);
    assert_eq!(count(&from.take_requests(), &Method::GET, "/manifests/v1"), 1);
}
