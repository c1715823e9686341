//! Ranges of blobs that many ask for at a time.

use std::{pin::pin, sync::Arc};

use futures_util::{future::join_all, poll};
use refs_server::{Mirror, MirrorOptions, Options, Server, Upstream};
use refs_store::MemoryStore;
use refs_testkit::{Close, FakeRegistry, Fault, On};
use tokio::sync::watch;

use super::{
    rig::{Given, Rig, blob, request, upstream},
    silent::Shy,
};

/// A mirror of a registry that says nothing while it is silent. Nobody waits for a disk: whoever has begun waits for it.
struct Hushed {
    server: Server,
    is_silent: Arc<watch::Sender<bool>>,
}

impl Hushed {
    fn of(registry: &FakeRegistry) -> Self {
        let is_silent = Arc::new(watch::Sender::new(false));
        let behind = upstream("", registry.host());
        let shy = Shy { registry: behind.registry, is_silent: Arc::clone(&is_silent), last_heard: Arc::default() };
        let upstreams = vec![Upstream { registry: Arc::new(shy), ..behind }];
        let mirror = Mirror::new(upstreams, Arc::new(MemoryStore::new()), &MirrorOptions::default()).unwrap();
        Self { server: Server::mirror(mirror, &Options::default()), is_silent }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Given {
        Given::by(&self.server, request(method, path, headers)).await
    }

    /// What is given to thirty, all of whom have asked before the registry says anything.
    async fn asked_by_thirty(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<Given> {
        self.is_silent.send_replace(true);
        let mut all = pin!(join_all((0..30).map(|_| self.ask(method, path, headers))));
        assert!(poll!(&mut all).is_pending());
        self.is_silent.send_replace(false);
        all.await
    }
}

#[tokio::test]
async fn thirty_clients_who_ask_for_one_cold_range_cost_one_request_for_it() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 3_000_000]).await;
    let (hushed, path) = (Hushed::of(&registry), format!("/v2/o/r/blobs/{digest}"));
    let range = [("range", "bytes=1000000-1999999")];
    for given in hushed.asked_by_thirty("GET", &path, &range).await {
        assert_eq!((given.status, given.header("content-range")), (206, "bytes 1000000-1999999/3000000"));
        assert!(given.bytes() == [7; 1_000_000]);
    }
    let requests = registry.take_requests();
    assert_eq!(requests, [format!("HEAD {path}"), format!("GET {path}")]);
    assert_eq!(requests[1].sent, 1_000_000);
    assert_eq!(hushed.ask("GET", &path, &range).await.cache(), (206, "HIT"));
}

#[tokio::test]
async fn a_long_range_is_fetched_once_and_kept() {
    const LEN: usize = 34 << 20;
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &vec![7; LEN]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    // Along with its first byte, its size is learnt: none of those who come next asks for that.
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=0-0")]).await.status, 206);
    assert_eq!(registry.take_requests(), [format!("HEAD {path}"), format!("GET {path}")]);
    let ask = || rig.ask("GET", &path, &[("range", "bytes=1-")]);
    for given in join_all((0..3).map(|_| ask())).await {
        assert_eq!((given.status, given.bytes().len()), (206, LEN - 1));
    }
    assert_eq!(registry.take_requests(), [format!("GET {path}")]);
    assert_eq!(ask().await.cache(), (206, "HIT"));
}

#[tokio::test]
async fn a_range_beyond_the_end_of_a_file_that_was_cut_off_is_that_of_the_blob() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 3_000_000]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    rig.get(&path).await.bytes();
    rig.cut_off(&digest, 1_000_000);
    registry.take_requests();
    let beyond = [("range", "bytes=1500000-1500009")];
    let given = rig.ask("GET", &path, &beyond).await;
    assert_eq!((given.status, given.header("content-range")), (206, "bytes 1500000-1500009/3000000"));
    assert_eq!(registry.take_requests().last().unwrap().sent, 10);
    // What is beyond the blob, too, is refused as before, and nothing is dropped for that.
    assert!(rig.get(&path).await.bytes() == [7; 3_000_000]);
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=3000000-")]).await.header("content-range"), "bytes */3000000");
    assert_eq!(rig.get(&path).await.cache(), (200, "HIT"));
    // Nor where it is the upstream that is wrong.
    let wrong = Fault::Status { status: 200, headers: vec![("content-length", "5".to_owned())] };
    registry.fault(On::new(http::Method::HEAD, "/blobs/").always(), wrong);
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=3000000-")]).await.header("content-range"), "bytes */3000000");
    assert_eq!(rig.get(&path).await.cache(), (200, "HIT"));
}

#[tokio::test]
async fn a_range_beyond_the_end_of_a_file_that_was_cut_off_is_given_where_parts_were_read_before() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 3_000_000]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    assert_eq!(rig.ask("GET", &path, &[("range", "bytes=5-9")]).await.status, 206);
    rig.get(&path).await.bytes();
    rig.cut_off(&digest, 1_000_000);
    let given = rig.ask("GET", &path, &[("range", "bytes=1500000-1500009")]).await;
    assert_eq!((given.status, given.header("content-range")), (206, "bytes 1500000-1500009/3000000"));
}

#[tokio::test]
async fn all_of_a_blob_that_is_asked_for_as_a_range_is_verified_and_one_request_with_the_whole() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 3_000_000]).await;
    let rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    let whole = async { rig.get(&path).await.bytes() == [7; 3_000_000] };
    let ranged = join_all((0..5).map(|_| rig.ask("GET", &path, &[("range", "bytes=0-")])));
    let (is_right, ranged) = tokio::join!(whole, ranged);
    assert!(is_right);
    for given in ranged {
        assert_eq!((given.status, given.header("content-range")), (206, "bytes 0-2999999/3000000"));
        assert!(given.bytes() == [7; 3_000_000]);
    }
    let gets = registry.take_requests().into_iter().filter(|request| request.method == http::Method::GET);
    assert_eq!(gets.count(), 1);
    // Nobody is given all of what is wrong.
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 5 });
    let rig = Rig::of(&registry);
    let given = rig.ask("GET", &path, &[("range", "bytes=0-")]).await;
    assert_eq!((given.status, given.body), (206, None));
}

#[tokio::test]
async fn thirty_clients_who_ask_for_the_size_of_one_cold_blob_cost_one_request_at_a_time() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", b"hello world").await;
    let hushed = Hushed::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    let absent = format!("/v2/o/r/blobs/{}", refs_url::Digest::sha256(b"absent"));
    for (path, status) in [(&path, 200), (&absent, 404)] {
        let all = hushed.asked_by_thirty("HEAD", path, &[]).await;
        assert!(all.iter().all(|given| given.status == status), "{path}");
        assert_eq!(registry.take_requests(), [format!("HEAD {path}")]);
        // What it told counts for those alone who waited.
        assert_eq!(hushed.ask("HEAD", path, &[]).await.status, status);
        assert_eq!(registry.take_requests(), [format!("HEAD {path}")]);
    }
}

#[tokio::test]
async fn clients_of_a_range_whose_upstream_is_cut_are_given_the_rest_by_another_request() {
    let registry = FakeRegistry::start().await;
    let digest = blob(&registry, "o/r", &[7; 3_000_000]).await;
    registry.fault(On::get("/blobs/"), Fault::Cut { after: 500_000, close: Close::Fin });
    // Who came when the first request is cut already, and no other made yet, would make one of its own.
    let (hushed, path) = (Hushed::of(&registry), format!("/v2/o/r/blobs/{digest}"));
    let given = hushed.asked_by_thirty("GET", &path, &[("range", "bytes=1000000-1999999")]).await;
    let whole = given.iter().filter_map(|given| given.body.as_deref()).filter(|body| *body == [7; 1_000_000]);
    // The one who began may be cut off with the upstream.
    assert!(whole.count() >= 29);
    let gets = registry.requests().into_iter().filter(|request| request.method == http::Method::GET);
    let ranges: Vec<_> = gets.filter_map(|request| request.range).collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(ranges[1].ends_with("-1999999"), "{ranges:?}");
}

#[tokio::test]
async fn parts_that_nobody_could_verify_go_when_the_whole_blob_was_verified() {
    let registry = FakeRegistry::start().await;
    let content: Vec<u8> = (0..100_000).map(|n: u32| (n / 7) as u8).collect();
    let digest = blob(&registry, "o/r", &content).await;
    registry.fault(On::get("/blobs/"), Fault::Flip { at: 5 });
    let mut rig = Rig::of(&registry);
    let path = format!("/v2/o/r/blobs/{digest}");
    for cache in ["MISS", "HIT"] {
        let given = rig.ask("GET", &path, &[("range", "bytes=100-199")]).await;
        assert_eq!(given.cache(), (206, cache));
        assert_ne!(given.bytes(), &content[100..200], "no digest is of it");
        rig = rig.restarted(vec![upstream("", registry.host())]);
    }
    let whole = rig.get(&path).await;
    assert_eq!((whole.cache(), whole.bytes() == content), ((200, "MISS"), true));
    let given = rig.ask("GET", &path, &[("range", "bytes=100-199")]).await;
    assert_eq!((given.cache(), given.bytes()), ((206, "HIT"), &content[100..200]));
}
