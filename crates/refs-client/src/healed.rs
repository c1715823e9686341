//! Reads once more when a cache gave what can't be.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use refs_registry::{ErrorKind, Source};

use crate::{Error, Result, layer::may_be_changed_on_the_way};

/// What `read` makes of `source`. When it fails over bytes that came from a cache, those that are damaged are dropped, and it
/// reads again, these from the origin; where there is none to ask, the failure stands. The futures of `read` are boxed: they
/// hold the state of many requests, too much to be moved about.
///
/// # Errors
/// Those of `read`.
pub(crate) async fn healed<'r, T>(
    source: &Arc<dyn Source>,
    mut read: impl FnMut(Arc<dyn Source>) -> BoxFuture<'r, Result<T>>,
) -> Result<T> {
    healed_of([source], || read(Arc::clone(source))).await
}

/// As [`healed`], of what `read` makes of all `sources`: once more for each, as a failure over one may come before another's.
///
/// # Errors
/// Those of `read`.
pub(crate) async fn healed_of<'r, T, const N: usize>(
    sources: [&Arc<dyn Source>; N],
    mut read: impl FnMut() -> BoxFuture<'r, Result<T>>,
) -> Result<T> {
    let mut done = read().await;
    for _ in 0..N {
        match done {
            Err(error) if is_about_bytes(&error) && is_distrusted(&sources).await => {
                tracing::debug!(%error, "what the cache has is damaged: it is fetched again");
                done = read().await;
            }
            done => return done,
        }
    }
    done
}

/// Has all `sources` drop what is damaged. Whether reading once more may give something else.
async fn is_distrusted(sources: &[&Arc<dyn Source>]) -> bool {
    let mut may_differ = false;
    for source in sources {
        may_differ |= source.distrust().await;
    }
    may_differ
}

fn is_about_bytes(error: &Error) -> bool {
    const KINDS: [ErrorKind; 4] = [ErrorKind::Digest, ErrorKind::Size, ErrorKind::Corrupt, ErrorKind::Io];
    match error {
        Error::Registry(error) => KINDS.contains(&error.kind()),
        error => may_be_changed_on_the_way(error),
    }
}
