//! Batches on their way from the network to threads that decode them: a queue whose length is bounded in bytes.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::{cutter::Batch, pipe::Unwanted};
use crate::{Error, Result};

/// So many bytes may be in the hands of threads and wait for them.
const CAPACITY_BYTES: usize = 4 << 20;
/// What a batch costs beside its bytes.
const BATCH_COST: usize = 1 << 10;

/// The end that batches are put into.
#[derive(Debug)]
pub(crate) struct BatchWriter {
    room: Arc<Semaphore>,
    batches: mpsc::UnboundedSender<Queued>,
    is_complete: Arc<AtomicBool>,
    failure: Arc<Notify>,
}

/// The end that threads, which may block, take batches from.
#[derive(Debug)]
pub(crate) struct BatchQueue {
    room: Arc<Semaphore>,
    batches: Mutex<mpsc::UnboundedReceiver<Queued>>,
    is_complete: Arc<AtomicBool>,
    has_failed: AtomicBool,
    failure: Arc<Notify>,
}

/// A batch, with the room that it takes until it is dropped.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) batch: Batch,
    _room: OwnedSemaphorePermit,
}

/// A queue of at most 4 MiB, or one batch if that is longer.
pub(crate) fn queue() -> (BatchWriter, BatchQueue) {
    let room = Arc::new(Semaphore::new(CAPACITY_BYTES));
    let (sender, receiver) = mpsc::unbounded_channel();
    let is_complete = Arc::<AtomicBool>::default();
    let failure = Arc::<Notify>::default();
    let writer = BatchWriter {
        room: Arc::clone(&room),
        batches: sender,
        is_complete: Arc::clone(&is_complete),
        failure: Arc::clone(&failure),
    };
    (writer, BatchQueue { room, batches: receiver.into(), is_complete, has_failed: AtomicBool::new(false), failure })
}

impl BatchWriter {
    /// Appends `batch`, waiting while the queue is full.
    ///
    /// # Errors
    /// [`Unwanted`] once a thread has failed, or all have gone.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), Unwanted> {
        let bytes = usize::try_from(batch.span.bytes()).unwrap_or(usize::MAX);
        let cost = bytes.saturating_add(BATCH_COST).min(CAPACITY_BYTES);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(permits).await else { return Err(Unwanted) };
        self.batches.send(Queued { batch, _room: room }).map_err(|_gone| Unwanted)
    }

    /// Ends when a thread has failed, so that nobody waits for bytes that nobody wants.
    pub(crate) async fn unwanted(&self) {
        self.failure.notified().await;
    }

    /// Says that there are no more batches. A writer that is dropped instead leaves its threads with an error.
    pub(crate) fn finish(self) {
        self.is_complete.store(true, Ordering::Release);
    }
}

impl BatchQueue {
    /// The next batch; `None` when there are no more, or when a thread has failed.
    pub(crate) fn next(&self) -> Option<Queued> {
        let next = self.batches.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        next.filter(|_| !self.has_failed.load(Ordering::Relaxed))
    }

    /// Tells the writer and the other threads to stop.
    pub(crate) fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
        self.room.close();
        self.failure.notify_one();
    }

    /// Makes sure that no batch is missing, after the last was taken.
    ///
    /// # Errors
    /// `Worker`: whoever wrote knows why it stopped, and tells that instead.
    pub(crate) fn check_complete(&self) -> Result<()> {
        if self.is_complete.load(Ordering::Acquire) { Ok(()) } else { Err(Error::Worker) }
    }
}

/// How many of the entries, in order, have been taken, so that the content of files can follow.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    taken: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    entries: usize,
    has_failed: bool,
}

impl Progress {
    /// All entries below `entries` have been taken.
    pub(crate) fn reach(&self, entries: usize) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).entries = entries;
        self.changed.notify_all();
    }

    /// No more entries will be taken.
    pub(crate) fn fail(&self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).has_failed = true;
        self.changed.notify_all();
    }

    /// Waits until so many entries have been taken, and says how many have.
    ///
    /// # Errors
    /// `Worker` when that will never be.
    pub(crate) fn wait_for(&self, entries: usize) -> Result<usize> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waiting = |taken: &mut Taken| taken.entries < entries && !taken.has_failed;
        let taken = self.changed.wait_while(taken, is_waiting).unwrap_or_else(PoisonError::into_inner);
        if taken.entries < entries { Err(Error::Worker) } else { Ok(taken.entries) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failure_of_a_thread_reaches_whoever_waits_for_more_bytes() {
        let (writer, queue) = queue();
        queue.fail();
        // Waiting is given up now and then, when bytes come first.
        drop(writer.unwanted());
        writer.unwanted().await;
    }
}
