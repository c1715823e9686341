//! Content on its way from the thread that reads an archive to threads that write files.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use refs_estargz::Entry;

use crate::{Error, Result, receive::Hand};

/// A file that is longer comes in several blocks.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks are handed over when they have so many bytes together: small files would else cost a wake-up each.
const BATCH_BYTES: usize = 128 << 10;
/// What a block costs beside its bytes, so that a flood of empty files is bounded, too.
const BLOCK_COST: usize = 256;
/// So many batches may wait to be written.
const BATCHES: usize = 8;
/// Reading is one thread's work, so more could not be kept busy.
pub(crate) const WRITERS: usize = 2;

/// Some bytes of a file.
struct Block {
    file: Arc<Entry>,
    offset: u64,
    bytes: Vec<u8>,
}

/// The end that content is put into.
pub(crate) struct Blocks<'s> {
    sender: SyncSender<Vec<Block>>,
    batch: Vec<Block>,
    batch_bytes: usize,
    failed: &'s AtomicBool,
}

/// Runs `read`, and gives what it puts into blocks to `hands`, each with a thread of its own, in no order.
///
/// # Errors
/// That of a hand before that of `read`, which has to stop when nobody takes its blocks any more.
pub(crate) fn written<H: Hand, T>(hands: [H; WRITERS], read: impl FnOnce(&mut Blocks<'_>) -> Result<T>) -> Result<T> {
    let failed = AtomicBool::new(false);
    let (sender, receiver) = sync_channel(BATCHES);
    let receiver = Arc::new(Mutex::new(receiver));
    thread::scope(|scope| {
        let failed = &failed;
        // One thread is slower than several; when there is none, blocks are put nowhere, which fails.
        let writers = hands.map(|hand| {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().spawn_scoped(scope, move || write(hand, &receiver, failed))
        });
        // When the last writer has gone, nobody is left to wait for.
        drop(receiver);
        let mut blocks = Blocks { sender, batch: Vec::new(), batch_bytes: 0, failed };
        let done = read(&mut blocks).and_then(|done| blocks.send().map(|()| done));
        drop(blocks);
        for writer in writers.into_iter().flatten() {
            writer.join().map_err(|_panicked| Error::Worker)??;
        }
        done
    })
}

fn write(mut hand: impl Hand, receiver: &Mutex<Receiver<Vec<Block>>>, failed: &AtomicBool) -> Result<()> {
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(batch) = next() {
        for block in batch {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let written = hand.piece(&block.file, block.offset, &block.bytes);
            if written.is_err() {
                failed.store(true, Ordering::Relaxed);
                return written;
            }
        }
    }
    Ok(())
}

impl Blocks<'_> {
    /// Takes the content of `file`, which `read` gives in any portions.
    ///
    /// # Errors
    /// Those of `read`; `Worker` when a hand has failed, whose error is the one to tell.
    pub(crate) fn file(
        &mut self,
        file: &Entry,
        read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let file = Arc::new(file.clone());
        let room = usize::try_from(file.size()).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let (mut offset, mut bytes) = (0, Vec::with_capacity(room));
        read(&mut |mut more: &[u8]| {
            while !more.is_empty() {
                let (taken, rest) = more.split_at(more.len().min(BLOCK_BYTES - bytes.len()));
                bytes.extend_from_slice(taken);
                more = rest;
                if bytes.len() == BLOCK_BYTES {
                    let full = std::mem::take(&mut bytes);
                    let length = full.len() as u64;
                    self.put(Block { file: Arc::clone(&file), offset, bytes: full })?;
                    offset += length;
                }
            }
            Ok(())
        })?;
        if !bytes.is_empty() || offset == 0 {
            self.put(Block { file, offset, bytes })?;
        }
        Ok(())
    }

    fn put(&mut self, block: Block) -> Result<()> {
        self.batch_bytes += block.bytes.len() + BLOCK_COST;
        self.batch.push(block);
        if self.batch_bytes < BATCH_BYTES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<()> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let is_taken = !self.failed.load(Ordering::Relaxed) && self.sender.send(batch).is_ok();
        if is_taken { Ok(()) } else { Err(Error::Worker) }
    }
}
