//! Versions: which is chosen, from where, and what of it is fetched.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::future;
use refs_client::{
    Client, Error, FetchAllOptions, FetchOptions, FetchedVersion, Freshness, Location, PullOptions, ReadOptions,
    VersionOptions, versions::Mode,
};
use refs_registry::{ErrorKind, Resolver, Result, Sink, Source, Wire, Writable};
use refs_store::{DiskOptions, DiskStore, MemoryStore, Store};
use refs_testkit::{FakeRegistry, Fault, Image, On, Tree};
use refs_url::{
    Host, RepoName,
    version::{Constraint, Prereleases},
};

use crate::setup::{anonymous, at, client, kind, pulled};

/// Registries that must not be touched.
#[derive(Debug)]
struct Untouched;

impl Resolver for Untouched {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        panic!("{host}/{repository} was opened to read")
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        panic!("the repositories of {host} were asked for")
    }

    // It is told from the host's settings.
    fn wire(&self, _host: &Host) -> Wire {
        Wire::Open
    }
}

#[async_trait]
impl Writable for Untouched {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        panic!("{host}/{repository} was opened to write")
    }
}

/// A registry with an image for each of `tags`, whose only file says which.
async fn registry_with(tags: &[&str]) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for tag in tags {
        put(&registry, tag).await;
    }
    registry
}

async fn put(registry: &FakeRegistry, tag: &str) {
    image(tag).push(&*registry.repository("o/r"), &[tag]).await.unwrap();
}

fn image(says: &str) -> Image {
    Image::new().tree(&Tree::new().file("version.txt", says.to_owned()))
}

fn repository(registry: &FakeRegistry) -> Location {
    at(&format!("{}/o/r", registry.host()))
}

fn constraint(text: &str) -> Constraint {
    text.parse().unwrap()
}

fn local() -> VersionOptions {
    VersionOptions { mode: Mode::LocalOnly, ..VersionOptions::default() }
}

/// A client that reads through `store`, and whose registries must not be touched.
fn untouched(store: &Arc<dyn Store>) -> Client {
    Client::new(Arc::new(Untouched)).with_store(store.clone())
}

fn in_memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// The tag that is chosen for `wanted`, or the error.
async fn choose(
    client: &Client,
    at: &Location,
    wanted: Option<&str>,
    options: &VersionOptions,
) -> Result<String, Error> {
    let wanted = wanted.map(constraint);
    let chosen = client.resolve_ref(at, wanted.as_ref(), options).await?;
    Ok(chosen.tag().unwrap().to_string())
}

#[tokio::test]
async fn the_highest_version_that_satisfies_is_chosen() {
    let tags = ["1.0.0", "1.2.0", "v1.10.0", "2.0.0", "3.0.0-rc.1", "latest", "20240101"];
    let registry = registry_with(&tags).await;
    let (client, here) = (anonymous(), repository(&registry));
    let options = VersionOptions::default();
    for (wanted, expected) in [
        (None, "2.0.0"),
        (Some("^1"), "v1.10.0"),
        (Some("~1.2"), "1.2.0"),
        (Some(">=3.0.0-0"), "3.0.0-rc.1"),
        (Some("<1.2 || >= 2, <3"), "2.0.0"),
    ] {
        assert_eq!(choose(&client, &here, wanted, &options).await.unwrap(), expected, "{wanted:?}");
    }
    let mut with_prereleases = VersionOptions::default();
    with_prereleases.choice.prereleases = Prereleases::Included;
    assert_eq!(choose(&client, &here, None, &with_prereleases).await.unwrap(), "3.0.0-rc.1");
    let versions: Vec<_> = client.list_versions(&here).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["3.0.0-rc.1", "2.0.0", "v1.10.0", "1.2.0", "1.0.0"]);
}

#[tokio::test]
async fn what_is_named_is_left_as_it_is_unless_it_violates_the_constraint() {
    let registry = registry_with(&["1.0.0"]).await;
    let (client, here) = (anonymous(), repository(&registry));
    let by_digest = here.clone().at_digest(image("1.0.0").manifest().unwrap().descriptor.digest);
    let options = VersionOptions::default();
    let [named, other] = ["1.0.0", "latest"].map(|tag| here.clone().at_tag(tag.parse().unwrap()));
    for (place, wanted) in [(&named, None), (&named, Some("^1")), (&by_digest, Some("^2")), (&other, None)] {
        let wanted = wanted.map(constraint);
        assert_eq!(client.resolve_ref(place, wanted.as_ref(), &options).await.unwrap(), *place);
    }
    assert_eq!(registry.requests().len(), 0);
    for (place, wanted) in [(&named, "^2"), (&other, "*")] {
        let error = client.resolve_ref(place, Some(&constraint(wanted)), &options).await.unwrap_err();
        assert!(matches!(&error, Error::TagViolates { at, .. } if *at == place.to_string()), "{error:?}");
    }
    assert_eq!(registry.requests().len(), 0);
}

#[tokio::test]
async fn the_tag_that_docker_assumes_is_not_one_that_was_named() {
    let (memories, client) = crate::setup::memory();
    let hub = memories.repository(&"docker.io".parse().unwrap(), &"library/app".parse().unwrap());
    image("1.0.0").push(&hub, &["1.0.0", "latest"]).await.unwrap();
    let here = at("docker://app");
    assert_eq!(choose(&client, &here, Some("^1"), &VersionOptions::default()).await.unwrap(), "1.0.0");
}

#[tokio::test]
async fn the_version_is_resolved_once_and_read_by_its_digest() {
    let registry = registry_with(&["1.0.0", "1.1.0"]).await;
    let (client, here) = (anonymous(), repository(&registry));
    let found = client.resolve_constrained(&here, Some(&constraint("^1")), &VersionOptions::default()).await.unwrap();
    assert_eq!(found.tag, Some("1.1.0".parse().unwrap()));
    assert_eq!(found.at.to_string(), format!("{here}:1.1.0@{}", found.descriptor.digest));
    assert_eq!(registry.take_requests(), ["GET /v2/o/r/tags/list", "HEAD /v2/o/r/manifests/1.1.0"]);
    image("moved").push(&*registry.repository("o/r"), &["1.1.0"]).await.unwrap();
    assert_eq!(
        pulled(&client, &found.at, &PullOptions::default()).await.to_string(),
        Tree::new().file("version.txt", "1.1.0").to_string()
    );
}

#[tokio::test]
async fn each_way_to_find_none_is_an_error_of_its_own() {
    let registry = registry_with(&["1.0.0", "2.0.0-rc.1", "latest"]).await;
    let (client, here, options) = (anonymous(), repository(&registry), VersionOptions::default());
    let error = choose(&client, &here, Some("^3"), &options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no tag of {here} satisfies `^3`: the highest are 2.0.0-rc.1, 1.0.0"));
    assert!(matches!(error, Error::NoMatchingVersion { .. }));

    let other = at(&format!("{}/o/other", registry.host()));
    let error = choose(&client, &other, Some("^3"), &options).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
    image("x").push(&*registry.repository("o/other"), &["latest", "main"]).await.unwrap();
    for wanted in [None, Some("*")] {
        let error = choose(&client, &other, wanted, &options).await.unwrap_err();
        assert!(matches!(error, Error::NoVersions { others: 2, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_never_told_as_no_match() {
    #[track_caller]
    fn check(error: Result<String, Error>, expected: ErrorKind) {
        assert_eq!(kind(&error.unwrap_err()), expected);
    }
    let options = VersionOptions::default();
    let guarded = FakeRegistry::builder().token_auth("user", "secret").start().await;
    check(choose(&anonymous(), &repository(&guarded), Some("^1"), &options).await, ErrorKind::Unauthorized);
    assert!(client(&guarded).list_versions(&repository(&guarded)).await.is_err());
    for (status, expected) in [(403, ErrorKind::Denied), (429, ErrorKind::RateLimited), (500, ErrorKind::Unreachable)] {
        let registry = registry_with(&["1.0.0"]).await;
        registry.fault(On::get("/tags/list").always(), Fault::Status { status, headers: Vec::new() });
        check(choose(&anonymous(), &repository(&registry), Some("^1"), &options).await, expected);
    }
    let gone = registry_with(&[]).await;
    let here = repository(&gone);
    gone.stop();
    check(choose(&anonymous(), &here, Some("^1"), &options).await, ErrorKind::Unreachable);
}

#[tokio::test]
async fn local_only_chooses_among_what_is_kept_and_touches_no_registry() {
    let registry = registry_with(&["1.0.0", "1.1.0", "2.0.0"]).await;
    let (store, here) = (in_memory(), repository(&registry));
    let online = anonymous().with_store(store.clone());
    for tag in ["1.0.0", "1.1.0"] {
        online.fetch(&here.clone().at_tag(tag.parse().unwrap()), &Default::default()).await.unwrap();
    }
    registry.stop();

    let client = untouched(&store);
    assert_eq!(choose(&client, &here, None, &local()).await.unwrap(), "1.1.0");
    let found = client.resolve_constrained(&here, Some(&constraint("<1.1")), &local()).await.unwrap();
    let tree = pulled(&client.clone().offline(), &found.at, &PullOptions::default()).await;
    assert_eq!(tree.to_string(), Tree::new().file("version.txt", "1.0.0").to_string());
    assert_eq!(client.meter().fetched(), 0);
    let listed = client.clone().offline().list_files(&found.at, &ReadOptions::default()).await.unwrap();
    assert_eq!(crate::setup::paths(&listed), ["version.txt"]);

    let refreshed = client.clone().offline().with_freshness(Freshness::Refresh).offline();
    assert_eq!(choose(&refreshed, &here, None, &VersionOptions::default()).await.unwrap(), "1.1.0");

    let error = choose(&client, &here, Some("^2"), &local()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no tag of {here} satisfies `^2`: the highest are 1.1.0, 1.0.0"));
}

#[tokio::test]
async fn local_only_prefers_a_version_that_is_kept_as_a_whole() {
    let registry = registry_with(&["1.0.0"]).await;
    let (store, here) = (in_memory(), repository(&registry));
    let images = [("linux/amd64", "1.1.0"), ("linux/s390x", "1.1.0 s390x")]
        .map(|(name, says)| (refs_registry::Platform::parse(name).unwrap(), image(says)));
    refs_testkit::image::push_index(&*registry.repository("o/r"), &images, &["1.1.0"]).await.unwrap();
    put(&registry, "1.2.0").await;
    let online = anonymous().with_store(store.clone());
    let [first, index, last] = ["1.0.0", "1.1.0", "1.2.0"].map(|tag| here.clone().at_tag(tag.parse().unwrap()));
    let client = untouched(&store);
    let chosen = async || choose(&client, &here, Some("^1"), &local()).await.unwrap();
    // A look at a manifest keeps that alone; where there is nothing better, it is chosen.
    let look = async |at: &Location| {
        online.source(at).await.unwrap().manifest(&at.target().unwrap()).await.unwrap();
    };
    look(&last).await;
    assert_eq!(chosen().await, "1.2.0");
    online.fetch(&first, &Default::default()).await.unwrap();
    look(&index).await;
    assert_eq!(chosen().await, "1.0.0");
    let other = Some(refs_registry::Platform::parse("linux/s390x").unwrap());
    online.fetch(&index, &FetchOptions { platform: other.clone() }).await.unwrap();
    assert_eq!(chosen().await, "1.0.0");
    let for_other = VersionOptions { platform: other, ..local() };
    assert_eq!(choose(&client, &here, Some("^1"), &for_other).await.unwrap(), "1.1.0");
    online.fetch(&index, &Default::default()).await.unwrap();
    assert_eq!(chosen().await, "1.1.0");
    online.fetch(&last, &Default::default()).await.unwrap();
    assert_eq!(chosen().await, "1.2.0");
}

/// Holds that of `1.0.0`, which is kept as a whole, and `2.0.0`, which is `image` and of which `keep` has brought a part, the
/// `expected` is chosen.
async fn check_extent(image: Image, keep: impl AsyncFn(&Client, &Location), expected: &str) {
    let registry = registry_with(&["1.0.0"]).await;
    image.push(&*registry.repository("o/r"), &["2.0.0"]).await.unwrap();
    let (store, here) = (in_memory(), repository(&registry));
    let online = anonymous().with_store(store.clone());
    let [first, second] = ["1.0.0", "2.0.0"].map(|tag| here.clone().at_tag(tag.parse().unwrap()));
    online.fetch(&first, &Default::default()).await.unwrap();
    keep(&online, &second).await;
    registry.stop();
    assert_eq!(choose(&untouched(&store), &here, None, &local()).await.unwrap(), expected);
}

#[tokio::test]
async fn local_only_counts_as_whole_what_has_all_that_is_read_of_it() {
    let fetch = async |client: &Client, at: &Location| drop(client.fetch(at, &Default::default()).await.unwrap());
    let pull = async |client: &Client, at: &Location| drop(pulled(client, at, &PullOptions::default()).await);
    check_extent(Image::new(), pull, "1.0.0").await;
    check_extent(Image::new(), fetch, "2.0.0").await;
    let file = || Image::new().file("alone.bin", "no config is read");
    check_extent(file(), pull, "2.0.0").await;
    check_extent(image("2.0.0"), pull, "1.0.0").await;
    check_extent(image("2.0.0"), fetch, "2.0.0").await;
}

#[tokio::test]
async fn local_only_prefers_what_can_be_pulled_to_what_can_not() {
    let registry = registry_with(&["1.0.0", "2.0.0"]).await;
    let (store, here) = (in_memory(), repository(&registry));
    let online = anonymous().with_store(store.clone());
    let [first, second] = ["1.0.0", "2.0.0"].map(|tag| here.clone().at_tag(tag.parse().unwrap()));
    pulled(&online, &first, &PullOptions::default()).await;
    online.source(&second).await.unwrap().manifest(&second.target().unwrap()).await.unwrap();
    registry.stop();
    assert_eq!(choose(&untouched(&store), &here, None, &local()).await.unwrap(), "1.0.0");
}

#[tokio::test]
async fn what_is_missing_locally_is_named() {
    let here = at("registry.example/o/r");
    let (client, tagged) = (untouched(&in_memory()), here.clone().at_tag("v1".parse().unwrap()));
    let error = choose(&client, &here, Some("^2"), &local()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotCached);
    assert!(error.to_string().contains("registry.example/o/r"), "{error}");
    let error = client.resolve_constrained(&tagged, None, &local()).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotCached);
    assert_eq!(error.to_string(), "manifest `v1` of registry.example/o/r is not in the cache");

    let offline = Client::new(Arc::new(Untouched)).offline();
    let listed = offline.list_files(&tagged, &ReadOptions::default()).await.unwrap_err();
    assert_eq!(kind(&listed), ErrorKind::NotCached);
    assert_eq!(kind(&offline.sink(&tagged).await.unwrap_err()), ErrorKind::Unsupported);
    assert_eq!(
        kind(&offline.check_auth(&"registry.example".parse().unwrap()).await.unwrap_err()),
        ErrorKind::NotCached
    );
}

#[tokio::test]
async fn all_versions_are_fetched_and_one_that_fails_does_not_stop_the_others() {
    let registry = registry_with(&["1.0.0", "v1.1.0", "2.0.0-rc.1", "latest"]).await;
    let broken = image("v1.1.0").manifest().unwrap().parse().unwrap();
    let refs_registry::spec::Document::Image(broken) = broken else { panic!("it is an image") };
    registry
        .fault(On::get(broken.layers[0].digest.as_ref()).always(), Fault::Status { status: 403, headers: Vec::new() });
    let (store, here) = (in_memory(), repository(&registry));
    let online = anonymous().with_store(store.clone());
    let fetched = online.fetch_all_versions(&here, &FetchAllOptions::default()).await.unwrap();
    let came: Vec<_> = fetched.iter().map(|FetchedVersion { tag, fetched }| (tag.as_str(), fetched.is_ok())).collect();
    assert_eq!(came, [("2.0.0-rc.1", true), ("v1.1.0", false), ("1.0.0", true)]);
    assert_eq!(kind(fetched[1].fetched.as_ref().unwrap_err()), ErrorKind::Denied);
    registry.take_requests();

    let some = FetchAllOptions { constraint: Some(constraint("<1.1")), ..FetchAllOptions::default() };
    let again = online.fetch_all_versions(&here, &some).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].fetched.as_ref().unwrap().new, 0);
    assert_eq!(registry.take_requests(), ["GET /v2/o/r/tags/list", "HEAD /v2/o/r/manifests/1.0.0"]);

    let without = anonymous().fetch_all_versions(&here, &some).await.unwrap_err();
    assert!(matches!(without, Error::NoStore { .. }));
}

#[tokio::test]
async fn a_client_asks_as_often_as_its_freshness_says() {
    let registry = registry_with(&["v1"]).await;
    let (store, here) = (in_memory(), repository(&registry).at_tag("v1".parse().unwrap()));
    let young = Freshness::Within(std::time::Duration::from_secs(3600));
    let config_and_layer = 2;
    for (freshness, asked) in
        [(Freshness::Revalidate, 1 + config_and_layer), (Freshness::Revalidate, 1), (young, 0), (Freshness::Refresh, 3)]
    {
        let client = anonymous().with_store(store.clone()).with_freshness(freshness);
        client.fetch(&here, &Default::default()).await.unwrap();
        assert_eq!(registry.take_requests().len(), asked, "{freshness:?}");
    }
}

/// Pulls by fifty readers at once, each by a clone of one client, are as many requests as one pull.
async fn check_one_pull(store: Arc<dyn Store>) {
    let registry = FakeRegistry::start().await;
    let tree = Tree::new().file("version.txt", "one version ".repeat(3));
    Image::new().tree(&tree).push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    let here = repository(&registry).at_tag("v1".parse().unwrap());
    let one = anonymous().with_store(store);
    let pulls = (0..50).map(|_| {
        let (client, here) = (one.clone(), &here);
        async move { pulled(&client, here, &PullOptions::default()).await }
    });
    for found in future::join_all(pulls).await {
        assert!(found == tree);
    }
    let gets = registry.requests().iter().filter(|seen| seen.to_string().starts_with("GET")).count();
    assert_eq!(gets, 2, "{:?}", registry.requests());
}

#[tokio::test]
async fn fifty_readers_of_a_tag_are_one_pull_through_memory() {
    check_one_pull(in_memory()).await;
}

#[tokio::test]
async fn fifty_readers_of_a_tag_are_one_pull_through_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    check_one_pull(Arc::new(DiskStore::new(folder.path().join("cache"), &DiskOptions::default()))).await;
}
