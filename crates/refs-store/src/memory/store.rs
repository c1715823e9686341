//! A cache in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Debug},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use refs_registry::{
    Blob, Error, Part, Result, Resume, Sink, Source, Upload,
    error::{Detail, Wanted},
};
use refs_url::{Digest, Tag};

use super::Memory;
use crate::store::{Origin, Store, TagRecord, not_cached};

/// A [`Store`] in memory, without bounds. A clone is cheap and shows the same content.
#[derive(Clone, Default)]
pub struct MemoryStore {
    content: Memory,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    tags: BTreeMap<(Origin, Tag), TagRecord>,
    members: BTreeSet<(Origin, Digest)>,
    pins: BTreeSet<Digest>,
}

impl MemoryStore {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.content.stat_blob(digest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.content.blob(digest, from).await.map_err(not_cached)
    }

    async fn part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.content.blob_part(digest, range).await.map_err(not_cached)
    }

    async fn fill(&self) -> Result<Box<dyn Upload>> {
        self.content.upload(None).await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        let wanted = Wanted::Blob(digest.clone());
        // Held until the content is gone, so that nobody pins it in between.
        let notes = self.notes();
        if notes.pins.contains(digest) {
            return Err(Error::Conflict { wanted, at: "memory".into(), detail: Detail::new("it is pinned") });
        }
        match self.content.write(|contents| contents.blobs.remove(digest)) {
            Some(_) => Ok(()),
            None => Err(Error::NotCached { wanted }),
        }
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        self.notes().tags.insert((origin.clone(), tag.clone()), record.clone());
        Ok(())
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        Ok(self.notes().tags.get(&(origin.clone(), tag.clone())).cloned())
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.notes().members.insert((origin.clone(), digest.clone()));
        Ok(())
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        Ok(self.notes().members.contains(&(origin.clone(), digest.clone())))
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.notes().pins.insert(digest.clone());
        Ok(())
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.notes().pins.remove(digest);
        Ok(())
    }
}
