//! A mirror over a store on disk, asked without a socket in between.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Empty};
use refs_registry::{
    Clock, Descriptor, MediaType, Payload, Proxies, Registries, Replay, Resolver, Retry,
    auth::{Anonymous, Credentials},
};
use refs_server::{Mirror, MirrorOptions, Options, Route, Server, TagOptions, Upstream};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{FakeRegistry, Image};
use refs_url::{Digest, Host, RepoName};
use tempfile::TempDir;
use tokio::sync::watch;

/// Longer than any test takes: whoever waits for another by the real clock is not to lose patience.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A clock that goes on when it is told to.
#[derive(Debug)]
pub(super) struct Calendar {
    begun: (Instant, SystemTime),
    passed: watch::Sender<Duration>,
    /// Until when each waits who has not seen yet that it went on.
    sleepers: watch::Sender<Vec<Duration>>,
}

/// One who waits.
struct Sleeper<'a> {
    until: Duration,
    among: &'a watch::Sender<Vec<Duration>>,
}

#[async_trait]
impl Clock for Calendar {
    fn now(&self) -> Instant {
        self.begun.0 + *self.passed.borrow()
    }

    async fn sleep(&self, wait: Duration) {
        let mut passed = self.passed.subscribe();
        let until = *passed.borrow() + wait;
        self.sleepers.send_modify(|sleepers| sleepers.push(until));
        let _asleep = Sleeper { until, among: &self.sleepers };
        passed.wait_for(|passed| *passed >= until).await.unwrap();
    }

    fn date(&self) -> SystemTime {
        self.begun.1 + *self.passed.borrow()
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.among.send_modify(|sleepers| {
            let own = sleepers.iter().position(|until| *until == self.until).unwrap();
            sleepers.swap_remove(own);
        });
    }
}

/// A mirror and what it keeps.
pub(super) struct Rig {
    pub(super) server: Server,
    pub(super) store: DiskStore,
    calendar: Arc<Calendar>,
    folder: TempDir,
}

/// What a client was given.
pub(super) struct Given {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `None` when it broke off.
    pub(super) body: Option<Bytes>,
}

/// How an upstream is read: once, by who `credentials` are.
pub(super) fn registries(credentials: Arc<dyn Credentials>) -> Arc<dyn Resolver> {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let options = refs_registry::Options { retry, credentials, proxies: Proxies::Ignored, ..Default::default() };
    Arc::new(Registries::new(options))
}

/// The upstream `registry`, whose repositories begin with `prefix` here, and are all others where that is empty.
pub(crate) fn upstream(prefix: &str, host: Host) -> Upstream {
    let prefix = (!prefix.is_empty()).then(|| RepoName::parse(prefix).unwrap());
    let route = Route { prefix, ..Route::new(host) };
    Upstream { route, registry: registries(Arc::new(Anonymous)), tags: TagOptions::default() }
}

impl Rig {
    /// A mirror of `registry`, whose names are the same here.
    pub(super) fn of(registry: &FakeRegistry) -> Self {
        Self::new(vec![upstream("", registry.host())])
    }

    pub(super) fn new(upstreams: Vec<Upstream>) -> Self {
        Self::with_options(upstreams, &Options::default())
    }

    pub(super) fn with_options(upstreams: Vec<Upstream>, options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calendar = Calendar {
            begun: (Instant::now(), SystemTime::now()),
            passed: watch::Sender::default(),
            sleepers: watch::Sender::default(),
        };
        let calendar = Arc::new(calendar);
        Self::over(folder, calendar, upstreams, options)
    }

    /// The same after a restart, with other upstreams.
    pub(super) fn restarted(self, upstreams: Vec<Upstream>) -> Self {
        let Self { calendar, folder, .. } = self;
        Self::over(folder, calendar, upstreams, &Options::default())
    }

    fn over(folder: TempDir, calendar: Arc<Calendar>, upstreams: Vec<Upstream>, options: &Options) -> Self {
        // A store makes its folder for its owner alone.
        let patient = DiskOptions { patience: FOR_EVER, ..DiskOptions::default() };
        let store = DiskStore::new(folder.path().join("store"), &patient);
        let clock = Arc::<Calendar>::clone(&calendar);
        let mirror = Mirror::new(upstreams, Arc::new(store.clone()), &MirrorOptions { clock }).unwrap();
        Self { server: Server::mirror(mirror, options), store, calendar, folder }
    }

    /// Leaves the first `bytes` of what is kept of a blob.
    pub(super) fn cut_off(&self, digest: &Digest, bytes: u64) {
        let path = self.store.path().join("blobs/sha256").join(digest.encoded());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
    }

    /// Puts `content` in the place of what is kept of a blob.
    pub(super) fn replace(&self, digest: &Digest, content: &[u8]) {
        let path = self.store.path().join("blobs/sha256").join(digest.encoded());
        fs::remove_file(&path).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn pass(&self, time: Duration) {
        self.calendar.passed.send_modify(|passed| *passed += time);
    }

    pub(super) fn now(&self) -> Instant {
        self.calendar.now()
    }

    /// Ends when so many wait for time to pass. Whose time has come does not count, if it has not had its turn since.
    pub(super) async fn waiting(&self, count: usize) {
        let passed = *self.calendar.passed.borrow();
        let wait = |sleepers: &Vec<Duration>| sleepers.iter().filter(|until| **until > passed).count() == count;
        self.calendar.sleepers.subscribe().wait_for(wait).await.unwrap();
    }

    pub(super) async fn get(&self, path: &str) -> Given {
        self.ask("GET", path, &[]).await
    }

    pub(super) async fn head(&self, path: &str) -> Given {
        self.ask("HEAD", path, &[]).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Given {
        Given::by(&self.server, request(method, path, headers)).await
    }
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Empty::new()).unwrap()
}

impl Given {
    pub(super) async fn by(server: &Server, request: Request<Empty<Bytes>>) -> Self {
        let (head, body) = server.answer(request).await.into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, and where the answer came from.
    pub(super) fn cache(&self) -> (u16, &str) {
        (self.status, self.header("x-cache"))
    }

    /// The status, and the code of an error: `404 NAME_UNKNOWN`.
    pub(super) fn refusal(&self) -> String {
        let body = self.body.clone().unwrap_or_default();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        format!("{} {}", self.status, json["errors"][0]["code"].as_str().unwrap_or_default())
    }

    /// All of the body.
    pub(super) fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap()
    }
}

/// Stores `bytes` in `repository` as a blob.
pub(crate) async fn blob(registry: &FakeRegistry, repository: &str, bytes: &[u8]) -> Digest {
    let bytes = Bytes::copy_from_slice(bytes);
    let descriptor = Descriptor::of(MediaType::OCI_LAYER, &bytes);
    let payload = Payload::Again(Replay::Bytes(bytes));
    registry.repository(repository).put_blob(&descriptor, payload).await.unwrap();
    descriptor.digest
}

/// Tags an artifact that consists of `content` in `repository`.
pub(super) async fn tagged(registry: &FakeRegistry, repository: &str, tag: &str, content: &str) -> Descriptor {
    Image::new()
        .file("file", content.to_owned())
        .push(&*registry.repository(repository), &[tag])
        .await
        .unwrap()
        .descriptor
}
