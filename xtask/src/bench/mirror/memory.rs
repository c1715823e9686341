//! How much memory our mirror takes, by the size of a blob and the number of those who read it.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{BLOB_BYTES, Setting};
use crate::error::{Error, Result};
use crate::interop::trees::noise;
use crate::wire::Connection;

pub(super) const NAME: &str = "mirror memory";
/// What each client reads of a blob at most, before it waits for the others to have read as much.
const SHARE_BYTES: u64 = 200_000_000;

/// The peak of a server that did nothing else.
#[derive(Debug, Serialize)]
pub(crate) struct Peak {
    blob_bytes: usize,
    connections: usize,
    cold_mib: f64,
    /// After the cold one, with the blob in the cache, in another process.
    hot_mib: f64,
}

/// A fresh server for each figure.
pub(super) async fn measure(setting: &Setting) -> Result<Vec<Peak>> {
    let mut peaks = Vec::new();
    let bytes = noise(BLOB_BYTES);
    for times in [1, 10] {
        for connections in [10_usize, 100] {
            let mut blob = bytes.repeat(times);
            blob[..8].copy_from_slice(&connections.to_le_bytes());
            let path = setting.pushed(&blob).await?.blob;
            let dir = setting.fresh(&format!("memory-{times}-{connections}"))?;
            let mut mib = [0.0; 2];
            for mib in &mut mib {
                let (server, host) = setting.ours(&dir)?;
                read(&host, &path, connections).await.map_err(Error::file("read from", &host))?;
                *mib = server.peak_bytes().unwrap_or_default() as f64 / (1 << 20) as f64;
                // So that the next finds it in the cache, if nobody has read it to its end.
                fetch(&host, &path).await.map_err(Error::file("read from", &host))?;
            }
            let [cold_mib, hot_mib] = mib;
            peaks.push(Peak { blob_bytes: blob.len(), connections, cold_mib, hot_mib });
        }
    }
    Ok(peaks)
}

async fn read(host: &str, path: &str, connections: usize) -> io::Result<()> {
    let mut clients = JoinSet::new();
    let all = Arc::new(Barrier::new(connections));
    for _ in 0..connections {
        let (host, path, all) = (host.to_owned(), path.to_owned(), Arc::clone(&all));
        clients.spawn(async move {
            let read = read_share(&host, &path).await;
            all.wait().await;
            read.map(drop)
        });
    }
    while let Some(client) = clients.join_next().await {
        client.map_err(io::Error::other)??;
    }
    Ok(())
}

/// The connection, so that the server has somebody to send the rest to.
async fn read_share(host: &str, path: &str) -> io::Result<Connection> {
    let mut connection = Connection::open(host).await?;
    connection.get(path).await?;
    let mut bytes = 0;
    while bytes < SHARE_BYTES {
        match connection.piece().await?.len() {
            0 => break,
            len => bytes += len as u64,
        }
    }
    Ok(connection)
}

async fn fetch(host: &str, path: &str) -> io::Result<()> {
    let mut connection = Connection::open(host).await?;
    connection.get(path).await?;
    connection.rest().await.map(drop)
}

pub(super) fn markdown(peaks: &[Peak]) -> String {
    let mut text = format!(
        "\n### {NAME}: the peak of `refs serve --mirror` in MiB\n\n| blob | connections | cold | hot |\n|---|---|---|---|\n"
    );
    for Peak { blob_bytes, connections, cold_mib, hot_mib } in peaks {
        let megabytes = blob_bytes / 1_000_000;
        text.push_str(&format!("| {megabytes} MB | {connections} | {cold_mib:.0} | {hot_mib:.0} |\n"));
    }
    text
}
