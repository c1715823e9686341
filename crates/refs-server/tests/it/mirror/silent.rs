//! Upstreams that take requests and say nothing.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{Blob, Descriptor, Filter, Manifest, Part, Resolver, Result, Resume, Source};
use refs_server::{Options, TagOptions, Upstream};
use refs_testkit::FakeRegistry;
use refs_url::{Digest, Host, RepoName, Tag, Target};
use tokio::{join, sync::watch};

use super::rig::{Rig, blob, tagged, upstream};

const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(5);
/// One who asks for a known tag waits for it by its patience, by that of its upstream, and as one of a crowd; who joins it,
/// without the upstream's.
const ONE: usize = 3;
const JOINED: usize = 2;
const PAUSE: Duration = Duration::from_secs(10);
const V1: &str = "/v2/o/r/manifests/v1";
const V2: &str = "/v2/o/r/manifests/v2";
const STALE: (u16, &str) = (200, "STALE");

/// A registry that passes no request on while it is silent.
#[derive(Debug)]
pub(super) struct Shy {
    pub(super) registry: Arc<dyn Resolver>,
    pub(super) is_silent: Arc<watch::Sender<bool>>,
    /// When it gave other signs of life.
    pub(super) last_heard: Arc<watch::Sender<Option<Instant>>>,
}

#[derive(Debug)]
struct ShyRepository {
    source: Arc<dyn Source>,
    is_silent: watch::Receiver<bool>,
    last_heard: watch::Receiver<Option<Instant>>,
}

impl ShyRepository {
    async fn heard(&self) {
        self.is_silent.clone().wait_for(|is_silent| !is_silent).await.unwrap();
    }
}

#[async_trait]
impl Source for ShyRepository {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.heard().await;
        self.source.resolve(target).await
    }
    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.heard().await;
        self.source.manifest(target).await
    }
    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.heard().await;
        self.source.blob(digest, from).await
    }
    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.heard().await;
        self.source.blob_part(digest, range).await
    }
    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.heard().await;
        self.source.stat_blob(digest).await
    }
    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::once(self.heard()).flat_map(move |()| self.source.tags(after.clone())).boxed()
    }
    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        let subject = subject.clone();
        stream::once(self.heard()).flat_map(move |()| self.source.referrers(&subject, filter.clone())).boxed()
    }
    fn last_heard(&self) -> Option<Instant> {
        *self.last_heard.borrow()
    }
}

impl Resolver for Shy {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        let source = self.registry.source(host, repository)?;
        let (is_silent, last_heard) = (self.is_silent.subscribe(), self.last_heard.subscribe());
        Ok(Arc::new(ShyRepository { source, is_silent, last_heard }))
    }
    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        self.registry.repositories(host)
    }
}

/// A mirror that knows `v1` and `v2` of a registry which is silent by now, as what it knew then is old; and what breaks the
/// silence.
async fn silent(registry: &FakeRegistry) -> (Rig, Arc<watch::Sender<bool>>) {
    silent_for(registry, PATIENCE, &Options::default()).await
}

/// The same, waited for so long where something is known.
pub(super) async fn silent_for(
    registry: &FakeRegistry,
    patience: Duration,
    options: &Options,
) -> (Rig, Arc<watch::Sender<bool>>) {
    let is_silent = Arc::new(watch::Sender::new(false));
    let behind = upstream("", registry.host());
    let tags = TagOptions { patience, ..behind.tags };
    let last_heard = Arc::default();
    let shy = Shy { registry: Arc::clone(&behind.registry), is_silent: Arc::clone(&is_silent), last_heard };
    let rig = Rig::with_options(vec![Upstream { registry: Arc::new(shy), tags, ..behind }], options);
    for tag in ["v1", "v2"] {
        tagged(registry, "o/r", tag, tag).await;
        rig.get(&format!("/v2/o/r/manifests/{tag}")).await;
    }
    rig.pass(6 * MINUTE);
    registry.take_requests();
    is_silent.send_replace(true);
    (rig, is_silent)
}

#[tokio::test]
async fn what_is_known_is_given_when_its_upstream_is_silent_for_too_long() {
    let registry = FakeRegistry::start().await;
    let (rig, _silence) = silent(&registry).await;
    // What was asked first is waited for still, for what it says in the end.
    for (asked_before, method) in ["GET", "HEAD"].into_iter().enumerate() {
        let (given, ()) = join!(rig.ask(method, V1, &[]), async {
            rig.waiting(ONE + asked_before).await;
            rig.pass(PATIENCE);
        });
        assert_eq!((given.cache(), given.header("warning")), (STALE, "110 - \"Response is Stale\""), "{method}");
        // For a while, nobody waits again, whichever tag it is for.
        assert_eq!((rig.head(V1).await.cache(), rig.get(V2).await.cache()), (STALE, STALE), "{method}");
        rig.pass(PAUSE);
    }
}

#[tokio::test]
async fn who_joins_waits_no_longer_than_who_was_first() {
    let registry = FakeRegistry::start().await;
    let (rig, _silence) = silent(&registry).await;
    let (first, second, other, ()) = join!(
        rig.get(V1),
        async {
            rig.waiting(ONE).await;
            rig.pass(PATIENCE / 2);
            rig.get(V1).await
        },
        async {
            rig.waiting(ONE + JOINED).await;
            rig.get(V2).await
        },
        async {
            rig.waiting(2 * ONE + JOINED).await;
            rig.pass(PATIENCE / 2);
        }
    );
    assert_eq!([first.cache(), second.cache(), other.cache()], [STALE; 3]);
}

#[tokio::test]
async fn what_a_silent_upstream_says_in_the_end_is_kept_and_it_is_asked_again() {
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent(&registry).await;
    let new = tagged(&registry, "o/r", "v1", "new").await;
    let (given, ()) = join!(rig.get(V1), async {
        rig.waiting(ONE).await;
        rig.pass(PATIENCE);
    });
    assert_eq!(given.cache(), STALE);
    silence.send_replace(false);
    loop {
        let given = rig.get(V1).await;
        if given.cache() != STALE {
            assert_eq!((given.status, given.header("docker-content-digest")), (200, new.digest.as_str()));
            break;
        }
    }
    registry.take_requests();
    assert_eq!(rig.get(V2).await.cache(), (200, "HIT"));
    assert_eq!(registry.requests(), [format!("HEAD {V2}")]);
}

#[tokio::test]
async fn a_range_beyond_the_end_of_what_is_kept_is_refused_when_its_upstream_is_silent_for_too_long() {
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent(&registry).await;
    silence.send_replace(false);
    let path = format!("/v2/o/r/blobs/{}", blob(&registry, "o/r", b"blob").await);
    assert_eq!(rig.get(&path).await.text(), "blob");
    silence.send_replace(true);
    let beyond = async || rig.ask("GET", &path, &[("range", "bytes=4-")]).await.refusal();
    let (refusal, ()) = join!(beyond(), async {
        rig.waiting(ONE).await;
        rig.pass(PATIENCE);
    });
    assert_eq!(refusal, "416 RANGE_INVALID");
    assert_eq!(beyond().await, "416 RANGE_INVALID");
    // That it tells no sizes says nothing of its tags.
    silence.send_replace(false);
    assert_eq!(rig.get(V1).await.cache(), (200, "HIT"));
}

#[tokio::test]
async fn a_range_beyond_the_end_of_a_file_that_was_cut_off_is_given_where_another_has_brought_the_whole_meanwhile() {
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent(&registry).await;
    silence.send_replace(false);
    let digest = blob(&registry, "o/r", &[7; 3000]).await;
    let path = format!("/v2/o/r/blobs/{digest}");
    rig.get(&path).await.bytes();
    rig.cut_off(&digest, 1000);
    silence.send_replace(true);
    let (given, ()) = join!(rig.ask("GET", &path, &[("range", "bytes=1500-1509")]), async {
        rig.waiting(ONE).await;
        rig.replace(&digest, &[7; 3000]);
        silence.send_replace(false);
    });
    assert_eq!((given.status, given.header("content-range")), (206, "bytes 1500-1509/3000"));
}

#[tokio::test]
async fn a_silent_upstream_is_waited_for_where_nothing_else_is_known() {
    let registry = FakeRegistry::start().await;
    let (rig, silence) = silent(&registry).await;
    tagged(&registry, "o/r", "v3", "v3").await;
    let (given, known, ()) = join!(rig.get("/v2/o/r/manifests/v3"), rig.get(V1), async {
        // Nothing is known of the one, whose only patience is that of its upstream.
        rig.waiting(2 * ONE - 1).await;
        rig.pass(PATIENCE);
        rig.waiting(2).await;
        silence.send_replace(false);
    });
    assert_eq!((given.cache(), known.cache()), ((200, "MISS"), STALE));
}
