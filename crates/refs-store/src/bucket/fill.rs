//! Bytes on their way to this node's disk, and from there into the bucket.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{Blob, ByteStream, Result, Resume};
use refs_url::Digest;

use super::store::BucketStore;
use crate::{
    flight::Flight,
    growing::Growing,
    joint::{Fetched, Fetching},
    store::{Fill, Taken},
};

/// A fill of the disk, whose content goes on into the bucket.
pub(super) struct BucketFill {
    pub(super) store: BucketStore,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) on_disk: Box<dyn Fill>,
}

#[async_trait]
impl Fill for BucketFill {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.on_disk.write(chunk).await
    }

    fn hold(&mut self, flight: Flight) {
        self.on_disk.hold(flight);
    }

    fn growing(&self) -> Option<Growing> {
        self.on_disk.growing()
    }

    async fn commit(&mut self) -> Result<()> {
        self.on_disk.commit().await?;
        self.store.share(&self.digest, self.size).await;
        Ok(())
    }

    async fn taken(self: Box<Self>) -> Option<Taken> {
        self.on_disk.taken().await
    }

    async fn discard(self: Box<Self>) {
        self.on_disk.discard().await;
    }
}

/// Content that the bucket has, and this node's disk has not.
pub(super) struct FromBucket {
    pub(super) store: BucketStore,
    pub(super) digest: Digest,
}

#[async_trait]
impl Fetching for FromBucket {
    async fn fetched(&self) -> Result<Fetched> {
        let Self { store, digest } = self;
        // Another may have brought it a moment ago.
        if let Some(blob) = store.on_disk(digest).await? {
            return Ok(Fetched { blob, growing: None });
        }
        let Blob { size, stream } = store.content(digest, Resume::START).await?;
        let fill = store.disk.fill_anonymous(digest, size).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what comes from the bucket is not kept on the disk");
            None
        });
        let growing = fill.as_ref().and_then(|fill| fill.growing());
        Ok(Fetched { blob: Blob { size, stream: kept(stream, fill) }, growing })
    }

    async fn alone(&self) -> Result<Blob> {
        match self.store.on_disk(&self.digest).await? {
            Some(blob) => Ok(blob),
            None => self.store.content(&self.digest, Resume::START).await,
        }
    }

    async fn rest(&self, from: Resume) -> Result<ByteStream> {
        Ok(self.store.content(&self.digest, from).await?.stream)
    }
}

/// `stream`, which has been verified when it ends, and is on the disk then, if that takes it.
fn kept(stream: ByteStream, fill: Option<Box<dyn Fill>>) -> ByteStream {
    stream::try_unfold((stream, fill), |(mut stream, mut fill)| async move {
        let next = stream.next().await;
        let failed = match (&next, &mut fill) {
            (Some(Ok(chunk)), Some(fill)) => fill.write(chunk.clone()).await.err(),
            (None, Some(fill)) => fill.commit().await.err(),
            (Some(Err(_)) | None, _) | (_, None) => None,
        };
        if let Some(error) = failed {
            tracing::debug!(%error, "what comes from the bucket is not kept on the disk");
            fill = None;
        }
        Ok(next.transpose()?.map(|chunk| (chunk, (stream, fill))))
    })
    .boxed()
}
