//! Peers that say what a test tells them to: token services, content networks, registries that break the protocol.
//!
//! They are wiremock's servers, which answer one request at a time and hold bodies whole; what has to be concurrent, large or
//! broken beneath HTTP is a [`FakeRegistry`](crate::FakeRegistry)'s to do.

use http::Method;
use refs_url::Host;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, header_exists, method, path},
};

/// Where `server` listens, as the host of a reference.
///
/// # Panics
/// Never: an address is a host.
#[must_use]
#[expect(clippy::expect_used, reason = "an address is a host")]
pub fn host(server: &MockServer) -> Host {
    Host::parse(&server.address().to_string()).expect("an address is a host")
}

/// A server that answers every `request` on `at` with `answer`, and all else with 404.
pub async fn answering(request: Method, at: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method(request.as_str())).and(path(at)).respond_with(answer).mount(&server).await;
    server
}

/// A token service that answers `GET /token` with `json`, which may be no token.
pub async fn token_service(json: &serde_json::Value) -> MockServer {
    answering(Method::GET, "/token", ResponseTemplate::new(200).set_body_json(json)).await
}

/// A registry whose every answer is a challenge to get a token from `realm`, until it is shown `token`: then it answers 200
/// and `{}`.
pub async fn challenging(realm: &str, token: &str) -> MockServer {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"scripted\"");
    let server = MockServer::start().await;
    let is_shown = header("authorization", format!("Bearer {token}"));
    Mock::given(is_shown).respond_with(ResponseTemplate::new(200).set_body_string("{}")).mount(&server).await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", challenge);
    Mock::given(wiremock::matchers::any()).respond_with(refusal).with_priority(9).mount(&server).await;
    server
}

/// A content network that gives `bytes` at `at`, and 400 to whoever shows it credentials, as S3 does.
pub async fn content_network(at: &str, bytes: impl Into<Vec<u8>>) -> MockServer {
    let server = answering(Method::GET, at, ResponseTemplate::new(200).set_body_bytes(bytes)).await;
    let refusal = ResponseTemplate::new(400).set_body_string("only one authentication mechanism is allowed");
    Mock::given(header_exists("authorization")).respond_with(refusal).with_priority(1).mount(&server).await;
    server
}
