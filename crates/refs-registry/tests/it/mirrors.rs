//! Mirrors: asked first for what they may be believed, and left for the registry.

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use refs_registry::{
    Clock, Descriptor, MediaType, Options, Registries, Repository, Resume, Sink, Source,
    auth::{Anonymous, Credential, Static},
    hosts::{Files, HostSettings, Hosts, Mirror, Origin, Scope, Security, Serves, Set},
};
use refs_testkit::{Close, FakeRegistry, Fault, Image, On};
use refs_url::{Digest, Host, RepoName, Target};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{TestClock, collect, name, options, tag},
};

const MINUTE: Duration = Duration::from_secs(60);

fn mirror(host: &Host, serves: Serves) -> Mirror {
    Mirror { serves, ..Mirror::new(host.clone(), Security::Plain) }
}

/// The registry at `origin`, with `mirrors`.
fn mirrored(origin: &FakeRegistry, mirrors: Vec<Mirror>, options: Options) -> Registries {
    let set = |value| Set { value, from: Origin::Given("the test") };
    let settings = HostSettings { mirrors: mirrors.into_iter().map(set).collect(), ..HostSettings::default() };
    Registries::new(Options { hosts: Hosts::default().with(Scope::One(origin.host()), settings), ..options })
}

fn anyone() -> Options {
    options(&TestClock::new(), vec![Arc::new(Anonymous)])
}

async fn pushed(registry: &FakeRegistry, repository: &str) -> Descriptor {
    let image = Image::new().file("hello.txt", "hello");
    image.push(&*registry.repository(repository), &["v1"]).await.unwrap().descriptor
}

#[tokio::test]
async fn what_has_a_digest_is_read_from_a_mirror_and_tags_from_the_registry() {
    let (origin, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let (image, _) = (pushed(&origin, "a/b").await, pushed(&other, "a/b").await);
    let registries = mirrored(&origin, vec![mirror(&other.host(), Serves::Digests)], anyone());
    let repository = registries.repository(&origin.host(), &name()).unwrap();
    repository.manifest(&tag("v1")).await.unwrap();
    repository.manifest(&Target::Digest(image.digest.clone())).await.unwrap();
    let layer = Digest::sha256(b"hello");
    collect(repository.blob(&layer, Resume::START).await.unwrap().stream).await.unwrap();
    repository.blob_part(&layer, 0..2).await.unwrap();
    repository.stat_blob(&layer).await.unwrap().unwrap();
    assert_eq!(origin.requests(), ["GET /v2/a/b/manifests/v1"]);
    let (manifest, blob) = (format!("/v2/a/b/manifests/{}", image.digest), format!("/v2/a/b/blobs/{layer}"));
    let expect = [format!("GET {manifest}"), format!("GET {blob}"), format!("GET {blob}"), format!("HEAD {blob}")];
    assert_eq!(other.requests(), expect);
}

#[tokio::test]
async fn tags_are_read_from_a_mirror_that_is_believed_them() {
    let (origin, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    pushed(&other, "proxy/a/b").await;
    let there = Mirror { to: "proxy".to_owned(), ..mirror(&other.host(), Serves::All) };
    let repository = mirrored(&origin, vec![there], anyone()).repository(&origin.host(), &name()).unwrap();
    repository.resolve(&tag("v1")).await.unwrap();
    assert_eq!(origin.requests(), [] as [&str; 0]);
    assert_eq!(other.requests(), ["HEAD /v2/proxy/a/b/manifests/v1"]);
}

#[tokio::test]
async fn the_registry_is_asked_for_what_no_mirror_has_or_gives_right() {
    let (origin, empty) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let (broken, image) = (FakeRegistry::start().await, pushed(&origin, "a/b").await);
    broken.fault(On::any("/v2/").times(9), Fault::Drop(Close::Fin));
    let mirrors = [&broken, &empty].map(|registry| mirror(&registry.host(), Serves::All)).to_vec();
    let registries = mirrored(&origin, mirrors, anyone());
    let repository = registries.repository(&origin.host(), &name()).unwrap();
    let at = Target::Digest(image.digest.clone());
    repository.manifest(&at).await.unwrap();
    let line = format!("GET /v2/a/b/manifests/{}", image.digest);
    assert_eq!(broken.take_requests().len(), 2, "asked, and once again");
    assert_eq!(empty.take_requests(), [line.as_str()]);
    assert_eq!(origin.take_requests(), [line.as_str()]);
    // One that was not reached is left alone for a while.
    repository.manifest(&at).await.unwrap();
    assert_eq!(broken.take_requests(), [] as [&str; 0]);
    assert_eq!(empty.take_requests(), [line.as_str()]);
}

#[tokio::test]
async fn nothing_is_written_to_a_mirror_and_nothing_listed_from_one() {
    let (origin, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let registries = mirrored(&origin, vec![mirror(&other.host(), Serves::All)], anyone());
    let repository = registries.repository(&origin.host(), &name()).unwrap();
    let content = Bytes::from_static(b"hello");
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    repository.put_blob(&blob, content.into()).await.unwrap();
    Image::new().file("x", "y").push(&repository, &["v1"]).await.unwrap();
    let tags: Vec<_> = futures_util::StreamExt::collect(repository.tags(None)).await;
    assert_eq!(tags.len(), 1);
    assert_eq!(other.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_mirror_sees_its_own_credentials_and_never_those_for_the_registry() {
    let origin = FakeRegistry::builder().basic_auth("user", "for-the-registry").start().await;
    let other = FakeRegistry::builder().basic_auth("user", "for-the-mirror").start().await;
    let image = pushed(&origin, "a/b").await;
    pushed(&other, "a/b").await;
    let at = Target::Digest(image.digest.clone());
    let login = |host: Host, password: &str| {
        let credential = Credential::Basic { username: "user".into(), password: password.into() };
        Arc::new(Static::new(host, "the test", credential))
    };
    let of_origin = options(&TestClock::new(), vec![login(origin.host(), "for-the-registry")]);
    let registries = mirrored(&origin, vec![mirror(&other.host(), Serves::All)], of_origin);
    registries.repository(&origin.host(), &name()).unwrap().manifest(&at).await.unwrap();
    assert!(other.requests().iter().all(|seen| !seen.had_authorization), "{:?}", other.requests());
    assert!(origin.take_requests().iter().any(|seen| seen.had_authorization));
    let of_both = vec![login(origin.host(), "for-the-registry") as _, login(other.host(), "for-the-mirror") as _];
    let registries = mirrored(&origin, vec![mirror(&other.host(), Serves::All)], options(&TestClock::new(), of_both));
    registries.repository(&origin.host(), &name()).unwrap().manifest(&at).await.unwrap();
    assert_eq!(origin.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_mirror_that_is_asked_speaks_for_the_registry_until_that_is_asked_itself() {
    let clock = TestClock::new();
    let (of, heard) = (Arc::new(OnceLock::<Repository>::new()), Arc::new(Mutex::new(Vec::new())));
    // Whoever is asked takes a minute, at the end of which it is noted how long nothing was heard.
    let unheard = || {
        let (clock, of, heard) = (Arc::clone(&clock), Arc::clone(&of), Arc::clone(&heard));
        move |_: &Request| {
            clock.advance(MINUTE);
            heard.lock().unwrap().push(clock.now() - of.get().unwrap().last_heard().unwrap());
            Reply::status(404)
        }
    };
    let (registry, other) = (Peer::start(unheard()).await, Peer::start(unheard()).await);
    let settings = Set { value: mirror(&other.host, Serves::Digests), from: Origin::Given("the test") };
    let settings = HostSettings { mirrors: vec![settings], ..HostSettings::default() };
    let hosts = Hosts::default().with(Scope::One(registry.host.clone()), settings);
    let registries = Registries::new(Options { hosts, ..options(&clock, vec![Arc::new(Anonymous)]) });
    let repository = of.get_or_init(|| registries.repository(&registry.host, &name()).unwrap());
    assert_eq!(repository.last_heard(), None);
    repository.resolve(&Target::Digest(Digest::sha256(b"nobody's"))).await.unwrap_err();
    assert_eq!(*heard.lock().unwrap(), [Duration::ZERO, MINUTE]);
    repository.resolve(&tag("v1")).await.unwrap_err();
    assert_eq!(*heard.lock().unwrap(), [Duration::ZERO, MINUTE, MINUTE]);
}

fn podman(folder: &Path, text: &str) -> Registries {
    let file = folder.join("registries.conf");
    std::fs::write(&file, text).unwrap();
    let files = Files { podman: vec![file], ..Files::default() };
    Registries::new(Options { hosts: Hosts { files, ..Hosts::default() }, ..anyone() })
}

#[tokio::test]
async fn a_registry_that_podman_has_moved_is_read_and_written_where_it_is() {
    let (folder, there) = (tempfile::tempdir().unwrap(), FakeRegistry::start().await);
    let text = format!("[[registry]]\nprefix = 'old.test/team'\nlocation = '{}/kept'\n", there.host());
    let registries = podman(folder.path(), &text);
    let name = RepoName::parse("team/b").unwrap();
    let repository = registries.repository(&Host::parse("old.test").unwrap(), &name).unwrap();
    Image::new().file("x", "y").push(&repository, &["v1"]).await.unwrap();
    there.take_requests();
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(there.requests(), ["GET /v2/kept/b/manifests/v1"]);
}

#[tokio::test]
async fn what_podman_blocks_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let registries = podman(folder.path(), "[[registry]]\nprefix = 'r.test/bad'\nblocked = true\n");
    let open = |name| registries.repository(&Host::parse("r.test").unwrap(), &RepoName::parse(name).unwrap());
    open("good/x").unwrap();
    let error = open("bad/x").unwrap_err();
    assert!(error.to_string().ends_with("registries.conf:3`"), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it blocks `r.test/bad/x`");
}

#[tokio::test]
async fn a_mirror_whose_blob_proves_wrong_is_left_for_the_registry() {
    let (origin, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    pushed(&origin, "a/b").await;
    pushed(&other, "a/b").await;
    let repository = mirrored(&origin, vec![mirror(&other.host(), Serves::Digests)], anyone());
    let repository = repository.repository(&origin.host(), &name()).unwrap();
    let layer = Digest::sha256(b"hello");
    other.fault(On::get("/blobs/").always(), Fault::Flip { at: 0 });
    let read = async || collect(repository.blob(&layer, Resume::START).await?.stream).await;
    read().await.unwrap_err();
    assert_eq!(read().await.unwrap(), "hello");
    assert_eq!(origin.requests(), [format!("GET /v2/a/b/blobs/{layer}")]);
}
