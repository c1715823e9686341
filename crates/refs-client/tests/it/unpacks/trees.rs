//! What honest images unpack to.

use std::{fs, os::unix::fs::MetadataExt};

use refs_client::{Error, Existing, UnpackOptions};
use refs_registry::{MediaType, Platform, Sink, error::ConfigFault};
use refs_testkit::{Tree, image::index};
use refs_url::Digest;

use super::{Archive, Image, unpack};
use crate::setup::{IN_MEMORY, artifact, at, client, guarded, kind, memory, names};

fn base() -> Archive {
    Archive::new()
        .directory("./")
        .directory("usr/")
        .directory("usr/lib/")
        .symlink("lib", "usr/lib")
        .made(b'0', "usr/su", b"su", |header| header.set_mode(0o4755))
        .file("usr/lib/old", "old")
        .file("usr/lib/kept", "kept")
        .hardlink("usr/lib/also", "usr/lib/kept")
        .made(b'5', "tmp/", b"", |header| header.set_mode(0o1777))
        .directory("etc/")
        .file("etc/a", "a")
        .file("etc/b", "b")
}

fn above() -> Archive {
    Archive::new()
        .file("usr/lib/.wh.old", "")
        .file("lib/new", "through the link")
        .file("etc/.wh..wh..opq", "")
        .file("etc/c", "c")
        .symlink("usr/su", "/bin/busybox")
}

const MERGED: &str = r#"
    755 etc/
    644 etc/c "c"
    777 lib -> usr/lib
    1777 tmp/
    755 usr/
    755 usr/lib/
    644 usr/lib/also "kept"
    644 usr/lib/kept "kept"
    644 usr/lib/new "through the link"
    777 usr/su -> /bin/busybox
"#;

#[tokio::test]
async fn layers_of_every_compression_and_either_family_are_merged() {
    let (low, high) = (base().tar(), above().tar());
    let oci = [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP, MediaType::OCI_LAYER_ZSTD];
    for (first, second) in [(&oci[0], &oci[1]), (&oci[1], &oci[2]), (&oci[2], &oci[0])] {
        let image = Image::new().layer(first.clone(), &low).layer(second.clone(), &high);
        assert_eq!(unpack(&image).await.unwrap().0, Tree::parse(MERGED), "{first} {second}");
    }
    let docker = Image {
        manifest_type: MediaType::DOCKER_MANIFEST,
        config_type: MediaType::DOCKER_CONFIG,
        ..Image::new().layer(MediaType::DOCKER_LAYER_GZIP, &low).layer(MediaType::DOCKER_LAYER_GZIP, &high)
    };
    let (tree, unpacked) = unpack(&docker).await.unwrap();
    assert_eq!(tree, Tree::parse(MERGED));
    assert_eq!((unpacked.files, unpacked.directories, unpacked.links, unpacked.written_bytes), (3, 4, 3, 21));
    assert_eq!((&unpacked.config.rootfs, unpacked.index), (&docker.rootfs, None));
}

#[tokio::test]
async fn names_of_one_file_stay_names_of_one_file() {
    let image = Image::of(&[base(), Archive::new().hardlink("more", "lib/kept").file("usr/lib/.wh.kept", "")]);
    let (_, client, _) = image.stored().await;
    let ground = tempfile::tempdir().unwrap();
    let dest = ground.path().join("rootfs");
    client.unpack(&at(IN_MEMORY), &dest, &UnpackOptions::default()).await.unwrap();
    let (one, other) = (fs::metadata(dest.join("more")).unwrap(), fs::metadata(dest.join("usr/lib/also")).unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    assert!(!dest.join("usr/lib/kept").exists());
}

#[tokio::test]
async fn an_image_without_layers_is_an_empty_root() {
    let (tree, unpacked) = unpack(&Image::new()).await.unwrap();
    assert_eq!((tree, unpacked.files), (Tree::new(), 0));
}

#[tokio::test]
async fn bytes_behind_the_archive_count_in_the_diff_id() {
    let tar = [base().tar(), b"trailing".to_vec()].concat();
    let image = Image::new().layer(MediaType::OCI_LAYER_GZIP, &tar).layer(MediaType::OCI_LAYER_GZIP, &above().tar());
    assert_eq!(unpack(&image).await.unwrap().0, Tree::parse(MERGED));
}

#[tokio::test]
async fn diff_ids_may_be_sha512() {
    let tar = base().tar();
    let mut hasher = refs_url::Hasher::new(refs_url::Algorithm::Sha512).unwrap();
    hasher.update(&tar);
    let image = Image::new().blob(MediaType::OCI_LAYER, tar, hasher.finish());
    unpack(&image).await.unwrap();
}

#[tokio::test]
async fn times_and_the_root_are_as_the_image_says() {
    let archive = Archive::new()
        .pax(&[("mtime", "1500000000.123456789")])
        .made(b'5', "./", b"", |header| header.set_mode(0o711))
        .pax(&[("mtime", "1400000000.5")])
        .file("file", "content")
        .directory("d/")
        .file("d/x", "made after d");
    let (_, client, _) = Image::of(&[archive]).stored().await;
    let ground = tempfile::tempdir().unwrap();
    let dest = ground.path().join("rootfs");
    client.unpack(&at(IN_MEMORY), &dest, &UnpackOptions::default()).await.unwrap();
    let line = |path: &str| {
        let found = fs::symlink_metadata(dest.join(path)).unwrap();
        (found.mode() & 0o7777, found.mtime(), found.mtime_nsec())
    };
    assert_eq!(line(""), (0o711, 1_500_000_000, 123_456_789));
    assert_eq!(line("file"), (0o644, 1_400_000_000, 500_000_000));
    assert_eq!(line("d"), (0o755, 1_600_000_000, 0));
}

#[tokio::test]
async fn a_config_that_does_not_fit_is_refused_before_layers_are_fetched() {
    #[track_caller]
    fn check(error: &Error, expected: &ConfigFault) {
        assert!(matches!(error, Error::Config { fault, .. } if fault == expected), "{error:?}");
    }
    let two = || Image::of(&[base(), above()]);
    let mut fewer = two();
    fewer.rootfs.diff_ids.pop();
    check(&unpack(&fewer).await.unwrap_err(), &ConfigFault::DiffIds { diff_ids: 1, layers: 2 });
    let mut more = two();
    more.rootfs.diff_ids.push(Digest::sha256(b""));
    check(&unpack(&more).await.unwrap_err(), &ConfigFault::DiffIds { diff_ids: 3, layers: 2 });
    let mut other = two();
    other.rootfs.kind = "x".to_owned();
    check(&unpack(&other).await.unwrap_err(), &ConfigFault::RootFsType { found: "x".to_owned() });
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let chart = Image { config_type: MediaType::new(helm), ..two() };
    check(&unpack(&chart).await.unwrap_err(), &ConfigFault::MediaType { found: helm.to_owned() });

    let registry = fewer.served().await;
    let ground = tempfile::tempdir().unwrap();
    let options = UnpackOptions::default();
    client(&registry).unpack(&artifact(&registry), &ground.path().join("d"), &options).await.unwrap_err();
    let blobs = registry.requests().iter().filter(|request| request.path.contains("/blobs/")).count();
    assert_eq!(blobs, 1, "the config and nothing else");
}

#[tokio::test]
async fn an_artifact_of_files_is_no_root() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    refs_testkit::Image::new().file("a.txt", "a").push(&repository, &["v1"]).await.unwrap();
    let ground = tempfile::tempdir().unwrap();
    let error = client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &UnpackOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Config { fault: ConfigFault::MediaType { .. }, .. }), "{error:?}");
    assert_eq!(names(ground.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn an_index_leads_to_the_image_for_the_platform() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let mut manifests = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let mut descriptor = Image::of(&[Archive::new().file("which", platform)]).push(&repository).await.descriptor;
        descriptor.platform = Some(Platform::parse(platform).unwrap());
        manifests.push(descriptor);
    }
    let chosen = manifests[1].clone();
    let index = index(manifests).unwrap();
    repository.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
    let ground = tempfile::tempdir().unwrap();
    let platform = Some(Platform::parse("linux/arm64").unwrap());
    let options = UnpackOptions { platform, ..UnpackOptions::default() };
    let unpacked = client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &options).await.unwrap();
    assert_eq!(Tree::read(&ground.path().join("d")).unwrap(), Tree::parse("644 which \"linux/arm64\"\n"));
    assert_eq!(unpacked.index.unwrap().digest, index.descriptor.digest);
    assert_eq!(unpacked.manifest.digest, chosen.digest);
}

#[tokio::test]
async fn no_blob_is_fetched_twice_and_none_by_a_second_unpack_through_a_store() {
    let image = Image::of(&[base(), above()]);
    let registry = image.served().await;
    let blobs = || registry.take_requests().iter().filter(|request| request.path.contains("/blobs/")).count();
    let ground = tempfile::tempdir().unwrap();
    let (client, here) = (client(&registry), artifact(&registry));
    let options = UnpackOptions { existing: Existing::Replace, ..UnpackOptions::default() };
    client.unpack(&here, &ground.path().join("d"), &options).await.unwrap();
    assert_eq!(blobs(), 3);
    let store = refs_store::DiskStore::new(ground.path().join("cache"), &refs_store::DiskOptions::default());
    let client = client.with_store(std::sync::Arc::new(store));
    client.unpack(&here, &ground.path().join("d"), &options).await.unwrap();
    assert_eq!(blobs(), 3);
    let before = client.meter().written();
    let again = client.unpack(&here, &ground.path().join("d"), &options).await.unwrap();
    assert_eq!((blobs(), again.fetched_bytes), (0, 0));
    assert!(again.written_bytes > 0 && client.meter().written() - before == again.written_bytes, "{again:?}");
    assert_eq!(Tree::read(&ground.path().join("d")).unwrap(), Tree::parse(MERGED));
}

#[tokio::test]
async fn a_layer_that_is_kept_elsewhere_is_named() {
    let foreign = MediaType::new("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let image = Image::new().layer(foreign, &base().tar());
    // What a registry has anyway is taken.
    unpack(&image).await.unwrap();
    let (memories, client, manifest) = image.stored().await;
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let refs_registry::spec::Document::Image(parsed) = manifest.parse().unwrap() else { panic!("an image") };
    repository.delete_blob(&parsed.layers[0].digest).await.unwrap();
    let ground = tempfile::tempdir().unwrap();
    let error = client.unpack(&at(IN_MEMORY), &ground.path().join("d"), &UnpackOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedLayer { .. }), "{error:?}");
    let sealed = MediaType::new("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    let error = unpack(&Image::new().layer(sealed, &base().tar())).await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedLayer { reason: "it is encrypted", .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_that_is_not_there_leaves_nothing() {
    let registry = guarded(&memory().0).start().await;
    let ground = tempfile::tempdir().unwrap();
    let dest = ground.path().join("a/b");
    let error = client(&registry).unpack(&artifact(&registry), &dest, &UnpackOptions::default()).await.unwrap_err();
    assert_eq!(kind(&error), refs_registry::ErrorKind::NotFound);
    assert_eq!(names(ground.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn bytes_of_a_layout_count_once_however_often_they_are_read() {
    let ground = tempfile::tempdir().unwrap();
    let layout = refs_store::Layout::create(&ground.path().join("layout")).await.unwrap();
    let layers = [Archive::new().file("a", "1"), Archive::new().file("b", "2")];
    let manifest = Image::of(&layers).push(&layout).await;
    let refs_registry::spec::Document::Image(image) = manifest.parse().unwrap() else { panic!("{manifest:?}") };
    let layers: u64 = image.layers.iter().map(|layer| layer.size).sum();
    let here = at(&format!("ocidir://{}:v1", ground.path().join("layout").display()));
    let (_, client) = memory();
    let unpacked = client.unpack(&here, &ground.path().join("a"), &UnpackOptions::default()).await.unwrap();
    assert_eq!(unpacked.fetched_bytes, manifest.descriptor.size + image.config.size + layers);
    let pulled = client.pull(&here, &ground.path().join("b"), &refs_client::PullOptions::default()).await.unwrap();
    assert_eq!(pulled.fetched_bytes, manifest.descriptor.size + layers);
}
