//! What registries say besides their answers: warnings, and how much they still allow.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use refs_registry::{Options, RateLimit, Registries, Source, Warning, Warnings, auth::Anonymous};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, options, repository, tag},
};

type Told = Arc<Mutex<Vec<Warning>>>;

fn listening() -> (Registries, Told) {
    let told = Told::default();
    let list = told.clone();
    let warnings = Warnings::to(move |warning| list.lock().unwrap().push(warning.clone()));
    let options = Options { warnings, ..options(&TestClock::new(), vec![Arc::new(Anonymous)]) };
    (Registries::new(options), told)
}

#[tokio::test]
async fn warnings_are_told_once_whatever_the_answer_is() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        let status = [404, 200, 400][count % 3];
        Reply::status(status).header("warning", r#"299 - "moves soon", 299 - "and is slow""#)
    })
    .await;
    let (registries, told) = listening();
    let repository = repository(&registries, &peer);
    for _ in 0..4 {
        drop(repository.stat_blob(&Digest::sha256(b"x")).await);
    }
    let texts: Vec<_> = told.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["moves soon", "and is slow"].map(|text| format!("{} says: {text}", peer.host)));
    assert_eq!(peer.seen().len(), 4);
}

#[tokio::test]
async fn a_registry_warns_of_so_much_only() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        Reply::status(404).header("warning", format!("299 - \"{count}\""))
    })
    .await;
    let (registries, told) = listening();
    for _ in 0..40 {
        drop(repository(&registries, &peer).resolve(&tag("v1")).await);
    }
    assert_eq!(told.lock().unwrap().len(), 32);
}

#[tokio::test]
async fn a_content_network_is_not_listened_to() {
    let cdn = Peer::start(|_| Reply::ok("x").header("warning", r#"299 - "x""#).header("ratelimit-limit", "1")).await;
    let to = cdn.url("/x");
    let peer = Peer::start(move |_| Reply::redirect(307, to.clone())).await;
    let (registries, told) = listening();
    repository(&registries, &peer).stat_blob(&Digest::sha256(b"x")).await.unwrap();
    assert!(told.lock().unwrap().is_empty());
    assert_eq!(registries.registry(&peer.host).unwrap().rate_limit(), None);
}

#[tokio::test]
async fn what_a_registry_allows_is_known_from_its_last_answer() {
    let mut left = 77;
    let peer = Peer::start(move |request| {
        left -= 1;
        let reply = Reply::status(404);
        if request.method == "GET" {
            return reply;
        }
        reply
            .header("ratelimit-limit", "100;w=21600")
            .header("ratelimit-remaining", format!("{left};w=21600"))
            .header("docker-ratelimit-source", "192.0.2.7")
    })
    .await;
    let registries = anonymous();
    let registry = registries.registry(&peer.host).unwrap();
    assert_eq!(registry.rate_limit(), None);
    for remaining in [76, 75] {
        drop(repository(&registries, &peer).resolve(&tag("v1")).await);
        let window = Some(Duration::from_secs(21_600));
        let source = Some("192.0.2.7".to_owned());
        assert_eq!(registry.rate_limit(), Some(RateLimit { limit: 100, remaining: Some(remaining), window, source }));
    }
    drop(repository(&registries, &peer).manifest(&tag("v1")).await);
    assert!(registry.rate_limit().is_some(), "an answer without figures takes none away");
}
