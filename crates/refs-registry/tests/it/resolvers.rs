//! Resolvers over resolvers: which of them serves a host.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{
    ChainResolver, Error, ErrorKind, Registries, Resolver, Result, Source, StaticResolver, Wire, Writable,
    error::Wanted,
};
use refs_testkit::{FakeRegistry, Image};
use refs_url::{Host, RepoName};

fn host(name: &str) -> Host {
    name.parse().unwrap()
}

fn repository(name: &str) -> RepoName {
    name.parse().unwrap()
}

/// A registry with an image as `o/r:v1`.
async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    Image::new().push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    registry
}

/// What is at `name`: whether it is served, and whether it has `v1`.
async fn check(resolver: &dyn Resolver, at: &Host, name: &str, expect: Result<bool, ErrorKind>) {
    let found = match resolver.source(at, &repository(name)) {
        Ok(source) => Ok(source.resolve(&"v1".parse().unwrap()).await.is_ok()),
        Err(error) => Err(error.kind()),
    };
    assert_eq!(found, expect, "{at}/{name}");
}

async fn names(resolver: &dyn Resolver, at: &Host) -> Result<Vec<String>, ErrorKind> {
    let listed = resolver.repositories(at).map_ok(|name| name.to_string()).try_collect();
    listed.await.map_err(|error: Error| error.kind())
}

#[tokio::test]
async fn hosts_are_served_by_what_they_were_given() {
    let registry = registry().await;
    let (network, alone, nobody) = (registry.host(), host("alone.example"), host("nobody.example"));
    let resolver = StaticResolver::<dyn Writable>::new()
        .with(network.clone(), Arc::new(Registries::default()))
        .with_sink(network.clone(), repository("o/one"), registry.repository("o/r"))
        .with_sink(alone.clone(), repository("o/one"), registry.repository("o/r"));
    check(&resolver, &network, "o/r", Ok(true)).await;
    check(&resolver, &network, "o/x", Ok(false)).await;
    check(&resolver, &network, "o/one", Ok(true)).await;
    check(&resolver, &alone, "o/one", Ok(true)).await;
    check(&resolver, &alone, "o/r", Err(ErrorKind::Unsupported)).await;
    check(&resolver, &nobody, "o/r", Err(ErrorKind::Unsupported)).await;
    assert!(resolver.sink(&alone, &repository("o/one")).is_ok());
    assert_eq!(names(&resolver, &network).await, Ok(vec!["o/r".to_owned()]));
    assert_eq!(names(&resolver, &alone).await, Ok(vec!["o/one".to_owned()]));
    assert_eq!(names(&resolver, &nobody).await, Err(ErrorKind::Unsupported));
    assert_eq!([&network, &alone].map(|at| resolver.wire(at)), [Wire::Open, Wire::Secured]);
    for (at, expect) in [(&network, true), (&alone, true), (&nobody, false)] {
        assert_eq!(resolver.check_auth(at).await.is_ok(), expect, "{at}");
    }
}

/// A resolver that fails as it is told to.
#[derive(Debug)]
struct Failing(ErrorKind);

impl Failing {
    fn error(&self) -> Error {
        let (wanted, at) = (Wanted::Repositories, "the test".into());
        match self.0 {
            ErrorKind::Unsupported => Error::unsupported(wanted, at),
            _ => Error::NotFound { wanted, at, code: None },
        }
    }
}

impl Resolver for Failing {
    fn source(&self, _host: &Host, _repository: &RepoName) -> Result<Arc<dyn Source>> {
        Err(self.error())
    }

    fn repositories(&self, _host: &Host) -> stream::BoxStream<'_, Result<RepoName>> {
        stream::iter([Err(self.error())]).boxed()
    }

    fn wire(&self, _host: &Host) -> Wire {
        Wire::Open
    }
}

/// `first`, and after it what serves a single repository.
fn before_one(first: Arc<dyn Resolver>, registry: &FakeRegistry) -> ChainResolver<dyn Resolver> {
    let one = StaticResolver::<dyn Resolver>::new();
    let one = one.with_source(host("one.example"), repository("o/r"), registry.repository("o/r"));
    ChainResolver::new(vec![first, Arc::new(one)])
}

#[tokio::test]
async fn the_next_is_asked_when_one_does_not_serve_the_host() {
    let registry = registry().await;
    let (one, nobody) = (host("one.example"), host("nobody.example"));
    let chain = before_one(Arc::new(StaticResolver::<dyn Resolver>::new()), &registry);
    check(&chain, &one, "o/r", Ok(true)).await;
    check(&chain, &nobody, "o/r", Err(ErrorKind::Unsupported)).await;
    assert_eq!(names(&chain, &one).await, Ok(vec!["o/r".to_owned()]));
    assert_eq!(names(&chain, &nobody).await, Err(ErrorKind::Unsupported));
    assert_eq!(chain.wire(&one), Wire::Secured);
    assert!(chain.check_auth(&one).await.is_ok() && chain.check_auth(&nobody).await.is_err());
    check(&before_one(Arc::new(Failing(ErrorKind::Unsupported)), &registry), &one, "o/r", Ok(true)).await;
    let empty = ChainResolver::<dyn Resolver>::new(Vec::new());
    check(&empty, &one, "o/r", Err(ErrorKind::Unsupported)).await;
}

#[tokio::test]
async fn the_next_is_not_asked_after_any_other_error() {
    let (registry, one) = (registry().await, host("one.example"));
    let chain = before_one(Arc::new(Failing(ErrorKind::NotFound)), &registry);
    check(&chain, &one, "o/r", Err(ErrorKind::NotFound)).await;
    assert_eq!(names(&chain, &one).await, Err(ErrorKind::NotFound));
    assert_eq!(chain.wire(&one), Wire::Open);
}

#[tokio::test]
async fn a_host_without_a_list_says_so_by_itself() {
    let (registry, nobody) = (registry().await, host("nobody.example"));
    let chain = before_one(Arc::new(Failing(ErrorKind::Unsupported)), &registry);
    let said = chain.repositories(&nobody).try_next().await.unwrap_err();
    assert!(matches!(said, Error::Unsupported { wanted: Wanted::Repositories, .. }), "{said:?}");
}
