//! How code that uses a [`Client`] is tested without a registry: over repositories in memory, or over a source that says
//! what the test tells it to.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use mockall::{mock, predicate::eq};
use refs_client::{Client, Error, Location, MANIFEST_FILE, ManifestFile, Pushed, ReadOptions};
use refs_registry::{
    Blob, Descriptor, ErrorKind, Filter, Manifest, Part, Resolver, Result, Resume, Sink, Source, Writable,
    error::Wanted,
};
use refs_testkit::Tree;
use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::setup::{MANIFEST, at, kind, memory, push};

/// The code under test: it knows a client, and not what is behind it.
async fn title(client: &Client, at: &Location) -> Result<String, Error> {
    let yaml = client.get_manifest(at, &ReadOptions::default()).await?;
    Ok(ManifestFile::parse(&yaml).map_or_else(|faults| faults.to_string(), |checked| checked.manifest.title))
}

#[tokio::test]
async fn code_is_tested_over_memory() {
    let (_, client) = memory();
    let here = at("registry.example/org/docs:v1");
    push(&client, &Tree::new().file(MANIFEST_FILE, MANIFEST), &here).await;
    assert_eq!(title(&client, &here).await.unwrap(), "Guide");
}

mock! {
    #[derive(Debug)]
    Repository {}

    #[async_trait]
    impl Source for Repository {
        async fn resolve(&self, target: &Target) -> Result<Descriptor>;
        async fn manifest(&self, target: &Target) -> Result<Manifest>;
        async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob>;
        async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part>;
        async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>>;
        fn tags(&self, after: Option<Tag>) -> BoxStream<'static, Result<Tag>>;
        fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'static, Result<Descriptor>>;
    }
}

/// One repository under every name.
#[derive(Debug)]
struct Only(Arc<MockRepository>);

impl Resolver for Only {
    fn source(&self, _: &Host, _: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }

    fn repositories(&self, _: &Host) -> BoxStream<'_, Result<RepoName>> {
        Box::pin(futures_util::stream::empty())
    }
}

impl Writable for Only {
    fn sink(&self, host: &Host, _: &RepoName) -> Result<Arc<dyn Sink>> {
        Err(refs_registry::Error::unsupported(Wanted::Upload, host.to_string().as_str()))
    }
}

#[tokio::test]
async fn failure_that_no_store_shows_is_mocked() {
    let here = at("registry.example/org/docs:v1");
    let mut repository = MockRepository::new();
    let host: Host = "registry.example".parse().unwrap();
    repository
        .expect_manifest()
        .with(eq(Target::Tag("v1".parse().unwrap())))
        .times(1)
        .return_once(move |_| Err(refs_registry::Error::RateLimited { host, retry_after: None }));
    let client = Client::new(Arc::new(Only(Arc::new(repository))));
    let error = title(&client, &here).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::RateLimited);
}

#[tokio::test]
async fn content_of_a_mocked_source_is_read() {
    let (memories, in_memory) = memory();
    let here = at("localhost/o/r:v1");
    let pushed = push(&in_memory, &Tree::new().file(MANIFEST_FILE, MANIFEST), &here).await;
    let real = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let manifest = real.manifest(&"v1".parse().unwrap()).await.unwrap();
    let part = real.blob_part(&pushed.layer.digest, tail(&pushed)).await.unwrap();

    let mut repository = MockRepository::new();
    repository.expect_manifest().times(1).return_once(move |_| Ok(manifest));
    repository
        .expect_blob_part()
        .with(eq(pushed.layer.digest.clone()), eq(tail(&pushed)))
        .times(1)
        .return_once(move |_, _| Ok(part));
    let client = Client::new(Arc::new(Only(Arc::new(repository))));
    assert_eq!(title(&client, &here).await.unwrap(), "Guide");
}

fn tail(pushed: &Pushed) -> Range<u64> {
    let bytes: u64 = pushed.layer.annotations["dev.refs.estargz.tail"].parse().unwrap();
    pushed.layer.size - bytes..pushed.layer.size
}
