//! What can be asked of a copy, and what destinations can be named by.

use std::num::NonZeroUsize;

use refs_client::{
    Children,
    copy::{ChildrenBy, Fate, Foreign, LeftBehind, Mode, Outcome, Platforms, Referrers},
};
use refs_registry::{ErrorKind, spec::Document};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{Fault, On};

use super::*;

fn is_send<T: Send>(value: T) -> T {
    value
}

async fn with(from: &FakeRegistry, to: &FakeRegistry, options: &CopyOptions) -> Result<Copied, Error> {
    let client = anonymous();
    is_send(client.copy(&place(from, "o/from:v1"), &place(to, "o/to:v1"), options)).await
}

#[tokio::test]
async fn a_dry_run_says_what_each_blob_would_cost_and_writes_nothing() {
    let (from, to, _) = pair().await;
    image_of(1).push(&*to.repository("o/to"), &[]).await.unwrap();
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    let planned = with(&from, &to, &dry).await.unwrap();
    assert_eq!((planned.outcome, planned.manifests.count, planned.manifests_present), (Outcome::Planned, 8, 1));
    // The first image is there, and so is what the others share with it.
    assert_eq!(planned.tally(Fate::Present).count, 2);
    assert_eq!(planned.tally(Fate::Copied).count, 6);
    assert_eq!(tagged(&to, "o/to", "v1").await, None);
    let done = with(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(done.tally(Fate::Copied), planned.tally(Fate::Copied));
    assert_eq!((done.manifests, done.referrers), (planned.manifests, planned.referrers));
}

#[tokio::test]
async fn a_dry_run_within_a_registry_mounts_and_one_to_nowhere_makes_no_layout() {
    let (from, _, _) = pair().await;
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    let client = anonymous();
    let planned = client.copy(&place(&from, "o/from:v1"), &place(&from, "o/to"), &dry).await.unwrap();
    assert_eq!((planned.tally(Fate::Mounted).count, planned.blobs.len()), (9, 9));
    let folder = tempfile::tempdir().unwrap();
    let layout = at(&format!("ocidir://{}/layout", folder.path().display()));
    let planned = client.copy(&place(&from, "o/from:v1"), &layout, &dry).await.unwrap();
    assert_eq!(planned.tally(Fate::Copied).count, 9);
    assert!(!folder.path().join("layout").exists());
}

#[tokio::test]
async fn a_dry_run_is_refused_where_the_copy_would_be() {
    let (from, _, _) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for folder in ["empty", "full/of"] {
        std::fs::create_dir_all(path(folder)).unwrap();
    }
    std::fs::write(path("file"), "").unwrap();
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    for (name, is_free) in [("absent", true), ("empty", true), ("full", false), ("file", false), ("file/in", false)] {
        let layout = at(&format!("ocidir://{}:v1", path(name).display()));
        let mut ends = Vec::new();
        for options in [&dry, &CopyOptions::default()] {
            let copied = anonymous().copy(&place(&from, "o/from:v1"), &layout, options).await;
            ends.push(copied.map(drop).map_err(|error| side(&error)));
        }
        assert_eq!((ends[0], ends[0].is_ok()), (ends[1], is_free), "{name}");
    }
}

#[tokio::test]
async fn a_digest_at_the_destination_must_be_the_one_that_is_copied() {
    let (from, to, index) = pair().await;
    let (client, options) = (anonymous(), CopyOptions::default());
    let digest = &index.descriptor.digest;
    let wrong = Digest::sha256(b"another");
    for name in [format!("o/to@{wrong}"), format!("o/to:v1@{wrong}")] {
        let error = client.copy(&place(&from, "o/from:v1"), &place(&to, &name), &options).await.unwrap_err();
        assert!(matches!(error, Error::OtherDigest { .. }), "{error:?}");
    }
    assert_eq!(to.requests(), [""; 0]);
    let copied =
        client.copy(&place(&from, "o/from:v1"), &place(&to, &format!("o/to@{digest}")), &options).await.unwrap();
    assert_eq!((copied.tag, tagged(&to, "o/to", "v1").await), (None, None));
    let both = place(&to, &format!("o/to:v1@{digest}"));
    client.copy(&place(&from, "o/from:v1"), &both, &options).await.unwrap();
    assert_eq!(tagged(&to, "o/to", "v1").await.as_ref(), Some(digest));
    let none = client.copy(&place(&from, "o/from"), &both, &options).await.unwrap_err();
    assert!(matches!(none, Error::Location { .. }), "{none:?}");
}

/// The outcome with these `platforms`: how many manifests are written, and whether the index keeps its digest.
async fn check_platforms(platforms: Platforms, manifests: u64, is_index: bool, is_same: bool) {
    let (from, to, index) = pair().await;
    let options = CopyOptions { platforms, referrers: Referrers::None, ..CopyOptions::default() };
    let copied = with(&from, &to, &options).await.unwrap();
    assert_eq!(copied.manifests.count, manifests, "{options:?}");
    assert_eq!(copied.manifest.media_type.is_index(), is_index, "{options:?}");
    assert_eq!(copied.manifest.digest == index.descriptor.digest, is_same, "{options:?}");
    assert_eq!(tagged(&to, "o/to", "v1").await, Some(copied.manifest.digest));
}

#[tokio::test]
async fn platforms_are_chosen_as_asked() {
    let two = || vec![platform("linux/arm64"), platform("linux/riscv64")];
    check_platforms(Platforms::All, 6, true, true).await;
    check_platforms(Platforms::Image(Box::new(platform("linux/arm64"))), 1, false, false).await;
    check_platforms(Platforms::Sparse(two()), 4, true, true).await;
    check_platforms(Platforms::Sparse(vec![platform("linux/arm64")]), 2, true, true).await;
    check_platforms(Platforms::Sparse(Vec::new()), 1, true, true).await;
    check_platforms(Platforms::Rewritten(two()), 3, true, false).await;
}

#[tokio::test]
async fn a_rewritten_index_lists_what_was_chosen_and_nothing_that_refers_to_the_old_one() {
    let (from, to, _) = pair().await;
    let platforms = Platforms::Rewritten(vec![platform("linux/riscv64"), platform("linux/amd64")]);
    let copied = with(&from, &to, &CopyOptions { platforms, ..CopyOptions::default() }).await.unwrap();
    // The SBOM of the first image comes along, the signature of the old index does not.
    assert_eq!((copied.referrers, copied.left_behind.map(|left| left.referrers)), (1, Some(1)));
    let manifest = to.repository("o/to").manifest(&"v1".parse().unwrap()).await.unwrap();
    let Document::Index(index) = manifest.parse().unwrap() else { panic!("no index") };
    let platforms: Vec<_> = index.manifests.iter().map(|listed| listed.platform.clone().unwrap().to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/riscv64"]);
    let platforms = Platforms::Sparse(vec![platform("plan9/mips")]);
    let none = with(&from, &to, &CopyOptions { platforms, ..CopyOptions::default() }).await.unwrap_err();
    assert!(matches!(none, Error::PlatformNotFound { .. }), "{none:?}");
}

#[tokio::test]
async fn referrers_come_by_their_type_or_not_at_all() {
    for (referrers, expect) in [
        (Referrers::None, 0),
        (Referrers::OfType(MediaType::new("text/x-sbom")), 1),
        (Referrers::OfType(MediaType::new("text/x-signature")), 2),
        (Referrers::All, 3),
    ] {
        let (from, to, _) = pair().await;
        let copied = with(&from, &to, &CopyOptions { referrers, ..CopyOptions::default() }).await.unwrap();
        assert_eq!((copied.referrers, copied.manifests.count), (expect, 6 + expect));
    }
}

/// How much a copy for one platform takes along, and leaves of what refers to the index.
async fn check_left(wanted: &str, referrers: Referrers, along: u64, left: Option<u64>) {
    let (from, to, index) = pair().await;
    let platforms = Platforms::Image(Box::new(platform(wanted)));
    let told = format!("{wanted} {referrers:?}");
    let copied = with(&from, &to, &CopyOptions { platforms, referrers, ..CopyOptions::default() }).await.unwrap();
    let left = left.map(|referrers| LeftBehind { index: index.descriptor.digest, referrers });
    assert_eq!((copied.referrers, copied.left_behind), (along, left), "{told}");
}

#[tokio::test]
async fn what_refers_to_an_index_that_stays_behind_is_told_of() {
    let kind = |name: &str| Referrers::OfType(MediaType::new(name));
    check_left("linux/amd64", Referrers::All, 1, Some(1)).await;
    check_left("linux/arm64", Referrers::All, 0, Some(1)).await;
    check_left("linux/riscv64", Referrers::All, 0, Some(1)).await;
    check_left("linux/amd64", kind("text/x-sbom"), 1, None).await;
    check_left("linux/amd64", kind("text/x-signature"), 0, Some(1)).await;
    check_left("linux/amd64", Referrers::None, 0, None).await;
}

#[tokio::test]
async fn a_source_that_does_not_tell_what_refers_to_an_index_that_stays_is_no_failure() {
    let (from, to, index) = pair().await;
    let list = format!("/referrers/{}", index.descriptor.digest);
    from.fault(On::get(&list).always(), Fault::Status { status: 403, headers: Vec::new() });
    let platforms = Platforms::Image(Box::new(platform("linux/amd64")));
    let copied = with(&from, &to, &CopyOptions { platforms, ..CopyOptions::default() }).await.unwrap();
    assert_eq!((copied.referrers, copied.left_behind), (1, None));
    let copied = with(&from, &to, &CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() }).await;
    assert!(copied.is_err(), "of an index that is copied it is one");
}

#[tokio::test]
async fn foreign_layers_stay_where_they_are_unless_asked_for() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let sink = from.repository("o/from");
    let foreign = Descriptor::of(MediaType::OCI_LAYER, b"foreign");
    sink.put_blob(&foreign, bytes::Bytes::from_static(b"foreign").into()).await.unwrap();
    let image = Image::new().file("a", "a").manifest().unwrap();
    Image::new().file("a", "a").push(&*sink, &[]).await.unwrap();
    let Document::Image(mut image) = image.parse().unwrap() else { panic!("no image") };
    image.layers.push(Descriptor { urls: vec!["https://example.com/layer".to_owned()], ..foreign.clone() });
    sink.put_manifest(&Manifest::image(&image).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
    let copied = with(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.tally(Fate::Copied).count, 2);
    assert_eq!(to.repository("o/to").stat_blob(&foreign.digest).await.unwrap(), None);
    let options = CopyOptions { foreign: Foreign::Copy, ..CopyOptions::default() };
    let elsewhere = place(&to, "o/other:v1");
    let copied = anonymous().copy(&place(&from, "o/from:v1"), &elsewhere, &options).await.unwrap();
    assert_eq!(copied.tally(Fate::Copied).count, 3);
    // As a layer of its own the image can't do without it.
    image.layers.push(foreign.clone());
    sink.put_manifest(&Manifest::image(&image).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
    let copied = with(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.tally(Fate::Copied).count, 1);
    assert_eq!(to.repository("o/to").stat_blob(&foreign.digest).await.unwrap(), Some(7));
}

#[tokio::test]
async fn a_function_of_the_callers_own_says_what_a_manifest_leads_to() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let sink = from.repository("o/from");
    let beside = Descriptor::of(MediaType::new("text/plain"), b"beside");
    sink.put_blob(&beside, bytes::Bytes::from_static(b"beside").into()).await.unwrap();
    Image::new().file("a", "a").push(&*sink, &["v1"]).await.unwrap();
    let noted = beside.clone();
    let children = ChildrenBy::new(move |media_type, raw| {
        let Children { mut blobs, manifests, foreign } = manifest_digests(media_type, raw)?;
        blobs.push(noted.clone());
        Ok(Children { blobs, manifests, foreign })
    });
    let options = CopyOptions { children: Some(children), ..CopyOptions::default() };
    let copied = with(&from, &to, &options).await.unwrap();
    assert_eq!(copied.blobs.len(), 3);
    assert_eq!(to.repository("o/to").stat_blob(&beside.digest).await.unwrap(), Some(6));
}

#[tokio::test]
async fn one_blob_at_a_time_is_enough() {
    let quirks = refs_testkit::Quirks { mount: refs_testkit::quirks::Mount::Missing, ..Default::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    graph(&*registry.repository("o/from")).await;
    let options = CopyOptions { blobs_at_once: NonZeroUsize::MIN, ..CopyOptions::default() };
    assert_eq!(with(&registry, &registry, &options).await.unwrap().tally(Fate::Copied).count, 9);
    let most = CopyOptions { blobs_at_once: NonZeroUsize::MAX, ..CopyOptions::default() };
    let to = FakeRegistry::start().await;
    assert_eq!(with(&registry, &to, &most).await.unwrap().tally(Fate::Copied).count, 9);
}

#[tokio::test]
async fn nothing_to_copy_is_an_error_of_the_source() {
    let (from, to, _) = pair().await;
    let client = anonymous();
    let folder = tempfile::tempdir().unwrap();
    let layout = at(&format!("ocidir://{}/layout", folder.path().display()));
    for to in [place(&to, "o/to:v1"), layout] {
        let error = client.copy(&place(&from, "o/from:v9"), &to, &CopyOptions::default()).await.unwrap_err();
        assert_eq!(side(&error), (Side::Source, ErrorKind::NotFound));
    }
    assert!(!folder.path().join("layout").exists());
    assert_eq!(to.requests(), [""; 0]);
}

#[tokio::test]
async fn what_is_copied_is_not_kept_in_the_clients_store() {
    let (from, to, _) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let client = anonymous().with_store(Arc::new(DiskStore::new(&cache, &DiskOptions::default())));
    copy(&client, &place(&from, "o/from:v1"), &place(&to, "o/to:v1")).await;
    assert!(!cache.exists());
    // What was moved is counted all the same: nine manifests, and the bytes of all blobs.
    assert!(client.meter().fetched() > 300_000 && client.meter().fetched() >= client.meter().expected());
}
