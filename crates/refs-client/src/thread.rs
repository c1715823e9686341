//! Work that blocks, off the threads that wait for the network.

use crate::{Error, Result};

/// Runs `work` where it may block.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_panicked| Error::Worker)?
}
