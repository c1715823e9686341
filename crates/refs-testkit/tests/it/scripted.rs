//! Peers that say what they are told to.

use http::Method;
use refs_testkit::scripted::{answering, challenging, content_network, host, token_service};

use crate::peer::ask;

#[tokio::test]
async fn a_peer_answers_one_question() {
    let answer = wiremock::ResponseTemplate::new(418).insert_header("x-said", "teapot");
    let peer = answering(Method::HEAD, "/v2/", answer).await;
    let heard = ask(&host(&peer), "HEAD /v2/").await;
    assert_eq!((heard.status(), heard.header("x-said")), (418, "teapot"));
    assert_eq!(ask(&host(&peer), "GET /v2/").await.status(), 404);
}

#[tokio::test]
async fn a_challenge_ends_with_the_right_token() {
    let tokens = token_service(&serde_json::json!({ "access_token": "right" })).await;
    assert!(ask(&host(&tokens), "GET /token?scope=x").await.body().contains("right"));
    let peer = challenging(&format!("{}/token", tokens.uri()), "right").await;
    let refused = ask(&host(&peer), "GET /v2/\r\nauthorization: Bearer wrong").await;
    let realm = format!("Bearer realm=\"{}/token\",service=\"scripted\"", tokens.uri());
    assert_eq!((refused.status(), refused.header("www-authenticate")), (401, realm.as_str()));
    assert_eq!(ask(&host(&peer), "GET /v2/\r\nauthorization: Bearer right").await.status(), 200);
}

#[tokio::test]
async fn a_content_network_wants_no_credentials() {
    let peer = content_network("/data", "content").await;
    assert_eq!(ask(&host(&peer), "GET /data?signature=1").await.body(), "content");
    assert_eq!(ask(&host(&peer), "GET /data\r\nauthorization: Bearer token").await.status(), 400);
}
