//! One fetch for all who ask, each of whom is given the bytes as they come.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Resolver, Result, Resume, Source, Verify, error::Wanted, verified,
};
use refs_server::{Body, Upstream};
use refs_store::Store;
use refs_url::{Digest, Host, RepoName, Tag, Target};
use tokio::sync::mpsc::{self, UnboundedSender};

use super::rig::{Rig, request, upstream};

/// A registry of one blob, whose bytes come when a test says so.
#[derive(Debug)]
struct Slow {
    digest: Digest,
    size: u64,
    reads: AtomicUsize,
    ranges: AtomicUsize,
    feeds: Mutex<Vec<UnboundedSender<Result<Bytes>>>>,
}

/// A reading of it.
struct Reading(Body);

impl Slow {
    fn of(content: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            digest: Digest::sha256(content),
            size: content.len() as u64,
            reads: AtomicUsize::new(0),
            ranges: AtomicUsize::new(0),
            feeds: Mutex::default(),
        })
    }

    fn feed(&self, piece: &[u8]) {
        drop(self.feeds.lock().unwrap().last().unwrap().send(Ok(Bytes::copy_from_slice(piece))));
    }

    fn end(&self) {
        self.feeds.lock().unwrap().clear();
    }

    fn fail(&self) {
        let cut = Error::NotFound { wanted: Wanted::Blob(self.digest.clone()), at: "the upstream".into(), code: None };
        drop(self.feeds.lock().unwrap().last().unwrap().send(Err(cut)));
        self.end();
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct SlowRegistry(Arc<Slow>);

#[async_trait]
impl Source for SlowRegistry {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        Err(Error::NotFound { wanted: Wanted::Manifest(target.clone()), at: "here".into(), code: None })
    }
    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        Err(Error::NotFound { wanted: Wanted::Manifest(target.clone()), at: "here".into(), code: None })
    }
    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        if *digest != self.0.digest {
            return Err(Error::NotFound { wanted: Wanted::Blob(digest.clone()), at: "here".into(), code: None });
        }
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let (feed, fed) = mpsc::unbounded_channel();
        self.0.feeds.lock().unwrap().push(feed);
        let pieces = stream::unfold(fed, |mut fed| async { Some((fed.recv().await?, fed)) });
        Ok(Blob { size: self.0.size, stream: verified(pieces.boxed(), Verify::new(digest, self.0.size, from)?) })
    }
    async fn blob_part(&self, digest: &Digest, _: Range<u64>) -> Result<Part> {
        self.0.ranges.fetch_add(1, Ordering::SeqCst);
        Err(Error::unsupported(Wanted::BlobPart(digest.clone()), "here"))
    }
    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok((*digest == self.0.digest).then_some(self.0.size))
    }
    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::empty().boxed()
    }
    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::empty().boxed()
    }
}

impl Resolver for SlowRegistry {
    fn source(&self, _: &Host, _: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Self(Arc::clone(&self.0))))
    }
    fn repositories(&self, _: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::empty().boxed()
    }
}

fn rig(slow: &Arc<Slow>) -> Rig {
    let behind = upstream("", Host::parse("up.test").unwrap());
    Rig::new(vec![Upstream { registry: Arc::new(SlowRegistry(Arc::clone(slow))), ..behind }])
}

async fn begin(rig: &Rig, digest: &Digest) -> Reading {
    let response = rig.server.answer(request("GET", &format!("/v2/o/r/blobs/{digest}"), &[])).await;
    assert_eq!((response.status().as_u16(), &response.headers()["x-cache"]), (200, &"MISS".parse().unwrap()));
    Reading(response.into_body())
}

impl Reading {
    async fn next(&mut self) -> Option<Bytes> {
        Some(self.0.frame().await?.unwrap().into_data().unwrap())
    }

    /// The rest; `None` when it breaks off.
    async fn rest(self) -> Option<Vec<u8>> {
        self.0.collect().await.ok().map(|body| body.to_bytes().to_vec())
    }
}

/// Some bytes that are no repetition.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * n / 7) as u8).collect()
}

#[tokio::test]
async fn m159_many_who_ask_cost_one_fetch_and_none_waits_for_its_end() {
    let content = content(600_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let mut first = begin(&rig, &slow.digest).await;
    slow.feed(&content[..300_000]);
    let mut given = first.next().await.unwrap().to_vec();
    let mut others = futures_util::future::join_all((0..100).map(|_| begin(&rig, &slow.digest))).await;
    for other in &mut others {
        // What has come so far is given to each, though no more may ever come.
        assert!(!other.next().await.unwrap().is_empty());
    }
    slow.feed(&content[300_000..]);
    slow.end();
    given.extend(first.rest().await.unwrap());
    assert!(given == content);
    for other in others {
        assert!(content.ends_with(&other.rest().await.unwrap()));
    }
    assert_eq!(slow.reads(), 1);
    assert_eq!(rig.get(&format!("/v2/o/r/blobs/{}", slow.digest)).await.cache(), (200, "HIT"));
}

#[tokio::test]
async fn m155_a_fetch_outlives_the_client_who_began_it() {
    let content = content(600_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let mut leaving = begin(&rig, &slow.digest).await;
    slow.feed(&content[..300_000]);
    leaving.next().await.unwrap();
    let staying = begin(&rig, &slow.digest).await;
    drop(leaving);
    slow.feed(&content[300_000..]);
    slow.end();
    assert!(staying.rest().await.unwrap() == content);
    assert_eq!(slow.reads(), 1);
}

#[tokio::test]
async fn m155_a_fetch_that_nobody_reads_is_kept_for_whoever_comes_next() {
    let content = content(600_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let mut leaving = begin(&rig, &slow.digest).await;
    slow.feed(&content[..300_000]);
    leaving.next().await.unwrap();
    drop(leaving);
    slow.feed(&content[300_000..]);
    slow.end();
    let given = rig.get(&format!("/v2/o/r/blobs/{}", slow.digest)).await;
    assert_eq!((given.status, given.bytes() == content, slow.reads()), (200, true, 1));
}

#[tokio::test]
async fn a_failure_is_told_to_all_and_the_next_one_tries_again() {
    let content = content(600_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let (one, two) = (begin(&rig, &slow.digest).await, begin(&rig, &slow.digest).await);
    slow.feed(&content[..300_000]);
    slow.fail();
    assert_eq!((one.rest().await, two.rest().await), (None, None));
    let again = begin(&rig, &slow.digest).await;
    slow.feed(&content);
    slow.end();
    assert!(again.rest().await.unwrap() == content);
    assert_eq!(slow.reads(), 2);
}

#[tokio::test]
async fn m153_wrong_bytes_reach_none_of_those_who_wait_in_full() {
    let content = content(600_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let (one, two) = (begin(&rig, &slow.digest).await, begin(&rig, &slow.digest).await);
    slow.feed(&[0; 600_000]);
    slow.end();
    assert_eq!((one.rest().await, two.rest().await), (None, None));
    assert_eq!(rig.store.stat(&slow.digest).await.unwrap(), None);
}

#[tokio::test]
async fn fetches_of_other_blobs_do_not_wait() {
    let slow = Slow::of(&content(600_000));
    let rig = rig(&slow);
    let _waiting = begin(&rig, &slow.digest).await;
    let given = rig.get(&format!("/v2/o/r/blobs/{}", Digest::sha256(b"other"))).await;
    assert_eq!(given.refusal(), "404 BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_range_of_a_registry_without_ranges_is_answered_with_the_whole() {
    let content = content(1_000);
    let slow = Slow::of(&content);
    let rig = rig(&slow);
    let path = format!("/v2/o/r/blobs/{}", slow.digest);
    let response = rig.server.answer(request("GET", &path, &[("range", "bytes=10-19")])).await;
    slow.feed(&content);
    slow.end();
    assert_eq!(response.status(), 200);
    assert!(Reading(response.into_body()).rest().await.unwrap() == content);
    assert_eq!(slow.ranges.load(Ordering::SeqCst), 1);
}
