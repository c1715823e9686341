//! Keeps bytes as they pass.

use futures_util::{StreamExt, stream};
use refs_registry::ByteStream;

use super::local::Keeping;

/// `stream`, whose bytes are kept once it has ended without an error. Read in part, or broken off, it leaves nothing
/// behind. That they can't be kept is no error of the stream.
pub(super) fn tee(stream: ByteStream, keeping: Keeping) -> ByteStream {
    stream::try_unfold((stream, keeping), |(mut stream, mut keeping)| async move {
        match stream.next().await.transpose()? {
            Some(chunk) => {
                keeping.write(&chunk).await;
                Ok(Some((chunk, (stream, keeping))))
            }
            None => {
                keeping.finish().await;
                Ok(None)
            }
        }
    })
    .boxed()
}
