use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use refs_registry::{
    Error, ErrorKind, Options, Registries, Resolver, Result, Source, Wire,
    auth::{Candidate, Chain, Credential, Credentials, DockerConfig},
};
use refs_url::{Digest, Host, RepoName};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, basic, hosts, login, options, repository},
};

#[test]
fn only_tls_is_a_secured_wire() {
    let host = |text| Host::parse(text).unwrap();
    let registries = Registries::new(Options { hosts: hosts([host("plain.io")], None), ..Options::default() });
    for (text, wire) in [
        ("tls.io", Wire::Secured),
        ("plain.io", Wire::Open),
        ("plain.io:5000", Wire::Secured),
        ("localhost:5000", Wire::Open),
    ] {
        assert_eq!(registries.wire(&host(text)), wire, "{text}");
    }
}

/// A source that counts how often it is asked.
#[derive(Debug)]
struct Counted {
    password: &'static str,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Credentials for Counted {
    async fn candidates(&self, _: &Host, _: Option<&RepoName>) -> Result<Vec<Candidate>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let credential = Credential::Basic { username: "user".into(), password: self.password.into() };
        Ok(vec![Candidate { from: "counted".into(), credential }])
    }
}

/// A registry that takes the password `right`.
async fn guarded() -> Peer {
    Peer::start(|request| match request.header("authorization") {
        Some(shown) if shown == basic("right") => Reply::ok("blob"),
        _ => Reply::status(401).header("www-authenticate", "Basic"),
    })
    .await
}

async fn stat(peer: &Peer, credentials: Vec<Arc<dyn Credentials>>) -> Result<Option<u64>> {
    let registries = Registries::new(options(&TestClock::new(), credentials));
    repository(&registries, peer).stat_blob(&Digest::sha256(b"blob")).await
}

fn broken(peer: &Peer) -> Arc<dyn Credentials> {
    let json = format!(r#"{{"auths":{{"{}":{{"auth":"!!!"}}}}}}"#, peer.host);
    Arc::new(DockerConfig::inline("DOCKER_AUTH_CONFIG", json.as_str().into()))
}

#[tokio::test]
async fn a_source_is_asked_only_when_those_before_it_were_refused() {
    let peer = guarded().await;
    for (first, expect) in [("right", 0), ("wrong", 1)] {
        let asked = Arc::new(AtomicUsize::default());
        let last = Arc::new(Counted { password: "right", asked: asked.clone() });
        let nested: Arc<dyn Credentials> = Arc::new(Chain::new(vec![last]));
        stat(&peer, vec![login(&peer, "first", first), nested]).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), expect, "{first}");
    }
}

#[tokio::test]
async fn a_source_that_is_broken_does_not_stand_in_the_way_of_one_before_it() {
    let peer = guarded().await;
    assert_eq!(stat(&peer, vec![login(&peer, "first", "right"), broken(&peer)]).await.unwrap(), Some(4));
    let error = stat(&peer, vec![broken(&peer), login(&peer, "later", "right")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    let error = stat(&peer, vec![login(&peer, "first", "wrong"), broken(&peer)]).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["first"]), "{error:?}");
}

#[tokio::test]
async fn a_denial_names_what_was_tried() {
    let peer = Peer::start(|request| match request.header("authorization") {
        Some(_) => Reply::status(403),
        None => Reply::status(401).header("www-authenticate", "Basic"),
    })
    .await;
    let error = stat(&peer, vec![login(&peer, "first", "a"), login(&peer, "second", "b")]).await.unwrap_err();
    assert!(matches!(&error, Error::Denied { tried, .. } if *tried == ["first", "second"]), "{error:?}");
    assert!(error.to_string().ends_with("(tried: first, second)"), "{error}");
}
