//! Authentication, and blobs elsewhere.

use refs_testkit::FakeRegistry;
use refs_url::Host;

use crate::peer::{ask, ask_with, blob};

/// `user:password`.
const BASIC: &str = "authorization: Basic dXNlcjpwYXNzd29yZA==";

async fn token(registry: &FakeRegistry, query: &str, header: &str) -> Option<String> {
    let heard = ask(&registry.host(), &format!("GET /token?service=fake-registry&{query}{header}")).await;
    let json: serde_json::Value = serde_json::from_str(heard.body()).ok()?;
    assert_eq!(json["expires_in"], 300);
    json["token"].as_str().map(str::to_owned)
}

async fn status(registry: &FakeRegistry, request: &str, token: &str) -> u16 {
    ask_with(&registry.host(), &format!("{request}\r\nauthorization: Bearer {token}"), "").await.status()
}

#[tokio::test]
async fn a_token_opens_what_its_scope_names() {
    let registry = FakeRegistry::builder().token_auth("user", "password").start().await;
    let path = blob(&registry, "content").await;
    let refused = ask(&registry.host(), &format!("GET {path}")).await;
    let challenge = format!("Bearer realm=\"{}\",service=\"fake-registry\"", registry.url("/token"));
    assert_eq!(refused.header("www-authenticate"), format!("{challenge},scope=\"repository:o/r:pull\""));
    assert_eq!(ask(&registry.host(), "GET /v2/").await.header("www-authenticate"), challenge);

    assert_eq!(token(&registry, "scope=repository:o/r:pull", "").await, None);
    assert_eq!(token(&registry, "scope=repository:o/r:pull", "\r\nauthorization: Basic eDp5").await, None);
    let pull = token(&registry, "scope=repository%3Ao%2Fr%3Apull", &format!("\r\n{BASIC}")).await.unwrap();
    assert_eq!(status(&registry, "GET /v2/", &pull).await, 200);
    assert_eq!(status(&registry, &format!("GET {path}"), &pull).await, 200);
    assert_eq!(status(&registry, "GET /v2/o/other/tags/list", &pull).await, 401);
    let lacking = ask(&registry.host(), &format!("DELETE {path}\r\nauthorization: Bearer {pull}")).await;
    let scope = ",scope=\"repository:o/r:delete\",error=\"insufficient_scope\"";
    assert_eq!(lacking.header("www-authenticate"), format!("{challenge}{scope}"));

    let push = "scope=repository:o/r:pull,push&scope=repository:o/other:pull";
    let push = token(&registry, push, &format!("\r\n{BASIC}")).await.unwrap();
    assert_eq!(status(&registry, "POST /v2/o/r/blobs/uploads/", &push).await, 202);
    let digest = path.rsplit_once('/').unwrap().1;
    let mount = |from| format!("POST /v2/o/r/blobs/uploads/?mount={digest}&from={from}");
    assert_eq!(status(&registry, &mount("o/other"), &push).await, 201);
    assert_eq!(status(&registry, &mount("o/third"), &push).await, 401);
    registry.expire_tokens();
    assert_eq!(status(&registry, "GET /v2/", &push).await, 401);
}

#[tokio::test]
async fn anyone_gets_a_token_to_pull_where_that_is_allowed() {
    let registry = FakeRegistry::builder().token_auth("user", "password").anonymous_pull().start().await;
    let path = blob(&registry, "content").await;
    let token = token(&registry, "scope=repository:o/r:pull,push", "").await.unwrap();
    assert_eq!(status(&registry, &format!("GET {path}"), &token).await, 200);
    assert_eq!(status(&registry, "POST /v2/o/r/blobs/uploads/", &token).await, 401);
}

#[tokio::test]
async fn an_account_opens_everything() {
    let registry = FakeRegistry::builder().basic_auth("user", "password").start().await;
    let refused = ask(&registry.host(), "GET /v2/").await;
    assert_eq!((refused.status(), refused.header("www-authenticate")), (401, "Basic realm=\"fake registry\""));
    assert_eq!(ask(&registry.host(), &format!("GET /v2/\r\n{BASIC}")).await.status(), 200);
    assert_eq!(ask_with(&registry.host(), &format!("POST /v2/o/r/blobs/uploads/\r\n{BASIC}"), "").await.status(), 202);
    assert_eq!(ask(&registry.host(), "GET /token").await.status(), 401);
}

#[tokio::test]
async fn pulling_needs_no_account_where_that_is_allowed() {
    let registry = FakeRegistry::builder().basic_auth("user", "password").anonymous_pull().start().await;
    let path = blob(&registry, "content").await;
    assert_eq!(ask(&registry.host(), &format!("GET {path}")).await.status(), 200);
    assert_eq!(ask(&registry.host(), &format!("GET {path}\r\nauthorization: Basic eDp5")).await.status(), 401);
    assert_eq!(ask_with(&registry.host(), "POST /v2/o/r/blobs/uploads/", "").await.status(), 401);
}

#[tokio::test]
async fn blobs_are_elsewhere_and_credentials_do_not_go_there() {
    let registry = FakeRegistry::builder().redirect_blobs().start().await;
    let path = blob(&registry, "0123456789").await;
    let redirect = ask(&registry.host(), &format!("GET {path}")).await;
    assert_eq!(redirect.status(), 307);
    let (cdn, rest) = redirect.header("location").strip_prefix("http://").unwrap().split_once('/').unwrap();
    let cdn = Host::parse(cdn).unwrap();
    assert_eq!(Some(&cdn), registry.cdn_host().as_ref());
    let part = ask(&cdn, &format!("GET /{rest}\r\nrange: bytes=2-4")).await;
    assert_eq!((part.status(), part.body()), (206, "234"));
    assert_eq!(ask(&cdn, &format!("GET /{rest}\r\n{BASIC}")).await.status(), 400);
    assert_eq!(ask(&cdn, &format!("GET {path}")).await.status(), 403);
    registry.expire_redirects();
    assert_eq!(ask(&cdn, &format!("GET /{rest}")).await.status(), 403);
    assert_eq!(ask(&registry.host(), &format!("HEAD {path}")).await.status(), 200);
    assert_eq!(ask(&registry.host(), "GET /v2/o/r/blobs/sha256:00").await.status(), 400);
    assert_eq!(registry.requests()[1].host, cdn);
}
