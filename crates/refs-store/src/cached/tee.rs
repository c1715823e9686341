//! Keeps bytes as they pass. That they can't be kept is no error of the stream.

use futures_util::{StreamExt, stream};
use refs_registry::ByteStream;

use super::keeping::Keeping;

/// `stream`, whose bytes are kept once it has ended without an error, and so were verified. Read in part, or broken off, it
/// leaves no content behind, but perhaps its beginning.
pub(super) fn tee(stream: ByteStream, keeping: Keeping) -> ByteStream {
    stream::try_unfold((stream, keeping), |(mut stream, mut keeping)| async move {
        match stream.next().await {
            Some(Ok(chunk)) => {
                keeping.write(&chunk).await;
                Ok(Some((chunk, (stream, keeping))))
            }
            Some(Err(error)) => {
                keeping.broken_off(&error).await;
                Err(error)
            }
            None => {
                keeping.finish().await;
                Ok(None)
            }
        }
    })
    .boxed()
}

/// The same for a part of `bytes`: it is kept with the last of them, as nobody need read on to learn that there are no more.
pub(super) fn tee_part(stream: ByteStream, keeping: Keeping, bytes: u64) -> ByteStream {
    let state = (stream, Some(keeping), bytes);
    stream::try_unfold(state, |(mut stream, mut keeping, left)| async move {
        let Some(chunk) = stream.next().await.transpose()? else { return Ok(None) };
        let left = left.saturating_sub(chunk.len() as u64);
        if let Some(keeping) = &mut keeping {
            keeping.write(&chunk).await;
        }
        if left == 0
            && let Some(complete) = keeping.take()
        {
            complete.finish().await;
        }
        Ok(Some((chunk, (stream, keeping, left))))
    })
    .boxed()
}
