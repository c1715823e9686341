//! What tokens are asked for, and what is asked for instead where that is refused.

use std::sync::{Arc, Mutex};

use refs_registry::{
    Error, ErrorKind, Mounted, Registries, Sink, Source,
    auth::{Credential, Credentials, Static},
};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{TestClock, anonymous, at, basic, challenge, options, repository, with_password},
};

const AZURE_TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// What a registry and its token service see of each other's doings.
#[derive(Debug, Default)]
struct Service {
    /// Each request for a token: the scopes in it, and what it was shown.
    asked: Vec<(Vec<String>, Option<String>)>,
}

/// A registry that asks for `scope`, whose token service gives a token for what `gives` finds good, and refuses the rest
/// with `status`. The token tells what it is for.
async fn registry(scope: &'static str, status: u16, gives: fn(&[String]) -> bool) -> (Peer, Arc<Mutex<Service>>) {
    let service = Arc::new(Mutex::new(Service::default()));
    let (own, known) = (Arc::new(Mutex::new(String::new())), service.clone());
    let host = own.clone();
    let peer = Peer::start(move |request| {
        if request.is("GET /token") {
            let scopes = scopes(request);
            let reply = if gives(&scopes) {
                Reply::json(&format!(r#"{{"token":"{}","expires_in":300}}"#, scopes.join("+")))
            } else {
                Reply::status(status)
            };
            known.lock().unwrap().asked.push((scopes, request.header("authorization").map(str::to_owned)));
            return reply;
        }
        match (request.header("authorization"), request.method.as_str()) {
            (Some(_), "POST") => Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1"),
            (Some(_), "DELETE") => Reply::status(202),
            (Some(_), _) => Reply::ok("blob"),
            (None, _) => challenge(&format!("{}/token", host.lock().unwrap()), scope),
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    (peer, service)
}

fn scopes(request: &Request) -> Vec<String> {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).collect()
}

fn asked(service: &Mutex<Service>) -> Vec<String> {
    service.lock().unwrap().asked.iter().map(|(scopes, _)| scopes.join(" ")).collect()
}

fn blob() -> Digest {
    Digest::sha256(b"blob")
}

#[tokio::test]
async fn a_service_that_compares_texts_is_given_the_registrys_own() {
    let picky = |scopes: &[String]| scopes == ["other", "repository:foo:push,pull"];
    for status in [400, 401, 403] {
        let (peer, service) = registry("other repository:foo:push,pull", status, picky).await;
        let repository = repository(&anonymous(), &peer);
        for _ in 0..2 {
            repository.stat_blob(&blob()).await.unwrap();
        }
        // What was found out is kept.
        let union = "repository:foo:pull,push repository:a/b:pull other";
        assert_eq!(asked(&service), [union, "other repository:foo:push,pull"], "{status}");
    }
    let (peer, service) = registry("repository:a/b:push,pull", 403, |_| true).await;
    repository(&anonymous(), &peer).stat_blob(&blob()).await.unwrap();
    assert_eq!(asked(&service), ["repository:a/b:push,pull"]);
}

#[tokio::test]
async fn where_several_scopes_are_refused_the_one_for_writing_is_asked_for() {
    let (peer, service) = registry("", 400, |scopes| scopes.len() == 1).await;
    let mounted = repository(&anonymous(), &peer).mount(&blob(), &RepoName::parse("c/d").unwrap()).await.unwrap();
    assert!(matches!(mounted, Mounted::Upload(_)));
    let both = "repository:a/b:pull,push repository:c/d:pull";
    assert_eq!(asked(&service), [both, "repository:a/b:pull,push"]);
}

#[tokio::test]
async fn where_leave_to_delete_is_unknown_leave_to_do_all_is_asked_for() {
    let (peer, service) = registry("", 400, |scopes| !scopes[0].contains("delete")).await;
    repository(&anonymous(), &peer).delete_manifest(&at(&blob())).await.unwrap();
    assert_eq!(asked(&service), ["repository:a/b:delete,pull", "repository:a/b:*"]);
    repository(&anonymous(), &peer).stat_blob(&blob()).await.unwrap();
}

#[tokio::test]
async fn m047_a_password_that_may_be_wrong_is_shown_once_whatever_else_could_be_asked_for() {
    for (status, gives) in [(401, "repository:c/d:pull"), (401, ""), (403, "")] {
        let (peer, service) = registry(gives, status, |_| false).await;
        let error = repository(&with_password(&peer, "wrong"), &peer).stat_blob(&blob()).await.unwrap_err();
        assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["the test"]), "{error:?}");
        let shown = service.lock().unwrap().asked.iter().filter(|(_, shown)| shown.is_some()).count();
        assert_eq!(shown, 1, "{status} {gives}");
    }
}

#[tokio::test]
async fn a_password_that_was_taken_before_may_be_shown_for_less() {
    let (peer, service) = registry("", 401, |scopes| scopes.len() == 1).await;
    let repository = repository(&with_password(&peer, "right"), &peer);
    repository.stat_blob(&blob()).await.unwrap();
    repository.mount(&blob(), &RepoName::parse("c/d").unwrap()).await.unwrap();
    let service = service.lock().unwrap();
    assert_eq!(service.asked.len(), 3);
    assert!(service.asked.iter().all(|(_, shown)| *shown == Some(basic("right"))), "{service:?}");
}

#[tokio::test]
async fn insufficient_scope_is_met_with_a_wider_token_and_the_narrow_one_stays() {
    for status in [401, 403] {
        let own = Arc::new(Mutex::new(String::new()));
        let host = own.clone();
        let peer = Peer::start(move |request| {
            if request.is("GET /token") {
                return Reply::json(&format!(r#"{{"token":"{}","expires_in":300}}"#, scopes(request).join("+")));
            }
            let realm = format!("{}/token", host.lock().unwrap());
            match request.header("authorization") {
                None => challenge(&realm, "repository:a/b:pull"),
                Some(shown) if request.target.contains("/manifests/") && !shown.contains("secrets") => {
                    let wider = r#"scope="repository:a/b:pull secrets:a:read",error="insufficient_scope""#;
                    Reply::status(status).header("www-authenticate", format!("Bearer realm=\"{realm}\",{wider}"))
                }
                Some(_) => Reply::ok("blob"),
            }
        })
        .await;
        *own.lock().unwrap() = peer.url("");
        let repository = repository(&anonymous(), &peer);
        repository.stat_blob(&blob()).await.unwrap();
        // Whatever is made of the answer, it came.
        let error = repository.manifest(&crate::setup::tag("v1")).await.unwrap_err();
        assert!(!matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Denied), "{error:?}");
        repository.stat_blob(&blob()).await.unwrap();
        let tokens = peer.seen().iter().filter(|request| request.is("GET /token")).count();
        assert_eq!(tokens, 2, "{status}");
        let last = peer.seen().last().unwrap().header("authorization").map(str::to_owned);
        assert!(last.unwrap().starts_with("Bearer repository:a/b:pull"), "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_refuses_with_403_and_says_what_it_wants_is_given_it() {
    let own = Arc::new(Mutex::new(String::new()));
    let host = own.clone();
    let peer = Peer::start(move |request| match request.header("authorization") {
        _ if request.is("GET /token") => Reply::json(r#"{"token":"t"}"#),
        Some("Bearer t") => Reply::ok("blob"),
        _ => {
            let realm = format!("Bearer realm=\"{}/token\"", host.lock().unwrap());
            Reply::status(403).header("www-authenticate", realm)
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    assert_eq!(repository(&anonymous(), &peer).stat_blob(&blob()).await.unwrap(), Some(4));
}

#[tokio::test]
async fn azures_user_of_zeros_shows_a_refresh_token() {
    let own = Arc::new(Mutex::new(String::new()));
    let host = own.clone();
    let peer = Peer::start(move |request| {
        if request.is("POST /token") {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let is_refresh = form.contains("grant_type=refresh_token") && form.contains("refresh_token=secret");
            return if is_refresh { Reply::json(r#"{"access_token":"t"}"#) } else { Reply::status(400) };
        }
        match request.header("authorization") {
            Some("Bearer t") => Reply::ok("blob"),
            _ => challenge(&format!("{}/token", host.lock().unwrap()), ""),
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    let credential = Credential::Basic { username: AZURE_TOKEN_USER.into(), password: "secret".into() };
    let given: Arc<dyn Credentials> = Arc::new(Static::new(peer.host.clone(), "given", credential));
    let registries = Registries::new(options(&TestClock::new(), vec![given]));
    repository(&registries, &peer).stat_blob(&blob()).await.unwrap();
    assert!(peer.seen().iter().all(|request| !request.text().contains("Basic ")));
}
