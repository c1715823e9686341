//! From a stream of bytes that arrive to a reader that may block: a queue whose length is bounded in bytes.

use std::{
    io::{self, BufRead, Read},
    mem,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use tokio::sync::{Semaphore, mpsc};

/// So many bytes may wait for the reader.
const CAPACITY_BYTES: usize = 1 << 20;
/// What a chunk costs beside its bytes, so that a flood of tiny ones is bounded, too.
const CHUNK_COST: usize = 128;

/// The end that bytes are put into.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    room: Arc<Semaphore>,
    chunks: mpsc::UnboundedSender<Message>,
}

/// The end that bytes are read from, by a thread that may block.
#[derive(Debug)]
pub(crate) struct PipeReader {
    room: Arc<Semaphore>,
    chunks: mpsc::UnboundedReceiver<Message>,
    current: Bytes,
    /// What the current chunk occupies of the room.
    cost: usize,
    is_finished: bool,
}

#[derive(Debug)]
enum Message {
    Chunk(Bytes, usize),
    Finished,
}

/// The reader is gone: nobody wants more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwanted;

/// The writer went away before it said that the bytes were complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes stopped before their end")]
pub(crate) struct Abandoned;

/// Whoever wrote knows why it stopped, and tells that instead.
impl From<Abandoned> for crate::Error {
    fn from(_: Abandoned) -> Self {
        Self::Worker
    }
}

/// A pipe that holds at most 1 MiB, or one chunk if that is longer.
pub(crate) fn pipe() -> (PipeWriter, PipeReader) {
    let room = Arc::new(Semaphore::new(CAPACITY_BYTES));
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = PipeWriter { room: Arc::clone(&room), chunks: sender };
    (writer, PipeReader { room, chunks: receiver, current: Bytes::new(), cost: 0, is_finished: false })
}

impl PipeWriter {
    /// Appends `chunk`, waiting while the pipe is full.
    ///
    /// # Errors
    /// [`Unwanted`] once the reader is gone.
    pub(crate) async fn write(&self, chunk: Bytes) -> Result<(), Unwanted> {
        let cost = chunk.len().saturating_add(CHUNK_COST).min(CAPACITY_BYTES);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        let Ok(permit) = self.room.acquire_many(permits).await else { return Err(Unwanted) };
        permit.forget();
        let Ok(()) = self.chunks.send(Message::Chunk(chunk, cost)) else { return Err(Unwanted) };
        Ok(())
    }

    /// Says that the bytes are complete. A writer that is dropped instead leaves its reader with an error.
    pub(crate) fn finish(self) {
        // A reader that is gone already has no use for the news.
        let _ = self.chunks.send(Message::Finished);
    }
}

impl PipeReader {
    /// The next bytes as they were written, `None` after the last.
    ///
    /// # Errors
    /// [`Abandoned`], and again at each further call.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Bytes>, Abandoned> {
        self.fill()?;
        Ok(Some(mem::take(&mut self.current)).filter(|chunk| !chunk.is_empty()))
    }

    /// Makes sure that there are current bytes, unless there are no more.
    fn fill(&mut self) -> Result<(), Abandoned> {
        while self.current.is_empty() && !self.is_finished {
            self.room.add_permits(mem::take(&mut self.cost));
            match self.chunks.blocking_recv() {
                Some(Message::Chunk(chunk, cost)) => (self.current, self.cost) = (chunk, cost),
                Some(Message::Finished) => self.is_finished = true,
                None => return Err(Abandoned),
            }
        }
        Ok(())
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill().map_err(io::Error::other)?;
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        self.current.advance(bytes);
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in() {
        let (writer, mut reader) = pipe();
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        let mut expected = Vec::new();
        for length in [0, 1, 5_000, CAPACITY_BYTES * 3, 0, 7] {
            let chunk = vec![length as u8; length];
            expected.extend_from_slice(&chunk);
            writer.write(chunk.into()).await.unwrap();
        }
        writer.finish();
        assert_eq!(read.await.unwrap().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_writer_that_vanishes_is_no_end() {
        let (writer, mut reader) = pipe();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        drop(writer);
        let read = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()));
        let error = read.await.unwrap().unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<Abandoned>()));
    }

    #[tokio::test]
    async fn a_full_pipe_makes_the_writer_wait_until_the_reader_goes() {
        let (writer, reader) = pipe();
        let full = Bytes::from(vec![0; CAPACITY_BYTES]);
        writer.write(full.clone()).await.unwrap();
        let waiting = tokio::spawn(async move { writer.write(full).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(reader);
        assert_eq!(waiting.await.unwrap(), Err(Unwanted));
    }
}
