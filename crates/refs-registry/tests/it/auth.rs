use std::sync::{Arc, Mutex};

use refs_registry::{
    Error, ErrorKind, Options, Registries, Source,
    auth::{Anonymous, Candidate, Credential, Credentials, Secret, Static},
    error::Fault,
};
use refs_url::{Digest, Host};

use crate::{
    peer::{Peer, Reply},
    setup::{
        TestClock, anonymous, basic, bytes, challenge, collect, login, options, repository, token_registry,
        with_password,
    },
};

fn token_requests(peer: &Peer) -> usize {
    peer.seen().iter().filter(|request| request.target.contains("token")).count()
}

fn blob() -> Digest {
    Digest::sha256(b"blob")
}

#[tokio::test]
async fn a_password_goes_to_a_registry_that_asks_for_it_and_not_before() {
    let peer = Peer::start(|request| match request.header("authorization") {
        Some(shown) if shown == basic("secret") => Reply::ok("blob"),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"r\""),
    })
    .await;
    let repository = repository(&with_password(&peer, "secret"), &peer);
    for _ in 0..2 {
        assert_eq!(repository.stat_blob(&blob()).await.unwrap(), Some(4));
    }
    let shown: Vec<_> = peer.seen().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(shown, [false, true, true]);
}

#[tokio::test]
async fn the_token_service_is_asked_once_with_service_and_scope() {
    let peer = token_registry("secret", |_| Reply::ok("blob")).await;
    let repository = repository(&with_password(&peer, "secret"), &peer);
    for _ in 0..3 {
        assert_eq!(repository.stat_blob(&blob()).await.unwrap(), Some(4));
    }
    let asked = peer.lines()[1].clone();
    assert_eq!(asked, "GET /token?service=r.test&scope=repository%3Aa%2Fb%3Apull");
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_share_one_token() {
    let (clock, peer) = (TestClock::new(), token_registry("secret", |_| Reply::ok("blob")).await);
    let registries = Registries::new(options(&clock, vec![login(&peer, "x", "secret")]));
    for expect in [1, 2] {
        let all: Vec<_> = (0..50)
            .map(|_| {
                let repository = repository(&registries, &peer);
                tokio::spawn(async move { repository.stat_blob(&blob()).await })
            })
            .collect();
        for size in futures_util::future::join_all(all).await {
            assert_eq!(size.unwrap().unwrap(), Some(4));
        }
        assert_eq!(token_requests(&peer), expect);
        clock.advance(std::time::Duration::from_secs(300));
    }
}

#[tokio::test]
async fn many_requests_whose_token_was_revoked_share_the_next_one() {
    let (valid, own) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(String::new())));
    let (counter, realm) = (valid.clone(), own.clone());
    let peer = Peer::start(move |request| {
        let mut valid = counter.lock().unwrap();
        if request.is("GET /token") {
            *valid += 1;
            return Reply::json(&format!("{{\"token\":\"t{valid}\",\"expires_in\":3000}}"));
        }
        match request.header("authorization") {
            Some(shown) if *shown == format!("Bearer t{valid}") => Reply::ok("blob"),
            _ => challenge(&realm.lock().unwrap(), "repository:a/b:pull"),
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("/token");
    let repository = repository(&anonymous(), &peer);
    repository.stat_blob(&blob()).await.unwrap();
    *valid.lock().unwrap() = 10;
    let digest = blob();
    for size in futures_util::future::join_all((0..20).map(|_| repository.stat_blob(&digest))).await {
        assert_eq!(size.unwrap(), Some(4));
    }
    assert_eq!(token_requests(&peer), 2);
}

#[tokio::test]
async fn m049_registries_with_one_service_have_tokens_of_their_own() {
    let service = Peer::start(|_| Reply::json(r#"{"token":"t"}"#)).await;
    let realm = service.url("/token");
    let start = |realm: String| {
        Peer::start(move |request| match request.header("authorization") {
            Some(_) => Reply::ok("blob"),
            None => challenge(&realm, "repository:a/b:pull"),
        })
    };
    let (one, two) = (start(realm.clone()).await, start(realm).await);
    let registries = anonymous();
    for peer in [&one, &two, &one] {
        repository(&registries, peer).stat_blob(&blob()).await.unwrap();
    }
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test]
async fn m034_a_service_on_loopback_may_see_the_credentials_of_a_registry_there() {
    let service = Peer::start(|request| match request.header("authorization") {
        Some(_) => Reply::json(r#"{"access_token":"t"}"#),
        None => Reply::status(401),
    })
    .await;
    let realm = service.url("/token");
    let peer = Peer::start(move |request| match request.header("authorization") {
        Some("Bearer t") => Reply::ok("blob"),
        _ => challenge(&realm, ""),
    })
    .await;
    repository(&with_password(&peer, "secret"), &peer).stat_blob(&blob()).await.unwrap();
    assert_eq!(service.seen()[0].header("authorization"), Some(&*basic("secret")));
}

#[tokio::test]
async fn m035_m036_m037_no_request_goes_to_a_service_that_is_not_trusted() {
    for realm in [
        "http://169.254.169.254/token",
        "http://10.0.0.1/",
        "http://evil.test/token",
        "gopher://x/",
        "http://u:p@127.0.0.1/",
    ] {
        let peer = Peer::start(move |_| challenge(realm, "")).await;
        let error = repository(&with_password(&peer, "secret"), &peer).stat_blob(&blob()).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { fault: Fault::UntrustedRealm(_), .. }), "{error:?}");
        assert_eq!(peer.seen().len(), 1);
    }
}

#[tokio::test]
async fn m038_a_token_service_does_not_send_us_elsewhere() {
    let elsewhere = Peer::start(|_| Reply::json(r#"{"token":"t"}"#)).await;
    let to = elsewhere.url("/token");
    let service = Peer::start(move |_| Reply::redirect(307, &*to)).await;
    let realm = service.url("/token");
    let peer = Peer::start(move |_| challenge(&realm, "")).await;
    let error = repository(&with_password(&peer, "secret"), &peer).stat_blob(&blob()).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. }), "{error:?}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn m042_a_registry_that_refuses_every_token_is_given_up() {
    let service = Peer::start(|_| Reply::json(r#"{"token":"t"}"#)).await;
    let realm = service.url("/token");
    let peer = Peer::start(move |_| challenge(&realm, "repository:a/b:pull")).await;
    let error = repository(&with_password(&peer, "secret"), &peer).stat_blob(&blob()).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["the test"]), "{error:?}");
    assert_eq!((service.seen().len(), peer.seen().len()), (2, 3));
}

#[tokio::test]
async fn m047_a_wrong_password_is_shown_once_and_named() {
    let peer = token_registry("right", |_| Reply::ok("blob")).await;
    let error = repository(&with_password(&peer, "wrong"), &peer).stat_blob(&blob()).await.unwrap_err();
    assert!(error.to_string().ends_with("refused the credentials (tried: the test)"), "{error}");
    let shown = peer.seen().iter().filter(|request| request.header("authorization").is_some()).count();
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn the_next_credential_is_tried_after_a_refusal_of_either_kind() {
    let peer = token_registry("right", |_| Reply::ok("blob")).await;
    let credentials = vec![login(&peer, "first", "wrong"), login(&peer, "second", "right")];
    let registries = Registries::new(options(&TestClock::new(), credentials));
    let repository_there = repository(&registries, &peer);
    repository_there.stat_blob(&blob()).await.unwrap();
    let asked = peer.seen().len();
    repository_there.stat_blob(&blob()).await.unwrap();
    assert_eq!(peer.seen().len(), asked + 1);

    let denying = Peer::start(|request| match request.header("authorization") {
        Some(shown) if shown == basic("two") => Reply::ok("blob"),
        Some(_) => Reply::status(403).body(r#"{"errors":[{"code":"DENIED","message":"not you"}]}"#),
        None => Reply::status(401).header("www-authenticate", "Basic"),
    })
    .await;
    let credentials = vec![login(&denying, "first", "one"), login(&denying, "second", "two")];
    let registries = Registries::new(options(&TestClock::new(), credentials));
    repository(&registries, &denying).stat_blob(&blob()).await.unwrap();

    let credentials = vec![login(&denying, "first", "one"), Arc::new(Anonymous) as Arc<dyn Credentials>];
    let registries = Registries::new(options(&TestClock::new(), credentials));
    let error = repository(&registries, &denying).manifest(&crate::setup::tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().ends_with("DENIED: not you"), "{error}");
}

#[tokio::test]
async fn a_kept_token_that_was_revoked_costs_one_round_and_is_gone() {
    let valid = Arc::new(Mutex::new(0));
    let (counter, realm) = (valid.clone(), Arc::new(Mutex::new(String::new())));
    let own = realm.clone();
    let peer = Peer::start(move |request| {
        let mut valid = counter.lock().unwrap();
        if request.is("GET /token") {
            *valid += 1;
            return Reply::json(&format!("{{\"token\":\"t{valid}\",\"expires_in\":3000}}"));
        }
        match request.header("authorization") {
            Some(shown) if *shown == format!("Bearer t{valid}") => Reply::ok("blob"),
            _ => challenge(&own.lock().unwrap(), "repository:a/b:pull"),
        }
    })
    .await;
    *realm.lock().unwrap() = peer.url("/token");
    let repository = repository(&anonymous(), &peer);
    repository.stat_blob(&blob()).await.unwrap();
    *valid.lock().unwrap() = 10;
    repository.stat_blob(&blob()).await.unwrap();
    repository.stat_blob(&blob()).await.unwrap();
    assert_eq!(token_requests(&peer), 2);
    assert_eq!(peer.seen().len(), 3 + 3 + 1);
}

#[tokio::test]
async fn m045_a_token_is_used_until_it_ends() {
    let (clock, peer) = (TestClock::new(), token_registry("secret", |_| Reply::ok("blob")).await);
    let registries = Registries::new(options(&clock, vec![login(&peer, "x", "secret")]));
    let repository = repository(&registries, &peer);
    for (after, expect) in [(0, 1), (269, 1), (2, 2)] {
        clock.advance(std::time::Duration::from_secs(after));
        repository.stat_blob(&blob()).await.unwrap();
        assert_eq!(token_requests(&peer), expect);
    }
}

#[tokio::test]
async fn tokens_of_ones_own_are_shown_as_they_are() {
    let realm = Arc::new(Mutex::new(String::new()));
    let own = realm.clone();
    let peer = Peer::start(move |request| {
        if request.is("POST /token") {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let is_refresh = form.contains("grant_type=refresh_token") && form.contains("refresh_token=identity");
            return if is_refresh { Reply::json(r#"{"access_token":"own"}"#) } else { Reply::status(400) };
        }
        match request.header("authorization") {
            Some("Bearer own") => Reply::ok("blob"),
            _ => challenge(&own.lock().unwrap(), ""),
        }
    })
    .await;
    *realm.lock().unwrap() = peer.url("/token");
    for credential in [Credential::Bearer("own".into()), Credential::Identity("identity".into())] {
        let credentials: Arc<dyn Credentials> = Arc::new(Static::new(peer.host.clone(), "given", credential));
        let registries = Registries::new(options(&TestClock::new(), vec![credentials]));
        repository(&registries, &peer).stat_blob(&blob()).await.unwrap();
    }
}

#[tokio::test]
async fn explicit_credentials_are_for_their_host_alone() {
    let host = |text: &str| Host::parse(text).unwrap();
    let given = Static::new(host("r.test"), "flags", Credential::Bearer("t".into()));
    for (asked, expect) in [("r.test", 1), ("R.test", 1), ("r.test:443", 0), ("r.test.evil", 0), ("x.r.test", 0)] {
        assert_eq!(given.candidates(&host(asked), None).await.unwrap().len(), expect, "{asked}");
    }
    let hub = Static::new(host("docker.io"), "flags", Credential::Bearer("t".into()));
    assert_eq!(hub.candidates(&host("registry-1.docker.io"), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn m053_secrets_do_not_show() {
    let peer = token_registry("hunter2", |request| Reply::blob(request, &bytes(10))).await;
    let registries = with_password(&peer, "hunter2");
    let repository = repository(&registries, &peer);
    collect(repository.blob_part(&blob(), 0..5).await.unwrap().stream).await.unwrap();
    let credential = Credential::Basic { username: "u".into(), password: Secret::new("hunter2") };
    let candidate = Candidate { from: "x".into(), credential };
    let shown = format!("{registries:?} {registries:#?} {repository:?} {candidate:?} {:?}", Options::default());
    for secret in ["hunter2", "Bearer good", "\"good\"", &basic("hunter2")[6..]] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("***"));
}

#[tokio::test]
async fn m172_what_a_registry_echoes_of_a_secret_is_not_passed_on() {
    let peer = Peer::start(|request| match request.header("authorization") {
        Some(shown) => Reply::status(403).body(format!("you sent {shown}\u{1b}[31m")),
        None => Reply::status(401).header("www-authenticate", "Basic"),
    })
    .await;
    let error =
        repository(&with_password(&peer, "hunter2"), &peer).manifest(&crate::setup::tag("v")).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(&basic("hunter2")[6..]), "{shown}");
    assert!(error.to_string().ends_with("you sent Basic ***\\u{1b}[31m"), "{error}");
}

#[tokio::test]
async fn m172_a_password_or_refresh_token_that_a_token_service_echoes_is_not_passed_on() {
    for credential in [
        Credential::Basic { username: "user".into(), password: "hunter2".into() },
        Credential::Identity("hunter2".into()),
    ] {
        let own = Arc::new(Mutex::new(String::new()));
        let host = own.clone();
        let peer = Peer::start(move |request| match request.target.split('?').next() {
            Some("/token") => Reply::status(401).body("no such password: hunter2"),
            _ => challenge(&format!("{}/token", host.lock().unwrap()), "repository:a/b:pull"),
        })
        .await;
        *own.lock().unwrap() = peer.url("");
        let given = Arc::new(Static::new(peer.host.clone(), "the test", credential));
        let registries = Registries::new(options(&TestClock::new(), vec![given]));
        let error = repository(&registries, &peer).manifest(&crate::setup::tag("v")).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("no such password: ***") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn m042_a_registry_that_wants_more_of_every_token_is_given_up() {
    for (given, expect) in [(Credential::Anonymous, 2), (Credential::Bearer("t".into()), 0)] {
        let (error, tokens) = want_more(given).await;
        assert_eq!((error.kind(), tokens), (ErrorKind::Unauthorized, expect));
    }
}

/// What a client with `credential`, and the requests for tokens, come to at a registry that wants more of every token.
async fn want_more(credential: Credential) -> (Error, usize) {
    let own = Arc::new(Mutex::new(String::new()));
    let host = own.clone();
    let mut asked = 0;
    let peer = Peer::start(move |request| {
        if request.is("GET /token") {
            return Reply::json(r#"{"token":"t"}"#);
        }
        asked += 1;
        // A blob in the end, so that a client without a bound shows by its requests instead of never ending.
        if asked > 40 {
            return Reply::ok("blob");
        }
        challenge(&format!("{}/token", host.lock().unwrap()), &format!("repository:a/b{asked}:pull"))
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    let given = Arc::new(Static::new(peer.host.clone(), "the test", credential));
    let registries = Registries::new(options(&TestClock::new(), vec![given]));
    (repository(&registries, &peer).stat_blob(&blob()).await.unwrap_err(), token_requests(&peer))
}
