//! The folder that a server keeps things in, looked after.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use refs_server::{Metrics, Probe};

/// A folder that is to take writes.
#[derive(Debug)]
pub(crate) struct Root(pub(crate) PathBuf);

#[async_trait]
impl Probe for Root {
    async fn is_writable(&self) -> bool {
        let root = self.0.clone();
        match tokio::task::spawn_blocking(move || write_in(&root)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "`{}` cannot be written", self.0.display());
                false
            }
            // The server is stopping.
            Err(_) => false,
        }
    }
}

/// Writes to a file in `root` that nobody sees. An empty one would find room on a full disk, too.
fn write_in(root: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(root)?;
    file.write_all(&[0; 4096])
}

/// Tells `metrics` now and then how many bytes are in `root`. It never ends by itself.
pub(crate) async fn measure(root: PathBuf, metrics: Metrics) {
    const EVERY: Duration = Duration::from_secs(5 * 60);
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let root = root.clone();
        if let Ok(bytes) = tokio::task::spawn_blocking(move || bytes_in(root)).await {
            metrics.set_store_bytes(bytes);
        }
    }
}

/// The bytes of all files in `root`, but for those that go while they are counted.
fn bytes_in(root: PathBuf) -> u64 {
    let (mut folders, mut bytes) = (vec![root], 0);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
                _ => {}
            }
        }
    }
    bytes
}
