//! Artifacts and images that other tools pushed.

use std::sync::Arc;

use flate2::Compression;
use refs_client::{Client, Error, FetchOptions, FileEntry, Kind, ReadOptions, Trust};
use refs_registry::{ErrorKind, Manifest, MediaType, Sink, spec::Document};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{
    FakeRegistry, Image, Tree,
    image::{gzip, zstd},
    require_layout,
};

use crate::setup::{
    IN_MEMORY, anonymous, artifact, at, client, guarded, kind, memory, noise, paths, patterns, pull_of, pulled, pushed,
};

/// A client of `image`.
async fn client_of(image: Image) -> Client {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    client
}

/// Lists, pulls whole and in part, and reads what `image` holds.
async fn check(image: Image, expected: &str) {
    let client = client_of(image).await;
    let (here, expected) = (at(IN_MEMORY), Tree::parse(expected));
    assert_eq!(pulled(&client, &here, &pull_of(&[])).await, expected);
    assert_eq!(pulled(&client, &here, &pull_of(&["**"])).await, expected);
    let listing = client.list_files(&here, &ReadOptions::default()).await.unwrap();
    for entry in listing.entries().filter(FileEntry::is_file) {
        let part = pulled(&client, &here, &pull_of(&[&entry.path])).await;
        let name = entry.path.rsplit('/').next().unwrap();
        assert!(part.to_string().contains(name), "{part}");
        let content = client.read_file(&here, &entry.path, &ReadOptions::default(), Vec::new()).await.unwrap();
        assert_eq!(content.len() as u64, entry.size(), "{}", entry.path);
    }
}

const TREE: &str = r#"
    644 .sow-ref.yaml "schema_version: 1.0.0\nref: {title: Guide, link: guide}\ncontent: {description: d, tags: [t], classifications: [{type: runbook}]}\n"
    755 d/
    755 d/run "run"
    777 d/up -> ../e
    644 e "e"
"#;

#[tokio::test]
async fn plain_and_gzipped_archives_are_read() {
    let tar = Tree::parse(TREE).tar();
    check(Image::new().layer(MediaType::OCI_LAYER, tar.clone()), TREE).await;
    check(Image::new().tree(&Tree::parse(TREE)), TREE).await;
    check(Image::new().layer(MediaType::DOCKER_LAYER_GZIP, gzip(&tar)), TREE).await;
    // What the media type says of the compression need not be true.
    check(Image::new().layer(MediaType::OCI_LAYER, gzip(&tar)), TREE).await;
    check(Image::new().layer(MediaType::OCI_LAYER_GZIP, tar), TREE).await;
}

#[tokio::test]
async fn archives_compressed_with_zstd_are_read() {
    let tar = Tree::parse(TREE).tar();
    check(Image::new().layer(MediaType::OCI_LAYER_ZSTD, zstd(&tar)), TREE).await;
    check(Image::new().layer(MediaType::OCI_LAYER_GZIP, zstd(&tar)), TREE).await;
    let (start, end) = tar.split_at(700);
    let skippable = b"\x50\x2a\x4d\x18\x04\0\0\0none";
    let frames = [&skippable[..], &zstd(start), skippable, &zstd(end), skippable].concat();
    check(Image::new().layer(MediaType::OCI_LAYER_ZSTD, frames), TREE).await;
    let content = noise(300_000, 1);
    let long = Tree::new().file("long", content.clone());
    let client = client_of(Image::new().layer(MediaType::OCI_LAYER_ZSTD, zstd(&long.tar()))).await;
    assert!(client.read_file(&at(IN_MEMORY), "long", &ReadOptions::default(), Vec::new()).await.unwrap() == content);
}

#[tokio::test]
async fn m132_gzip_of_several_members_is_read() {
    use std::io::Write;
    let tar = Tree::parse(TREE).tar();
    let mut members = Vec::new();
    for part in tar.chunks(700) {
        let mut encoder = flate2::write::GzEncoder::new(&mut members, Compression::default());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    check(Image::new().layer(MediaType::OCI_LAYER_GZIP, members), TREE).await;
}

#[tokio::test]
async fn files_as_oras_pushes_them_are_read() {
    let image = Image::new().file("a.txt", "a").file("deep/b.txt", "bb").file("empty", "");
    check(image.clone(), "644 a.txt \"a\"\n755 deep/\n644 deep/b.txt \"bb\"\n644 empty \"\"").await;
    let client = client_of(image).await;
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!(paths(&listing), ["a.txt", "deep/b.txt", "empty"]);
    assert_eq!(listing.entry_at(1).kind, Kind::File { size: 2 });
}

#[tokio::test]
async fn folder_as_oras_pushes_it_is_read_with_files_beside_it() {
    let folder = Tree::parse("755 docs/\n644 docs/a \"a\"\n755 docs/empty/");
    let image = Image::new().folder("docs", &folder).file("notes.txt", "n");
    check(image, "755 docs/\n644 docs/a \"a\"\n755 docs/empty/\n644 notes.txt \"n\"").await;
}

#[tokio::test]
async fn folder_may_not_hold_what_is_outside_of_it() {
    let client = client_of(Image::new().folder("docs", &Tree::parse(r#"644 elsewhere/a "a""#))).await;
    let error = crate::setup::pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
    assert!(matches!(error, Error::UnsafePath { .. }), "{error:?}");
}

#[tokio::test]
async fn title_may_not_lead_out() {
    for title in ["../evil", "a/../../evil", "/rooted", ".", ""] {
        let client = client_of(Image::new().file(title, "x")).await;
        let error = crate::setup::pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        assert!(matches!(error, Error::UnsafePath { .. }), "{title}: {error:?}");
    }
}

#[tokio::test]
async fn upper_layer_replaces_what_the_lower_has() {
    let lower = Tree::parse("644 a \"old\"\n755 d/\n644 d/kept \"k\"\n644 gone/x \"x\"");
    let upper = Tree::parse("755 a \"new\"\n644 d/new \"n\"\n644 gone \"a file now\"");
    let expected = "755 a \"new\"\n755 d/\n644 d/kept \"k\"\n644 d/new \"n\"\n644 gone \"a file now\"";
    check(Image::new().tree(&lower).tree(&upper), expected).await;
}

#[tokio::test]
async fn layers_of_other_kinds_are_refused() {
    let client = client_of(Image::new().layer(MediaType::new("application/vnd.example"), "what is this?")).await;
    let error = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap_err();
    let Error::UnsupportedLayer { media_type, .. } = error else { panic!("{error:?}") };
    assert_eq!(media_type, MediaType::new("application/vnd.example"));
}

#[tokio::test]
async fn m074_encrypted_layers_are_refused_by_name() {
    let tree = Tree::parse(TREE);
    for name in
        ["application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/vnd.oci.image.layer.v1.tar+encrypted"]
    {
        let media_type = MediaType::new(name);
        let client = client_of(Image::new().tree(&tree).layer(media_type.clone(), noise(1_000, 1))).await;
        let error = crate::setup::pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        let Error::UnsupportedLayer { media_type: told, reason, .. } = error else { panic!("{error:?}") };
        assert_eq!((told, reason), (media_type, "it is encrypted"));
        let image = client.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap().image.unwrap();
        assert_eq!(image.layers.len(), 2, "it can still be described");
    }
}

#[tokio::test]
async fn layers_of_every_type_with_a_name_are_read() {
    use MediaType as M;
    let tree = Tree::parse(TREE);
    let tar = tree.tar();
    for (media_types, bytes) in [
        (vec![M::OCI_LAYER, M::OCI_NONDISTRIBUTABLE, M::DOCKER_LAYER, M::DOCKER_FOREIGN], tar.clone().into()),
        (
            vec![M::OCI_LAYER_GZIP, M::OCI_NONDISTRIBUTABLE_GZIP, M::DOCKER_LAYER_GZIP, M::DOCKER_FOREIGN_GZIP],
            gzip(&tar),
        ),
        (
            vec![M::OCI_LAYER_ZSTD, M::OCI_NONDISTRIBUTABLE_ZSTD, M::DOCKER_LAYER_ZSTD, M::DOCKER_FOREIGN_ZSTD],
            zstd(&tar),
        ),
    ] {
        for media_type in media_types {
            check(Image::new().layer(media_type, bytes.clone()), TREE).await;
        }
    }
}

#[tokio::test]
async fn foreign_layers_come_from_the_registry_and_not_from_their_urls() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let image = Image::new().layer(MediaType::DOCKER_FOREIGN_GZIP, gzip(&Tree::parse(TREE).tar()));
    let manifest = image.push(&*repository, &[]).await.unwrap();
    let Document::Image(mut image) = manifest.parse().unwrap() else { panic!("{manifest:?}") };
    image.layers[0].urls = vec!["http://127.0.0.1:1/elsewhere".to_owned()];
    let manifest = Manifest::image(&image).unwrap();
    repository.put_manifest(&manifest, &["v1".parse().unwrap()]).await.unwrap();
    assert_eq!(pulled(&anonymous(), &artifact(&registry), &pull_of(&[])).await, Tree::parse(TREE));
}

#[tokio::test]
async fn a_fetch_does_without_the_foreign_layers_that_the_registry_lacks() {
    let registry = FakeRegistry::start().await;
    let repository = registry.repository("o/r");
    let own = Image::new().layer(MediaType::OCI_LAYER, "own");
    own.push(&*repository, &[]).await.unwrap();
    for media_type in [MediaType::OCI_NONDISTRIBUTABLE, MediaType::DOCKER_FOREIGN_GZIP] {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::new(folder.path(), &DiskOptions::default());
        let client = anonymous().with_store(Arc::new(store.clone()));
        let image = own.clone().layer(media_type.clone(), media_type.to_string());
        let lacking = image.manifest().unwrap();
        repository.put_manifest(&lacking, &["v1".parse().unwrap()]).await.unwrap();
        for (new, present) in [(2, 0), (0, 2)] {
            let fetched = client.fetch(&artifact(&registry), &FetchOptions::default()).await.unwrap();
            assert_eq!((fetched.blobs.len(), fetched.new, fetched.present), (3, new, present), "{media_type}");
        }
        assert_eq!(store.images().await.unwrap().len(), 1);
        require_layout(folder.path());
        // Nobody but the registry could have it.
        image.push(&*repository, &["v1"]).await.unwrap();
        let fetched = client.fetch(&artifact(&registry), &FetchOptions::default()).await.unwrap();
        assert_eq!((fetched.new, fetched.present), (1, 2), "{media_type}");
    }
}

#[tokio::test]
async fn a_fetch_of_what_is_listed_with_two_sizes_is_refused_whichever_comes_first() {
    for wrong in [0, 1] {
        let registry = FakeRegistry::start().await;
        let repository = registry.repository("o/r");
        let twice = Image::new().layer(MediaType::OCI_LAYER, "twice").layer(MediaType::OCI_LAYER, "twice");
        let Document::Image(mut lie) = twice.push(&*repository, &[]).await.unwrap().parse().unwrap() else { panic!() };
        lie.layers[wrong].size += 1;
        let lie = Manifest::image(&lie).unwrap();
        repository.put_manifest(&lie, &["v1".parse().unwrap()]).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::new(folder.path(), &DiskOptions::default());
        let client = anonymous().with_store(Arc::new(store.clone()));
        let error = client.fetch(&artifact(&registry), &FetchOptions::default()).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Size, "{error:?}");
        assert!(error.to_string().ends_with("is listed with 5 and with 6 bytes"), "{error}");
        assert_eq!(store.images().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn bytes_that_are_no_archive_are_an_error() {
    let (_, client, layer) = pushed(&Tree::parse(TREE)).await;
    drop((client, layer));
    let cut = gzip(&Tree::new().file("noise", noise(100_000, 1)).tar()).slice(..50_000);
    let cut_zstd = zstd(&noise(100_000, 1)).slice(..50_000);
    for (media_type, bytes) in [
        (MediaType::OCI_LAYER_GZIP, cut),
        (MediaType::OCI_LAYER, vec![7; 2_000].into()),
        (MediaType::OCI_LAYER_ZSTD, cut_zstd),
        (MediaType::OCI_LAYER_ZSTD, "no zstd".into()),
    ] {
        let client = client_of(Image::new().layer(media_type, bytes)).await;
        let error = crate::setup::pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn image_without_layers_is_empty() {
    let client = client_of(Image::new()).await;
    let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
    assert_eq!(paths(&listing), [] as [&str; 0]);
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&[])).await, Tree::new());
}

/// The layer of a pushed tree, in an image that vouches for nothing in it.
#[tokio::test]
async fn table_of_contents_that_nothing_vouches_for_is_read_when_asked_for() {
    let tree = Tree::parse(TREE).file("f/noise", noise(3 << 20, 1));
    let (memories, _, pushed) = pushed(&tree).await;
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let mut image = match repository_image(&repository).await {
        Document::Image(image) => *image,
        Document::Index(index) => panic!("{index:?}"),
    };
    image.layers[0].annotations.clear();
    let manifest = Manifest::image(&image).unwrap();
    repository.put_manifest(&manifest, &["v1".parse().unwrap()]).await.unwrap();

    let registry = guarded(&memories).start().await;
    let (client, at) = (client(&registry), artifact(&registry));
    let blob_ranges = async |trust| {
        registry.take_requests();
        let options = ReadOptions { trust, ..patterns(&["e"]) };
        assert_eq!(paths(&client.list_files(&at, &options).await.unwrap()), ["e"]);
        let seen = registry.take_requests().into_iter().filter(|request| request.path.contains("/blobs/"));
        seen.map(|request| (request.range.is_some(), request.sent < pushed.layer.size)).collect::<Vec<_>>()
    };
    assert_eq!(blob_ranges(Trust::Unverified).await, [(true, true)]);
    assert_eq!(blob_ranges(Trust::Verified).await, [(false, false)]);
}

async fn repository_image(repository: &dyn Sink) -> Document {
    repository.manifest(&"v1".parse().unwrap()).await.unwrap().parse().unwrap()
}
