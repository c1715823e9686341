//! A store on disk that fails as a test wants it to.

use std::{
    io,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Blob, Error, Part, Result, Resume, error::Doing};
use refs_store::{Checked, DiskStore, Fill, Flight, Origin, Store, TagRecord, Taken};
use refs_url::{Digest, Tag};
use tokio::sync::Barrier;

/// Why a part can't be read.
pub(crate) type Reason = fn(&Digest) -> Error;

/// Without faults it is as the store in it.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    /// What it keeps things in.
    pub(crate) store: DiskStore,
    /// The disk is full after so many bytes of each blob.
    pub(crate) room: Option<u64>,
    /// No part of this is given, for this reason.
    pub(crate) unreadable: Option<(Digest, Reason)>,
    /// Those who look for what follows a part that they do not find wait here for each other: nobody asks before all do.
    pub(crate) gate: Option<Barrier>,
    /// How often it was told to hash something.
    pub(crate) hashed: AtomicUsize,
}

impl FaultyStore {
    pub(crate) const fn new(store: DiskStore) -> Self {
        Self { store, room: None, unreadable: None, gate: None, hashed: AtomicUsize::new(0) }
    }
}

struct FullFill {
    fill: Box<dyn Fill>,
    room: u64,
}

#[async_trait]
impl Fill for FullFill {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.room.checked_sub(chunk.len() as u64) {
            Some(room) => self.room = room,
            None => return Err(Error::io(Doing::Write, "the cache", io::ErrorKind::StorageFull.into())),
        }
        self.fill.write(chunk).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.fill.commit().await
    }

    async fn taken(self: Box<Self>) -> Option<Taken> {
        self.fill.taken().await
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.store.stat(digest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.store.blob(digest, from).await
    }

    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        match &self.unreadable {
            Some((layer, fault)) if layer == digest => Err(fault(digest)),
            _ => {
                let looks_ahead = range.is_empty();
                let part = self.store.part(origin, digest, range).await;
                if let (Some(gate), true, Err(_)) = (&self.gate, looks_ahead, &part) {
                    gate.wait().await;
                }
                part
            }
        }
    }

    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        let fill = self.store.fill(origin, digest, size).await?;
        Ok(match self.room {
            Some(room) => fill.map(|fill| Box::new(FullFill { fill, room }) as Box<dyn Fill>),
            None => fill,
        })
    }

    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>> {
        self.store.fill_part(origin, digest, range, total).await
    }

    async fn flight(&self, digest: &Digest) -> Result<Option<Flight>> {
        self.store.flight(digest).await
    }

    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.store.remove(origin, digest).await
    }

    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        self.store.quarantine(origin, digest).await
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        self.store.record(origin, tag, record).await
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        self.store.recorded(origin, tag).await
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.store.add_member(origin, digest).await
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        self.store.is_member(origin, digest).await
    }

    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        self.store.members(origin, most).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.store.pin(digest).await
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.store.unpin(digest).await
    }
}
