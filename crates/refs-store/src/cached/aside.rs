//! What one operation reads more than once, whatever the store does with it.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_registry::{Blob, Part, Result, Resume, Verify};
use refs_url::Digest;
use tokio::sync::OwnedMutexGuard;

use crate::{
    part::within,
    reading::{read_range, read_verified},
    spool::Spool,
    store::{Fill, Taken},
};

/// Content that was fetched: open files, which stay when the store evicts them, or never showed them. What the store does not
/// take is written to files without a name, so that nothing is left of it, however the operation ends.
#[derive(Debug)]
pub(super) struct Aside {
    /// Where those are.
    folder: Arc<Path>,
    held: Mutex<BTreeMap<Digest, (Arc<File>, u64)>>,
    turns: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// Content of so many bytes that may be kept aside.
pub(super) struct Turning {
    aside: Arc<Aside>,
    size: u64,
    /// What the store did not take, from the first byte on.
    spool: Option<Spool>,
}

impl Aside {
    /// Nothing yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), held: Mutex::default(), turns: Mutex::default() }
    }

    /// The content, verified, if it was fetched before.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Blob> {
        let (file, size) = lock(&self.held).get(digest).cloned()?;
        let verify = Verify::new(digest, size, Resume::START).ok()?;
        Some(Blob { size, stream: read_verified(file, Arc::clone(&self.folder), 0..size, verify) })
    }

    /// Bytes `range` of the content, if it was fetched before.
    ///
    /// # Errors
    /// `Size` when the content is shorter.
    pub(super) fn part(&self, digest: &Digest, range: Range<u64>) -> Result<Option<Part>> {
        let Some((file, total)) = lock(&self.held).get(digest).cloned() else { return Ok(None) };
        let range = within(digest, range, total)?;
        let stream = read_range(file, Arc::clone(&self.folder), range.clone());
        Ok(Some(Part { range, total, stream }))
    }

    /// The right to fetch the content, once nobody else of the operation does.
    pub(super) async fn turn(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.turns).entry(digest.clone()).or_default());
        turn.lock_owned().await
    }

    fn hold(&self, digest: &Digest, file: Arc<File>, size: u64) {
        lock(&self.held).insert(digest.clone(), (file, size));
    }

    async fn spooled(&self, Taken { file, bytes, rest }: Taken) -> Result<Spool> {
        let mut spool = Spool::create_in(&*self.folder).await?;
        if let Some(file) = file {
            let mut chunks = read_range(file.into(), Arc::clone(&self.folder), 0..bytes);
            while let Some(chunk) = chunks.next().await {
                spool.write(chunk?).await?;
            }
        }
        for chunk in rest {
            spool.write(chunk).await?;
        }
        Ok(spool)
    }
}

impl Turning {
    /// The store may take all of the content, which has `size` bytes.
    pub(super) fn new(aside: &Arc<Aside>, size: u64) -> Self {
        Self { aside: Arc::clone(aside), size, spool: None }
    }

    /// Goes on where `fill` of the store ended; from the start, where the store takes nothing.
    pub(super) async fn take_over(&mut self, fill: Option<Box<dyn Fill>>) {
        let taken = match fill {
            Some(fill) => match fill.taken().await {
                Some(taken) => taken,
                None => return,
            },
            None => Taken::default(),
        };
        self.go_on_after(taken).await;
    }

    pub(super) async fn write(&mut self, chunk: Bytes) {
        let Some(spool) = &mut self.spool else { return };
        let written = spool.write(chunk).await;
        self.unless_failed(written);
    }

    /// Holds on to what `fill` was given, whatever the store makes of it.
    pub(super) async fn hold(&mut self, digest: &Digest, fill: Box<dyn Fill>) {
        match fill.taken().await {
            Some(Taken { file: Some(file), bytes, rest }) if bytes == self.size && rest.is_empty() => {
                self.aside.hold(digest, Arc::new(file), bytes);
            }
            Some(incomplete) => self.go_on_after(incomplete).await,
            None => {}
        }
    }

    /// Holds on to what came, if that is all.
    pub(super) fn finish(self, digest: &Digest) {
        if let Some(spool) = self.spool.filter(|spool| spool.bytes() == self.size) {
            self.aside.hold(digest, spool.into_file(), self.size);
        }
    }

    async fn go_on_after(&mut self, taken: Taken) {
        let spooled = self.aside.spooled(taken).await;
        self.spool = self.unless_failed(spooled);
    }

    /// What came of keeping the content. There is no more of it after a failure.
    fn unless_failed<T>(&mut self, kept: Result<T>) -> Option<T> {
        kept.inspect_err(|error| {
            tracing::debug!(%error, "what the cache does not take is not kept aside either");
            self.spool = None;
        })
        .ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
