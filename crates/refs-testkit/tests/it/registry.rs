//! The registry itself: its log, its life.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use refs_registry::{Resolver, Result, Sink, Source, Writable};
use refs_testkit::{FakeRegistry, Image, until};
use refs_url::{Host, RepoName};

use crate::peer::{ask, ask_with, blob};

#[tokio::test]
async fn requests_are_logged_with_their_figures() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    let path = blob(&registry, "0123456789").await;
    ask(&host, &format!("GET {path}\r\nrange: bytes=2-4\r\nauthorization: Basic eDp5")).await;
    ask(&host, "HEAD /v2/o/r/manifests/v1?n=1").await;
    ask_with(&host, "POST /v2/o/r/blobs/uploads/", "unasked").await;
    let requests = registry.take_requests();
    assert_eq!(
        requests,
        [format!("GET {path}"), "HEAD /v2/o/r/manifests/v1".into(), "POST /v2/o/r/blobs/uploads/".into()]
    );
    let [get, head, _] = &requests[..] else { panic!() };
    assert_eq!((get.status, get.sent, get.range.as_deref(), get.had_authorization), (206, 3, Some("bytes=2-4"), true));
    assert_eq!((head.status, head.sent, head.query.as_str(), head.had_authorization), (404, 0, "n=1", false));
    assert_eq!(get.host, host);
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn the_store_beneath_is_what_is_served() {
    let registry = FakeRegistry::start().await;
    let manifest = Image::new().file("hello.txt", "hello").push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    let heard = ask(&registry.host(), "GET /v2/o/r/manifests/v1").await;
    assert_eq!(heard.body().as_bytes(), manifest.raw);
}

#[tokio::test]
async fn a_stopped_registry_refuses_connections() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    assert_eq!(ask(&host, "GET /v2/").await.status(), 200);
    registry.stop();
    until(async || tokio::net::TcpStream::connect(host.as_str()).await.is_err()).await;
}

#[test]
fn a_blocking_test_has_a_registry_too() {
    let registry = FakeRegistry::builder().start_blocking();
    let address: std::net::SocketAddr = registry.host().as_str().parse().unwrap();
    std::net::TcpStream::connect(address).unwrap();
}

#[derive(Debug)]
struct Panics;

impl Resolver for Panics {
    fn source(&self, _: &Host, _: &RepoName) -> Result<Arc<dyn Source>> {
        panic!("on purpose, reading")
    }
    fn repositories(&self, _: &Host) -> BoxStream<'_, Result<RepoName>> {
        panic!("on purpose, listing")
    }
}

impl Writable for Panics {
    fn sink(&self, _: &Host, _: &RepoName) -> Result<Arc<dyn Sink>> {
        panic!("on purpose, writing")
    }
}

#[tokio::test]
#[should_panic(expected = "the fake registry panicked: on purpose, reading")]
async fn a_panic_of_the_registry_fails_the_test() {
    let registry = FakeRegistry::builder().store(Arc::new(Panics)).start().await;
    assert_eq!(ask(&registry.host(), "GET /v2/o/r/tags/list").await.status(), 500);
}

#[tokio::test]
#[should_panic(expected = "the fake registry panicked: on purpose, writing")]
async fn a_panic_of_a_write_fails_the_test() {
    let registry = FakeRegistry::builder().store(Arc::new(Panics)).start().await;
    assert_eq!(ask_with(&registry.host(), "POST /v2/o/r/blobs/uploads/", "").await.status(), 500);
    registry.stop();
}
