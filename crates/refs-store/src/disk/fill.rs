//! Bytes on their way onto the disk, written by a thread of their own so that whoever has them need not wait for it.

use std::{fs, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    evict::Bound,
    file::{is_absent, joined},
    flight::Flight,
    growing::{Growing, Grows, growing},
    ingest::{BLOB_MODE, Ingest},
    layout::Folder,
    store::{Fill, Taken, wrong_size},
};

use super::{
    notes::make_folders_of,
    partials::{self, Left, Remains},
};

/// So many bytes may wait for the disk.
const CAPACITY_BYTES: usize = 4 << 20;
/// What a chunk costs beside its bytes, so that a flood of tiny ones is bounded, too.
const CHUNK_COST: usize = 128;

/// Where bytes go, and what is promised of them.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) folder: Arc<Folder>,
    pub(super) bound: Bound,
    pub(super) digest: Digest,
    /// How many bytes there will be.
    pub(super) size: u64,
    /// What the file will be called.
    pub(super) name: PathBuf,
    /// The folder of what nobody needs once the file is there.
    pub(super) obsolete: Option<PathBuf>,
    pub(super) place: Place,
    pub(super) remains: Remains,
}

/// Where bytes are before all of them are there.
#[derive(Debug)]
pub(super) enum Place {
    /// In a file that goes when the fill is broken off.
    Anonymous,
    /// In this file, which stays then; if another fills that one, as before.
    Partial(PathBuf),
    /// In this file, after those that it has.
    Left(Box<Ingest>),
}

/// A fill of a store on disk.
pub(super) struct DiskFill {
    digest: Digest,
    size: u64,
    taken: u64,
    name: PathBuf,
    room: Arc<Semaphore>,
    chunks: mpsc::UnboundedSender<Message>,
    writing: JoinHandle<Result<()>>,
    taken_over: oneshot::Receiver<Taken>,
    growing: Growing,
}

enum Message {
    Chunk(Bytes, usize),
    Hold(Flight),
    Commit,
    Discard,
}

/// What the thread reads from. When it ends, for whatever reason, nobody waits for room any more.
struct Incoming {
    chunks: mpsc::UnboundedReceiver<Message>,
    room: Arc<Semaphore>,
    /// What became of what came so far.
    taken: Taken,
    /// Let go when what came shows, or waits for the rest and its file is free.
    held: Option<Flight>,
    grows: Grows,
}

impl DiskFill {
    pub(super) fn begin(order: Order) -> Self {
        let room = Arc::new(Semaphore::new(CAPACITY_BYTES));
        let (chunks, receiver) = mpsc::unbounded_channel();
        let (digest, size, name) = (order.digest.clone(), order.size, order.name.clone());
        let taken = if let Place::Left(ingest) = &order.place { ingest.bytes() } else { 0 };
        let (grows, growing) = growing();
        let incoming =
            Incoming { chunks: receiver, room: Arc::clone(&room), taken: Taken::default(), held: None, grows };
        let (hand_over, taken_over) = oneshot::channel();
        let writing = tokio::task::spawn_blocking(move || incoming.run(order, hand_over));
        Self { digest, size, taken, name, room, chunks, writing, taken_over, growing }
    }

    /// Why the thread has ended early.
    async fn failure(&mut self) -> Error {
        match joined(&self.name, &mut self.writing).await {
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
        match self.chunks.send(Message::Chunk(chunk, cost)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    fn hold(&mut self, flight: Flight) {
        // A thread that has ended early has nothing to wait for.
        drop(self.chunks.send(Message::Hold(flight)));
    }

    fn growing(&self) -> Option<Growing> {
        Some(self.growing.clone())
    }

    async fn commit(&mut self) -> Result<()> {
        if self.taken != self.size {
            return Err(wrong_size(&self.digest, self.size, self.taken));
        }
        match self.chunks.send(Message::Commit) {
            Ok(()) => joined(&self.name, &mut self.writing).await,
            Err(_) => Err(self.failure().await),
        }
    }

    async fn taken(self: Box<Self>) -> Option<Taken> {
        let Self { chunks, taken_over, .. } = *self;
        drop(chunks);
        taken_over.await.ok()
    }

    async fn discard(mut self: Box<Self>) {
        // A thread that has ended early has left nothing that is of use either.
        drop(self.chunks.send(Message::Discard));
        if let Err(error) = joined(&self.name, &mut self.writing).await {
            tracing::debug!(name = %self.name.display(), %error, "a fill that nobody wants has failed");
        }
    }
}

impl Incoming {
    /// Writes until all is there, and hands over what was written, should anybody want it.
    fn run(mut self, order: Order, hand_over: oneshot::Sender<Taken>) -> Result<()> {
        let written = self.write(order);
        self.chunks.close();
        while let Some(message) = self.chunks.blocking_recv() {
            if let Message::Chunk(chunk, _) = message {
                self.taken.rest.push(chunk);
            }
        }
        // Nobody need want it. Whoever has the next flight finds the file locked as long as a handle on it is open.
        drop(hand_over.send(std::mem::take(&mut self.taken)));
        self.held = None;
        written
    }

    /// When the other end goes away before all is there, the file goes, too, or waits for the rest.
    fn write(&mut self, mut order: Order) -> Result<()> {
        let place = std::mem::replace(&mut order.place, Place::Anonymous);
        let (mut ingest, is_partial) = order.open(place)?;
        self.taken = Taken { file: ingest.reader().ok(), bytes: ingest.bytes(), rest: Vec::new() };
        if let Ok(Some(file)) = ingest.second_reader() {
            self.grows.begin(file, ingest.path(), ingest.bytes());
        }
        while let Some(message) = self.chunks.blocking_recv() {
            match message {
                Message::Chunk(chunk, cost) => {
                    if let Err(error) = ingest.append(&chunk) {
                        self.taken.rest.push(chunk);
                        ingest.discard();
                        return Err(error);
                    }
                    self.taken.bytes = ingest.bytes();
                    self.grows.note(ingest.bytes());
                    self.room.add_permits(cost);
                    if let Some(flight) = &self.held {
                        Flight::note(flight, ingest.bytes());
                    }
                }
                Message::Hold(flight) => self.held = Some(flight),
                Message::Commit => return order.show(ingest),
                Message::Discard => {
                    ingest.discard();
                    return Ok(());
                }
            }
        }
        if is_partial { order.leave(ingest) } else { Ok(()) }
    }
}

impl Order {
    /// The file to write, and whether it stays when the fill is broken off.
    fn open(&self, place: Place) -> Result<(Ingest, bool)> {
        let begun = match place {
            Place::Left(ingest) => Some(*ingest),
            Place::Partial(path) => partials::begin(self.folder.root(), &path, self.bound)?,
            Place::Anonymous => None,
        };
        match begun {
            Some(ingest) => Ok((ingest, true)),
            None => Ok((Ingest::begin_hashed(&self.folder.ingest())?, false)),
        }
    }

    fn show(&self, ingest: Ingest) -> Result<()> {
        if !ingest.is_there() {
            tracing::debug!(digest = %self.digest, "it was removed while it came in");
            return Ok(());
        }
        make_folders_of(&self.name)?;
        ingest.show(&self.name, BLOB_MODE)?;
        self.remains.forget(&self.digest);
        self.drop_obsolete()?;
        self.bound.added(self.folder.root(), &self.name, self.size)
    }

    fn leave(&self, ingest: Ingest) -> Result<()> {
        let bytes = ingest.bytes();
        if bytes == 0 || !ingest.is_there() {
            ingest.discard();
            return Ok(());
        }
        self.remains.add(Left { digest: self.digest.clone(), bytes, total: self.size });
        let path = ingest.path().to_owned();
        drop(ingest);
        self.bound.added(self.folder.root(), &path, bytes)
    }

    fn drop_obsolete(&self) -> Result<()> {
        let Some(folder) = &self.obsolete else { return Ok(()) };
        match fs::remove_dir_all(folder) {
            Err(error) if !is_absent(&error) => Err(Error::io(Doing::Remove, folder, error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.room.close();
    }
}
