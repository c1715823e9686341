//! What a fake registry was asked, and what it answered.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use http::{Method, header, request};
use refs_url::Host;

/// One request, as it came over the wire.
///
/// It shows itself, and compares with text, as method and path (`GET /v2/o/r/manifests/v1`), so that a test can write the
/// requests it expects as a list. The id of an upload session, which nobody can foresee, is shown as `ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The listener that got it: the registry's own, or that of its content network.
    pub host: Host,
    /// The method.
    pub method: Method,
    /// The path, as sent.
    pub path: String,
    /// The query, as sent; empty when there was none.
    pub query: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// Whether there was an `Authorization` header.
    pub had_authorization: bool,
    /// The status of the answer; 0 while there is none.
    pub status: u16,
    /// The bytes of the request's body that have come.
    pub received: u64,
    /// The bytes of the answer's body that were sent.
    pub sent: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SESSIONS: &str = "/blobs/uploads/";
        match self.path.rsplit_once(SESSIONS) {
            Some((before, id)) if !id.is_empty() => write!(f, "{} {before}{SESSIONS}ID", self.method),
            _ => write!(f, "{} {}", self.method, self.path),
        }
    }
}

impl PartialEq<str> for Seen {
    fn eq(&self, other: &str) -> bool {
        let shown = self.to_string();
        shown == other
    }
}

impl PartialEq<&str> for Seen {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<String> for Seen {
    fn eq(&self, other: &String) -> bool {
        *self == **other
    }
}

/// All requests so far, in the order in which their heads came.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Arc<Entry>>>);

/// A request whose figures still grow.
#[derive(Debug)]
pub(crate) struct Entry {
    begun: Seen,
    pub(crate) status: AtomicU16,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

impl Log {
    pub(crate) fn begin(&self, host: &Host, head: &request::Parts) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            begun: Seen {
                host: host.clone(),
                method: head.method.clone(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                range: head.headers.get(header::RANGE).map(|range| String::from_utf8_lossy(range.as_bytes()).into()),
                had_authorization: head.headers.contains_key(header::AUTHORIZATION),
                status: 0,
                received: 0,
                sent: 0,
            },
            status: AtomicU16::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        });
        self.entries().push(Arc::clone(&entry));
        entry
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.entries().iter().map(|entry| entry.seen()).collect()
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.entries()).iter().map(|entry| entry.seen()).collect()
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn seen(&self) -> Seen {
        Seen {
            status: self.status.load(Ordering::Acquire),
            received: self.received.load(Ordering::Acquire),
            sent: self.sent.load(Ordering::Acquire),
            ..self.begun.clone()
        }
    }
}

/// How many sessions of uploads were begun in `seen` and have not ended, as a blob or by being cancelled. One that is not known
/// when it is cancelled has become a blob whose answer nobody waited for.
#[must_use]
pub fn open_uploads(seen: &[Seen]) -> usize {
    let uploads = || seen.iter().filter(|seen| seen.path.contains("/blobs/uploads/"));
    let begun = uploads().filter(|seen| seen.method == Method::POST && seen.status == 202).count();
    let has_ended = |seen: &&Seen| matches!((seen.method.as_str(), seen.status), ("PUT", 201) | ("DELETE", 204 | 404));
    let ended: HashSet<&str> = uploads().filter(has_ended).map(|seen| seen.path.as_str()).collect();
    begun.saturating_sub(ended.len())
}
