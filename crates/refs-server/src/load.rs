//! What a server has under way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How much is under way at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Load {
    /// Requests whose answer has not left.
    pub requests: usize,
    /// Connections that [`serve`](crate::serve()) holds.
    pub connections: usize,
    /// Uploads that have begun and not ended.
    pub uploads: usize,
}

/// The connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

/// A connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Connections {
    pub(crate) fn open(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
