//! What a registry wanted once, and can't be given now.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use refs_registry::{ErrorKind, Registries, Source, auth::Anonymous};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{TestClock, challenge, options},
};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1/token";

/// A registry that wants a token of the service at `realm` for all but the repository `open`, and takes any.
async fn registry(realm: &Arc<Mutex<String>>) -> Peer {
    let realm = Arc::clone(realm);
    Peer::start(move |request| match request.header("authorization") {
        None if !request.target.starts_with("/v2/open/") => challenge(&realm.lock().unwrap(), ""),
        _ => Reply::ok("blob"),
    })
    .await
}

async fn token_service(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> (Peer, Arc<Mutex<String>>) {
    let service = Peer::start(move |request| answer(request)).await;
    let realm = Arc::new(Mutex::new(service.url("/token")));
    (service, realm)
}

fn anonymous() -> (Arc<TestClock>, Registries) {
    let clock = TestClock::new();
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    (clock, registries)
}

async fn stat(registries: &Registries, peer: &Peer, repository: &str) -> Result<Option<u64>, ErrorKind> {
    let repository = registries.repository(&peer.host, &RepoName::parse(repository).unwrap()).unwrap();
    repository.stat_blob(&Digest::sha256(b"blob")).await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_token_service_out_of_reach_stops_only_what_needs_a_token() {
    let peer = registry(&Arc::new(Mutex::new(NOWHERE.to_owned()))).await;
    let (_, registries) = anonymous();
    for _ in 0..2 {
        assert_eq!(stat(&registries, &peer, "private").await, Err(ErrorKind::Unreachable));
        assert_eq!(stat(&registries, &peer, "open").await, Ok(Some(4)));
    }
}

#[tokio::test]
async fn a_realm_that_may_not_be_asked_stops_only_what_needs_a_token() {
    let peer = registry(&Arc::new(Mutex::new("http://evil.test/token".to_owned()))).await;
    let (_, registries) = anonymous();
    assert_eq!(stat(&registries, &peer, "private").await, Err(ErrorKind::Protocol));
    assert_eq!(stat(&registries, &peer, "open").await, Ok(Some(4)));
}

#[tokio::test]
async fn a_registry_that_names_another_token_service_is_heard() {
    let (service, realm) = token_service(|_| Reply::json(r#"{"token":"t"}"#)).await;
    let mended = std::mem::replace(&mut *realm.lock().unwrap(), NOWHERE.to_owned());
    let peer = registry(&realm).await;
    let (_, registries) = anonymous();
    assert_eq!(stat(&registries, &peer, "private").await, Err(ErrorKind::Unreachable));
    *realm.lock().unwrap() = mended;
    assert_eq!(stat(&registries, &peer, "private").await, Ok(Some(4)));
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn a_token_service_that_wants_a_pause_is_not_asked_again_before_it() {
    let mut answers = 0;
    let (service, realm) = token_service(move |_| {
        answers += 1;
        match answers {
            2 => Reply::status(429).header("retry-after", "7"),
            _ => Reply::json(r#"{"token":"t","expires_in":60}"#),
        }
    })
    .await;
    let peer = registry(&realm).await;
    let (clock, registries) = anonymous();
    assert_eq!(stat(&registries, &peer, "private").await, Ok(Some(4)));
    clock.advance(Duration::from_secs(120));
    let waited = clock.waits().len();
    assert_eq!(stat(&registries, &peer, "private").await, Ok(Some(4)));
    let seven = Duration::from_secs(7);
    assert!(clock.waits()[waited..].iter().all(|wait| *wait >= seven), "{:?}", clock.waits());
    assert_eq!(service.seen().len(), 3);
}
