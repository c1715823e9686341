//! A fill of the disk by steps: each writes what has come by then on a thread that may wait for the disk, and nothing has a
//! thread while it waits for more. However many fills wait for their origins, those who read files find a thread.

use std::{
    collections::VecDeque,
    io, mem,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use refs_registry::{Error, Result, error::Doing};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

use super::order::Order;
use crate::{
    file::{Stopped, hold},
    flight::Flight,
    growing::Grows,
    ingest::Ingest,
    store::Taken,
};

/// After so many bytes another has the thread, if there are not enough.
const STEP_BYTES: usize = 1 << 20;

/// The steps of one fill, and what waits for the next of them.
pub(super) struct Steps {
    runtime: Handle,
    queue: Mutex<Queue>,
}

struct Queue {
    messages: VecDeque<Message>,
    writer: Writer,
}

/// Who writes.
enum Writer {
    /// Nobody, as nothing waits.
    Idle(Box<Writing>),
    /// A thread, which looks for more before it goes.
    AtWork,
    /// Nobody any more.
    Ended,
}

pub(super) enum Message {
    /// Bytes, and the room that they take up until they are written.
    Chunk(Bytes, usize),
    Hold(Flight),
    Commit,
    /// No more comes.
    Leave,
    Discard,
}

impl Steps {
    /// Begins with the first step, which opens the file.
    pub(super) fn begin(writing: Writing) -> Arc<Self> {
        let queue = Queue { messages: VecDeque::new(), writer: Writer::AtWork };
        let steps = Arc::new(Self { runtime: Handle::current(), queue: Mutex::new(queue) });
        steps.go_on(Box::new(writing));
        steps
    }

    /// Has `message` carried out after those before it; gives it back when nobody writes any more.
    pub(super) fn add(self: &Arc<Self>, message: Message) -> Result<(), Message> {
        let mut queue = self.queue();
        let writing = match mem::replace(&mut queue.writer, Writer::AtWork) {
            Writer::Ended => {
                queue.writer = Writer::Ended;
                return Err(message);
            }
            Writer::AtWork => None,
            Writer::Idle(writing) => Some(writing),
        };
        queue.messages.push_back(message);
        drop(queue);
        if let Some(writing) = writing {
            self.go_on(writing);
        }
        Ok(())
    }

    fn go_on(self: &Arc<Self>, writing: Box<Writing>) {
        let steps = Arc::clone(self);
        // Nobody waits for the step, but for what it tells.
        drop(self.runtime.spawn_blocking(move || steps.step(writing)));
    }

    fn step(self: &Arc<Self>, mut writing: Box<Writing>) {
        if let Err(error) = writing.open() {
            return self.end(*writing, Err(error));
        }
        let mut written = 0;
        while written < STEP_BYTES {
            let mut queue = self.queue();
            let Some(message) = queue.messages.pop_front() else {
                queue.writer = Writer::Idle(writing);
                return;
            };
            drop(queue);
            if let Message::Chunk(chunk, _) = &message {
                written += chunk.len();
            }
            if let ControlFlow::Break(outcome) = writing.take(message) {
                return self.end(*writing, outcome);
            }
        }
        self.go_on(writing);
    }

    fn end(&self, writing: Writing, outcome: Result<()>) {
        let mut queue = self.queue();
        queue.writer = Writer::Ended;
        let messages = mem::take(&mut queue.messages);
        drop(queue);
        let chunks = messages.into_iter().filter_map(|message| match message {
            Message::Chunk(chunk, _) => Some(chunk),
            _ => None,
        });
        writing.end(chunks, outcome);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that is written, which goes from thread to thread with its locks.
pub(super) struct Writing {
    order: Order,
    /// With whether it stays when no more comes; `None` before the first step, and after the last.
    ingest: Option<(Ingest, bool)>,
    room: Arc<Semaphore>,
    /// What became of what came so far.
    taken: Taken,
    /// Let go when what came shows, or waits for the rest and its file is free.
    held: Option<Flight>,
    grows: Option<Grows>,
    hand_over: Option<oneshot::Sender<Taken>>,
    /// `None` when it has been told.
    tell: Option<oneshot::Sender<Result<()>>>,
}

impl Writing {
    pub(super) fn new(
        order: Order,
        room: Arc<Semaphore>,
        grows: Grows,
        hand_over: oneshot::Sender<Taken>,
        tell: oneshot::Sender<Result<()>>,
    ) -> Self {
        Self {
            order,
            ingest: None,
            room,
            taken: Taken::default(),
            held: None,
            grows: Some(grows),
            hand_over: Some(hand_over),
            tell: Some(tell),
        }
    }

    fn open(&mut self) -> Result<()> {
        if self.ingest.is_some() {
            return Ok(());
        }
        let (ingest, is_partial) = self.order.open()?;
        self.taken = Taken { file: ingest.reader().ok(), bytes: ingest.bytes(), rest: Vec::new() };
        if let (Some(grows), Ok(Some(file))) = (&self.grows, ingest.second_reader()) {
            grows.begin(file, ingest.path(), ingest.bytes());
        }
        self.ingest = Some((ingest, is_partial));
        Ok(())
    }

    fn take(&mut self, message: Message) -> ControlFlow<Result<()>> {
        match message {
            Message::Chunk(chunk, cost) => self.write(chunk, cost),
            Message::Hold(flight) => {
                self.held = Some(flight);
                ControlFlow::Continue(())
            }
            Message::Commit => ControlFlow::Break(self.show()),
            Message::Leave => ControlFlow::Break(self.leave()),
            Message::Discard => {
                self.discard();
                ControlFlow::Break(Ok(()))
            }
        }
    }

    fn write(&mut self, chunk: Bytes, cost: usize) -> ControlFlow<Result<()>> {
        let Some((ingest, _)) = &mut self.ingest else { return ControlFlow::Continue(()) };
        if let Err(error) = ingest.append(&chunk) {
            self.taken.rest.push(chunk);
            self.discard();
            return ControlFlow::Break(Err(error));
        }
        let bytes = ingest.bytes();
        self.taken.bytes = bytes;
        if let Some(grows) = &self.grows {
            grows.note(bytes);
        }
        self.room.add_permits(cost);
        if let Some(flight) = &self.held {
            flight.note(bytes);
        }
        ControlFlow::Continue(())
    }

    /// The file shows. It is not evicted before those have gone who read it as it came.
    fn show(&mut self) -> Result<()> {
        let Some((ingest, _)) = self.ingest.take() else { return Ok(()) };
        self.order.show(ingest)?;
        // The lock that it was written under lets no reader hold it.
        if let Some(file) = &self.taken.file {
            hold(file, &self.order.name);
        }
        if let Some(grows) = &self.grows {
            grows.hold();
        }
        Ok(())
    }

    /// The file goes, or waits for the rest.
    fn leave(&mut self) -> Result<()> {
        match self.ingest.take() {
            Some((ingest, true)) => self.order.leave(ingest),
            Some((_, false)) | None => Ok(()),
        }
    }

    fn discard(&mut self) {
        if let Some((ingest, _)) = self.ingest.take() {
            ingest.discard();
        }
    }

    /// Hands over what was written and the `chunks` that were not, should anybody want them.
    fn end(mut self, chunks: impl Iterator<Item = Bytes>, outcome: Result<()>) {
        self.taken.rest.extend(chunks);
        // Nobody need want it. Whoever has the next flight finds the file locked as long as a handle on it is open.
        drop(self.hand_over.take().map(|hand_over| hand_over.send(mem::take(&mut self.taken))));
        self.held = None;
        self.tell(outcome);
    }

    /// The last that is heard: by then nobody waits for room, or for more to come.
    fn tell(&mut self, outcome: Result<()>) {
        let Some(tell) = self.tell.take() else { return };
        self.grows = None;
        self.room.close();
        // Whoever has gone away need not know.
        drop(tell.send(outcome));
    }
}

/// A step that the runtime did not get to any more leaves what there is, as the last one does.
impl Drop for Writing {
    fn drop(&mut self) {
        if self.tell.is_none() {
            return;
        }
        if std::thread::panicking() {
            return self.room.close();
        }
        if let Err(error) = self.leave() {
            tracing::debug!(name = %self.order.name.display(), %error, "what came of a fill is not left");
        }
        self.taken = Taken::default();
        self.held = None;
        let stopped = io::Error::other(Stopped);
        self.tell(Err(Error::io(Doing::Write, &self.order.name, stopped)));
    }
}
