//! Work that several threads share, and whose results come back in the order in which it was given out.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

/// What one thread does with each item.
pub(crate) type Work<I, O> = Box<dyn FnMut(I) -> O + Send>;

/// Threads that turn items into results, which are taken back in order. Dropped, it waits for what the threads have in
/// hand, and for nothing else.
pub(crate) struct InOrder<I, O> {
    place: Place<I, O>,
    /// The results that were not taken back, oldest first.
    pending: VecDeque<Receiver<O>>,
}

/// Where the work is done.
enum Place<I, O> {
    /// On the thread that gives it out.
    Here(Work<I, O>),
    Threads(Threads<I, O>),
}

struct Threads<I, O> {
    /// `None` once no more items come.
    items: Option<Sender<Item<I, O>>>,
    abandoned: Arc<AtomicBool>,
    handles: Vec<JoinHandle<()>>,
}

struct Item<I, O> {
    item: I,
    result: SyncSender<O>,
}

/// The thread that had the item in hand has panicked, and so will have no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

impl<I: Send + 'static, O: Send + 'static> InOrder<I, O> {
    /// So many threads, each with work of its own; the caller's own thread for one, or where no other can be started.
    pub(crate) fn new(threads: usize, mut work: impl FnMut() -> Work<I, O>) -> Self {
        let started = if threads > 1 { Threads::start(threads, &mut work) } else { None };
        Self { place: started.map_or_else(|| Place::Here(work()), Place::Threads), pending: VecDeque::new() }
    }

    /// How many items keep all threads busy while results are taken back, and items made. Those beyond one a thread
    /// bridge the time that the oldest takes longer than the others.
    pub(crate) fn capacity(&self) -> usize {
        match &self.place {
            Place::Here(_) => 0,
            Place::Threads(threads) => threads.handles.len() + 4,
        }
    }

    /// How many results were not taken back.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Gives out an item.
    pub(crate) fn give(&mut self, item: I) -> Result<(), Lost> {
        let (result, taken) = sync_channel(1);
        self.pending.push_back(taken);
        match &mut self.place {
            Place::Here(work) => result.send(work(item)).map_err(|_gone| Lost),
            Place::Threads(Threads { items: Some(items), .. }) => {
                items.send(Item { item, result }).map_err(|_gone| Lost)
            }
            Place::Threads(_) => Err(Lost),
        }
    }

    /// Waits for the oldest result; `None` when all were taken back.
    pub(crate) fn take(&mut self) -> Option<Result<O, Lost>> {
        let oldest = self.pending.pop_front()?;
        Some(oldest.recv().map_err(|_gone| Lost))
    }
}

impl<I: Send + 'static, O: Send + 'static> Threads<I, O> {
    /// As many of them as can be started; `None` when not one can.
    fn start(count: usize, work: &mut dyn FnMut() -> Work<I, O>) -> Option<Self> {
        let (items, queue) = channel();
        // Only the threads hold the queue: when the last has panicked, what is left in it is lost rather than waited for.
        let queue = Arc::new(Mutex::new(queue));
        let abandoned = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (queue, abandoned, mut work) = (Arc::clone(&queue), Arc::clone(&abandoned), work());
            Builder::new().name("refs-estargz".to_owned()).spawn(move || serve(&queue, &abandoned, &mut work)).ok()
        };
        let handles: Vec<_> = (0..count).map_while(start).collect();
        (!handles.is_empty()).then_some(Self { items: Some(items), abandoned, handles })
    }
}

fn serve<I, O>(queue: &Mutex<Receiver<Item<I, O>>>, abandoned: &AtomicBool, work: &mut Work<I, O>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Item { item, result }) = next() {
        if abandoned.load(Ordering::Relaxed) {
            return;
        }
        // Whoever does not wait for a result any more has given up.
        drop(result.send(work(item)));
    }
}

impl<I, O> Drop for Threads<I, O> {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.items = None;
        for handle in self.handles.drain(..) {
            // A panic was told as a lost result.
            drop(handle.join());
        }
    }
}

impl<I, O> fmt::Debug for InOrder<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for threads in [1, 2, 8] {
            let mut squares = InOrder::new(threads, || Box::new(|item: u64| item * item));
            let mut taken = Vec::new();
            for item in 0..1000 {
                squares.give(item).unwrap();
                while squares.pending() > squares.capacity() {
                    taken.push(squares.take().unwrap().unwrap());
                }
            }
            taken.extend(std::iter::from_fn(|| squares.take()).map(Result::unwrap));
            assert!(taken.iter().copied().eq((0..1000).map(|item| item * item)), "{threads} threads: {taken:?}");
        }
    }

    fn panics_at(bad: u64) -> InOrder<u64, u64> {
        InOrder::new(2, move || Box::new(move |item| if item == bad { panic!("as the test wants") } else { item }))
    }

    #[test]
    fn panic_is_a_lost_result_and_the_others_go_on() {
        let mut pool = panics_at(1);
        for item in 0..4 {
            pool.give(item).unwrap();
        }
        let results: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(results, [Ok(0), Err(Lost), Ok(2), Ok(3)]);
    }

    #[test]
    fn nothing_is_waited_for_when_no_thread_is_left() {
        let mut pool: InOrder<u64, u64> = InOrder::new(2, || Box::new(|_| panic!("as the test wants")));
        for item in 0..100 {
            drop(pool.give(item));
        }
        assert!(std::iter::from_fn(|| pool.take()).all(|result| result == Err(Lost)));
    }

    #[test]
    fn dropped_it_ends_its_threads_and_leaves_the_rest_undone() {
        let (alive, watch) = channel::<()>();
        let (started, ready) = channel();
        let mut pool = InOrder::new(2, || {
            let (alive, started) = (alive.clone(), started.clone());
            Box::new(move |item: u64| {
                let _alive = &alive;
                started.send(item).unwrap();
                item
            })
        });
        drop((alive, started));
        for item in 0..1000 {
            pool.give(item).unwrap();
        }
        ready.recv().unwrap();
        drop(pool);
        assert_eq!(watch.recv_timeout(std::time::Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    }
}
