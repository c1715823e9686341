//! Reads a whole blob in a thread while it arrives.

use futures_util::StreamExt;
use refs_registry::{Blob, ByteStream, Descriptor, Error as RegistryError, Resume, Source, error::Wanted};

use super::pipe::{PipeReader, PipeWriter, Unwanted, pipe};
use crate::{Error, Result};

/// Lets `work` read the blob, and gives its result only if all of the blob was read and its digest holds.
///
/// # Errors
/// The blob's own error before that of `work`: what was wrong on the way explains what is wrong in the bytes.
pub(crate) async fn read_blob<T, W>(source: &dyn Source, blob: &Descriptor, work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce(PipeReader) -> Result<T> + Send + 'static,
{
    let mut stream = open_blob(source, blob).await?;
    let (writer, reader) = pipe();
    let worker = tokio::task::spawn_blocking(move || work(reader));
    let fed = feed(&mut stream, writer).await;
    let worked = worker.await.unwrap_or(Err(Error::Worker));
    fed?;
    // Bytes that make no sense may be those of the blob, or may have been changed on the way. Only the rest can tell.
    if worked.as_ref().map_or_else(may_be_changed_on_the_way, |_| true) {
        drain(&mut stream).await?;
    }
    worked
}

/// The bytes of `blob`, which has as many as its descriptor says.
///
/// # Errors
/// Those of the source; `Size` for another number of them, before any is given.
pub(crate) async fn open_blob(source: &dyn Source, blob: &Descriptor) -> refs_registry::Result<ByteStream> {
    let Blob { size: actual, mut stream } = source.blob(&blob.digest, Resume::START).await?;
    let (digest, expected) = (&blob.digest, blob.size);
    if actual == expected {
        return Ok(stream);
    }
    // A copy that was cut off is damaged: its digest tells, and a cache drops it then.
    if actual < expected {
        drain(&mut stream).await?;
    }
    Err(RegistryError::Size { wanted: Wanted::Blob(digest.clone()), expected, actual })
}

/// Moves bytes until there are no more, or nobody wants them.
///
/// # Errors
/// The stream's. The reader is left with an error of its own then.
pub(crate) async fn feed(stream: &mut ByteStream, writer: PipeWriter) -> Result<()> {
    while let Some(chunk) = stream.next().await {
        if let Err(Unwanted) = writer.write(chunk?).await {
            return Ok(());
        }
    }
    writer.finish();
    Ok(())
}

/// Whether an error may be due to bytes that were changed on the way, and not to the blob as it was pushed.
pub(crate) fn may_be_changed_on_the_way(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Estargz { .. } | Error::FileDigest { .. })
}

/// Reads to the end, where the verdict on all bytes is.
///
/// # Errors
/// The source's.
pub(crate) async fn drain(stream: &mut ByteStream) -> refs_registry::Result<()> {
    while let Some(chunk) = stream.next().await {
        chunk?;
    }
    Ok(())
}
