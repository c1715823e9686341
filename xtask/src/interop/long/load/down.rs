//! The registry behind our mirror goes down while clients read.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use refs_url::Digest;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::clients::{self, Came, require_sound};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::link::{Link, Rule};
use crate::wire;

const ROUNDS: usize = 20;
const CLIENTS: usize = 8;
const BLOB_BYTES: usize = 8_000_000;
const REPOSITORY: &str = "interop/down";

/// At another byte in each round. Nobody gets a wrong byte, nothing is kept under a digest that is not whole, and who asks
/// when the registry is back gets all of it.
pub(crate) fn upstream_down(bench: &Bench<'_>) -> Result<()> {
    let mut chance = Chance::seeded("the registry goes down");
    let link = Link::start(bench.place.host())?;
    let dir = bench.path("mirror");
    let (_server, host) = bench.serve(&dir, &["--mirror", &format!("=http://{}", link.host())])?;
    for round in 0..ROUNDS {
        let blob: Arc<[u8]> = chance.bytes(BLOB_BYTES).into();
        let at = chance.between(0, BLOB_BYTES as u64);
        let checked =
            clients::run(go_down(bench, &link, &host, &blob, at)).and_then(|()| require_sound(&dir.join("registry")));
        checked
            .map_err(|source| Error::At { at: format!("round {round}, down at byte {at}"), source: source.into() })?;
    }
    Ok(())
}

async fn go_down(bench: &Bench<'_>, link: &Link, host: &str, blob: &Arc<[u8]>, at: u64) -> Result<()> {
    let digest = Digest::sha256(blob).to_string();
    let pushed = wire::push_blob(bench.place.host(), REPOSITORY, &digest, blob).await;
    pushed.map_err(Error::file("push to", bench.place.host()))?;
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    link.set(Rule::DownAfter(at));
    let mut all = JoinSet::new();
    for _ in 0..CLIENTS {
        let (host, path, blob) = (host.to_owned(), path.clone(), Arc::clone(blob));
        all.spawn(async move { clients::read(&host, &path, &blob, &AtomicUsize::new(0)).await });
    }
    let mut whole = 0;
    while let Some(came) = all.join_next().await {
        let came = came.unwrap_or(Err(Error::Usage("a client ended early")))?;
        whole += usize::from(came == Came::Whole);
    }
    require_equal("clients who got all while the registry was down", "0", &whole.to_string())?;
    let kept = bench.path("mirror/registry/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    require_equal("whether it is kept as a whole", "false", &kept.exists().to_string())?;
    link.set(Rule::Open);
    let again = clients::read(host, &path, blob, &AtomicUsize::new(0)).await?;
    require_equal("what came when the registry was back", "Whole", &format!("{again:?}"))
}
