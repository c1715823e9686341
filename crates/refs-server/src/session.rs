//! The uploads that are under way.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{StatusCode, header::RETRY_AFTER};
use refs_registry::{Upload, UploadState};
use refs_url::RepoName;
use tokio::sync::{MutexGuard, watch};

use crate::{Code, Refusal, UploadId};

/// The sessions of a server, each with an upload of its own, so that none waits for another.
pub(crate) struct Sessions {
    open: Mutex<HashMap<UploadId, Arc<Session>>>,
    most: usize,
    idle: Duration,
    /// Keyed by the system's randomness, so that ids can't be guessed from others.
    ids: RandomState,
    begun: AtomicU64,
}

/// One upload under way.
pub(crate) struct Session {
    pub(crate) id: UploadId,
    pub(crate) repository: RepoName,
    /// `None` when the upload has ended while someone waited for the lock.
    upload: tokio::sync::Mutex<Option<Held>>,
    /// How many requests have wanted it.
    claims: watch::Sender<u64>,
    received: AtomicU64,
    used: Mutex<Instant>,
}

/// What one request has of the upload of a session, until a newer one wants it.
pub(crate) struct Claim<'a> {
    pub(crate) held: MutexGuard<'a, Option<Held>>,
    nth: u64,
    claims: watch::Receiver<u64>,
}

/// An upload, as far as this process has to do with it.
pub(crate) enum Held {
    /// At hand.
    Open(Box<dyn Upload>),
    /// As the process before this one left it, or as much of that as there is.
    Left(UploadState),
}

impl Sessions {
    /// Room for `most` sessions, which are forgotten when nobody used them for `idle`.
    pub(crate) fn new(most: usize, idle: Duration) -> Self {
        Self { open: Mutex::default(), most, idle, ids: RandomState::new(), begun: AtomicU64::new(0) }
    }

    /// Begins a session for `upload`, under the id that `kept_as` finds its place to keep it by, if there is one.
    pub(crate) fn begin(
        &self,
        repository: &RepoName,
        upload: Box<dyn Upload>,
        kept_as: impl FnOnce(&dyn Upload) -> Option<UploadId>,
        now: Instant,
    ) -> Result<Arc<Session>, Refusal> {
        self.expire(now);
        let mut open = lock(&self.open);
        if open.len() >= self.most {
            return Err(too_many());
        }
        // Asked only now: an upload that is kept stays when it is dropped.
        let id = kept_as(&*upload).unwrap_or_else(|| self.next_id());
        let session = Arc::new(Session::new(id, repository, Held::Open(upload), 0, now));
        open.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// Goes on with the session `id` of the process before this one, unless somebody has already done so.
    pub(crate) fn adopt(
        &self,
        repository: &RepoName,
        id: UploadId,
        left: UploadState,
        now: Instant,
    ) -> Result<Arc<Session>, Refusal> {
        self.expire(now);
        let mut open = lock(&self.open);
        let count = open.len();
        match open.entry(id) {
            Entry::Occupied(there) if there.get().repository == *repository => Ok(Arc::clone(there.get())),
            Entry::Occupied(_) => Err(Refusal::no_such_upload()),
            Entry::Vacant(_) if count >= self.most => Err(too_many()),
            Entry::Vacant(free) => {
                let received = left.offset;
                Ok(Arc::clone(free.insert(Arc::new(Session::new(id, repository, Held::Left(left), received, now)))))
            }
        }
    }

    /// The session `id`, if it is one of `repository`.
    pub(crate) fn find(&self, repository: &RepoName, id: UploadId, now: Instant) -> Result<Arc<Session>, Refusal> {
        let mut open = lock(&self.open);
        let session = open.get(&id).filter(|session| session.repository == *repository);
        let session = session.ok_or_else(Refusal::no_such_upload)?;
        if self.is_alive(session, now) {
            session.touch(now);
            return Ok(Arc::clone(session));
        }
        // One that has expired is not revived by asking for it.
        let expired = open.remove(&id);
        drop(open);
        drop(expired);
        Err(Refusal::no_such_upload())
    }

    /// How long nobody may go on with one.
    pub(crate) const fn idle(&self) -> Duration {
        self.idle
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.open).len()
    }

    /// Forgets the session `id`.
    pub(crate) fn end(&self, id: UploadId) {
        lock(&self.open).remove(&id);
    }

    /// Forgets the sessions that were idle for too long, and with them what had been uploaded, unless its place keeps that.
    pub(crate) fn expire(&self, now: Instant) {
        let mut open = lock(&self.open);
        let (alive, expired) = open.drain().partition(|(_, session)| self.is_alive(session, now));
        *open = alive;
        drop(open);
        // An upload may remove a file when it is dropped; nobody has to wait for that.
        drop::<HashMap<_, _>>(expired);
    }

    /// Whether `session`, one of those that are open, may be gone on with.
    fn is_alive(&self, session: &Arc<Session>, now: Instant) -> bool {
        // Someone else who holds it is at work on it, however long ago that work began.
        Arc::strong_count(session) > 1 || now.saturating_duration_since(*lock(&session.used)) < self.idle
    }

    fn next_id(&self) -> UploadId {
        let nth = self.begun.fetch_add(1, Ordering::Relaxed);
        let half = |side: u8| u128::from(self.ids.hash_one((nth, side)));
        UploadId(half(0) << 64 | half(1))
    }
}

impl Session {
    fn new(id: UploadId, repository: &RepoName, held: Held, received: u64, now: Instant) -> Self {
        Self {
            id,
            repository: repository.clone(),
            upload: tokio::sync::Mutex::new(Some(held)),
            claims: watch::Sender::default(),
            received: AtomicU64::new(received),
            used: Mutex::new(now),
        }
    }

    /// The upload, once who has it has left, as the newest is who the client still listens to: the connections of others may
    /// be dead, which shows late.
    pub(crate) async fn claim(&self) -> Claim<'_> {
        let mut nth = 0;
        self.claims.send_modify(|claims| {
            *claims += 1;
            nth = *claims;
        });
        let claims = self.claims.subscribe();
        Claim { held: self.upload.lock().await, nth, claims }
    }

    /// The bytes that have arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Counts bytes that were handed to the upload.
    pub(crate) fn add(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Marks the session as in use.
    pub(crate) fn touch(&self, now: Instant) {
        *lock(&self.used) = now;
    }
}

impl Claim<'_> {
    /// Ends when a newer request wants the upload.
    pub(crate) async fn is_lost(&mut self) {
        // It outlives the claim, as the session does.
        drop(self.claims.wait_for(|claims| *claims > self.nth).await);
    }
}

fn too_many() -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many uploads are under way")
        .with(RETRY_AFTER, 10)
}

/// A lock that a panic elsewhere does not spoil: each of these maps and times is whole at any moment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use refs_registry::Result;
    use refs_url::Digest;

    use super::*;

    struct Nowhere;

    #[async_trait]
    impl Upload for Nowhere {
        async fn write(&mut self, _: Bytes) -> Result<()> {
            Ok(())
        }
        fn state(&self) -> UploadState {
            UploadState { session: String::new(), offset: 0 }
        }
        async fn commit(self: Box<Self>, _: &Digest) -> Result<()> {
            Ok(())
        }
        async fn abort(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    const IDLE: Duration = Duration::from_secs(60);

    fn repository() -> RepoName {
        RepoName::parse("o/r").unwrap()
    }

    fn begun(sessions: &Sessions, now: Instant) -> std::result::Result<Arc<Session>, Refusal> {
        sessions.begin(&repository(), Box::new(Nowhere), |_| None, now)
    }

    #[test]
    fn a_session_is_adopted_once_and_in_one_repository() {
        let (sessions, now) = (Sessions::new(1, IDLE), Instant::now());
        let left = |offset| UploadState { session: String::new(), offset };
        let adopt = |name, id, offset| sessions.adopt(&RepoName::parse(name).unwrap(), UploadId(id), left(offset), now);
        assert_eq!(adopt("o/r", 1, 5).unwrap().received(), 5);
        assert_eq!(adopt("o/r", 1, 7).unwrap().received(), 5);
        assert_eq!(adopt("o/other", 1, 7).err(), Some(Refusal::no_such_upload()));
        assert_eq!(adopt("o/r", 2, 0).err().unwrap().status, StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn a_session_that_nobody_uses_is_forgotten() {
        let (sessions, start) = (Sessions::new(10, IDLE), Instant::now());
        let id = begun(&sessions, start).unwrap().id;
        assert!(sessions.find(&repository(), id, start + IDLE / 2).is_ok());
        sessions.expire(start + IDLE);
        assert!(sessions.find(&repository(), id, start + IDLE).is_ok());
        assert_eq!(sessions.find(&repository(), id, start + 2 * IDLE).err(), Some(Refusal::no_such_upload()));
    }

    #[test]
    fn a_session_in_use_is_kept() {
        let (sessions, start) = (Sessions::new(10, IDLE), Instant::now());
        let held = begun(&sessions, start).unwrap();
        sessions.expire(start + 9 * IDLE);
        assert!(sessions.find(&repository(), held.id, start).is_ok());
    }

    #[test]
    fn a_session_is_known_in_its_own_repository_only() {
        let sessions = Sessions::new(10, IDLE);
        let id = begun(&sessions, Instant::now()).unwrap().id;
        assert!(sessions.find(&RepoName::parse("o/other").unwrap(), id, Instant::now()).is_err());
    }

    #[test]
    fn sessions_are_bounded() {
        let (sessions, start) = (Sessions::new(2, IDLE), Instant::now());
        let begin = |now| begun(&sessions, now).map(|session| session.id);
        assert_ne!(begin(start).unwrap(), begin(start).unwrap());
        assert_eq!(begin(start).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        assert!(begin(start + IDLE).is_ok());
    }
}
