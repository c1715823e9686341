//! Whether a host is a registry, and takes our credentials.

use std::sync::{Arc, Mutex};

use refs_registry::{Aspect, Error, ErrorKind, Outcome, Source, error::Fault};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply},
    setup::{anonymous, challenge, repository, token_registry, with_password},
};

#[tokio::test]
async fn check_auth_tells_whose_credential_was_taken() {
    let peer = token_registry("secret", |_| Reply::ok("{}")).await;
    let check = |password| {
        let registries = with_password(&peer, password);
        let host = peer.host.clone();
        async move { registries.registry(&host).unwrap().check_auth().await }
    };
    assert_eq!(check("secret").await.unwrap(), Some("the test".to_owned()));
    assert_eq!(check("wrong").await.unwrap_err().kind(), ErrorKind::Unauthorized);
    let open = Peer::start(|_| Reply::ok("{}")).await;
    assert_eq!(anonymous().registry(&open.host).unwrap().check_auth().await.unwrap(), None);
    anonymous().registry(&peer.host).unwrap().ping().await.unwrap();
    let other = Peer::start(|_| Reply::status(404)).await;
    let error = anonymous().registry(&other.host).unwrap().ping().await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{}` does not answer as a registry", other.host));
}

#[tokio::test]
async fn check_auth_fails_when_only_everyone_is_let_in() {
    let realm = Arc::new(Mutex::new(String::new()));
    let own = realm.clone();
    let peer = Peer::start(move |request| match (request.is("GET /token"), request.header("authorization")) {
        (true, None) => Reply::json(r#"{"token":"all"}"#),
        (true, Some(_)) => Reply::status(401),
        (false, Some("Bearer all")) => Reply::ok("{}"),
        _ => challenge(&own.lock().unwrap(), ""),
    })
    .await;
    *realm.lock().unwrap() = peer.url("/token");
    let registries = with_password(&peer, "wrong");
    repository(&registries, &peer).stat_blob(&Digest::sha256(b"blob")).await.unwrap();
    let error = registries.registry(&peer.host).unwrap().check_auth().await.unwrap_err();
    assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["the test"]), "{error:?}");
}

#[tokio::test]
async fn a_page_for_people_is_no_registry() {
    for page in ["<html>", "\n \n<!doctype html><title>Please log in</title>", "\u{feff}<html>"] {
        let peer = Peer::start(move |_| Reply::ok(page)).await;
        let registry = anonymous().registry(&peer.host).unwrap();
        let is_page = |error: &Error| matches!(error, Error::Protocol { fault: Fault::Page, .. });
        for error in [registry.ping().await.unwrap_err(), registry.check_auth().await.unwrap_err()] {
            assert!(is_page(&error), "{page:?}: {error:?}");
        }
        let findings = registry.probe().await;
        let last = findings.last().map(|finding| (finding.of, &finding.outcome));
        assert!(matches!(last, Some((Aspect::Api, Outcome::Fails(error))) if is_page(error)), "{page:?}: {last:?}");
    }
    // Some registries say so.
    let peer = Peer::start(|_| Reply::ok("true").header("content-type", "text/html")).await;
    anonymous().registry(&peer.host).unwrap().ping().await.unwrap();
}
