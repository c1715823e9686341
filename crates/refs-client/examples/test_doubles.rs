//! Three ways to test code that is given a [`Client`] without a registry of one's own.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use mockall::mock;
use refs_client::{Client, Error, Location, ManifestFile, PushOptions, ReadOptions};
use refs_registry::{
    Blob, Descriptor, Error as RegistryError, ErrorKind, Filter, Manifest, Part, Registries, Resolver, Result, Resume,
    Sink, Source, Writable, error::Wanted,
};
use refs_store::Memories;
use refs_testkit::FakeRegistry;
use refs_url::{Digest, Host, RepoName, Tag, Target};

/// The code under test: it knows a client, and not what is behind it.
async fn title(client: &Client, at: &Location) -> Result<String, Error> {
    let yaml = client.get_manifest(at, &ReadOptions::default()).await?;
    Ok(ManifestFile::parse(&yaml).map_or_else(|_| "untitled".to_owned(), |checked| checked.manifest.title))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tree = tempfile::tempdir()?;
    let manifest = "schema_version: 1.0.0\nref: {title: Go guide, link: go-guide}\ncontent: {description: How we write \
                    Go, tags: [go], classifications: [{type: guidelines}]}\n";
    std::fs::write(tree.path().join(".sow-ref.yaml"), manifest)?;
    over_memory(tree.path()).await?;
    over_a_registry(tree.path()).await?;
    over_a_mock().await
}

/// Over memory there is nothing to start and nothing to mock, and pushes and reads are real ones.
async fn over_memory(tree: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(Arc::new(Memories::new()));
    let at: Location = "registry.example/org/docs:v1".parse()?;
    client.push(tree, &at, &PushOptions::default()).await?;
    assert_eq!(title(&client, &at).await?, "Go guide");
    Ok(())
}

/// Over a registry on loopback requests can be counted, and faults put in their way.
async fn over_a_registry(tree: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let registry = FakeRegistry::builder().start().await;
    let client = Client::new(Arc::new(Registries::new(refs_registry::Options::default())));
    let at: Location = format!("{}/org/docs:v1", registry.host()).parse()?;
    client.push(tree, &at, &PushOptions::default()).await?;
    registry.take_requests();
    assert_eq!(title(&client, &at).await?, "Go guide");
    assert_eq!(registry.requests().len(), 2);
    Ok(())
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
        Err(RegistryError::unsupported(Wanted::Upload, host.to_string().as_str()))
    }
}

/// A mock shows what no store does, such as a registry that limits the rate.
async fn over_a_mock() -> Result<(), Box<dyn std::error::Error>> {
    let host: Host = "registry.example".parse()?;
    let mut repository = MockRepository::new();
    repository.expect_manifest().return_once(move |_| Err(RegistryError::RateLimited { host, retry_after: None }));
    let client = Client::new(Arc::new(Only(Arc::new(repository))));
    let failure = title(&client, &"registry.example/org/docs:v1".parse()?).await;
    assert!(matches!(failure, Err(Error::Registry(error)) if error.kind() == ErrorKind::RateLimited));
    Ok(())
}
