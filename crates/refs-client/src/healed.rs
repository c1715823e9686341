//! Reads once more when a cache gave what can't be.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use refs_registry::{ErrorKind, Source};

use crate::{Error, Result, layer::may_be_changed_on_the_way};

/// What `read` makes of `source`. When it fails over bytes that came from a cache, these are dropped, and it reads again,
/// from the origin. The futures of `read` are boxed: they hold the state of many requests, too much to be moved about.
///
/// # Errors
/// Those of `read`.
pub(crate) async fn healed<'r, T>(
    source: &Arc<dyn Source>,
    mut read: impl FnMut(Arc<dyn Source>) -> BoxFuture<'r, Result<T>>,
) -> Result<T> {
    match read(Arc::clone(source)).await {
        Err(error) if blames(&error, source.as_ref()).await => {
            tracing::debug!(%error, "what the cache has is damaged: it is fetched again");
            read(Arc::clone(source)).await
        }
        done => done,
    }
}

/// Whether `error` is about bytes that `source` gave from a cache, which has dropped them now.
pub(crate) async fn blames(error: &Error, source: &dyn Source) -> bool {
    is_about_bytes(error) && source.distrust().await
}

fn is_about_bytes(error: &Error) -> bool {
    const KINDS: [ErrorKind; 4] = [ErrorKind::Digest, ErrorKind::Size, ErrorKind::Corrupt, ErrorKind::Io];
    match error {
        Error::Registry(error) => KINDS.contains(&error.kind()),
        error => may_be_changed_on_the_way(error),
    }
}
