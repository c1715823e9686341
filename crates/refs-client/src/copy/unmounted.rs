//! Blobs that a registry says it has mounted, and does not have.

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, Error as RegistryError};

use super::{
    blobs::put,
    copied::{CopiedBlob, Fate},
    ends::Ends,
    options::CopyOptions,
};
use crate::{Error, Result, error::Side};

/// Whether a manifest may have been refused because a blob is missing. Registries have several words for that.
pub(super) fn may_be_why(refusal: &Error) -> bool {
    let Error::Copy { side: Side::Destination, source, .. } = refusal else { return false };
    matches!(**source, RegistryError::Refused { status: 400..=499, .. } | RegistryError::NotFound { .. })
}

/// Sends those of `blobs` that count as mounted and are not there; gives how many these were.
pub(super) async fn send(ends: &Ends, blobs: &mut [CopiedBlob], options: &CopyOptions) -> Result<usize> {
    let mounted = blobs.iter().enumerate().filter(|(_, blob)| blob.fate == Fate::Mounted);
    let mounted: Vec<(usize, Descriptor)> = mounted.map(|(place, blob)| (place, blob.descriptor.clone())).collect();
    let sent = stream::iter(mounted).map(|(place, blob)| {
        let ends = ends.clone();
        async move { send_one(&ends, blob).await.map(|sent| sent.map(|sent| (place, sent))) }
    });
    let sent: Vec<Option<(usize, CopiedBlob)>> =
        sent.buffer_unordered(options.blobs_at_once.get()).try_collect().await?;
    let mut count = 0;
    for (place, copied) in sent.into_iter().flatten() {
        blobs[place] = copied;
        count += 1;
    }
    Ok(count)
}

/// Sends `blob`, unless it is there.
async fn send_one(ends: &Ends, blob: Descriptor) -> Result<Option<CopiedBlob>> {
    let digest = &blob.digest;
    if ends.sink.stat_blob(digest).await.map_err(|error| ends.unwritten(error))?.is_some() {
        return Ok(None);
    }
    tracing::warn!(%digest, at = %ends.to, "the registry said that it had mounted the blob, and does not have it");
    put(ends, blob).await.map(Some)
}
