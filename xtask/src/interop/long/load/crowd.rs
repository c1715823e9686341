//! A thousand clients before our mirror, who all want the same blob, which it does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use refs_url::Digest;
use tokio::task::JoinSet;

use super::clients::{self, Came};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::link::{Link, Rule};
use crate::interop::trees::noise;
use crate::wire;

const CLIENTS: usize = 1_000;
const BLOB_BYTES: usize = 100_000_000;
/// The most memory that the server may take.
const MOST_BYTES: u64 = 200 << 20;
const REPOSITORY: &str = "interop/crowded";
/// How long all of them may take to get their first bytes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The registry stops in the middle of the blob until every client has got something: none of them waits for another's end.
pub(crate) fn crowd(bench: &Bench<'_>) -> Result<()> {
    raise_limit(2 * CLIENTS as u64)?;
    let blob: Arc<[u8]> = noise(BLOB_BYTES).into();
    let digest = Digest::sha256(&blob).to_string();
    let link = Link::start(bench.place.host())?;
    let (server, host) = bench.serve(&bench.path("mirror"), &["--mirror", &format!("=http://{}", link.host())])?;
    clients::run(async {
        let pushed = wire::push_blob(bench.place.host(), REPOSITORY, &digest, &blob).await;
        pushed.map_err(Error::file("push to", bench.place.host()))
    })?;
    let (whole, received) = clients::run(read_by_all(&link, &host, &digest, &blob))?;
    let peak = server.peak_bytes().unwrap_or(u64::MAX);
    println!("interop: {CLIENTS} clients, {} MiB at most", peak >> 20);
    require_equal("clients who got all of it", &CLIENTS.to_string(), &whole.to_string())?;
    require_equal("bodies that came from the registry", "1", &bodies(received).to_string())?;
    let found = format!("{} MiB", peak >> 20);
    let is_within = peak < MOST_BYTES;
    let most = format!("less than {} MiB", MOST_BYTES >> 20);
    if is_within {
        Ok(())
    } else {
        Err(Error::Unexpected { what: "the server's memory".to_owned(), expected: most, found })
    }
}

/// How many bodies so many bytes are. A connection that has stalled for too long is given up, and the rest asked for: what
/// was on its way by the first comes again.
fn bodies(received: u64) -> u64 {
    const AGAIN: u64 = BLOB_BYTES as u64 / 5;
    (received + BLOB_BYTES as u64 - 1).saturating_sub(AGAIN) / BLOB_BYTES as u64
}

/// How many clients got all of it, and the bytes that came from the registry.
async fn read_by_all(link: &Link, host: &str, digest: &str, blob: &Arc<[u8]>) -> Result<(usize, u64)> {
    link.set(Rule::StallAfter(BLOB_BYTES as u64 / 2));
    let begun = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..CLIENTS {
        let (host, path) = (host.to_owned(), format!("/v2/{REPOSITORY}/blobs/{digest}"));
        let (blob, begun) = (Arc::clone(blob), Arc::clone(&begun));
        all.spawn(async move { clients::read(&host, &path, &blob, &begun).await });
    }
    let start = Instant::now();
    while begun.load(Ordering::Relaxed) < CLIENTS && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let at_once = begun.load(Ordering::Relaxed);
    let before = link.received();
    link.set(Rule::Open);
    let mut whole = 0;
    while let Some(came) = all.join_next().await {
        let came = came.unwrap_or(Err(Error::Usage("a client ended early")))?;
        whole += usize::from(came == Came::Whole);
    }
    require_equal("clients who got something at a time", &CLIENTS.to_string(), &at_once.to_string())?;
    Ok((whole, before + link.received()))
}

/// Lets this program, and those that it starts, have so many files open.
fn raise_limit(files: u64) -> Result<()> {
    let too_low = |_| Error::Usage("the limit of open files is too low for a thousand clients: `ulimit -Hn`");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(too_low)?;
    if soft >= files { Ok(()) } else { setrlimit(Resource::RLIMIT_NOFILE, files, hard).map_err(too_low) }
}
