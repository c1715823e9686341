//! Blobs that are copied from another place, each into a file that is found again by its digest: what has come of one when the
//! work is cut off, by a kill as well, waits there for the next attempt.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use futures_util::StreamExt;
use refs_registry::{Descriptor, ErrorKind, Result, Resume, Source, Upload};
use refs_url::{Algorithm, Digest};

use super::{folder::Folder, upload::LayoutUpload};
use crate::{
    file::blocking,
    ingest::{Ingest, file_bytes, make_folder},
};

/// A shorter one is fetched anew as quickly as its rest.
const MIN_BYTES: u64 = 1 << 20;

/// Whether the beginning of `blob` is kept. Others than sha256 are not hashed while they come in.
pub(super) fn is_kept(blob: &Descriptor) -> bool {
    blob.size >= MIN_BYTES && blob.digest.algorithm() == Algorithm::Sha256
}

/// The bytes that an earlier attempt has left of `blob`. More than it has can't be its beginning.
pub(super) fn left(folder: &Folder, blob: &Descriptor) -> Result<u64> {
    let path = folder.ingest().join(name(&blob.digest));
    let bytes = if is_kept(blob) { file_bytes(&path)? } else { None };
    Ok(bytes.filter(|bytes| *bytes <= blob.size).unwrap_or_default())
}

/// Copies `blob` out of `source`, from where an earlier attempt ended; says whether it did, which it doesn't while another does,
/// or where the file can't be had.
pub(super) async fn copy(folder: &Arc<Folder>, blob: &Descriptor, source: &dyn Source) -> Result<bool> {
    let Some((upload, from)) = take(folder, blob).await? else { return Ok(false) };
    let is_begun = from.offset() > 0;
    match finish(upload, from, blob, source).await {
        // What was left may be no beginning of it. It is gone now.
        Err(error) if is_begun && error.kind() == ErrorKind::Digest => {
            tracing::debug!(digest = %blob.digest, %error, "the blob is copied from its first byte");
            let Some((upload, from)) = take(folder, blob).await? else { return Ok(false) };
            finish(upload, from, blob, source).await.map(|()| true)
        }
        other => other.map(|()| true),
    }
}

/// The file for `blob`, and what it has of it, hashed; `None` while another writes it, or when what has its name is of no use.
async fn take(folder: &Arc<Folder>, blob: &Descriptor) -> Result<Option<(LayoutUpload, Resume)>> {
    let (folder, digest, size) = (Arc::clone(folder), blob.digest.clone(), blob.size);
    let root = folder.root().to_owned();
    blocking(&root, move || {
        folder.prepare()?;
        make_folder(&folder.ingest())?;
        let Some(ingest) = go_on(&folder.ingest().join(name(&digest)), size) else { return Ok(None) };
        let resume = ingest.hasher().map_or(Resume::START, |hasher| Resume::at(ingest.bytes(), hasher));
        let upload = LayoutUpload::of(folder, ingest);
        upload.leave.store(resume.offset() > 0, Ordering::Relaxed);
        Ok(Some((upload, resume)))
    })
    .await
}

/// The name is known beforehand, and may be that of a directory, a link, or another user's file. A session of its own needs
/// none of that; what is wrong with the disk, it meets as well.
fn go_on(path: &Path, size: u64) -> Option<Ingest> {
    Ingest::go_on(path, size).unwrap_or_else(|error| {
        tracing::debug!(path = %path.display(), %error, "the blob is copied into another file");
        None
    })
}

/// What no session is called: nobody goes on with it who does not have the digest, and a layout.
fn name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm_str(), digest.encoded())
}

/// Takes in the rest, after `from`. What has come stays when that fails, unless it is known to be wrong.
async fn finish(mut upload: LayoutUpload, from: Resume, blob: &Descriptor, source: &dyn Source) -> Result<()> {
    if from.offset() < blob.size {
        let mut stream = source.blob(&blob.digest, from).await?.stream;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.inspect_err(|error| {
                if matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size) {
                    upload.leave.store(false, Ordering::Relaxed);
                }
            })?;
            if let Err(error) = upload.write(chunk).await {
                // Not on a disk that is full.
                upload.leave.store(false, Ordering::Relaxed);
                return Err(error);
            }
            upload.leave.store(true, Ordering::Relaxed);
        }
    }
    Box::new(upload).commit(&blob.digest).await
}
