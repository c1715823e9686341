//! What a verb says when it can't do what was asked.

use std::{error::Error as _, sync::Arc};

use refs_client::{
    Client, Error, Location, LocationFault, MANIFEST_FILE, ManifestFile, Portion, PullOptions, ReadOptions, Side,
};
use refs_registry::{ErrorKind, error::Code};
use refs_store::Memories;
use refs_testkit::{Close, FakeRegistry, Fault, Image, On, Tree};

use crate::setup::{
    IN_MEMORY, anonymous, artifact, at, client, directory, guarded, kind, memory, pull, pushed, registries, timeless,
};

const TREE: &str = "755 docs/\n644 docs/guide.md \"g\"\n777 dangling -> none\n777 link -> docs/guide.md";

async fn read(client: &Client, path: &str) -> Result<Vec<u8>, Error> {
    client.read_file(&at(IN_MEMORY), path, &ReadOptions::default(), Vec::new()).await
}

#[tokio::test]
async fn missing_file_is_named_with_the_nearest_there_is() {
    let (_, client, _) = pushed(&Tree::parse(TREE)).await;
    for (path, expected) in [
        ("guide.md", Some("docs/guide.md")),
        ("docs/Guide.md", Some("docs/guide.md")),
        ("docs/giude.md", Some("docs/guide.md")),
        ("something/else", None),
        ("../docs/guide.md", None),
    ] {
        let error = read(&client, path).await.unwrap_err();
        let Error::FileNotFound { at, path: named, behind: None, nearest } = error else { panic!("{path}: {error:?}") };
        assert_eq!((at.as_str(), named.as_str(), nearest.as_deref()), (IN_MEMORY, path, expected));
    }
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let (_, client, _) = pushed(&Tree::parse(TREE)).await;
    let error = read(&client, "docs").await.unwrap_err();
    assert_eq!(error.to_string(), "`docs` in localhost/o/r:v1 is a directory, not a file");
    let error = read(&client, "dangling").await.unwrap_err();
    let Error::FileNotFound { path, behind, nearest: None, .. } = error else { panic!("{error:?}") };
    assert_eq!((path.as_str(), behind.as_deref()), ("dangling", Some("none")));
    for path in ["link", "/docs/guide.md", "./docs/guide.md", "docs//guide.md"] {
        assert_eq!(read(&client, path).await.unwrap(), b"g", "{path}");
    }
}

#[tokio::test]
async fn output_that_fails_is_an_error_of_its_own() {
    #[derive(Debug)]
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_, client, _) = pushed(&Tree::parse(TREE)).await;
    let error = client.read_file(&at(IN_MEMORY), "docs/guide.md", &ReadOptions::default(), Full).await.unwrap_err();
    let Error::Output { path, source } = error else { panic!("{error:?}") };
    assert_eq!((path.as_str(), source.kind()), ("docs/guide.md", std::io::ErrorKind::StorageFull));
}

#[tokio::test]
async fn artifact_without_a_manifest_file_says_so() {
    let (_, client, _) = pushed(&Tree::parse(TREE)).await;
    let error = client.get_manifest(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap_err();
    let Error::ManifestNotFound { at, name } = error else { panic!("{error:?}") };
    assert_eq!((at.as_str(), name.as_str()), (IN_MEMORY, MANIFEST_FILE));
}

#[tokio::test]
async fn manifest_file_of_more_than_its_bound_is_refused() {
    const MAX_BYTES: usize = ManifestFile::MAX_BYTES as usize;
    for (bytes, expected) in [(MAX_BYTES, None), (MAX_BYTES + 1, Some(MAX_BYTES as u64))] {
        let (memories, client) = memory();
        let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
        let tree = Tree::new().file(MANIFEST_FILE, vec![b'#'; bytes]);
        Image::new().tree(&tree).push(&repository, &["v1"]).await.unwrap();
        let found = client.get_manifest(&at(IN_MEMORY), &ReadOptions::default()).await;
        let found = found.map(|content| content.len());
        match expected {
            None => assert_eq!(found.unwrap(), bytes),
            Some(most) => {
                assert!(matches!(found, Err(Error::FileTooLarge { limit, .. }) if limit == most), "{found:?}")
            }
        }
    }
}

/// Each verb's failure at `at`.
async fn failures(client: &Client, at: &Location) -> Vec<(&'static str, Error)> {
    let options = ReadOptions::default();
    let source = directory(&Tree::parse(TREE));
    let mut failures = vec![
        ("list_files", client.list_files(at, &options).await.map(drop)),
        ("read_file", client.read_file(at, "docs/guide.md", &options, Vec::new()).await.map(drop)),
        ("get_manifest", client.get_manifest(at, &options).await.map(drop)),
        ("pull", pull(client, at, &PullOptions::default()).await.map(drop)),
        ("resolve_tag", client.resolve_tag(at).await.map(drop)),
        ("get_digest", client.get_digest(at).await.map(drop)),
        ("list_tags", client.list_tags(at).await.map(drop)),
    ];
    if at.target().is_some() {
        failures.push(("push", client.push(source.path(), at, &timeless()).await.map(drop)));
    }
    failures.into_iter().filter_map(|(verb, outcome)| outcome.err().map(|error| (verb, error))).collect()
}

async fn check_kinds(client: &Client, at: &Location, expected: ErrorKind, verbs: &[&str]) {
    let failures = failures(client, at).await;
    let failed: Vec<&str> = failures.iter().map(|(verb, _)| *verb).collect();
    assert_eq!(failed, verbs);
    for (verb, error) in &failures {
        assert_eq!(kind(error), expected, "{verb}: {error:?}");
        let words = error.to_string();
        let cause = error.source().map(ToString::to_string);
        assert!(cause.is_none_or(|cause| !words.contains(&cause)), "{words} is told twice");
    }
}

const READS: [&str; 7] = ["list_files", "read_file", "get_manifest", "pull", "resolve_tag", "get_digest", "list_tags"];
const ALL: [&str; 8] =
    ["list_files", "read_file", "get_manifest", "pull", "resolve_tag", "get_digest", "list_tags", "push"];

#[tokio::test]
async fn missing_repository_and_missing_tag_are_not_found() {
    let registry = FakeRegistry::start().await;
    check_kinds(&anonymous(), &artifact(&registry), ErrorKind::NotFound, &READS).await;
    let missing_tag = at(&format!("{}/o/r:v2", registry.host()));
    check_kinds(&anonymous(), &missing_tag, ErrorKind::NotFound, &READS[..6]).await;
    let words = anonymous().resolve_tag(&at(&format!("{}/o/r:v3", registry.host()))).await.unwrap_err().to_string();
    assert!(words.contains("v3") && words.contains(&format!("{}/o/r", registry.host())), "{words}");
}

#[tokio::test]
async fn missing_blob_is_not_found() {
    let (memories, client, pushed) = pushed(&Tree::parse(TREE)).await;
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    refs_registry::Sink::delete_blob(&repository, &pushed.layer.digest).await.unwrap();
    check_kinds(&client, &at(IN_MEMORY), ErrorKind::NotFound, &READS[..4]).await;
}

#[tokio::test]
async fn wrong_password_and_none_are_unauthorized() {
    let registry = guarded(&Memories::new()).start().await;
    let wrong = Client::new(Arc::new(registries(&registry, "wrong")));
    check_kinds(&wrong, &artifact(&registry), ErrorKind::Unauthorized, &ALL).await;
    check_kinds(&anonymous(), &artifact(&registry), ErrorKind::Unauthorized, &ALL).await;
    assert_eq!(kind(&wrong.check_auth(&registry.host()).await.unwrap_err()), ErrorKind::Unauthorized);
    client(&registry).check_auth(&registry.host()).await.unwrap();
    let words = wrong.resolve_tag(&artifact(&registry)).await.unwrap_err().to_string();
    assert!(words.contains("the test") && !words.contains("wrong"), "{words}");
}

async fn failing(status: u16) -> (FakeRegistry, Client, Location) {
    let (memories, _, _) = pushed(&Tree::parse(TREE)).await;
    let registry = guarded(&memories).start().await;
    registry.fault(On::any("/v2/o/r/").always(), Fault::Status { status, headers: Vec::new() });
    let (client, at) = (client(&registry), artifact(&registry));
    (registry, client, at)
}

#[tokio::test]
async fn status_403_is_denied() {
    let (_registry, client, at) = failing(403).await;
    check_kinds(&client, &at, ErrorKind::Denied, &ALL).await;
}

#[tokio::test]
async fn status_429_is_limited_in_rate() {
    let (_registry, client, at) = failing(429).await;
    check_kinds(&client, &at, ErrorKind::RateLimited, &ALL).await;
}

#[tokio::test]
async fn status_503_is_unreachable() {
    let (_registry, client, at) = failing(503).await;
    check_kinds(&client, &at, ErrorKind::Unreachable, &ALL).await;
}

#[tokio::test]
async fn dropped_connections_and_closed_ports_are_unreachable() {
    let registry = FakeRegistry::start().await;
    registry.fault(On::any("/v2/").always(), Fault::Drop(Close::Reset));
    let at = artifact(&registry);
    check_kinds(&anonymous(), &at, ErrorKind::Unreachable, &ALL).await;
    let host = registry.host();
    registry.stop();
    check_kinds(&anonymous(), &at, ErrorKind::Unreachable, &ALL).await;
    assert_eq!(kind(&anonymous().check_auth(&host).await.unwrap_err()), ErrorKind::Unreachable);
}

#[tokio::test]
async fn other_manifest_than_its_digest_says_is_refused() {
    let (memories, _, pushed) = pushed(&Tree::parse(TREE)).await;
    let registry = guarded(&memories).start().await;
    registry.fault(On::get("/manifests/").always(), Fault::Flip { at: 100 });
    let at = artifact(&registry).at_digest(pushed.descriptor.digest);
    check_digest(&client(&registry), &at).await;
}

async fn check_digest(client: &Client, at: &Location) {
    for verb in [
        client.list_files(at, &ReadOptions::default()).await.map(drop),
        client.get_manifest(at, &ReadOptions::default()).await.map(drop),
        pull(client, at, &PullOptions::default()).await.map(drop),
    ] {
        assert_eq!(kind(&verb.unwrap_err()), ErrorKind::Digest);
    }
}

#[tokio::test]
async fn layout_that_is_not_there_is_not_found() {
    let parent = tempfile::tempdir().unwrap();
    let at = at(&format!("ocidir://{}/none:v1", parent.path().display()));
    check_kinds(&memory().1, &at, ErrorKind::NotFound, &READS).await;
}

#[tokio::test]
async fn location_without_a_target_is_refused() {
    let (_, client) = memory();
    for (verb, error) in failures(&client, &at("localhost/o/r")).await {
        match error {
            Error::Location { fault, .. } => assert_eq!(fault, LocationFault::NoTarget, "{verb}"),
            Error::Registry(error) => assert_eq!((verb, error.kind()), ("list_tags", ErrorKind::NotFound)),
            error => panic!("{verb}: {error:?}"),
        }
    }
}

#[track_caller]
fn check_forwarded(error: &Error, is_retryable: bool, status: Option<u16>) {
    assert_eq!((error.is_retryable(), error.status(), error.code()), (is_retryable, status, None), "{error:?}");
}

#[test]
fn what_a_registry_answered_is_told_whoever_asked_it() {
    let host = || refs_url::Host::parse("r.test").unwrap();
    let limited = || refs_registry::Error::RateLimited { host: host(), retry_after: None };
    let busy = || refs_registry::Error::Busy { path: "a".into() };
    let side = |source| {
        let (at, source) = ("r.test/a".to_owned(), Box::new(source));
        Error::Copy { side: Side::Source, what: Portion::Artifact, at, source }
    };
    check_forwarded(&limited().into(), true, Some(429));
    check_forwarded(&side(limited()), true, Some(429));
    check_forwarded(&busy().into(), true, None);
    check_forwarded(&side(busy()), true, None);
    check_forwarded(&Error::Worker, false, None);
    check_forwarded(&Error::NoImage { at: "r.test/a".to_owned() }, false, None);
}

#[tokio::test]
async fn a_code_of_the_registry_is_told() {
    let registry = FakeRegistry::builder().basic_auth("user", "secret").start().await;
    let error = anonymous().list_tags(&artifact(&registry)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), (Some(Code::Unauthorized), Some(401)), "{error:?}");
}
