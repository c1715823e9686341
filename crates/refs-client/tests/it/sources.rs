//! Directories that can't be pushed, and those that change meanwhile.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use refs_client::{Client, Error, PackOptions, PushOptions, SourceFault};
use refs_registry::{
    Blob, Descriptor, Filter, Manifest, Mounted, Part, Resolver, Result, Resume, Sink, Source, Stored, Upload,
    UploadState, Writable,
};
use refs_store::Memories;
use refs_testkit::Tree;
use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::setup::{IN_MEMORY, artifact, at, directory, guarded, memory, packed_as, registries};

/// The fault that keeps `source` from being pushed, and what it is a fault of.
async fn fault(source: &Path) -> (PathBuf, SourceFault) {
    let (_, client) = memory();
    let error = client.push(source, &at(IN_MEMORY), &PushOptions::default()).await.unwrap_err();
    client.resolve_tag(&at(IN_MEMORY)).await.unwrap_err();
    match error {
        Error::Source { path, fault } => (path, fault),
        other => panic!("no fault of the directory: {other:?}"),
    }
}

async fn check(source: &Path, at: &str, expected: SourceFault) {
    assert_eq!(fault(source).await, (source.join(at), expected));
}

#[tokio::test]
async fn what_is_no_directory_is_refused() {
    let source = directory(&Tree::parse(r#"644 file "x""#));
    let missing = source.path().join("missing");
    assert_eq!(fault(&missing).await, (missing, SourceFault::Missing));
    let file = source.path().join("file");
    assert_eq!(fault(&file).await, (file, SourceFault::NotDirectory));
}

#[tokio::test]
async fn links_that_lead_out_are_refused() {
    for target in ["/etc/passwd", "..", "../x", "sub/../../x", "./.././x", "sub/../.."] {
        let source = directory(&Tree::parse("755 sub/"));
        symlink(target, source.path().join("link")).unwrap();
        check(source.path(), "link", SourceFault::EscapingLink(target.into())).await;
    }
}

#[tokio::test]
async fn a_link_that_leads_out_by_way_of_another_is_refused_as_it_is_at_a_pull() {
    let source = directory(&Tree::parse("777 a/b/up -> ../..\n777 x -> a/b/up/../outside"));
    let (_, client) = memory();
    let error = client.push(source.path(), &at(IN_MEMORY), &PushOptions::default()).await.unwrap_err();
    let Error::UnsafeLink { path, .. } = error else { panic!("{error:?}") };
    assert_eq!(path, "x");
    client.resolve_tag(&at(IN_MEMORY)).await.unwrap_err();
}

#[tokio::test]
async fn sockets_and_pipes_are_refused() {
    let source = directory(&Tree::parse("755 sub/"));
    let _listener = UnixListener::bind(source.path().join("sub/socket")).unwrap();
    check(source.path(), "sub/socket", SourceFault::SpecialFile("socket")).await;
    fs::remove_file(source.path().join("sub/socket")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(source.path().join("sub/pipe")).status().unwrap();
    assert!(made.success());
    check(source.path(), "sub/pipe", SourceFault::SpecialFile("named pipe")).await;
}

#[tokio::test]
async fn names_that_no_layer_can_hold_are_refused() {
    let source = tempfile::tempdir().unwrap();
    let latin = source.path().join(std::ffi::OsStr::from_bytes(b"na\xefve"));
    fs::write(&latin, "x").unwrap();
    assert_eq!(fault(source.path()).await, (latin.clone(), SourceFault::NotUnicode));
    fs::remove_file(latin).unwrap();
    for name in [".wh.gone", "stargz.index.json", ".prefetch.landmark"] {
        fs::write(source.path().join(name), "x").unwrap();
        check(source.path(), name, SourceFault::ReservedName).await;
        fs::remove_file(source.path().join(name)).unwrap();
    }
}

#[tokio::test]
async fn bad_exclusion_is_refused() {
    let source = directory(&Tree::parse(r#"644 file "x""#));
    let (_, client) = memory();
    let options =
        packed_as(PackOptions { exclude: vec!["ok".to_owned(), "[z-a]".to_owned()], ..PackOptions::default() });
    let error = client.push(source.path(), &at(IN_MEMORY), &options).await.unwrap_err();
    let Error::Source { fault: SourceFault::BadExclusion(pattern), .. } = error else { panic!("{error:?}") };
    assert_eq!(pattern, "[z-a]");
}

/// What happens to a directory once the first bytes of its layer are about to be sent.
type Change = Arc<dyn Fn() + Send + Sync>;

/// Repositories that change what is being pushed to them.
#[derive(Clone)]
struct Meddling<S>(S, Change);

impl<S: std::fmt::Debug> std::fmt::Debug for Meddling<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Resolver for Meddling<Arc<dyn Writable>> {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        self.0.source(host, repository)
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        self.0.repositories(host)
    }
}

impl Writable for Meddling<Arc<dyn Writable>> {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Meddling(self.0.sink(host, repository)?, self.1.clone())))
    }
}

#[async_trait]
impl Source for Meddling<Arc<dyn Sink>> {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.0.resolve(target).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.0.manifest(target).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.0.blob(digest, from).await
    }

    async fn blob_part(&self, digest: &Digest, range: std::ops::Range<u64>) -> Result<Part> {
        self.0.blob_part(digest, range).await
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.0.stat_blob(digest).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.0.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.0.referrers(subject, filter)
    }
}

#[async_trait]
impl Sink for Meddling<Arc<dyn Sink>> {
    async fn upload(&self, resume: Option<UploadState>) -> Result<Box<dyn Upload>> {
        self.1();
        self.0.upload(resume).await
    }

    fn vouches_for_blobs(&self) -> bool {
        self.0.vouches_for_blobs()
    }

    async fn mount(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        self.0.mount(digest, from).await
    }

    async fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        self.0.put_manifest(manifest, tags).await
    }

    async fn delete_manifest(&self, target: &Target) -> Result<()> {
        self.0.delete_manifest(target).await
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        self.0.delete_blob(digest).await
    }
}

/// Pushes a large file and a small one behind it, which `change` happens to while the large one is on its way: it is so
/// large that the packer waits in it until the upload begins.
async fn check_change(change: fn(&Path), expected: SourceFault) {
    let source = directory(&Tree::new().file("large", vec![0; 32 << 20]).file("small", "1234"));
    let registry = guarded(&Memories::new()).start().await;
    let small = source.path().join("small");
    let changed = small.clone();
    let inner: Arc<dyn Writable> = Arc::new(registries(&registry, "secret"));
    let client = Client::new(Arc::new(Meddling(inner, Arc::new(move || change(&changed)))));
    let at = artifact(&registry);
    let error = client
        .push(source.path(), &at, &packed_as(PackOptions { level: 0, ..PackOptions::default() }))
        .await
        .unwrap_err();
    let Error::Source { path, fault } = error else { panic!("{error:?}") };
    assert_eq!((path, fault), (small, expected));
    let seen: Vec<String> = registry.requests().iter().map(ToString::to_string).collect();
    assert_eq!(seen.last().unwrap(), "DELETE /v2/o/r/blobs/uploads/ID", "{seen:?}");
    assert!(!seen.iter().any(|request| request.starts_with("PUT")), "{seen:?}");
    client.resolve_tag(&at).await.unwrap_err();
}

#[tokio::test]
async fn file_that_grows_while_it_is_packed_ends_the_push() {
    check_change(|path| fs::write(path, "12345").unwrap(), SourceFault::Changed).await;
}

#[tokio::test]
async fn file_that_shrinks_while_it_is_packed_ends_the_push() {
    check_change(|path| fs::write(path, "123").unwrap(), SourceFault::Changed).await;
}

#[tokio::test]
async fn file_that_becomes_a_directory_ends_the_push() {
    let change = |path: &Path| {
        fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap();
    };
    check_change(change, SourceFault::Changed).await;
}

#[tokio::test]
async fn file_that_becomes_a_link_is_not_followed() {
    let change = |path: &Path| {
        fs::remove_file(path).and_then(|()| symlink("/etc/hostname", path)).unwrap();
    };
    check_change(change, SourceFault::Changed).await;
}

#[tokio::test]
async fn file_that_is_gone_ends_the_push() {
    check_change(|path| fs::remove_file(path).unwrap(), SourceFault::Changed).await;
}
