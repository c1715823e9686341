//! Blobs: there already, mounted, or moved, the largest first.

use std::{cmp::Reverse, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, Mounted, Replay, Resume, Sent, Source, Upload, fill};
use tokio::sync::Semaphore;

use super::{
    copied::{CopiedBlob, Fate},
    ends::{Ends, Relation, may_be_absent},
    noted::Noted,
    options::{CopyOptions, Mode},
};
use crate::{
    Error, Result,
    upload::{is_full, is_passing},
};

/// Of a smaller blob the requests take the time, and not the bytes.
const SMALL_BYTES: u64 = 1 << 20;
/// What blobs weigh against the bound on those that are on their way.
const SMALL: u32 = 1;
const LARGE: u32 = 2;

/// Makes all of `blobs` part of the destination, or finds out what that would take. The largest are given first.
pub(super) async fn copy_blobs(
    ends: &Ends,
    mut blobs: Vec<Descriptor>,
    options: &CopyOptions,
) -> Result<Vec<CopiedBlob>> {
    // The largest first, so that none is left alone at the end.
    blobs.sort_by(|one, other| (Reverse(one.size), &one.digest).cmp(&(Reverse(other.size), &other.digest)));
    let most = options.blobs_at_once.get().min(usize::MAX / 4);
    let room = Arc::new(Semaphore::new((most * LARGE as usize).min(Semaphore::MAX_PERMITS)));
    let copied = stream::iter(blobs.into_iter().enumerate()).map(|(place, blob)| {
        let (ends, room, mode) = (ends.clone(), Arc::clone(&room), options.mode);
        async move {
            let weight = if blob.size < SMALL_BYTES { SMALL } else { LARGE };
            let _room = room.acquire_many(weight).await.map_err(|_closed| Error::Worker)?;
            let copied = match mode {
                Mode::Copy => copy_blob(&ends, blob).await?,
                Mode::DryRun => foresee(&ends, blob).await?,
            };
            Ok::<_, Error>((place, copied))
        }
    });
    let copied = copied.buffer_unordered(most * LARGE as usize / SMALL as usize);
    let mut copied: Vec<(usize, CopiedBlob)> = copied.try_collect().await?;
    copied.sort_by_key(|(place, _)| *place);
    Ok(copied.into_iter().map(|(_, blob)| blob).collect())
}

/// Makes `blob` part of the destination.
pub(crate) async fn copy_blob(ends: &Ends, blob: Descriptor) -> Result<CopiedBlob> {
    let copied = match &ends.relation {
        Relation::Same => CopiedBlob::unmoved(blob, Fate::Present),
        Relation::Beside(from) if ends.may_mount(&blob).await? => match ends.sink.mount(&blob.digest, from).await {
            Ok(Mounted::Mounted) => CopiedBlob::unmoved(blob, Fate::Mounted),
            Ok(Mounted::Upload(upload)) => go_on(ends, blob, upload).await?,
            Err(error) => return Err(ends.unwritten(error)),
        },
        Relation::Beside(_) | Relation::Apart => put(ends, blob).await?,
    };
    if copied.fate != Fate::Copied {
        ends.meter.add_skipped(copied.descriptor.size);
    }
    Ok(copied)
}

/// Sends `blob` in the session that a registry has begun in place of mounting it, unless the blob turns out to be there.
async fn go_on(ends: &Ends, blob: Descriptor, upload: Box<dyn Upload>) -> Result<CopiedBlob> {
    let present = ends.sink.stat_blob(&blob.digest).await;
    if let Ok(Some(_)) = present {
        // It expires by itself, too.
        drop(upload.abort().await);
        return Ok(CopiedBlob::unmoved(blob, Fate::Present));
    }
    if ends.journals.as_ref().is_some_and(|journals| journals.has(&blob)) {
        // In a session that is written down another copy can go on, and maybe one has been left.
        drop(upload.abort().await);
        return put(ends, blob).await;
    }
    let noted = Noted::new(Arc::clone(&ends.source), &blob);
    let opened = noted.blob(&blob.digest, Resume::START).await;
    let sent = match opened {
        Ok(opened) => fill(upload, opened.stream, &blob.digest).await,
        Err(error) => {
            drop(upload.abort().await);
            Err(error)
        }
    };
    match sent {
        Ok(()) => Ok(CopiedBlob::copied(blob, noted.come())),
        // By itself it is sent from where it broke off.
        Err(error) if noted.failure().is_none() && is_passing(error.kind()) && !is_full(&error) => {
            tracing::debug!(digest = %blob.digest, %error, "the session broke; the blob is sent in another one");
            put(ends, blob).await
        }
        Err(error) => Err(ends.blamed(&noted, error)),
    }
}

/// Sends `blob`, unless the destination has it; the rest of it, where an earlier copy has sent a part.
pub(super) async fn put(ends: &Ends, blob: Descriptor) -> Result<CopiedBlob> {
    let noted = Noted::new(Arc::clone(&ends.source), &blob);
    let replay = Replay::Blob(Arc::new(noted.clone()), blob.digest.clone());
    let notes = match &ends.journals {
        Some(journals) => journals.of(&blob).await,
        None => None,
    };
    let sent = match &notes {
        Some(notes) => ends.sink.put_noted(&blob, replay, notes).await,
        None => ends.sink.put_blob(&blob, replay.into()).await,
    };
    match sent {
        Ok(Sent::Uploaded) => Ok(CopiedBlob::copied(blob, noted.come())),
        Ok(Sent::Present) => Ok(CopiedBlob::unmoved(blob, Fate::Present)),
        Err(error) => Err(ends.blamed(&noted, error)),
    }
}

/// What would become of `blob`.
async fn foresee(ends: &Ends, blob: Descriptor) -> Result<CopiedBlob> {
    if ends.relation == Relation::Same {
        return Ok(CopiedBlob::unmoved(blob, Fate::Present));
    }
    let may_mount = ends.relation != Relation::Apart;
    match ends.sink.stat_blob(&blob.digest).await {
        Ok(Some(size)) if ends.sink.vouches_for_blobs() || size == blob.size => {
            return Ok(CopiedBlob::unmoved(blob, Fate::Present));
        }
        // Of another size it is replaced.
        Ok(Some(_)) => {}
        Err(error) if !may_be_absent(error.kind()) => return Err(ends.unwritten(error)),
        Ok(None) | Err(_) if may_mount => return Ok(CopiedBlob::unmoved(blob, Fate::Mounted)),
        Ok(None) | Err(_) => {}
    }
    let begun = match &ends.journals {
        Some(journals) => journals.begun(&blob, &*ends.sink).await,
        None => ends.sink.begun(&blob).await.map_err(|error| ends.unwritten(error))?,
    };
    let rest = blob.size.saturating_sub(begun);
    Ok(CopiedBlob::copied(blob, rest))
}
