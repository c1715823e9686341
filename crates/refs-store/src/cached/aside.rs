//! What one operation reads more than once, whatever the store does with it.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{StreamExt, stream};
use refs_registry::{Blob, ByteStream, Part, Resume, Verify, verified};
use refs_url::Digest;

use crate::{
    disk::{DiskOptions, DiskStore},
    file::read_range,
    flight::Flight,
    part::within,
    store::{Fill, Origin, Store, Taken},
};

/// Content that was fetched: open files, which stay when the store evicts them, or never showed them. What the store does not
/// take is written to a folder of the operation's own.
#[derive(Debug)]
pub(super) struct Aside {
    refused: DiskStore,
    origin: Origin,
    held: Mutex<BTreeMap<Digest, (Arc<File>, u64)>>,
}

impl Aside {
    /// Nothing yet; `folder` is made when the store refuses something.
    pub(super) fn new(folder: &Path, origin: Origin) -> Self {
        let refused = DiskStore::new(folder, &DiskOptions { max_bytes: u64::MAX, ..DiskOptions::default() });
        Self { refused, origin, held: Mutex::default() }
    }

    /// The content, verified, if it was fetched before.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Blob> {
        let (file, size) = self.held().get(digest).cloned()?;
        let verify = Verify::new(digest, size, Resume::START).ok()?;
        let bytes = read_range(file, self.refused.path().into(), 0..size);
        Some(Blob { size, stream: verified(bytes, verify) })
    }

    /// Bytes `range` of the content, if it was fetched before.
    ///
    /// # Errors
    /// `Size` when the content is shorter.
    pub(super) fn part(&self, digest: &Digest, range: Range<u64>) -> refs_registry::Result<Option<Part>> {
        let Some((file, total)) = self.held().get(digest).cloned() else { return Ok(None) };
        let range = within(digest, range, total)?;
        let stream = read_range(file, self.refused.path().into(), range.clone());
        Ok(Some(Part { range, total, stream }))
    }

    /// Holds on to content of `size` bytes.
    ///
    /// # Errors
    /// `taken`, when it is not all in one file.
    pub(super) fn hold(&self, digest: &Digest, size: u64, taken: Taken) -> Result<(), Taken> {
        match taken {
            Taken { file: Some(file), bytes, rest } if bytes == size && rest.is_empty() => {
                self.held().insert(digest.clone(), (Arc::new(file), size));
                Ok(())
            }
            incomplete => Err(incomplete),
        }
    }

    /// Begins to keep content of `size` bytes, of which the store has let go of `fill`.
    pub(super) async fn fill(&self, digest: &Digest, size: u64, fill: Option<Box<dyn Fill>>) -> Option<Box<dyn Fill>> {
        let taken = match fill {
            Some(fill) => fill.taken().await?,
            None => Taken::default(),
        };
        self.filled_with(digest, size, taken).await
    }

    /// Begins to keep content of `size` bytes, of which there is `taken`.
    pub(super) async fn filled_with(&self, digest: &Digest, size: u64, taken: Taken) -> Option<Box<dyn Fill>> {
        match self.try_fill(digest, size, taken).await {
            Ok(fill) => fill,
            Err(error) => {
                tracing::debug!(%error, "what the cache does not take is not kept aside either");
                None
            }
        }
    }

    async fn try_fill(&self, digest: &Digest, size: u64, taken: Taken) -> refs_registry::Result<Option<Box<dyn Fill>>> {
        let Some(mut fill) = self.refused.fill(&self.origin, digest, size).await? else { return Ok(None) };
        let mut chunks = self.stream(taken);
        while let Some(chunk) = chunks.next().await {
            fill.write(chunk?).await?;
        }
        Ok(Some(fill))
    }

    /// The right to fetch the content, once nobody else of the operation does.
    pub(super) async fn flight(&self, digest: &Digest) -> Option<Flight> {
        self.refused.flight(digest).await.ok().flatten()
    }

    fn stream(&self, Taken { file, bytes, rest }: Taken) -> ByteStream {
        let rest = stream::iter(rest.into_iter().map(Ok));
        match file {
            Some(file) => read_range(file.into(), self.refused.path().into(), 0..bytes).chain(rest).boxed(),
            None => rest.boxed(),
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Digest, (Arc<File>, u64)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
