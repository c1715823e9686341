//! More requests than may wait for an upstream that says nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use refs_server::Options;
use refs_testkit::FakeRegistry;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    rig::{Given, Rig, blob},
    silent::silent_for,
};

/// Whoever has no answer by then waits as one of the crowd.
const PROMPT: Duration = Duration::from_secs(5);
/// So long it may take to give what is kept where there is no room in the crowd.
const KEPT: Duration = Duration::from_secs(1);
/// Who asks for what is new waits to be one of the crowd, and by the upstream's patience.
const NEW: usize = 2;
/// Who asks for what is known waits by its own patience, too.
const KNOWN: usize = 3;

/// A request as a task of its own.
fn asked(rig: &Arc<Rig>, method: &'static str, path: &str) -> JoinHandle<Given> {
    let (rig, path) = (Arc::clone(rig), path.to_owned());
    tokio::spawn(async move { rig.ask(method, &path, &[]).await })
}

/// What is given for a tag that is known, and one that is not, while two others wait for the upstream, and no more may.
async fn check(method: &'static str, patience: Duration) {
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent_for(&registry, patience, &Options { requests: 8, ..Options::default() }).await;
    let rig = Arc::new(rig);
    let crowd = ["a", "b"].map(|tag| asked(&rig, "GET", &format!("/v2/o/r/manifests/{tag}")));
    rig.waiting(2 * NEW).await;
    rig.pass(PROMPT);
    rig.waiting(2).await;
    let known = asked(&rig, method, "/v2/o/r/manifests/v1");
    let new = asked(&rig, "GET", "/v2/o/r/manifests/c");
    rig.waiting(2 + KNOWN + NEW).await;
    rig.pass(PROMPT);
    let known = known.await.unwrap();
    // What is kept is given without another step of the time. Who has nothing of it takes that long to be refused.
    assert_eq!(known.cache(), (200, "STALE"), "{method} {patience:?}");
    rig.pass(KEPT);
    let new = new.await.unwrap();
    assert_eq!((new.status, new.header("retry-after")), (503, "10"), "{method} {patience:?}");
    silence.send_replace(false);
    for waited in join_all(crowd).await {
        assert_eq!(waited.unwrap().refusal(), "404 MANIFEST_UNKNOWN", "{method} {patience:?}");
    }
}

#[tokio::test]
async fn what_is_known_is_given_where_too_many_wait() {
    for patience in [PROMPT, 4 * PROMPT] {
        check("GET", patience).await;
        check("HEAD", patience).await;
    }
}

#[tokio::test]
async fn m159_of_many_who_miss_one_blob_a_quarter_of_the_places_waits_and_the_rest_are_told_soon() {
    const ALL: usize = 1_000;
    const PLACES: usize = 400;
    const MOST: usize = PLACES / 4;
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent_for(&registry, PROMPT, &Options { requests: PLACES, ..Options::default() }).await;
    let rig = Arc::new(rig);
    let path = format!("/v2/o/r/blobs/{}", blob(&registry, "o/r", b"blob").await);
    registry.take_requests();
    let answered = Arc::new(watch::Sender::new(0));
    let asking = (0..ALL).map(|_| {
        let (asked, answered) = (asked(&rig, "GET", &path), Arc::clone(&answered));
        tokio::spawn(async move {
            let given = asked.await.unwrap();
            answered.send_modify(|answered| *answered += 1);
            (given.status, given.header("retry-after").to_owned())
        })
    });
    let asking: Vec<_> = asking.collect();
    told(&answered, ALL - PLACES).await;
    // Each waits to be one of the crowd, and one fetch by the upstream's patience.
    rig.waiting(PLACES + 1).await;
    rig.pass(PROMPT);
    rig.waiting(PLACES - MOST + 1).await;
    rig.pass(KEPT);
    told(&answered, ALL - MOST).await;
    assert_eq!(rig.server.load().requests, MOST);
    silence.send_replace(false);
    let mut counts = BTreeMap::new();
    for given in join_all(asking).await {
        *counts.entry(given.unwrap()).or_default() += 1;
    }
    let expected = [((200, ""), MOST), ((503, "1"), ALL - PLACES), ((503, "10"), PLACES - MOST)];
    assert_eq!(counts, expected.map(|((status, after), count)| ((status, after.to_owned()), count)).into());
    assert_eq!(registry.requests(), [format!("GET {path}")]);
}

/// Ends when so many were `answered`.
async fn told(answered: &watch::Sender<usize>, count: usize) {
    answered.subscribe().wait_for(|answered| *answered == count).await.unwrap();
}
