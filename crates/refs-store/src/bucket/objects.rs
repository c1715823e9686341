//! The objects of a bucket, in the words of a store.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    CopyMode, CopyOptions, Error as Fault, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, UpdateVersion, path::Path,
};
use refs_registry::{ByteStream, Error, Result, error::Doing};

/// The objects of one bucket.
#[derive(Clone)]
pub(super) struct Objects(Arc<dyn ObjectStore>);

/// Whether what was to be written is what is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Another was faster.
    Lost,
}

impl Objects {
    pub(super) fn of(bucket: Arc<dyn ObjectStore>) -> Self {
        Self(bucket)
    }

    pub(super) fn bucket(&self) -> &dyn ObjectStore {
        &*self.0
    }

    /// How many bytes the object has, if it is there.
    pub(super) async fn size(&self, at: &Path) -> Result<Option<u64>> {
        let head = present(self.0.head(at).await);
        Ok(head.map_err(|fault| self.failed(Doing::Read, at, fault))?.map(|meta| meta.size))
    }

    /// The object, or a part of it, if it is there.
    pub(super) async fn get(&self, at: &Path, range: Option<GetRange>) -> Result<Option<GetResult>> {
        let got = self.0.get_opts(at, GetOptions { range, ..GetOptions::default() }).await;
        present(got).map_err(|fault| self.failed(Doing::Read, at, fault))
    }

    /// What comes of an object that was [got](Self::get).
    pub(super) fn stream(&self, at: &Path, got: GetResult) -> ByteStream {
        let (objects, at) = (self.clone(), at.clone());
        got.into_stream().map_err(move |fault| objects.failed(Doing::Read, &at, fault)).boxed()
    }

    /// All bytes of a small object, and the version that they are of. One of more than `most` counts as none.
    pub(super) async fn read(&self, at: &Path, most: u64) -> Result<Option<(Bytes, UpdateVersion)>> {
        let Some(got) = self.get(at, None).await?.filter(|got| got.meta.size <= most) else { return Ok(None) };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = got.bytes().await.map_err(|fault| self.failed(Doing::Read, at, fault))?;
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
        let replaces = matches!(mode, PutMode::Update(_));
        match self.0.put_opts(at, bytes.into(), PutOptions::from(mode)).await {
            Ok(_) => Ok(Put::Done),
            Err(Fault::AlreadyExists { .. } | Fault::Precondition { .. }) => Ok(Put::Lost),
            // Removed meanwhile. Where nothing is replaced, it is the bucket that is not there.
            Err(Fault::NotFound { .. }) if replaces => Ok(Put::Lost),
            Err(fault) => Err(self.failed(Doing::Write, at, fault)),
        }
    }

    /// Gives an object another name, unless there is one. Where the bucket has no such request, who writes there at the same
    /// time writes the same.
    pub(super) async fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let create = CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
        let copied = match self.0.copy_opts(from, to, create).await {
            Err(Fault::NotSupported { .. } | Fault::NotImplemented { .. }) => match self.size(to).await? {
                Some(_) => Ok(()),
                None => self.0.copy(from, to).await,
            },
            Err(Fault::AlreadyExists { .. } | Fault::Precondition { .. }) => Ok(()),
            copied => copied,
        };
        copied.map_err(|fault| self.failed(Doing::Rename, to, fault))
    }

    /// Says whether there was one.
    pub(super) async fn remove(&self, at: &Path) -> Result<bool> {
        if self.size(at).await?.is_none() {
            return Ok(false);
        }
        present(self.0.delete(at).await).map_err(|fault| self.failed(Doing::Remove, at, fault))?;
        Ok(true)
    }

    /// The names of at most `most` objects below `folder`.
    pub(super) async fn list(&self, folder: &Path, most: usize) -> Result<Vec<Path>> {
        let listed = self.0.list(Some(folder)).take(most).map_ok(|meta| meta.location).try_collect().await;
        listed.map_err(|fault| self.failed(Doing::List, folder, fault))
    }

    pub(super) fn failed(&self, doing: Doing, at: &Path, fault: Fault) -> Error {
        Error::io(doing, format!("{}/{at}", self.0), io::Error::other(fault))
    }
}

/// `None` for what is not there.
fn present<T>(result: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match result {
        Err(Fault::NotFound { .. }) => Ok(None),
        result => result.map(Some),
    }
}
