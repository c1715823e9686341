//! Clients of a cache, and how fast it served them.

use std::io;
use std::time::Instant;

use tokio::task::JoinSet;

use super::content::Content;
use super::peers::{Cache, Fetches};
use crate::wire::Connection;

/// So many connections at once, each with so many requests, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) requests: usize,
}

/// What came of a load, each in a second.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) megabytes: f64,
    pub(super) requests: f64,
}

/// How long something took that was not in the cache.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) first_ms: f64,
    pub(super) all_ms: f64,
}

impl Load {
    /// Asks `host` for `paths` in turn.
    pub(super) async fn run(self, host: &str, paths: &[String]) -> io::Result<Done> {
        let mut clients = JoinSet::new();
        let begun = Instant::now();
        for number in 0..self.connections {
            let (host, paths) = (host.to_owned(), paths.to_vec());
            clients.spawn(async move { self.client(number, &host, &paths).await });
        }
        let mut bytes = 0;
        while let Some(client) = clients.join_next().await {
            bytes += client.map_err(io::Error::other)??;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let requests = (self.connections * self.requests) as f64;
        Ok(Done { megabytes: bytes as f64 / 1e6 / seconds, requests: requests / seconds })
    }

    async fn client(self, number: usize, host: &str, paths: &[String]) -> io::Result<u64> {
        let mut connection = Connection::open(host).await?;
        let mut bytes = 0;
        for request in 0..self.requests {
            let head = connection.get(&paths[(number + request) % paths.len()]).await?;
            bytes += connection.rest().await?;
            require_found(head.status)?;
        }
        Ok(bytes)
    }
}

/// Asks `cache` for what it does not have yet, and first for what it needs to know of that.
pub(super) async fn cold(cache: &Cache, content: &Content) -> io::Result<Cold> {
    let mut connection = Connection::open(&cache.host).await?;
    let begun = Instant::now();
    let ms = || begun.elapsed().as_secs_f64() * 1e3;
    ask_first(cache, content).await?;
    let head = connection.get(&content.blob).await?;
    connection.piece().await?;
    let first_ms = ms();
    connection.rest().await?;
    require_found(head.status)?;
    Ok(Cold { first_ms, all_ms: ms() })
}

/// Asks `cache` for the manifest, if it has no blobs before.
pub(super) async fn ask_first(cache: &Cache, content: &Content) -> io::Result<()> {
    if cache.fetches == Fetches::Blobs {
        return Ok(());
    }
    let mut connection = Connection::open(&cache.host).await?;
    let head = connection.get(&content.manifest).await?;
    connection.rest().await?;
    require_found(head.status)
}

fn require_found(status: u16) -> io::Result<()> {
    if status == 200 { Ok(()) } else { Err(io::Error::other(format!("status {status}"))) }
}
