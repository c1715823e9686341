//! A store that one origin's readers and keepers share, and what has become of it.

use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use refs_registry::{Error, ErrorKind, Result};
use refs_url::Digest;

use super::touched::Damages;
use crate::{
    file::is_shut_down,
    layout::BLOBS_FOLDER,
    store::{Origin, Store},
};

/// What those who read and those who keep share of a store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) origin: Origin,
    pub(super) purpose: Purpose,
    state: Mutex<State>,
    /// What was found to be damaged.
    pub(super) damages: Damages,
}

/// What a store is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    ReadAndWrite,
    Read,
    Write,
    Nothing,
}

/// What a store is still good for.
#[derive(Debug)]
enum State {
    Open,
    /// It takes nothing more: it may still give what it has.
    ReadOnly(Error),
    /// It can't be read any more.
    Failed(Error),
}

impl Shared {
    pub(super) fn new(store: Arc<dyn Store>, origin: Origin, purpose: Purpose) -> Self {
        Self { store, origin, purpose, state: Mutex::new(State::Open), damages: Damages::default() }
    }

    /// The store, unless it can't be read.
    pub(super) fn usable(&self) -> Option<&dyn Store> {
        let is_usable = self.purpose != Purpose::Nothing && !matches!(*self.state(), State::Failed(_));
        is_usable.then_some(self.store.as_ref())
    }

    /// The store, if it takes anything.
    pub(super) fn writable(&self) -> Option<&dyn Store> {
        let is_writable = self.purpose != Purpose::Read && matches!(*self.state(), State::Open);
        self.usable().filter(|_| is_writable)
    }

    /// Why the store takes nothing more, if it has failed.
    pub(super) fn failure(&self) -> Option<Error> {
        match &*self.state() {
            State::Open => None,
            State::ReadOnly(error) | State::Failed(error) => Some(error.clone()),
        }
    }

    /// Why the store gives nothing more, if it has failed.
    pub(super) fn read_failure(&self) -> Option<Error> {
        match &*self.state() {
            State::Open | State::ReadOnly(_) => None,
            State::Failed(error) => Some(error.clone()),
        }
    }

    /// What the store gave. Its first failure is told, and is its last.
    pub(super) fn granted<T>(&self, result: Result<T>) -> Option<T> {
        self.unless_failed(result, State::Failed)
    }

    /// What came of a change to the store. Its first failure is told, and is the last change that is tried.
    pub(super) fn taken<T>(&self, result: Result<T>) -> Option<T> {
        self.unless_failed(
            result,
            |error| if self.is_readable() { State::ReadOnly(error) } else { State::Failed(error) },
        )
    }

    /// Whether there is anything to read: a folder that can't be made, or opened, gives nothing.
    fn is_readable(&self) -> bool {
        self.store.folder().is_none_or(|folder| fs::read_dir(folder.join(BLOBS_FOLDER)).is_ok())
    }

    fn unless_failed<T>(&self, result: Result<T>, failed: impl FnOnce(Error) -> State) -> Option<T> {
        match result {
            Ok(given) => Some(given),
            // An algorithm that is not computed here is for the origin to refuse.
            Err(error) if matches!(error.kind(), ErrorKind::NotCached | ErrorKind::Unsupported) => None,
            Err(error) if is_shut_down(&error) => None,
            Err(error) => {
                self.state().worsen(failed(error));
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store gave of the content, which is dropped when it is damaged.
    pub(super) async fn undamaged<T>(&self, digest: &Digest, result: Result<T>) -> Option<T> {
        match result {
            Err(error) if is_damage(&error) => {
                self.damages.note(digest, &error);
                self.drop_damaged(digest).await;
                None
            }
            other => self.granted(other),
        }
    }

    pub(super) async fn add_member(&self, digest: &Digest) {
        if let Some(store) = self.writable() {
            self.taken(store.add_member(&self.origin, digest).await);
        }
    }

    pub(super) async fn drop_damaged(&self, digest: &Digest) {
        tracing::debug!(%digest, "what the cache has is damaged");
        match self.store.quarantine(&self.origin, digest).await {
            // What is pinned is replaced when it has come again.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            removed => drop(self.taken(removed)),
        }
    }
}

impl State {
    /// Takes a failure in, unless one as bad was there before. The first one is told.
    fn worsen(&mut self, failed: Self) {
        match (&*self, &failed) {
            (Self::Open, Self::ReadOnly(error)) => {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the cache is read, but nothing more is kept in it"
                );
            }
            (Self::Open, Self::Failed(error)) => {
                tracing::warn!(error = error as &dyn std::error::Error, "the cache is left alone");
            }
            (Self::ReadOnly(_), Self::Failed(_)) => {}
            _ => return,
        }
        *self = failed;
    }
}

/// Whether the store has other bytes than it should.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt)
}
