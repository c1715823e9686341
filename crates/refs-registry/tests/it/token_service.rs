use std::sync::{Arc, Mutex};

use refs_registry::{
    Error, Registries, Source,
    auth::{Credential, Credentials, Static},
};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{TestClock, basic, challenge, login, options, repository, with_password},
};

/// A registry that takes any token, and whose token service is `service`.
async fn registry(mut service: impl FnMut(&Request) -> Reply + Send + 'static) -> Peer {
    let own = Arc::new(Mutex::new(String::new()));
    let host = own.clone();
    let peer = Peer::start(move |request| {
        if request.target.starts_with("/token") {
            return service(request);
        }
        match request.header("authorization") {
            Some(_) => Reply::ok("blob"),
            None => challenge(&format!("{}/token", host.lock().unwrap()), ""),
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    peer
}

fn identity(peer: &Peer) -> Arc<dyn Credentials> {
    Arc::new(Static::new(peer.host.clone(), "identity", Credential::Identity("first".into())))
}

/// Reads from each of the repositories in turn, and gives the requests for tokens.
async fn ask(peer: &Peer, credentials: Vec<Arc<dyn Credentials>>, names: &[&str]) -> Result<Vec<Request>, Error> {
    let registries = Registries::new(options(&TestClock::new(), credentials));
    for name in names {
        let repository = registries.repository(&peer.host, &RepoName::parse(name).unwrap()).unwrap();
        repository.stat_blob(&Digest::sha256(b"blob")).await?;
    }
    Ok(peer.seen().into_iter().filter(|request| request.target.starts_with("/token")).collect())
}

fn form(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

#[tokio::test]
async fn a_refresh_token_is_sent_in_the_body_of_a_post() {
    let peer = registry(|_| Reply::json(r#"{"access_token":"t"}"#)).await;
    let asked = ask(&peer, vec![identity(&peer)], &["a/b"]).await.unwrap();
    let expect = [
        ("grant_type", "refresh_token"),
        ("client_id", "refs"),
        ("service", "r.test"),
        ("scope", "repository:a/b:pull"),
        ("refresh_token", "first"),
    ];
    assert_eq!(form(&asked[0]), expect.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(asked[0].line(), "POST /token");
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_refresh_token_that_comes_with_a_token_takes_the_place_of_the_old_one() {
    let mut next = ["second", "third", ""].into_iter();
    let peer = registry(move |_| {
        let next = next.next().unwrap_or_default();
        Reply::json(&format!(r#"{{"access_token":"t","refresh_token":"{next}"}}"#))
    })
    .await;
    let asked = ask(&peer, vec![identity(&peer)], &["a", "b", "c", "d"]).await.unwrap();
    let sent: Vec<_> = asked.iter().map(|request| form(request).last().unwrap().1.clone()).collect();
    assert_eq!(sent, ["first", "second", "third", "third"]);
}

#[tokio::test]
async fn requests_at_once_use_each_refresh_token_once() {
    let current = Mutex::new(1);
    let peer = registry(move |request| {
        let mut current = current.lock().unwrap();
        let sent = form(request).last().unwrap().1.clone();
        if sent != if *current == 1 { "first".to_owned() } else { format!("r{current}") } {
            return Reply::status(401);
        }
        *current += 1;
        Reply::json(&format!(r#"{{"access_token":"t","refresh_token":"r{current}"}}"#))
    })
    .await;
    let registries = Registries::new(options(&TestClock::new(), vec![identity(&peer)]));
    let digest = Digest::sha256(b"blob");
    let reads = ["a", "b", "c", "d"].map(|name| {
        let repository = registries.repository(&peer.host, &RepoName::parse(name).unwrap()).unwrap();
        let digest = digest.clone();
        async move { repository.stat_blob(&digest).await }
    });
    for read in futures_util::future::join_all(reads).await {
        assert_eq!(read.unwrap(), Some(4));
    }
}

#[tokio::test]
async fn a_service_without_post_is_asked_by_get_and_remembered() {
    for status in [404, 405, 501] {
        let peer = registry(move |request| match request.method.as_str() {
            "POST" => Reply::status(status),
            _ => Reply::json(r#"{"token":"t"}"#),
        })
        .await;
        let asked = ask(&peer, vec![identity(&peer)], &["a", "b"]).await.unwrap();
        let methods: Vec<_> = asked.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["POST", "GET", "GET"], "{status}");
        // `:first`
        assert_eq!(asked[1].header("authorization"), Some("Basic OmZpcnN0"), "{status}");
        assert!(!asked[1].target.contains("first"));
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_makes_way_for_the_password() {
    for status in [400, 401, 403] {
        let peer = registry(move |request| match request.header("authorization") {
            Some(shown) if shown == basic("secret") => Reply::json(r#"{"token":"t"}"#),
            _ => Reply::status(status).body("first is not known"),
        })
        .await;
        let both = vec![identity(&peer), login(&peer, "password", "secret")];
        let asked = ask(&peer, both, &["a"]).await.unwrap();
        assert_eq!(asked.len(), 2, "{status}");
        let error = ask(&peer, vec![identity(&peer)], &["a"]).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["identity"]), "{error:?}");
        assert!(shown.contains("*** is not known"), "{shown}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_no_registry_without_the_thing() {
    for status in [404, 405, 409, 410, 501] {
        let peer = registry(move |_| Reply::status(status)).await;
        let error = ask(&peer, Vec::new(), &["a/b"]).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: told, .. } if told == status), "{error:?}");
        let told = format!("`GET {}` was answered with {status}", peer.url("/token"));
        assert_eq!(error.to_string(), told);
    }
}

#[tokio::test]
async fn what_it_says_of_a_refusal_is_told() {
    async fn check(status: u16, said: &'static str, expect: &str) {
        let peer = registry(move |_| Reply::status(status).body(said)).await;
        let blob = Digest::sha256(b"blob");
        let error = repository(&with_password(&peer, "secret"), &peer).stat_blob(&blob).await.unwrap_err();
        let expect = format!("refused the credentials (tried: the test){expect}");
        assert!(error.to_string().ends_with(&expect), "{status} {said}: {error}");
    }
    for status in [401, 403] {
        check(status, "", "").await;
        check(status, r#"{"details":"incorrect username or password"}"#, ": incorrect username or password").await;
        let expired = r#"{"error":"invalid_grant","error_description":"it has expired"}"#;
        check(status, expired, ": invalid_grant: it has expired").await;
        let blocked = r#"{"errors":[{"code":"DENIED","message":"the account is blocked"}]}"#;
        check(status, blocked, ": DENIED: the account is blocked").await;
        check(status, r#"{"errors":"none of ours"}"#, "").await;
    }
}
