//! A client for tests: its clock passes no time, and its credentials are given.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    ByteStream, Clock, Options, Registries, Repository, Result, Timeouts,
    auth::{Anonymous, Chain, Credential, Credentials, Static},
    hosts::{HostSettings, Hosts, Origin, Scope, Set},
};
use refs_url::{Digest, Host, RepoName, Tag, Target};
use tokio::sync::Notify;

use crate::peer::{Peer, Reply, Request};

/// A clock that jumps over every wait, and notes it. Deadlines pass when the test says so.
#[derive(Debug)]
pub(crate) struct TestClock {
    start: Instant,
    waits: Mutex<Vec<Duration>>,
    deadline: Notify,
}

pub(crate) const DEADLINES: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    headers: Duration::from_secs(61),
    idle: Duration::from_secs(31),
    ping: None,
};

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), waits: Mutex::default(), deadline: Notify::new() })
    }

    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }

    /// Lets one deadline pass, the next one to be waited for if there is none.
    pub(crate) fn pass_deadline(&self) {
        self.deadline.notify_one();
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.waits.lock().unwrap().push(time);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.start + self.waits.lock().unwrap().iter().sum::<Duration>()
    }

    async fn sleep(&self, wait: Duration) {
        if wait == DEADLINES.headers || wait == DEADLINES.idle {
            return self.deadline.notified().await;
        }
        self.advance(wait);
    }
}

pub(crate) fn options(clock: &Arc<TestClock>, credentials: Vec<Arc<dyn Credentials>>) -> Options {
    let clock = clock.clone();
    Options { clock, timeouts: DEADLINES, credentials: Arc::new(Chain::new(credentials)), ..Options::default() }
}

/// Settings with which `plain` are spoken to without TLS, and all hosts are trusted that `ca` vouches for.
pub(crate) fn hosts(plain: impl IntoIterator<Item = Host>, ca: Option<PathBuf>) -> Hosts {
    let from = Origin::Given("the test");
    let ca = ca.into_iter().map(|value| Set { value, from: from.clone() }).collect();
    let every = Hosts::default().with(Scope::Every, HostSettings { ca, ..HostSettings::default() });
    plain.into_iter().fold(every, |hosts, host| hosts.with(Scope::One(host), HostSettings::plain(from.clone())))
}

pub(crate) fn anonymous() -> Registries {
    Registries::new(options(&TestClock::new(), vec![Arc::new(Anonymous)]))
}

pub(crate) fn login(peer: &Peer, from: &str, password: &str) -> Arc<dyn Credentials> {
    let credential = Credential::Basic { username: "user".into(), password: password.into() };
    Arc::new(Static::new(peer.host.clone(), from, credential))
}

/// Shows user and password, then nothing.
pub(crate) fn with_password(peer: &Peer, password: &str) -> Registries {
    let credentials = vec![login(peer, "the test", password), Arc::new(Anonymous)];
    Registries::new(options(&TestClock::new(), credentials))
}

pub(crate) fn name() -> RepoName {
    RepoName::parse("a/b").unwrap()
}

pub(crate) fn repository(registries: &Registries, peer: &Peer) -> Repository {
    registries.repository(&peer.host, &name()).unwrap()
}

pub(crate) fn tag(text: &str) -> Target {
    Target::Tag(Tag::parse(text).unwrap())
}

pub(crate) fn at(digest: &Digest) -> Target {
    Target::Digest(digest.clone())
}

pub(crate) async fn collect(stream: ByteStream) -> Result<Bytes> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat().into())
}

/// Bytes that differ everywhere.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..len).map(|_| random.u8(..)).collect()
}

/// `Basic` with the user's `password`.
pub(crate) fn basic(password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("user:{password}")))
}

/// A registry's demand for a token of the service at `realm`.
pub(crate) fn challenge(realm: &str, scope: &str) -> Reply {
    let demand = format!("Bearer realm=\"{realm}\",service=\"r.test\",scope=\"{scope}\"");
    Reply::status(401).header("www-authenticate", demand)
}

/// A registry with a token service of its own: each request to `/v2/` needs the token that `/token` gives to the one with
/// the password.
pub(crate) async fn token_registry(
    password: &'static str,
    mut inner: impl FnMut(&Request) -> Reply + Send + 'static,
) -> Peer {
    let own = Arc::new(Mutex::new(String::new()));
    let host = own.clone();
    let peer = Peer::start(move |request| {
        if request.is("GET /token") {
            let is_known = request.header("authorization") == Some(&basic(password));
            return if is_known { Reply::json(r#"{"token":"good","expires_in":300}"#) } else { Reply::status(401) };
        }
        match request.header("authorization") {
            Some("Bearer good") => inner(request),
            _ => challenge(&format!("{}/token", host.lock().unwrap()), "repository:a/b:pull"),
        }
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    peer
}
