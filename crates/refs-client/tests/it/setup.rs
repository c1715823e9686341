//! Clients, places and trees for tests.

use std::{
    future,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use refs_client::{
    Client, Error, Listing, Location, Mtime, PackOptions, PullOptions, Pulled, PushOptions, Pushed, ReadOptions,
};
use refs_registry::{
    Clock, ErrorKind, Options, Registries, Timeouts,
    auth::{Anonymous, Chain, Credential, Credentials, Static},
};
use refs_store::Memories;
use refs_testkit::{Builder, FakeRegistry, Tree};
use tempfile::TempDir;

/// Where [`memory`] keeps the one artifact of most tests; a registry serves it as `o/r:v1`.
pub(crate) const IN_MEMORY: &str = "localhost/o/r:v1";

/// A manifest file that holds to its schema.
pub(crate) const MANIFEST: &str = "\
schema_version: 1.0.0
ref: {title: Guide, link: guide}
content: {description: d, tags: [t], classifications: [{type: runbook}]}
";

/// A clock that jumps over every wait. Deadlines never pass.
#[derive(Debug)]
struct Jumping(Mutex<Instant>);

const DEADLINES: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    headers: Duration::from_secs(61),
    idle: Duration::from_secs(31),
    ping: None,
};

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, wait: Duration) {
        if wait == DEADLINES.headers || wait == DEADLINES.idle {
            return future::pending().await;
        }
        *self.0.lock().unwrap() += wait;
    }
}

/// A registry that demands a token, over what `memories` has of `localhost`.
pub(crate) fn guarded(memories: &Memories) -> Builder {
    FakeRegistry::builder().token_auth("user", "secret").store(Arc::new(memories.clone()))
}

pub(crate) fn registries(registry: &FakeRegistry, password: &str) -> Registries {
    let credential = Credential::Basic { username: "user".into(), password: password.into() };
    let given = Static::new(registry.host(), "the test", credential);
    registries_with(vec![Arc::new(given)])
}

pub(crate) fn registries_with(credentials: Vec<Arc<dyn Credentials>>) -> Registries {
    let clock = Arc::new(Jumping(Mutex::new(Instant::now())));
    let credentials = Arc::new(Chain::new(credentials));
    Registries::new(Options { clock, timeouts: DEADLINES, credentials, ..Options::default() })
}

/// A client with the password of [`guarded`] registries.
pub(crate) fn client(registry: &FakeRegistry) -> Client {
    Client::new(Arc::new(registries(registry, "secret")))
}

pub(crate) fn anonymous() -> Client {
    Client::new(Arc::new(registries_with(vec![Arc::new(Anonymous)])))
}

pub(crate) fn memory() -> (Memories, Client) {
    let memories = Memories::new();
    let client = Client::new(Arc::new(memories.clone()));
    (memories, client)
}

pub(crate) fn at(text: &str) -> Location {
    Location::parse(text).unwrap()
}

/// `o/r:v1` of `registry`.
pub(crate) fn artifact(registry: &FakeRegistry) -> Location {
    at(&format!("{}/o/r:v1", registry.host()))
}

pub(crate) fn directory(tree: &Tree) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    tree.write(directory.path()).unwrap();
    directory
}

/// How to push so that the digest depends on nothing but the tree's text.
pub(crate) fn timeless() -> PushOptions {
    packed_as(timeless_pack())
}

pub(crate) fn timeless_pack() -> PackOptions {
    PackOptions { mtime: Mtime::Fixed(0), ..PackOptions::default() }
}

/// How to push what is packed as `pack` says.
pub(crate) fn packed_as(pack: PackOptions) -> PushOptions {
    PushOptions { pack, ..PushOptions::default() }
}

pub(crate) async fn push(client: &Client, tree: &Tree, at: &Location) -> Pushed {
    client.push(directory(tree).path(), at, &timeless()).await.unwrap()
}

/// What [`push`] makes of `tree`, in memory.
pub(crate) async fn pushed(tree: &Tree) -> (Memories, Client, Pushed) {
    let (memories, client) = memory();
    let pushed = push(&client, tree, &at(IN_MEMORY)).await;
    (memories, client, pushed)
}

pub(crate) fn patterns(patterns: &[&str]) -> ReadOptions {
    ReadOptions { patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(), ..ReadOptions::default() }
}

pub(crate) fn pull_of(chosen: &[&str]) -> PullOptions {
    PullOptions { read: patterns(chosen), ..PullOptions::default() }
}

/// What a pull writes; when it fails, that it leaves nothing.
pub(crate) async fn pull(client: &Client, at: &Location, options: &PullOptions) -> Result<(Tree, Pulled), Error> {
    let parent = tempfile::tempdir().unwrap();
    let destination = parent.path().join("destination");
    match client.pull(at, &destination, options).await {
        Ok(pulled) => {
            assert_eq!(names(parent.path()), ["destination"]);
            Ok((Tree::read_with_times(&destination).unwrap(), pulled))
        }
        Err(error) => {
            assert_eq!(names(parent.path()), [] as [&str; 0], "left behind after {error:?}");
            Err(error)
        }
    }
}

/// What a pull writes, without times.
pub(crate) async fn pulled(client: &Client, at: &Location, options: &PullOptions) -> Tree {
    without_times(&pull(client, at, options).await.unwrap().0)
}

pub(crate) fn without_times(tree: &Tree) -> Tree {
    let lines: Vec<String> = tree.to_string().lines().map(bare).collect();
    Tree::parse(&lines.join("\n"))
}

fn bare(line: &str) -> String {
    match line.rsplit_once(" @") {
        Some((before, _)) => before.to_owned(),
        None => line.to_owned(),
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let found = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn paths(listing: &Listing) -> Vec<&str> {
    (0..listing.len()).map(|index| listing.path_at(index)).collect()
}

/// Bytes that no compressor makes smaller.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// The kind of a failure of the registry or the store.
#[track_caller]
pub(crate) fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Registry(error) => error.kind(),
        other => panic!("no failure of a registry: {other:?}"),
    }
}
