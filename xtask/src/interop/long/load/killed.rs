//! `kill -9` of our servers, of a registry and of a mirror, while clients push to the one and pull from both.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use refs_url::Digest;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::clients::{self, require_sound};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::wire::{self, Connection};

const KILLS: usize = 200;
const PUSHERS: usize = 3;
const PULLERS: usize = 3;
/// Blobs that the mirror's registry has.
const MIRRORED: usize = 40;
const REPOSITORY: &str = "interop/killed";

/// Something that a server has said it has: what is at the path has this digest.
#[derive(Debug, Clone)]
struct Said {
    path: String,
    digest: Digest,
}

/// What was said by a registry, as it is said.
type All = Arc<Mutex<Vec<Said>>>;

/// Whatever was acknowledged is there after each start, whole; whatever is served has its digest; what is left of pushes
/// goes.
pub(crate) fn server_killed(bench: &Bench<'_>) -> Result<()> {
    let mut chance = Chance::seeded("servers are killed");
    let (root, mirror) = (bench.path("pushed"), bench.path("mirrored"));
    let mirrored = clients::run(filled(bench, &mut chance))?;
    let flag = format!("=http://{}", bench.place.host());
    let pushed = All::default();
    let mut checked = 0;
    for kill in 0..=KILLS {
        let (mut registry, registry_host) = bench.serve(&root, &[])?;
        let (mut cache, cache_host) = bench.serve(&mirror, &["--mirror", &flag])?;
        let at = |source: Error| Error::At { at: format!("after {kill} kills"), source: source.into() };
        let said = lock(&pushed).clone();
        // All of it at the end, and after each kill what was said since the last.
        let new = if kill == KILLS { &said[..] } else { &said[checked..] };
        clients::run(require_all(&registry_host, new)).map_err(at)?;
        checked = said.len();
        if kill < KILLS {
            let wait = Duration::from_millis(chance.between(20, 400));
            let mut load = Load { chance: &mut chance, tasks: JoinSet::new() };
            let kill = || {
                registry.kill();
                cache.kill();
            };
            clients::run(load.run(&registry_host, &pushed, &cache_host, &mirrored, wait, kill)).map_err(at)?;
        }
    }
    println!("interop: {} acknowledged in {KILLS} runs, each there after a kill", checked);
    require_equal("whether enough was pushed", "true", &(checked > 3 * KILLS).to_string())?;
    let layout = root.join("registry").join(REPOSITORY).join("_layout");
    require_sound(&layout)?;
    require_sound(&mirror.join("registry"))?;
    require_little_left(&layout)
}

/// The registry with the blobs that the mirror is asked for.
async fn filled(bench: &Bench<'_>, chance: &mut Chance) -> Result<All> {
    let mut all = Vec::new();
    for _ in 0..MIRRORED {
        let len = chance.between(1 << 10, 4 << 20);
        let blob = chance.bytes(len as usize);
        let digest = Digest::sha256(&blob);
        let pushed = wire::push_blob(bench.place.host(), REPOSITORY, digest.as_str(), &blob).await;
        pushed.map_err(Error::file("push to", bench.place.host()))?;
        all.push(Said { path: format!("/v2/{REPOSITORY}/blobs/{digest}"), digest });
    }
    Ok(Arc::new(Mutex::new(all)))
}

/// Clients until the servers are killed.
struct Load<'a> {
    chance: &'a mut Chance,
    tasks: JoinSet<Result<()>>,
}

impl Load<'_> {
    async fn run(
        &mut self,
        registry: &str,
        pushed: &All,
        cache: &str,
        mirrored: &All,
        wait: Duration,
        kill: impl FnOnce(),
    ) -> Result<()> {
        for _ in 0..PUSHERS {
            let (host, pushed, chance) = (registry.to_owned(), Arc::clone(pushed), self.chance.branch());
            self.tasks.spawn(push(host, pushed, chance));
        }
        for (host, all) in [(registry, pushed), (cache, mirrored)] {
            for _ in 0..PULLERS {
                let (host, all, chance) = (host.to_owned(), Arc::clone(all), self.chance.branch());
                self.tasks.spawn(pull(host, all, chance));
            }
        }
        tokio::time::sleep(wait).await;
        kill();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap_or(Err(Error::Usage("a client ended early")))?;
        }
        Ok(())
    }
}

/// Pushes blobs, and manifests of them by a tag, until the server is gone.
async fn push(host: String, pushed: All, mut chance: Chance) -> Result<()> {
    loop {
        let len = chance.between(1, 300_000) as usize;
        let blob = chance.bytes(len);
        let digest = Digest::sha256(&blob);
        if wire::push_blob(&host, REPOSITORY, digest.as_str(), &blob).await.is_err() {
            return Ok(());
        }
        lock(&pushed).push(Said { path: format!("/v2/{REPOSITORY}/blobs/{digest}"), digest: digest.clone() });
        let (kind, manifest) = wire::manifest_of(digest.as_str(), len);
        let path = format!("/v2/{REPOSITORY}/manifests/t{}", &digest.encoded()[..16]);
        if wire::push_manifest(&host, &path, kind, manifest.as_bytes()).await.is_err() {
            return Ok(());
        }
        let digest = Digest::sha256(manifest.as_bytes());
        let by_digest = format!("/v2/{REPOSITORY}/manifests/{digest}");
        let mut pushed = lock(&pushed);
        pushed.push(Said { path, digest: digest.clone() });
        pushed.push(Said { path: by_digest, digest });
    }
}

/// Pulls what was said to be there, until the server is gone.
async fn pull(host: String, all: All, mut chance: Chance) -> Result<()> {
    loop {
        let said = {
            let all = lock(&all);
            let number = chance.between(0, all.len().max(1) as u64) as usize;
            all.get(number).cloned()
        };
        let Some(said) = said else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // With the server its address is gone.
            if Connection::open(&host).await.is_err() {
                return Ok(());
            }
            continue;
        };
        match fetched(&host, &said).await {
            Ok(found) => require_equal(&said.path, said.digest.as_str(), &found)?,
            Err(_) => return Ok(()),
        }
    }
}

/// The digest of what is at a path, or what is said instead.
async fn fetched(host: &str, said: &Said) -> std::io::Result<String> {
    let mut connection = Connection::open(host).await?;
    let head = connection.get(&said.path).await?;
    let body = connection.body().await?;
    if head.status == 200 { Ok(Digest::sha256(&body).to_string()) } else { Ok(format!("status {}", head.status)) }
}

async fn require_all(host: &str, all: &[Said]) -> Result<()> {
    for said in all {
        let found = fetched(host, said).await.map_err(Error::file("read from", host))?;
        require_equal(&said.path, said.digest.as_str(), &found)?;
    }
    Ok(())
}

/// Of a push nothing is left that was acknowledged, and of one that was not at most a file for each pusher and kill.
fn require_little_left(root: &Path) -> Result<()> {
    let folder = root.join("ingest");
    let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
    println!("interop: {left} files are left of pushes that were not acknowledged");
    require_equal("whether few are left", "true", &(left <= KILLS * PUSHERS).to_string())
}

fn lock(all: &All) -> std::sync::MutexGuard<'_, Vec<Said>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}
