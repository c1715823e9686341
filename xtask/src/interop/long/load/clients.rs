//! What clients see.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use refs_testkit::invariants::{Flaw, check_layout};

use crate::error::{Error, Result};
use crate::interop::bench::require_equal;
use crate::wire::Connection;

/// How a body came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// All of it, each byte the right one.
    Whole,
    /// Only right bytes, and the connection broke before the last; or nothing but a refusal.
    BrokenOff,
}

/// Runs clients.
pub(super) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Error::file("start", "a runtime"))?.block_on(work)
}

/// Reads what is at `path`, and compares each byte as it comes. `begun` counts who has got something.
///
/// # Errors
/// A byte that is another than it should be, and a body that ends well before its last byte.
pub(super) async fn read(host: &str, path: &str, expected: &[u8], begun: &AtomicUsize) -> Result<Came> {
    match try_read(host, path, expected, begun).await {
        Ok(None) => Ok(Came::Whole),
        Ok(Some(at)) => Err(Error::Unexpected {
            what: format!("a body at {path}"),
            expected: format!("{} bytes as they were pushed", expected.len()),
            found: format!("something else from byte {at} on"),
        }),
        Err(_) => Ok(Came::BrokenOff),
    }
}

/// Where the body is another one, if it is.
async fn try_read(host: &str, path: &str, expected: &[u8], begun: &AtomicUsize) -> io::Result<Option<usize>> {
    let mut connection = Connection::open(host).await?;
    let head = connection.get(path).await?;
    if head.status != 200 {
        return Err(io::Error::other(format!("status {}", head.status)));
    }
    let mut at = 0;
    loop {
        let piece = connection.piece().await?;
        if piece.is_empty() {
            return Ok((at < expected.len()).then_some(at));
        }
        if expected.get(at..at + piece.len()) != Some(piece) {
            return Ok(Some(at));
        }
        if at == 0 {
            begun.fetch_add(1, Ordering::Relaxed);
        }
        at += piece.len();
    }
}

/// Requires that each blob in the layout at `root` has the bytes that its name says, and that the index leads to nothing
/// missing. What a killed server was writing may be left.
pub(super) fn require_sound(root: &Path) -> Result<()> {
    let flaws = check_layout(root).map_err(Error::file("check", root))?;
    let grave = flaws.iter().filter(|flaw| !matches!(flaw, Flaw::Temporary(_)));
    require_equal("flaws of a store", "", &grave.map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
