//! A blob on its way into memory.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{
    Error, Result, Upload, UploadState,
    error::{Detail, Wanted},
};
use refs_url::{Digest, Hasher};

use super::repository::Memory;
use crate::{running::Running, session::new_session};

/// The bytes lie in the repository's sessions, where a later handle finds them; this handle knows how far it has come.
pub(super) struct MemoryUpload {
    memory: Memory,
    session: String,
    running: Running,
    /// Somebody knows how to resume the upload.
    kept: AtomicBool,
}

impl MemoryUpload {
    pub(super) fn begin(memory: Memory) -> Self {
        let session = new_session();
        memory.write(|contents| contents.sessions.insert(session.clone(), Vec::new()));
        Self { memory, session, running: Running::default(), kept: AtomicBool::new(false) }
    }

    /// Goes on at `state.offset`; bytes behind it were never acknowledged and are dropped.
    pub(super) fn resume(memory: Memory, state: UploadState) -> Result<Self> {
        let UploadState { session, offset } = state;
        let gone = || Error::NotFound { wanted: Wanted::Upload, at: memory.place(), code: None };
        let bytes = memory.write(|contents| {
            let bytes = contents.sessions.get_mut(&session)?;
            let acknowledged = usize::try_from(offset).ok().filter(|offset| *offset <= bytes.len())?;
            bytes.truncate(acknowledged);
            Some(bytes.clone())
        });
        let mut running = Running::default();
        running.update(&bytes.ok_or_else(gone)?);
        Ok(Self { memory, session, running, kept: AtomicBool::new(true) })
    }

    fn overtaken(&self) -> Error {
        let detail = Detail::new("the upload was ended or resumed elsewhere");
        Error::Conflict { wanted: Wanted::Upload, at: self.memory.place(), detail }
    }

    fn forget(&self) -> Option<Vec<u8>> {
        self.memory.write(|contents| contents.sessions.remove(&self.session))
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let written = self.memory.write(|contents| {
            let bytes = contents.sessions.get_mut(&self.session)?;
            (bytes.len() as u64 == self.running.bytes()).then(|| bytes.extend_from_slice(&chunk))
        });
        written.ok_or_else(|| self.overtaken())?;
        self.running.update(&chunk);
        Ok(())
    }

    fn state(&self) -> UploadState {
        self.kept.store(true, Ordering::Relaxed);
        UploadState { session: self.session.clone(), offset: self.running.bytes() }
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()> {
        let bytes = self.forget().filter(|bytes| bytes.len() as u64 == self.running.bytes());
        let bytes = Bytes::from(bytes.ok_or_else(|| self.overtaken())?);
        let rehash = |mut hasher: Hasher| {
            hasher.update(&bytes);
            Ok(hasher.finish())
        };
        self.running.check(digest, rehash)?;
        self.memory.write(|contents| contents.blobs.insert(digest.clone(), bytes));
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.forget();
        Ok(())
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            self.forget();
        }
    }
}
