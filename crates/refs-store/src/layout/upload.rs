//! A blob on its way into a layout.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Error, Result, Upload, UploadState, error::Wanted};
use refs_url::Digest;

use super::folder::Folder;
use crate::{file::blocking, ingest::Ingest};

/// The file is with the thread that writes it while one does, so that it is left or removed when the waiting ends early.
pub(super) struct LayoutUpload {
    folder: Arc<Folder>,
    ingest: Option<Ingest>,
    session: String,
    acknowledged: u64,
    /// Whether the file stays when this ends before its time.
    pub(super) leave: Arc<AtomicBool>,
}

impl LayoutUpload {
    /// Begins an upload, or resumes the one that `state` describes.
    pub(super) fn open(folder: Arc<Folder>, state: Option<&UploadState>) -> Result<Self> {
        folder.prepare()?;
        let ingest = match state {
            None => Ingest::begin(&folder.ingest())?,
            Some(state) => Ingest::resume(&folder.ingest(), &state.session, state.offset)?,
        };
        Ok(Self::of(folder, ingest))
    }

    /// What goes on where `ingest` is.
    pub(super) fn of(folder: Arc<Folder>, ingest: Ingest) -> Self {
        let (session, acknowledged, leave) = (ingest.session(), ingest.bytes(), ingest.leave());
        Self { folder, ingest: Some(ingest), session, acknowledged, leave }
    }

    /// The file, unless an earlier call was given up while it had it.
    fn take(&mut self) -> Result<Ingest> {
        self.ingest.take().ok_or_else(|| self.folder.not_found(Wanted::Upload))
    }
}

#[async_trait]
impl Upload for LayoutUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut ingest = self.take()?;
        let work = move || {
            let written = ingest.append(&chunk);
            Ok((ingest, written))
        };
        let (ingest, written): (_, Result<(), Error>) = blocking(self.folder.root(), work).await?;
        self.acknowledged = ingest.bytes();
        self.ingest = Some(ingest);
        written
    }

    fn state(&self) -> UploadState {
        self.leave.store(true, Ordering::Relaxed);
        UploadState { session: self.session.clone(), offset: self.acknowledged }
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        let (ingest, folder, digest) = (self.take()?, self.folder.clone(), digest.clone());
        blocking(self.folder.root(), move || folder.keep_blob(ingest, &digest)).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.leave.store(false, Ordering::Relaxed);
        let ingest = self.take()?;
        blocking(self.folder.root(), move || {
            drop(ingest);
            Ok(())
        })
        .await
    }
}
