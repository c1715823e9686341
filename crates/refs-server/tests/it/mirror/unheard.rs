//! Upstreams that say nothing where nothing is known that could be given.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use refs_server::Upstream;
use refs_testkit::FakeRegistry;
use tokio::{join, sync::watch};

use super::{
    rig::{Given, Rig, blob, tagged, upstream},
    silent::Shy,
};

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(10);
const NEW: &str = "/v2/quiet/o/r/manifests/new";
/// One who waits does as one of a crowd, and by the upstream's patience.
const ONE: usize = 2;

/// A mirror of a registry that is silent, and one that is not.
struct Quiet {
    registry: FakeRegistry,
    other: FakeRegistry,
    rig: Rig,
    is_silent: Arc<watch::Sender<bool>>,
    last_heard: Arc<watch::Sender<Option<Instant>>>,
}

impl Quiet {
    async fn new() -> Self {
        let (registry, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
        let (is_silent, last_heard) = (Arc::new(watch::Sender::new(true)), Arc::<watch::Sender<_>>::default());
        let behind = upstream("quiet", registry.host());
        let (shown, signs) = (Arc::clone(&is_silent), Arc::clone(&last_heard));
        let shy = Shy { registry: Arc::clone(&behind.registry), is_silent: shown, last_heard: signs };
        let quiet = Upstream { registry: Arc::new(shy), ..behind };
        let rig = Rig::new(vec![quiet, upstream("loud", other.host())]);
        Self { registry, other, rig, is_silent, last_heard }
    }

    /// What is given to those who ask once the upstream's patience has passed.
    async fn asked_in_vain(&self, asked: &[(&str, String)]) -> Vec<Given> {
        let asking = join_all(asked.iter().map(|(method, path)| self.rig.ask(method, path, &[])));
        let (given, ()) = join!(asking, async {
            self.rig.waiting(ONE * asked.len()).await;
            self.rig.pass(PATIENCE);
        });
        given
    }
}

fn silent(given: &Given) -> (u16, &str) {
    (given.status, given.header("retry-after"))
}

#[tokio::test]
async fn a_silent_upstream_is_given_up_whatever_it_is_asked_for_and_the_next_are_told_at_once() {
    let quiet = Quiet::new().await;
    let digest = blob(&quiet.registry, "o/r", b"blob").await;
    let blob = format!("/v2/quiet/o/r/blobs/{digest}");
    let asked = [
        ("GET", NEW.to_owned()),
        ("HEAD", "/v2/quiet/o/r/manifests/other".to_owned()),
        ("GET", format!("/v2/quiet/o/r/manifests/sha256:{}", "0".repeat(64))),
        ("GET", blob.clone()),
        ("HEAD", blob.clone()),
        ("GET", "/v2/quiet/o/r/tags/list".to_owned()),
        ("GET", format!("/v2/quiet/o/r/referrers/{digest}")),
    ];
    for given in quiet.asked_in_vain(&asked).await {
        assert_eq!(silent(&given), (504, "10"), "{}", given.text());
    }
    for (method, path) in &asked {
        assert_eq!(silent(&quiet.rig.ask(method, path, &[]).await), (504, "10"), "{method} {path}");
    }
    tagged(&quiet.other, "o/r", "v1", "v1").await;
    assert_eq!(quiet.rig.get("/v2/loud/o/r/manifests/v1").await.cache(), (200, "MISS"));
}

#[tokio::test]
async fn one_tries_an_upstream_that_was_silent_and_when_it_speaks_all_do() {
    let quiet = Quiet::new().await;
    tagged(&quiet.registry, "o/r", "new", "new").await;
    quiet.asked_in_vain(&[("GET", NEW.to_owned())]).await;
    quiet.rig.pass(PAUSE);
    let (tried, told, ()) = join!(
        quiet.rig.get(NEW),
        async {
            quiet.rig.waiting(ONE).await;
            let told = quiet.rig.get("/v2/quiet/o/r/tags/list").await;
            quiet.is_silent.send_replace(false);
            told
        },
        async {}
    );
    assert_eq!((tried.cache(), silent(&told)), ((200, "MISS"), (504, "10")));
    assert_eq!(quiet.rig.get("/v2/quiet/o/r/tags/list").await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_gives_other_signs_of_life_is_waited_for() {
    let quiet = Quiet::new().await;
    tagged(&quiet.registry, "o/r", "new", "new").await;
    let (given, ()) = join!(quiet.rig.get(NEW), async {
        quiet.rig.waiting(ONE).await;
        quiet.last_heard.send_replace(Some(quiet.rig.now() + PATIENCE / 2));
        quiet.rig.pass(PATIENCE);
        // It is no longer prompt, and its upstream has half of its patience left.
        quiet.rig.waiting(1).await;
        quiet.is_silent.send_replace(false);
    });
    assert_eq!(given.cache(), (200, "MISS"));
}
