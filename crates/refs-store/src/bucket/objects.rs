//! The objects of a bucket, in the words of a store.

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{Either, select},
};
use object_store::{
    Error as Fault, GetOptions, GetRange, GetResult, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion, path::Path,
};
use refs_registry::{Error, Result, error::Doing};

use super::options::BucketOptions;
use crate::health::{Health, Verdict};

/// The objects of one bucket. A request that takes too long has failed, and after some that failed none is sent for a while.
#[derive(Clone)]
pub(super) struct Objects {
    bucket: Arc<dyn ObjectStore>,
    options: Arc<BucketOptions>,
    health: Arc<Health>,
}

/// Why a bucket was not asked.
#[derive(Debug, thiserror::Error)]
#[error("the bucket has failed lately, and is left out for a while")]
struct LeftOut;

/// Whether what was to be written is what is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Another was faster.
    Lost,
}

impl Objects {
    pub(super) fn of(bucket: Arc<dyn ObjectStore>, options: &BucketOptions) -> Self {
        let health = Health::new(options.failures, options.pause).into();
        Self { bucket, options: options.clone().into(), health }
    }

    pub(super) fn options(&self) -> &BucketOptions {
        &self.options
    }

    /// How many bytes the object has, if it is there.
    pub(super) async fn size(&self, at: &Path) -> Result<Option<u64>> {
        let head = present(self.bucket.head(at));
        Ok(self.asked(Doing::Read, at, head).await?.map(|meta| meta.size))
    }

    /// The object, or a part of it, if it is there. How its bytes come is for [`Coming`](super::coming::Coming).
    pub(super) async fn get(&self, at: &Path, range: Option<GetRange>) -> Result<Option<GetResult>> {
        let got = present(self.bucket.get_opts(at, GetOptions { range, ..GetOptions::default() }));
        self.asked(Doing::Read, at, got).await
    }

    /// All bytes of a small object, and the version that they are of. One of more than `most` counts as none.
    pub(super) async fn read(&self, at: &Path, most: u64) -> Result<Option<(Bytes, UpdateVersion)>> {
        let Some(got) = self.get(at, None).await?.filter(|got| got.meta.size <= most) else { return Ok(None) };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let time = self.options.time_for(got.meta.size);
        let bytes = self.within(time, Doing::Read, at, got.bytes()).await?;
        Ok(Some((bytes, version)))
    }

    /// Writes an object where there is none.
    pub(super) async fn create(&self, at: &Path, bytes: Bytes) -> Result<Put> {
        self.put(at, bytes, PutMode::Create).await
    }

    /// Replaces an object that is of this version still.
    pub(super) async fn update(&self, at: &Path, bytes: Bytes, version: UpdateVersion) -> Result<Put> {
        self.put(at, bytes, PutMode::Update(version)).await
    }

    /// Writes an object, whatever is there.
    pub(super) async fn replace(&self, at: &Path, bytes: Bytes) -> Result<()> {
        self.put(at, bytes, PutMode::Overwrite).await.map(drop)
    }

    async fn put(&self, at: &Path, bytes: Bytes, mode: PutMode) -> Result<Put> {
        let (replaces, time) = (matches!(mode, PutMode::Update(_)), self.options.time_for(bytes.len() as u64));
        self.admitted(Doing::Write, at)?;
        let put = async {
            match self.bucket.put_opts(at, bytes.into(), PutOptions::from(mode)).await {
                Ok(_) => Ok(Put::Done),
                Err(Fault::AlreadyExists { .. } | Fault::Precondition { .. }) => Ok(Put::Lost),
                // Removed meanwhile. Where nothing is replaced, it is the bucket that is not there.
                Err(Fault::NotFound { .. }) if replaces => Ok(Put::Lost),
                Err(fault) => Err(fault),
            }
        };
        self.within(time, Doing::Write, at, put).await
    }

    /// Begins to write an object by parts.
    pub(super) async fn begin(&self, at: &Path) -> Result<Box<dyn MultipartUpload>> {
        self.asked(Doing::Write, at, self.bucket.put_multipart(at)).await
    }

    /// Says whether there was one.
    pub(super) async fn remove(&self, at: &Path) -> Result<bool> {
        if self.size(at).await?.is_none() {
            return Ok(false);
        }
        self.asked(Doing::Remove, at, present(self.bucket.delete(at))).await?;
        Ok(true)
    }

    /// The names of at most `most` objects below `folder`.
    pub(super) async fn list(&self, folder: &Path, most: usize) -> Result<Vec<Path>> {
        let (mut listed, mut names) = (self.bucket.list(Some(folder)), Vec::new());
        while names.len() < most {
            let next = async { listed.next().await.transpose() };
            match self.asked(Doing::List, folder, next).await? {
                Some(meta) => names.push(meta.location),
                None => break,
            }
        }
        Ok(names)
    }

    /// What comes of a request that moves little.
    async fn asked<T>(
        &self,
        doing: Doing,
        at: &Path,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        self.admitted(doing, at)?;
        self.within(self.options.patience, doing, at, request).await
    }

    /// What comes of what may take so long, of a request that was admitted.
    pub(super) async fn within<T>(
        &self,
        time: Duration,
        doing: Doing,
        at: &Path,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let source = match select(pin!(work), self.options.clock.sleep(time)).await {
            Either::Left((Ok(done), _)) => {
                self.health.has_answered();
                return Ok(done);
            }
            Either::Left((Err(fault), _)) => io::Error::other(fault),
            Either::Right(((), _)) => io::ErrorKind::TimedOut.into(),
        };
        if self.health.has_failed(self.options.clock.now()) == Verdict::LeftOut {
            tracing::warn!(
                pause = self.options.pause.as_secs(),
                "the bucket has failed too often, and is left out for a while"
            );
        }
        Err(self.failed(doing, at, source))
    }

    fn admitted(&self, doing: Doing, at: &Path) -> Result<()> {
        let is_asked = self.health.is_asked(self.options.clock.now());
        if is_asked { Ok(()) } else { Err(self.failed(doing, at, io::Error::other(LeftOut))) }
    }

    fn failed(&self, doing: Doing, at: &Path, source: io::Error) -> Error {
        Error::io(doing, format!("{}/{at}", self.bucket), source)
    }
}

/// Whether it is only that the bucket was not asked.
pub(super) fn is_left_out(error: &Error) -> bool {
    let source = if let Error::Io { source, .. } = error { source.get_ref() } else { None };
    source.is_some_and(|source| source.is::<LeftOut>())
}

/// `None` for what is not there.
async fn present<T>(request: impl Future<Output = object_store::Result<T>>) -> object_store::Result<Option<T>> {
    match request.await {
        Err(Fault::NotFound { .. }) => Ok(None),
        result => result.map(Some),
    }
}
