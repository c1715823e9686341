//! What our own file says of one host holds for it, and for no other.

use std::error::Error as _;

use bytes::Bytes;
use refs_registry::{
    Descriptor, MediaType, Options, Registries, Sink,
    hosts::{Files, Hosts},
};
use refs_testkit::FakeRegistry;
use refs_url::Host;

use crate::{
    names::{TestDns, by_name},
    peer::{Peer, Reply},
    setup::{TestClock, name},
};

/// A client that knows no address, with the settings `text`.
fn configured(text: &str) -> Registries {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, text).unwrap();
    let hosts = Hosts { given: Vec::new(), files: Files { config: Some(config), ..Files::default() } };
    let options = Options { hosts, ..by_name(&TestClock::new(), TestDns::new(|_, _| None)) };
    let registries = Registries::new(options);
    // Read once, before the folder goes.
    registries.registry(&Host::parse("any.test").unwrap()).unwrap();
    registries
}

#[tokio::test]
async fn a_proxy_is_asked_for_its_host_alone_and_looks_its_name_up() {
    let proxy = Peer::start(|_| Reply::ok("{}")).await;
    let login = proxy.url("").replace("http://", "http://user:hunter2@");
    let registries = configured(&format!("[hosts.'r.test']\nplain-http = true\nproxy = '{login}'\n"));
    registries.registry(&Host::parse("r.test").unwrap()).unwrap().ping().await.unwrap();
    assert_eq!(proxy.lines(), ["GET http://r.test/v2/"]);
    assert!(proxy.seen()[0].header("proxy-authorization").is_some());
    assert_eq!(proxy.seen()[0].header("authorization"), None);
    let other = Host::parse("s.test").unwrap();
    let error = registries.registry(&other).unwrap().ping().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach s.test");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_host_on_loopback_has_the_proxy_that_is_set_for_it_and_none_besides() {
    let (proxy, peer) = (Peer::start(|_| Reply::ok("{}")).await, Peer::start(|_| Reply::ok("{}")).await);
    for (set, of_proxy, of_peer) in [(proxy.url(""), 1, 0), ("none".to_owned(), 1, 1)] {
        let registries = configured(&format!("[hosts.'{}']\nproxy = '{set}'\n", peer.host));
        registries.registry(&peer.host).unwrap().ping().await.unwrap();
        assert_eq!((proxy.seen().len(), peer.seen().len()), (of_proxy, of_peer), "{set}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_not_gone_round() {
    let peer = Peer::start(|_| Reply::ok("{}")).await;
    let registries = configured(&format!("[hosts.'{}']\nproxy = 'http://u:hunter2@127.0.0.1:1'\n", peer.host));
    let error = registries.registry(&peer.host).unwrap().ping().await.unwrap_err();
    assert_eq!(error.proxy(), Some("http://***@127.0.0.1:1"));
    assert_eq!(error.source().unwrap().to_string(), "through the proxy http://***@127.0.0.1:1");
    assert!(peer.seen().is_empty());
}

#[tokio::test]
async fn uploads_are_cut_into_the_pieces_that_are_set_for_the_host() {
    for (set, patches) in [("3", 2), ("'any'", 0), ("'never'", 0)] {
        let registry = FakeRegistry::start().await;
        let registries = configured(&format!("[hosts.'{}']\npieces = {set}\n", registry.host()));
        let repository = registries.repository(&registry.host(), &name()).unwrap();
        let content = Bytes::from_static(b"hello");
        let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
        repository.put_blob(&blob, content.into()).await.unwrap();
        let seen = registry.requests().iter().filter(|request| request.method == "PATCH").count();
        assert_eq!(seen, patches, "{set}");
    }
}
