//! Bytes on their way onto the disk, written by steps so that whoever has them need not wait for it.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;
use tokio::sync::{Semaphore, oneshot};

use super::{
    order::{Order, Place},
    steps::{Message, Steps, Writing},
};
use crate::{
    flight::Flight,
    growing::{Growing, growing},
    store::{Fill, Taken, wrong_size},
};

/// So many bytes may wait for the disk: enough for some steps, so that there is something to write whenever one has its turn.
const CAPACITY_BYTES: usize = 4 << 20;
/// What a chunk costs beside its bytes, so that a flood of tiny ones is bounded, too.
const CHUNK_COST: usize = 128;

/// A fill of a store on disk. It has a thread while something is written, and none while it waits for more.
pub(super) struct DiskFill {
    digest: Digest,
    size: u64,
    taken: u64,
    name: PathBuf,
    room: Arc<Semaphore>,
    steps: Arc<Steps>,
    /// `None` when it has been told.
    ended: Option<oneshot::Receiver<Result<()>>>,
    taken_over: oneshot::Receiver<Taken>,
    growing: Growing,
}

impl DiskFill {
    pub(super) fn begin(order: Order) -> Self {
        let room = Arc::new(Semaphore::new(CAPACITY_BYTES));
        let (digest, size, name) = (order.digest.clone(), order.size, order.name.clone());
        let taken = if let Place::Left(ingest) = &order.place { ingest.bytes() } else { 0 };
        let (grows, growing) = growing();
        let (hand_over, taken_over) = oneshot::channel();
        let (tell, ended) = oneshot::channel();
        let steps = Steps::begin(Writing::new(order, Arc::clone(&room), grows, hand_over, tell));
        Self { digest, size, taken, name, room, steps, ended: Some(ended), taken_over, growing }
    }

    /// What has come of it, once it has ended.
    async fn outcome(&mut self) -> Result<()> {
        let gone = || Error::io(Doing::Write, &self.name, std::io::ErrorKind::BrokenPipe.into());
        match self.ended.take() {
            Some(ended) => ended.await.unwrap_or_else(|_panicked| Err(gone())),
            None => Err(gone()),
        }
    }

    /// Why it has ended early.
    async fn failure(&mut self) -> Error {
        match self.outcome().await {
            Err(error) => error,
            Ok(()) => Error::io(Doing::Write, &self.name, std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[async_trait]
impl Fill for DiskFill {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.taken += chunk.len() as u64;
        if self.taken > self.size {
            return Err(wrong_size(&self.digest, self.size, self.taken));
        }
        let cost = (chunk.len() + CHUNK_COST).min(CAPACITY_BYTES);
        let Ok(permit) = self.room.acquire_many(cost as u32).await else { return Err(self.failure().await) };
        permit.forget();
        match self.steps.add(Message::Chunk(chunk, cost)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    fn hold(&mut self, flight: Flight) {
        // What has ended early has nothing to wait for.
        drop(self.steps.add(Message::Hold(flight)));
    }

    fn growing(&self) -> Option<Growing> {
        Some(self.growing.clone())
    }

    async fn commit(&mut self) -> Result<()> {
        if self.taken != self.size {
            return Err(wrong_size(&self.digest, self.size, self.taken));
        }
        match self.steps.add(Message::Commit) {
            Ok(()) => self.outcome().await,
            Err(_) => Err(self.failure().await),
        }
    }

    async fn taken(mut self: Box<Self>) -> Option<Taken> {
        // What was committed, or has failed, has ended.
        drop(self.steps.add(Message::Leave));
        (&mut self.taken_over).await.ok()
    }

    async fn discard(mut self: Box<Self>) {
        // What has ended early has left nothing that is of use either.
        drop(self.steps.add(Message::Discard));
        if let Err(error) = self.outcome().await {
            tracing::debug!(name = %self.name.display(), %error, "a fill that nobody wants has failed");
        }
    }
}

impl Drop for DiskFill {
    fn drop(&mut self) {
        // After the end there is nothing to leave.
        drop(self.steps.add(Message::Leave));
    }
}
