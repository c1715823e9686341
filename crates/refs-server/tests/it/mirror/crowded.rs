//! More requests than may wait for an upstream that says nothing.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use refs_server::Options;
use refs_testkit::FakeRegistry;
use tokio::task::JoinHandle;

use super::{
    rig::{Given, Rig},
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

/// A request as a task of its own: all that wait for the time see it pass before anybody sees that they did.
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
