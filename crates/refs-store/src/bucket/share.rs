//! Content on its way into a bucket. It shows there under its digest when all of it has been verified, and not before.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, WriteMultipart};
use refs_registry::{ByteStream, Result, error::Doing};
use refs_url::Digest;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{names::Names, objects::Objects};

/// More is sent in pieces, to a name that tells nobody that it is there.
pub(super) const AT_ONCE: u64 = 4 << 20;
/// The least that S3 takes is 5 MiB, and it takes 10,000 of them.
const PIECE_BYTES: usize = 8 << 20;
const PIECES_AT_A_TIME: usize = 2;
const UPLOADS_AT_A_TIME: usize = 4;

/// Puts what `content` gives under `digest`, unless it is there. An error of the stream says that it is not that.
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
        return objects.create(&name, chunks.concat().into()).await.map(drop);
    }
    let upload = names.upload();
    send(objects, &upload, content).await?;
    let shown = objects.copy(&upload, &name).await;
    objects.remove(&upload).await?;
    shown
}

async fn send(objects: &Objects, name: &object_store::path::Path, mut content: ByteStream) -> Result<()> {
    let failed = |fault| objects.failed(Doing::Write, name, io::Error::other(fault));
    let upload = objects.bucket().put_multipart(name).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
    while let Some(chunk) = content.next().await {
        match chunk {
            Ok(chunk) => upload.put(chunk),
            Err(error) => {
                upload.abort().await.map_err(failed)?;
                return Err(error);
            }
        }
        upload.wait_for_capacity(PIECES_AT_A_TIME).await.map_err(failed)?;
    }
    upload.finish().await.map(drop).map_err(failed)
}

/// Removes what uploads have left that were begun before `before`; says how many that were.
pub(super) async fn reclaim(objects: &Objects, names: &Names, before: SystemTime) -> Result<usize> {
    let folder = names.uploads();
    let failed = |fault| objects.failed(Doing::List, &folder, io::Error::other(fault));
    let mut listed = objects.bucket().list(Some(&folder));
    let mut removed = 0;
    while let Some(meta) = listed.next().await.transpose().map_err(failed)? {
        if SystemTime::from(meta.last_modified) < before {
            removed += usize::from(objects.remove(&meta.location).await?);
        }
    }
    Ok(removed)
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

    /// Waits for those that are under way.
    pub(super) async fn settled(&self) {
        let under_way = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        under_way.join_all().await;
    }
}
