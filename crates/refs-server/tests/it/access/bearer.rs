//! Tokens, and the service that gives them.

use std::time::Duration;

use refs_server::{Access, Anonymous, Key, Scheme, Server, TokenOptions};
use serde_json::Value;

use super::rig::{PASSWORD, ask_with, authorization, bearer, server, tokens};
use crate::{
    client::digest,
    direct::{self, Answer},
};

const REALM: &str = "Bearer realm=\"http://r.test:5000/token\",service=\"refs\"";

/// A token of `user` for `scope`.
async fn token(server: &Server, user: &str, scope: &str) -> String {
    let line = format!("GET /token?service=refs&scope={scope}");
    let answer = ask_with(server, &line, authorization(user).as_deref()).await;
    assert_eq!(answer.status, 200, "{user} {scope}: {answer:?}");
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&json["token"], &json["expires_in"]), (&json["access_token"], &300.into()));
    assert_eq!(answer.header("cache-control"), "no-store");
    format!("Bearer {}", json["token"].as_str().unwrap())
}

fn challenge(answer: &Answer) -> &str {
    answer.header("www-authenticate").strip_prefix(REALM).unwrap_or("another realm")
}

#[tokio::test]
async fn a_demand_says_what_the_token_has_to_allow() {
    let server = server(bearer(Anonymous::Nothing)).await;
    let mount = format!("POST /v2/team/app/blobs/uploads/?mount={}&from=shared/base", digest("shared/base"));
    let rows = [
        ("GET /v2/", ""),
        ("GET /v2/_catalog", ",scope=\"registry:catalog:*\""),
        ("GET /v2/team/app/manifests/v1", ",scope=\"repository:team/app:pull\""),
        ("HEAD /v2/absent/manifests/v1", ",scope=\"repository:absent:pull\""),
        ("PUT /v2/team/app/manifests/v1", ",scope=\"repository:team/app:pull,push\""),
        ("DELETE /v2/team/app/manifests/v1", ",scope=\"repository:team/app:pull,delete\""),
        (&mount, ",scope=\"repository:team/app:pull,push repository:shared/base:pull\""),
    ];
    for (line, expect) in rows {
        let answer = ask_with(&server, line, None).await;
        assert_eq!((answer.status, challenge(&answer)), (401, expect), "{line}");
        // A password is for the token service.
        let answer = ask_with(&server, line, authorization("admin").as_deref()).await;
        assert_eq!((answer.status, challenge(&answer)), (401, expect), "{line}");
    }
    let unnamed = direct::ask(&server, "GET /v2/", &[], "").await;
    assert_eq!((unnamed.summary().as_str(), unnamed.header("www-authenticate")), ("400 UNSUPPORTED", ""));
}

#[tokio::test]
async fn a_token_opens_what_was_asked_for_and_is_allowed() {
    let server = server(bearer(Anonymous::Nothing)).await;
    let rows = [
        ("dev", "repository:team/app:pull", "GET /v2/", "200"),
        ("dev", "", "GET /v2/", "200"),
        ("dev", "repository:team/app:pull", "GET /v2/team/app/manifests/v1", "200"),
        ("dev", "repository:team/app:pull,push", "POST /v2/team/app/blobs/uploads/", "202"),
        ("dev", "repository:shared/base:pull,push", "GET /v2/shared/base/manifests/v1", "200"),
        ("dev", "repository:shared/base:pull,push", "POST /v2/shared/base/blobs/uploads/", "403 DENIED"),
        ("dev", "repository:private:pull", "GET /v2/private/manifests/v1", "403 DENIED"),
        ("dev", "repository:absent:pull", "GET /v2/absent/manifests/v1", "403 DENIED"),
        ("dev", "repository:team/app:*", "DELETE /v2/team/app/manifests/v1", "403 DENIED"),
        ("admin", "repository:private:*", "DELETE /v2/private/manifests/v1", "202"),
        ("reader", "registry:catalog:*", "GET /v2/_catalog", "200"),
    ];
    for (user, scope, line, expect) in rows {
        let token = token(&server, user, scope).await;
        assert_eq!(ask_with(&server, line, Some(&token)).await.summary(), expect, "{line} of {user} for {scope}");
    }
}

#[tokio::test]
async fn a_token_for_less_is_told_from_one_that_is_no_good() {
    let server = server(bearer(Anonymous::Nothing)).await;
    let pull = token(&server, "dev", "repository:team/app:pull").await;
    let narrow = |scope: &str| format!(",scope=\"{scope}\",error=\"insufficient_scope\"");
    for (line, scope) in [
        ("POST /v2/team/app/blobs/uploads/", "repository:team/app:pull,push"),
        ("GET /v2/team/other/tags/list", "repository:team/other:pull"),
        ("GET /v2/_catalog", "registry:catalog:*"),
    ] {
        let answer = ask_with(&server, line, Some(&pull)).await;
        assert_eq!((answer.status, challenge(&answer)), (401, narrow(scope).as_str()), "{line}");
    }
    let other = server_with(TokenOptions::new(Key::new(&[8; 32]).unwrap())).await;
    for (server, token) in [(&server, "Bearer x"), (&server, "Bearer x.y"), (&other, pull.as_str())] {
        let answer = ask_with(server, "GET /v2/", Some(token)).await;
        assert_eq!((answer.status, challenge(&answer)), (401, ",error=\"invalid_token\""), "{token}");
    }
    let twin = server_with(tokens()).await;
    assert_eq!(ask_with(&twin, "GET /v2/", Some(&pull)).await.status, 200);
}

async fn server_with(tokens: TokenOptions) -> Server {
    server(Access { scheme: Scheme::Bearer(tokens), ..bearer(Anonymous::Nothing) }).await
}

#[tokio::test]
async fn a_token_ends() {
    let ended = server_with(TokenOptions { lifetime: Duration::ZERO, ..tokens() }).await;
    let answer = ask_with(&ended, "GET /token", authorization("admin").as_deref()).await;
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    let token = format!("Bearer {}", json["token"].as_str().unwrap());
    let answer = ask_with(&ended, "GET /v2/", Some(&token)).await;
    assert_eq!((answer.status, challenge(&answer)), (401, ",error=\"invalid_token\""));
}

#[tokio::test]
async fn a_mount_needs_a_token_for_both_repositories() {
    let server = server(bearer(Anonymous::Nothing)).await;
    let (own, both) = ("repository:team/new:pull,push", "repository:team/new:pull,push%20repository:shared/base:pull");
    let beyond = "repository:team/new:pull,push&scope=repository:private:pull";
    for (scope, content, from, status) in [
        (own, "shared/base", "&from=shared/base", 401),
        (both, "shared/base", "&from=shared/base", 201),
        (beyond, "private", "&from=private", 202),
        // Who comes by a token sees what the token names, and so nothing else of the user's.
        (own, "team/app", "", 202),
        (both, "shared/base", "", 201),
    ] {
        let token = token(&server, "dev", scope).await;
        let line = format!("POST /v2/team/new/blobs/uploads/?mount={}{from}", digest(content));
        assert_eq!(ask_with(&server, &line, Some(&token)).await.status, status, "{scope} {content} {from}");
    }
}

#[tokio::test]
async fn anybody_gets_a_token_to_pull_where_that_is_allowed() {
    let closed = server(bearer(Anonymous::Nothing)).await;
    let refused = ask_with(&closed, "GET /token?scope=repository:private:pull", None).await;
    assert_eq!(refused.summary(), "401 UNAUTHORIZED");
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"refs\"");

    let open = server(bearer(Anonymous::Pull)).await;
    let token = token(&open, "", "repository:private:pull,push registry:catalog:*".replace(' ', "%20").as_str()).await;
    for (line, expect) in [
        ("GET /v2/", "200"),
        ("GET /v2/private/manifests/v1", "200"),
        ("GET /v2/_catalog", "200"),
        ("POST /v2/private/blobs/uploads/", "401 UNAUTHORIZED"),
    ] {
        assert_eq!(ask_with(&open, line, Some(&token)).await.summary(), expect, "{line}");
    }
    assert_eq!(ask_with(&open, "GET /v2/", None).await.status, 401);
    assert_eq!(ask_with(&open, "GET /v2/private/manifests/v1", None).await.status, 200);
}

#[tokio::test]
async fn the_token_service_knows_two_ways_to_ask() {
    let server = server(bearer(Anonymous::Nothing)).await;
    let form = |form: &'static str| direct::ask(&server, "POST /token", &[("host", "r.test")], form);
    let granted = form("grant_type=password&service=refs&client_id=x&scope=repository:team/app:pull,push,delete&username=dev&password=correct+horse").await;
    let json: Value = serde_json::from_slice(&granted.body).unwrap();
    assert_eq!(json["scope"], "repository:team/app:pull,push");
    let token = format!("Bearer {}", json["access_token"].as_str().unwrap());
    assert_eq!(ask_with(&server, "GET /v2/team/app/manifests/v1", Some(&token)).await.status, 200);

    assert_eq!(form("grant_type=password&username=dev&password=wrong").await.summary(), "401 UNAUTHORIZED");
    assert_eq!(form("grant_type=password").await.summary(), "401 UNAUTHORIZED");
    assert_eq!(form("grant_type=refresh_token&refresh_token=x").await.summary(), "400 UNSUPPORTED");
    assert_eq!(form("").await.summary(), "400 UNSUPPORTED");
    let put = ask_with(&server, "PUT /token", None).await;
    assert_eq!((put.summary().as_str(), put.header("allow")), ("405 UNSUPPORTED", "GET, HEAD, POST"));
    for wrong in ["dev:wrong", "nobody", "dev:"] {
        let refused = ask_with(&server, "GET /token", authorization(wrong).as_deref()).await;
        assert_eq!(refused.summary(), "401 UNAUTHORIZED", "{wrong}");
    }
    assert_eq!(PASSWORD.replace(' ', "+"), "correct+horse");
}
