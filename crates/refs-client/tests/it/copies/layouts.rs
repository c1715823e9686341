//! Copies into a layout on disk that has lost something since.

use std::{fs, path::Path};

use refs_client::copy::{Fate, Mode, Outcome, Platforms};
use refs_registry::ErrorKind;
use tempfile::TempDir;

use super::*;

/// A registry with [`graph`] as `o/from:v1`, and a layout with a copy of that.
async fn copied() -> (FakeRegistry, Manifest, TempDir) {
    let from = FakeRegistry::start().await;
    let index = graph(&*from.repository("o/from")).await;
    let ground = tempfile::tempdir().unwrap();
    copy(&anonymous(), &place(&from, "o/from:v1"), &layout(&ground)).await;
    (from, index, ground)
}

fn layout(ground: &TempDir) -> Location {
    at(&format!("ocidir://{}/layout:v1", ground.path().display()))
}

/// The layer that all images of the graph share, and one that the last one has alone.
fn layers() -> [Digest; 2] {
    [noise(300_000, 1), noise(20_000, 104)].map(|layer| Digest::sha256(&layer))
}

/// What `damage` did to layers of the copy is told by a dry run, and mended by the next copy.
async fn check(damage: fn(&Path)) {
    let (from, index, ground) = copied().await;
    let folder = ground.path().join("layout");
    let paths = layers().map(|layer| folder.join("blobs/sha256").join(layer.encoded()));
    paths.iter().for_each(|path| damage(path));
    let (client, source, target) = (anonymous(), place(&from, "o/from:v1"), layout(&ground));
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    for (options, outcome) in [(dry, Outcome::Planned), (CopyOptions::default(), Outcome::Copied)] {
        let copied = client.copy(&source, &target, &options).await.unwrap();
        assert_eq!((copied.outcome, copied.manifests.count, copied.manifests_present), (outcome, 0, 9));
        let moved = copied.blobs.iter().filter(|blob| blob.fate == Fate::Copied);
        assert!(moved.map(|blob| blob.descriptor.digest.clone()).eq(layers()), "{:?}", copied.blobs);
        assert_eq!(copied.tally(Fate::Present).count, 7);
    }
    let on_disk = refs_store::Layout::open(&folder).await.unwrap();
    let digest = &index.descriptor.digest;
    assert!(content(&on_disk, digest).await == content(&*from.repository("o/from"), digest).await);
    let again = copy(&client, &source, &target).await;
    assert_eq!((again.outcome, again.tally(Fate::Present).count), (Outcome::Present, 9));
}

#[tokio::test]
async fn a_layer_that_is_gone_is_copied_again() {
    check(|path| fs::remove_file(path).unwrap()).await;
}

#[tokio::test]
async fn a_layer_that_was_cut_off_is_copied_again() {
    check(|path| {
        let half = fs::read(path).unwrap().len() / 2;
        let half = fs::read(path).unwrap()[..half].to_vec();
        fs::remove_file(path).unwrap();
        fs::write(path, half).unwrap();
    })
    .await;
}

/// A manifest of the copy whose file was `damage`d is written again by the next copy, under a tag and without one.
async fn check_manifest(damage: fn(&Path), at: fn(&Manifest) -> Digest) {
    let (from, index, ground) = copied().await;
    let folder = ground.path().join("layout");
    let damaged = at(&index);
    let file = folder.join("blobs/sha256").join(damaged.encoded());
    damage(&file);
    let (client, source, target) = (anonymous(), place(&from, "o/from:v1"), layout(&ground));
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    for (options, outcome) in [(dry, Outcome::Planned), (CopyOptions::default(), Outcome::Copied)] {
        let copied = client.copy(&source, &target, &options).await.unwrap();
        assert_eq!((copied.outcome, copied.tally(Fate::Copied).count), (outcome, 0));
        assert!(copied.manifests.count > 0);
    }
    let on_disk = refs_store::Layout::open(&folder).await.unwrap();
    let digest = &index.descriptor.digest;
    assert!(content(&on_disk, digest).await == content(&*from.repository("o/from"), digest).await);
    assert_eq!(copy(&client, &source, &target).await.outcome, Outcome::Present);
}

fn empty(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::write(path, "").unwrap();
}

/// As a disk does: the size is as it was.
fn scribble(path: &Path) {
    let size = fs::read(path).unwrap().len();
    fs::remove_file(path).unwrap();
    fs::write(path, "x".repeat(size)).unwrap();
}

fn first_listed(index: &Manifest) -> Digest {
    manifest_digests(&index.descriptor.media_type, &index.raw).unwrap().manifests[0].digest.clone()
}

#[tokio::test]
async fn a_manifest_that_was_damaged_is_copied_again() {
    for damage in [empty, scribble] {
        check_manifest(damage, |index| index.descriptor.digest.clone()).await;
        check_manifest(damage, first_listed).await;
    }
}

#[tokio::test]
async fn a_referrer_that_was_damaged_is_copied_again() {
    let (from, index, ground) = copied().await;
    let source = from.repository("o/from");
    let about: Vec<Descriptor> =
        source.referrers(&index.descriptor.digest, Default::default()).try_collect().await.unwrap();
    let folder = ground.path().join("layout");
    empty(&folder.join("blobs/sha256").join(about[0].digest.encoded()));
    copy(&anonymous(), &place(&from, "o/from:v1"), &layout(&ground)).await;
    let on_disk = refs_store::Layout::open(&folder).await.unwrap();
    let digest = &index.descriptor.digest;
    assert!(content(&on_disk, digest).await == content(&*source, digest).await);
}

/// A layout with an index of two platforms and of another index, which has come without that one.
async fn sparse() -> (TempDir, Location, Manifest) {
    let from = FakeRegistry::start().await;
    let index = graph(&*from.repository("o/from")).await;
    let (ground, options) = (tempfile::tempdir().unwrap(), two());
    anonymous().copy(&place(&from, "o/from:v1"), &layout(&ground), &options).await.unwrap();
    let at = layout(&ground);
    (ground, at, index)
}

fn two() -> CopyOptions {
    let platforms = Platforms::Sparse(vec![platform("linux/amd64"), platform("linux/arm64")]);
    CopyOptions { platforms, ..CopyOptions::default() }
}

#[tokio::test]
async fn what_was_copied_for_some_platforms_can_be_copied_for_them_again() {
    let ((_ground, at, index), to) = (sparse().await, FakeRegistry::start().await);
    let client = anonymous();
    let copied = client.copy(&at, &place(&to, "o/to:v1"), &two()).await.unwrap();
    assert_eq!((copied.manifest.digest, copied.manifests.count), (index.descriptor.digest, 6));
    let error = client.copy(&at, &place(&to, "o/other:v1"), &CopyOptions::default()).await.unwrap_err();
    assert_eq!(side(&error), (Side::Source, ErrorKind::NotFound));
    let platforms = Platforms::Sparse(vec![platform("linux/riscv64")]);
    let absent = CopyOptions { platforms, ..CopyOptions::default() };
    let error = client.copy(&at, &place(&to, "o/other:v1"), &absent).await.unwrap_err();
    assert_eq!(side(&error), (Side::Source, ErrorKind::NotFound));
}

#[tokio::test]
async fn what_was_copied_for_some_platforms_gets_another_tag_in_its_repository() {
    let (ground, at, index) = sparse().await;
    let other = at.clone().at_tag("again".parse().unwrap());
    let copied = copy(&anonymous(), &at, &other).await;
    assert_eq!((copied.outcome, copied.manifests.count), (Outcome::Copied, 0));
    let on_disk = refs_store::Layout::open(ground.path().join("layout")).await.unwrap();
    assert_eq!(on_disk.resolve(&"again".parse().unwrap()).await.unwrap().digest, index.descriptor.digest);
}

/// By the name of its own it stays where it is when the other moves on.
#[tokio::test]
async fn a_tag_is_set_where_another_name_leads_to_the_same() {
    let (from, index, ground) = copied().await;
    let (client, source) = (anonymous(), place(&from, "o/from:v1"));
    let target = |name: &str| at(&format!("ocidir://{}/other:{name}", ground.path().display()));
    copy(&client, &source, &target("ghcr.io/o/r:v1")).await;
    for outcome in [Outcome::Copied, Outcome::Present] {
        assert_eq!(copy(&client, &source, &target("v1")).await.outcome, outcome);
        let names = client.list_names(&at(&format!("ocidir://{}/other", ground.path().display()))).await.unwrap();
        assert_eq!(names, ["ghcr.io/o/r:v1", "v1"]);
    }
    let on_disk = refs_store::Layout::open(ground.path().join("other")).await.unwrap();
    assert_eq!(on_disk.resolve(&Target::Tag("v1".parse().unwrap())).await.unwrap().digest, index.descriptor.digest);
}
