//! Bytes of an object on their way here, however long that takes.

use std::{mem, time::Duration};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::{GetRange, GetResult, path::Path};
use refs_registry::{
    ByteStream, Error, Result,
    error::{Doing, Wanted},
};
use refs_url::Digest;

use super::objects::Objects;

/// So often a request for what is missing may bring nothing.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What comes of content in a bucket. When it breaks off, or stands still for too long, what is missing is asked for again.
struct Coming {
    objects: Objects,
    digest: Digest,
    at: Path,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    /// What is missing.
    next: u64,
    end: u64,
    /// Requests since the last byte.
    attempts: u32,
}

/// The bytes of the object `at`, which was got, and is the content `digest` or a part of it.
pub(super) fn coming(objects: &Objects, digest: &Digest, at: &Path, got: GetResult) -> ByteStream {
    let (next, end) = (got.range.start, got.range.end);
    let (objects, digest, at) = (objects.clone(), digest.clone(), at.clone());
    let coming = Coming { objects, digest, at, bytes: got.into_stream(), next, end, attempts: 0 };
    stream::try_unfold(coming, |mut coming| async move { Ok(coming.piece().await?.map(|piece| (piece, coming))) })
        .boxed()
}

impl Coming {
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        while self.next < self.end {
            match self.read().await {
                Ok(piece) => {
                    self.next += piece.len() as u64;
                    self.attempts = 0;
                    return Ok(Some(piece));
                }
                Err(error) if self.attempts == ATTEMPTS => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, next = self.next, end = self.end, "what comes from the bucket has broken off");
                    self.go_on().await?;
                }
            }
        }
        Ok(None)
    }

    /// The next bytes, of which there is at least one.
    async fn read(&mut self) -> Result<Bytes> {
        let options = self.objects.options();
        let bytes = &mut self.bytes;
        let next = async {
            while let Some(piece) = bytes.next().await.transpose()? {
                if !piece.is_empty() {
                    return Ok(piece);
                }
            }
            Err(object_store::Error::Generic { store: "the bucket", source: CutOff.into() })
        };
        self.objects.within(options.idle, Doing::Read, &self.at, next).await
    }

    /// Asks for what is missing.
    async fn go_on(&mut self) -> Result<()> {
        loop {
            // The first time nothing is known to be wrong but that connection.
            if self.attempts > 0 {
                self.objects.options().clock.sleep(PAUSE).await;
            }
            self.attempts += 1;
            let range = GetRange::Bounded(self.next..self.end);
            match self.objects.get(&self.at, Some(range)).await {
                Ok(Some(got)) => {
                    drop(mem::replace(&mut self.bytes, got.into_stream()));
                    return Ok(());
                }
                Ok(None) => {
                    return Err(Error::NotCached { wanted: Wanted::Blob(self.digest.clone()), of: None, lost: None });
                }
                Err(error) if self.attempts == ATTEMPTS => return Err(error),
                Err(error) => tracing::debug!(%error, "what is missing can't be asked for"),
            }
        }
    }
}

/// Content ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("it ends before its last byte")]
struct CutOff;

/// `stream` without its first bytes.
pub(super) fn skipping(stream: ByteStream, bytes: usize) -> ByteStream {
    let rest = stream.scan(bytes, |skip, chunk| {
        let rest = chunk.map(|mut chunk: Bytes| {
            let skipped = (*skip).min(chunk.len());
            *skip -= skipped;
            chunk.split_off(skipped)
        });
        std::future::ready(Some(rest))
    });
    rest.boxed()
}
