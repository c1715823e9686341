//! Content on its way into a bucket. It shows there under its digest when all of it has been verified, and not before.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream::FuturesUnordered};
use object_store::{MultipartUpload, PutPayload, PutPayloadMut, UploadPart, path::Path};
use refs_registry::{ByteStream, Result, error::Doing};
use refs_url::Digest;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{names::Names, objects::Objects};

/// More is sent in pieces.
pub(super) const AT_ONCE: u64 = 4 << 20;
/// The least that S3 takes is 5 MiB.
const PIECE_BYTES: u64 = 8 << 20;
/// More pieces S3 does not take.
const MOST_PIECES: u64 = 10_000;
const PIECES_AT_A_TIME: usize = 2;
const UPLOADS_AT_A_TIME: usize = 4;

/// Puts what `content` gives under `digest`, unless all of it is there. An error of the stream says that it is not that.
pub(super) async fn share(
    objects: &Objects,
    names: &Names,
    digest: &Digest,
    size: u64,
    content: ByteStream,
) -> Result<()> {
    let name = names.blob(digest);
    if objects.size(&name).await? == Some(size) {
        return Ok(());
    }
    if size <= AT_ONCE {
        let chunks: Vec<_> = content.try_collect().await?;
        return objects.replace(&name, chunks.concat().into()).await;
    }
    let upload = objects.begin(&name).await?;
    let (pieces, piece) = (FuturesUnordered::new(), piece_bytes(size));
    let mut sending = Sending { objects, name: &name, size, upload, pieces, piece };
    let sent = sending.send(content).await;
    if sent.is_err() {
        sending.abort().await;
    }
    sent
}

/// How large the pieces of content of `size` bytes are.
fn piece_bytes(size: u64) -> usize {
    usize::try_from(size.div_ceil(MOST_PIECES)).unwrap_or(usize::MAX).max(PIECE_BYTES as usize)
}

/// Content on its way under a name, where nothing shows before it is complete.
struct Sending<'a> {
    objects: &'a Objects,
    name: &'a Path,
    size: u64,
    upload: Box<dyn MultipartUpload>,
    pieces: FuturesUnordered<UploadPart>,
    /// How large each is but the last.
    piece: usize,
}

impl Sending<'_> {
    async fn send(&mut self, mut content: ByteStream) -> Result<()> {
        let mut piece = PutPayloadMut::new();
        while let Some(mut chunk) = content.next().await.transpose()? {
            while piece.content_length() + chunk.len() >= self.piece {
                piece.push(chunk.split_to(self.piece - piece.content_length()));
                self.put(std::mem::take(&mut piece).into()).await?;
            }
            piece.push(chunk);
        }
        if piece.content_length() > 0 {
            self.put(piece.into()).await?;
        }
        self.settle(0).await?;
        // S3 puts the pieces together meanwhile, which may take minutes.
        let time = self.objects.options().time_for(self.size);
        self.objects.within(time, Doing::Write, self.name, self.upload.complete()).await.map(drop)
    }

    async fn put(&mut self, piece: PutPayload) -> Result<()> {
        self.settle(PIECES_AT_A_TIME - 1).await?;
        self.pieces.push(self.upload.put_part(piece));
        Ok(())
    }

    /// Waits until at most `most` pieces are on their way.
    async fn settle(&mut self, most: usize) -> Result<()> {
        let options = self.objects.options();
        let time = options.idle + options.time_for((self.piece * PIECES_AT_A_TIME) as u64);
        while self.pieces.len() > most {
            let pieces = &mut self.pieces;
            let next = async { pieces.next().await.transpose() };
            self.objects.within(time, Doing::Write, self.name, next).await?;
        }
        Ok(())
    }

    /// Has the bucket drop what it was given: it would be kept, and paid for, though nobody can see it.
    async fn abort(mut self) {
        self.pieces.clear();
        let time = self.objects.options().time_for(0);
        if let Err(error) = self.objects.within(time, Doing::Remove, self.name, self.upload.abort()).await {
            tracing::warn!(%error, "what was sent of an upload that failed stays in the bucket, where nobody sees it");
        }
    }
}

/// Uploads that go on by themselves.
#[derive(Debug)]
pub(super) struct Uploads {
    under_way: Mutex<JoinSet<()>>,
    /// An upload of these that is under way holds it.
    pub(super) room: Arc<Semaphore>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { under_way: Mutex::default(), room: Arc::new(Semaphore::new(UPLOADS_AT_A_TIME)) }
    }
}

impl Uploads {
    pub(super) fn spawn(&self, upload: impl Future<Output = ()> + Send + 'static) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.try_join_next().is_some() {}
        under_way.spawn(upload);
    }

    /// Waits for those that are under way. Those go with the wait that are so when it is given up.
    pub(super) async fn settled(&self) {
        let mut under_way = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = under_way.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "an upload into the bucket has come to no end");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_it_is_it_goes_in_the_pieces_that_s3_takes() {
        const GIB: u64 = 1 << 30;
        for size in [AT_ONCE + 1, 6 * GIB, 78 * GIB, 79 * GIB, 1024 * GIB, 5 * 1024 * GIB] {
            let piece = piece_bytes(size) as u64;
            assert!((PIECE_BYTES..5 * GIB).contains(&piece), "{size}: {piece}");
            assert!(size.div_ceil(piece) <= MOST_PIECES, "{size}: {piece}");
        }
    }
}
