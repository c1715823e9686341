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
    match read(Arc::clone(source)).await {
        Err(error) if is_about_bytes(&error) && source.distrust().await => {
            tracing::debug!(%error, "what the cache has is damaged: it is fetched again");
            read(Arc::clone(source)).await
        }
        done => done,
    }
}

fn is_about_bytes(error: &Error) -> bool {
    const KINDS: [ErrorKind; 4] = [ErrorKind::Digest, ErrorKind::Size, ErrorKind::Corrupt, ErrorKind::Io];
    match error {
        Error::Registry(error) => KINDS.contains(&error.kind()),
        error => may_be_changed_on_the_way(error),
    }
}
