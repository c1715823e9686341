//! How many requests a host is sent, and how many are repeated.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use refs_registry::{Clock, Error, Options, Registries, Repository, Resume, Retry, Source, auth::Anonymous};
use refs_testkit::{FakeRegistry, Seen};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, bytes, collect, options, repository, tag},
};

fn refused(seen: &[Seen]) -> usize {
    seen.iter().filter(|request| request.status == 429).count()
}

async fn blob(registry: &FakeRegistry) -> Digest {
    let content = bytes::Bytes::from_static(b"blob");
    let blob = refs_registry::Descriptor::of(refs_registry::MediaType::OCI_LAYER, &content);
    registry.repository("a/b").put_blob(&blob, content.into()).await.unwrap();
    blob.digest
}

fn client(registry: &FakeRegistry) -> Repository {
    anonymous().repository(&registry.host(), &RepoName::parse("a/b").unwrap()).unwrap()
}

#[tokio::test]
async fn requests_at_once_settle_at_what_the_registry_bears() {
    const BORNE: usize = 6;
    let registry = FakeRegistry::builder().at_once(BORNE).start().await;
    let (repository, digest) = (client(&registry), blob(&registry).await);
    let asked = stream::iter(0..600).map(|_| repository.stat_blob(&digest)).buffer_unordered(64);
    let answers: Vec<_> = asked.collect().await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(4)))), "{answers:?}");
    let seen = registry.requests();
    let late = &seen[seen.len() / 2..];
    assert!(refused(&seen) > 0);
    assert!(refused(late) * 8 < late.len(), "{} of {} refused", refused(late), late.len());
}

#[tokio::test]
async fn a_sign_of_life_is_any_answer_and_a_wait_that_was_asked_for() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        if count == 1 { Reply::status(429).header("retry-after", "7") } else { Reply::ok("blob") }
    })
    .await;
    let clock = TestClock::new();
    let retry = Retry { attempts: 1, ..Retry::default() };
    let registries = Registries::new(Options { retry, ..options(&clock, vec![Arc::new(Anonymous)]) });
    let repository = repository(&registries, &peer);
    assert_eq!(repository.last_heard(), None);
    repository.stat_blob(&Digest::sha256(b"one")).await.unwrap_err();
    assert_eq!(repository.last_heard(), Some(clock.now() + Duration::from_secs(7)));
    clock.advance(Duration::from_secs(60));
    repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap();
    assert_eq!(repository.last_heard(), Some(clock.now()));
}

/// Reads a blob in pieces with some time between them: how long after its beginning `registry` was last heard of.
async fn heard_while_it_came(registry: &Peer, digest: &Digest) -> Duration {
    let clock = TestClock::new();
    let repository = repository(&Registries::new(options(&clock, vec![Arc::new(Anonymous)])), registry);
    let began = clock.now();
    let mut stream = repository.blob(digest, Resume::START).await.unwrap().stream;
    while let Some(piece) = stream.next().await {
        piece.unwrap();
        clock.advance(Duration::from_secs(2));
    }
    repository.last_heard().unwrap() - began
}

#[tokio::test]
async fn a_sign_of_life_is_more_of_a_blob_unless_another_host_gives_it() {
    // A small one is given in one piece.
    let blob = bytes(3_000_000);
    let digest = Digest::sha256(&blob);
    let network = Peer::start(move |_| Reply::ok(&*blob)).await;
    assert!(heard_while_it_came(&network, &digest).await > Duration::ZERO);
    let to = network.url("/blob");
    let leading = Peer::start(move |_| Reply::redirect(307, &*to)).await;
    assert_eq!(heard_while_it_came(&leading, &digest).await, Duration::ZERO);
}

#[tokio::test]
async fn a_sign_of_life_is_an_answer_that_leads_to_a_host_which_gives_none_and_a_document_from_there() {
    let (clock, passing) = (TestClock::new(), Duration::from_secs(9));
    let passed = Arc::clone(&clock);
    let network = Peer::start(move |request| {
        passed.advance(passing);
        if request.target.contains("/blobs/") { Reply::dropped() } else { Reply::ok("{}") }
    })
    .await;
    let to = network.url("");
    let peer = Peer::start(move |request| Reply::redirect(307, format!("{to}{}", request.target))).await;
    let retry = Retry { attempts: 1, ..Retry::default() };
    let registries = Registries::new(Options { retry, ..options(&clock, vec![Arc::new(Anonymous)]) });
    let (repository, began) = (repository(&registries, &peer), clock.now());
    repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap_err();
    assert_eq!(repository.last_heard(), Some(began));
    repository.manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(repository.last_heard(), Some(began + 2 * passing));
}

#[tokio::test]
async fn a_wait_that_one_request_is_asked_for_is_kept_by_all_to_the_host() {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        if count == 1 { Reply::status(429).header("retry-after", "7") } else { Reply::ok("blob") }
    })
    .await;
    let clock = TestClock::new();
    let retry = Retry { attempts: 1, ..Retry::default() };
    let registries = Registries::new(Options { retry, ..options(&clock, vec![Arc::new(Anonymous)]) });
    let error = repository(&registries, &peer).stat_blob(&Digest::sha256(b"one")).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    assert!(clock.waits().is_empty());
    let other = registries.repository(&peer.host, &RepoName::parse("other").unwrap()).unwrap();
    assert_eq!(other.stat_blob(&Digest::sha256(b"blob")).await.unwrap(), Some(4));
    assert_eq!(clock.waits(), [Duration::from_secs(7)]);
}

#[tokio::test]
async fn a_wait_beyond_the_bound_is_of_the_one_request_alone() {
    let peer = Peer::start(|request| match request.target.contains("/manifests/") {
        true => Reply::status(429).header("retry-after", "3600"),
        false => Reply::ok("blob"),
    })
    .await;
    let clock = TestClock::new();
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    let repository = repository(&registries, &peer);
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(_), .. }), "{error:?}");
    assert_eq!(repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap(), Some(4));
    assert!(clock.waits().is_empty());
}

#[tokio::test]
async fn a_storm_of_retries_ends_early_with_the_first_error() {
    let mut seen = std::collections::HashSet::new();
    let peer = Peer::start(move |request| match seen.insert(request.target.clone()) {
        true => Reply::status(500),
        false => Reply::status(502),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let mut statuses = Vec::new();
    for nth in 0..100 {
        match repository.manifest(&tag(&format!("v{nth}"))).await {
            Err(Error::Refused { status, .. }) => statuses.push(status),
            other => panic!("{other:?}"),
        }
    }
    // Seven operations spend 28 of the 30 retries at hand, the eighth two; ten more are earned by the hundred.
    assert_eq!(statuses, [vec![502; 7], vec![500; 93]].concat());
    assert!((138..=140).contains(&peer.seen().len()), "{}", peer.seen().len());
}

#[tokio::test]
async fn a_blob_that_gets_on_is_no_storm_however_often_it_is_cut() {
    const PIECE: usize = 70_000;
    let blob = bytes(PIECE * 50);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let peer = Peer::start(move |request| {
        let range = request.header("range").map_or("0", |range| &range["bytes=".len()..range.len() - 1]);
        let left = served.len() - range.parse::<usize>().unwrap();
        Reply::blob(request, &served).cut_at(PIECE.min(left))
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    assert_eq!(peer.seen().len(), 50);
}
