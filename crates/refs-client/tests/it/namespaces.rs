//! Operations by reference, over whatever finds repositories.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_client::{
    CopyOptions, Error, LocationFault, Namespace, Side,
    copy::{Fate, Mode, Outcome},
};
use refs_registry::{
    ChainResolver, Descriptor, ErrorKind, Manifest, MediaType, Resolver, Sink, StaticResolver, Writable,
};
use refs_store::{CachedResolver, Layouts, Memories, Memory, MemoryStore};
use refs_testkit::{FakeRegistry, Image};
use refs_url::{Digest, Reference};

use crate::setup::{kind, registries_with};

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// A namespace of repositories in memory, in which `localhost/o/r:v1` is an image of one file `content`.
async fn small() -> (Memories, Namespace, Manifest) {
    let memories = Memories::new();
    let sink = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let image = Image::new().file("a", "content").push(&sink, &["v1"]).await.unwrap();
    let namespace = Namespace::new(Arc::new(memories.clone()) as Arc<dyn Writable>);
    (memories, namespace, image)
}

#[track_caller]
fn check_fault(error: &Error, expect: &LocationFault) {
    match error {
        Error::Location { fault, .. } => assert_eq!(fault, expect),
        other => panic!("no fault of a reference: {other:?}"),
    }
}

#[tokio::test]
async fn manifests_are_found_by_tag_and_by_digest() {
    let (_, namespace, image) = small().await;
    let digest = &image.descriptor.digest;
    for text in ["localhost/o/r:v1".to_owned(), format!("localhost/o/r@{digest}"), format!("localhost/o/r:v1@{digest}")]
    {
        let reference = reference(&text);
        assert_eq!(is_send(namespace.get_manifest(&reference)).await.unwrap(), image);
        assert_eq!(is_send(namespace.resolve_manifest(&reference)).await.unwrap(), image.descriptor);
    }
    let absent = namespace.get_manifest(&reference("localhost/o/r:v2")).await.unwrap_err();
    assert_eq!(kind(&absent), ErrorKind::NotFound);
    check_fault(&namespace.get_manifest(&reference("localhost/o/r")).await.unwrap_err(), &LocationFault::NoTarget);
}

#[tokio::test]
async fn a_tag_beside_a_digest_must_lead_to_it_unless_digests_are_trusted() {
    let (memories, namespace, old) = small().await;
    let sink = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let new = Image::new().file("a", "other").push(&sink, &["v1"]).await.unwrap();
    let moved = reference(&format!("localhost/o/r:v1@{}", old.descriptor.digest));
    match namespace.get_manifest(&moved).await.unwrap_err() {
        Error::TagMoved { tag, expected, actual, .. } => {
            assert_eq!(
                (tag.as_str(), *expected, *actual),
                ("v1", old.descriptor.digest.clone(), new.descriptor.digest)
            );
        }
        other => panic!("{other:?}"),
    }
    let copied = namespace.copy_manifest(&moved, &reference("example.com/o/r:v1"), &CopyOptions::default()).await;
    assert!(matches!(copied, Err(Error::TagMoved { .. })), "{copied:?}");
    assert_eq!(namespace.trusting_digests().get_manifest(&moved).await.unwrap(), old);
}

#[tokio::test]
async fn offline_a_tag_beside_a_digest_is_what_its_registry_said_last() {
    let (memories, _, old) = small().await;
    let (registries, store) = (Arc::new(memories.clone()), Arc::new(MemoryStore::new()));
    let cached = CachedResolver::new(registries.clone(), store.clone());
    let online = Namespace::new(Arc::new(cached) as Arc<dyn Resolver>);
    let offline = Namespace::new(Arc::new(CachedResolver::offline(registries, store)) as Arc<dyn Resolver>);
    let tag = reference("localhost/o/r:v1");
    online.get_manifest(&tag).await.unwrap();
    let sink = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let new = Image::new().file("a", "other").push(&sink, &["v1"]).await.unwrap();
    assert_eq!(online.resolve_manifest(&tag).await.unwrap(), new.descriptor);

    let [was, is] = [&old, &new].map(|image| tag.clone().with_digest(image.descriptor.digest.clone()));
    assert_eq!(offline.get_manifest(&tag).await.unwrap(), old);
    let moved = offline.get_manifest(&was).await;
    assert!(matches!(moved, Err(Error::TagMoved { .. })), "{moved:?}");
    assert_eq!(kind(&offline.get_manifest(&is).await.unwrap_err()), ErrorKind::NotCached);
    online.get_manifest(&is).await.unwrap();
    assert_eq!(offline.get_manifest(&is).await.unwrap(), new);
}

#[tokio::test]
async fn blobs_go_by_their_digest_alone() {
    let (_, namespace, _) = small().await;
    let digest = Digest::sha256(b"content");
    let blob = reference(&format!("localhost/o/r@{digest}"));
    let read = is_send(namespace.get_blob(&blob)).await.unwrap();
    let bytes: Vec<Bytes> = read.stream.try_collect().await.unwrap();
    assert_eq!((read.size, bytes.concat()), (7, b"content".to_vec()));
    let resolved = is_send(namespace.resolve_blob(&blob)).await.unwrap();
    assert_eq!((resolved.digest, resolved.size), (digest.clone(), 7));
    for text in ["localhost/o/r:v1".to_owned(), format!("localhost/o/r:v1@{digest}")] {
        let tagged = reference(&text);
        check_fault(&namespace.get_blob(&tagged).await.unwrap_err(), &LocationFault::TagNotAllowed);
        check_fault(&namespace.resolve_blob(&tagged).await.unwrap_err(), &LocationFault::TagNotAllowed);
        check_fault(&namespace.copy_blob(&tagged, &blob).await.unwrap_err(), &LocationFault::TagNotAllowed);
        check_fault(&namespace.copy_blob(&blob, &tagged).await.unwrap_err(), &LocationFault::TagNotAllowed);
    }
    check_fault(&namespace.get_blob(&reference("localhost/o/r")).await.unwrap_err(), &LocationFault::NoDigest);
    let absent = reference(&format!("localhost/o/r@{}", Digest::sha256(b"absent")));
    assert_eq!(kind(&namespace.resolve_blob(&absent).await.unwrap_err()), ErrorKind::NotFound);
}

#[tokio::test]
async fn ranges_of_blobs_are_within_them() {
    let (_, namespace, _) = small().await;
    let blob = reference(&format!("localhost/o/r@{}", Digest::sha256(b"content")));
    for (range, expect) in [(0..7, "content"), (3..5, "te"), (7..7, ""), (2..2, "")] {
        let part = is_send(namespace.get_blob_range(&blob, range.clone())).await.unwrap();
        let bytes: Vec<Bytes> = part.stream.try_collect().await.unwrap();
        assert_eq!((part.range, part.total, bytes.concat()), (range, 7, expect.as_bytes().to_vec()));
    }
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may give")]
    for range in [0..8, 8..8, 5..3, u64::MAX..u64::MAX] {
        let error = namespace.get_blob_range(&blob, range.clone()).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::RangeOutside { size: 7, .. }), "{range:?}: {error:?}");
    }
}

#[tokio::test]
async fn blobs_are_copied_mounted_or_found() {
    let registry = FakeRegistry::start().await;
    let sink = registry.repository("o/r");
    let blob = Descriptor::of(MediaType::OCI_LAYER, b"content");
    sink.put_blob(&blob, Bytes::from_static(b"content").into()).await.unwrap();
    let memories = Memories::new();
    let network = Arc::new(registries_with(Vec::new()));
    let resolver = StaticResolver::<dyn Writable>::new()
        .with(registry.host(), network)
        .with("example.com".parse().unwrap(), Arc::new(memories.clone()));
    let namespace = Namespace::new(Arc::new(resolver) as Arc<dyn Writable>);
    let at = |repository: &str| reference(&format!("{repository}@{}", blob.digest));
    let here = |name: &str| format!("{}/{name}", registry.host());
    for (to, expect) in [
        ("example.com/o/r".to_owned(), Fate::Copied),
        ("example.com/o/r".to_owned(), Fate::Present),
        (here("o/other"), Fate::Mounted),
        (here("o/r"), Fate::Present),
    ] {
        let copied = is_send(namespace.copy_blob(&at(&here("o/r")), &at(&to))).await.unwrap();
        assert_eq!((copied.descriptor.digest, copied.fate), (blob.digest.clone(), expect), "{to}");
    }
    let other = reference(&format!("example.com/o/r@{}", Digest::sha256(b"other")));
    let error = namespace.copy_blob(&at(&here("o/r")), &other).await.unwrap_err();
    assert!(matches!(error, Error::OtherDigest { .. }), "{error:?}");
}

#[tokio::test]
async fn manifests_are_copied_between_whatever_serves_the_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::new());
    let image = Image::new().file("a", "content").push(&*memory, &["v1"]).await.unwrap();
    let alone = StaticResolver::<dyn Writable>::new().with_sink(
        "one.example".parse().unwrap(),
        "o/r".parse().unwrap(),
        Arc::clone(&memory) as Arc<dyn Sink>,
    );
    let disk = StaticResolver::<dyn Writable>::new()
        .with("disk.example".parse().unwrap(), Arc::new(Layouts::new(folder.path().join("layouts"))));
    let chain: Vec<Arc<dyn Writable>> = vec![Arc::new(alone), Arc::new(disk)];
    let namespace = Namespace::new(Arc::new(ChainResolver::new(chain)) as Arc<dyn Writable>);
    let (from, to) = (reference("one.example/o/r:v1"), reference("disk.example/o/r:v2"));
    let copied = is_send(namespace.copy_manifest(&from, &to, &CopyOptions::default())).await.unwrap();
    assert_eq!((copied.outcome, copied.manifest.digest), (Outcome::Copied, image.descriptor.digest.clone()));
    assert_eq!(namespace.resolve_manifest(&to).await.unwrap().digest, image.descriptor.digest);
    let nobody = namespace.get_manifest(&reference("other.example/o/r:v1")).await.unwrap_err();
    assert_eq!(kind(&nobody), ErrorKind::Unsupported);
}

/// A copy beside its source in a folder of layouts, whose layer `damage` is done to, is told by a dry run and mended by the
/// next copy: the layer is of this fate then.
async fn check_mended(damage: fn(&Path), expect: Fate) {
    let folder = tempfile::tempdir().unwrap();
    let layouts = Layouts::new(folder.path());
    let image = Image::new().file("a", "content").push(&layouts.repository(&"o/r".parse().unwrap()), &["v1"]).await;
    let layer = Digest::sha256(b"content");
    let namespace = Namespace::new(Arc::new(layouts) as Arc<dyn Writable>);
    let (from, to) = (reference("disk.example/o/r:v1"), reference("disk.example/o/copy:v1"));
    let copied = namespace.copy_manifest(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.manifest, image.unwrap().descriptor);
    assert!(copied.blobs.iter().all(|blob| blob.fate == Fate::Mounted), "{:?}", copied.blobs);
    damage(&folder.path().join("o/copy/_layout/blobs/sha256").join(layer.encoded()));
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    for (options, outcome) in [(dry, Outcome::Planned), (CopyOptions::default(), Outcome::Copied)] {
        let copied = namespace.copy_manifest(&from, &to, &options).await.unwrap();
        let moved: Vec<_> = copied.blobs.iter().filter(|blob| blob.fate != Fate::Present).collect();
        assert_eq!((copied.outcome, moved.len(), moved[0].fate), (outcome, 1, expect), "{:?}", copied.blobs);
    }
    let blob = namespace.get_blob(&reference(&format!("disk.example/o/copy@{layer}"))).await.unwrap();
    let bytes: Vec<Bytes> = blob.stream.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"content");
    let again = namespace.copy_manifest(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Present);
}

#[tokio::test]
async fn what_a_layout_has_lost_of_a_copy_is_copied_again() {
    check_mended(|path| fs::remove_file(path).unwrap(), Fate::Mounted).await;
    // The blob is the source's file by another name: only this one may be cut off.
    let cut = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "cont").unwrap();
    };
    check_mended(cut, Fate::Copied).await;
}

#[tokio::test]
async fn a_layer_that_the_source_has_cut_off_is_not_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = Layouts::new(folder.path());
    let source = layouts.repository(&"o/r".parse().unwrap());
    Image::new().file("a", "content").push(&source, &["v1"]).await.unwrap();
    let path = folder.path().join("o/r/_layout/blobs/sha256").join(Digest::sha256(b"content").encoded());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "cont").unwrap();
    let namespace = Namespace::new(Arc::new(layouts) as Arc<dyn Writable>);
    let (from, to) = (reference("disk.example/o/r:v1"), reference("disk.example/o/copy:v1"));
    let error = namespace.copy_manifest(&from, &to, &CopyOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Copy { side: Side::Source, .. }), "{error:?}");
}

#[tokio::test]
async fn a_namespace_of_what_can_be_read_reads() {
    let (memories, _, image) = small().await;
    let sources = StaticResolver::<dyn Resolver>::new().with_source(
        "mirror.example".parse().unwrap(),
        "o/r".parse().unwrap(),
        Arc::new(memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap())),
    );
    let namespace = Namespace::new(Arc::new(sources) as Arc<dyn Resolver>);
    assert_eq!(namespace.get_manifest(&reference("mirror.example/o/r:v1")).await.unwrap(), image);
    let unserved = namespace.get_manifest(&reference("mirror.example/o/x:v1")).await.unwrap_err();
    assert_eq!(kind(&unserved), ErrorKind::Unsupported);
}
