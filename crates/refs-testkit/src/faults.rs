//! What can go wrong between a client and a registry, made to happen on the wire.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;

/// A failure of one answer. Bytes of an answer are those of its body, counted on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes before the first byte of the answer. The request was carried out, if it was one to write.
    Drop(Close),
    /// The connection closes after so many bytes of the answer.
    Cut {
        /// How many bytes are sent before.
        after: u64,
        /// How it closes.
        close: Close,
    },
    /// The connection closes after so many bytes of the request's body have been taken in.
    CutRequest {
        /// How many bytes are read before.
        after: u64,
        /// How it closes.
        close: Close,
    },
    /// Nothing more comes after so many bytes of the answer, and the connection stays open.
    Stall {
        /// How many bytes are sent before.
        after: u64,
    },
    /// `Content-Length` is larger than the body by so many bytes; the connection closes in order where the body ends.
    LongerBy(u64),
    /// `Content-Length` is smaller than the body by so many bytes, all of which are sent before the connection closes.
    ShorterBy(u64),
    /// The byte at this offset has one bit inverted.
    Flip {
        /// The offset in the body.
        at: u64,
    },
    /// Another answer, in place of the registry's.
    Status {
        /// The status.
        status: u16,
        /// Headers, such as `retry-after`.
        headers: Vec<(&'static str, String)>,
    },
    /// The request is taken as if it had no `Range`.
    IgnoreRange,
    /// The answer has this `Content-Range`.
    ContentRange(String),
}

/// How a connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// In order, with FIN.
    Fin,
    /// With a reset. The kernel may drop bytes that were sent shortly before.
    Reset,
}

/// Which requests a [`Fault`] is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    /// Those with this method; any when `None`.
    pub method: Option<Method>,
    /// Those with this text in their path.
    pub path: String,
    /// So many of these are spared first.
    pub skip: u32,
    /// So many are then hit.
    pub times: u32,
}

impl On {
    /// The first request with `method` and with `path` in its path.
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self { method: Some(method), path: path.to_owned(), skip: 0, times: 1 }
    }

    /// The first `GET` with `path` in its path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// The first `PUT` with `path` in its path.
    #[must_use]
    pub fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// The first request of any method with `path` in its path.
    #[must_use]
    pub fn any(path: &str) -> Self {
        Self { method: None, path: path.to_owned(), skip: 0, times: 1 }
    }

    /// The ones after the first `requests`.
    #[must_use]
    pub fn skip(self, requests: u32) -> Self {
        Self { skip: requests, ..self }
    }

    /// So many of them, one after the other.
    #[must_use]
    pub fn times(self, requests: u32) -> Self {
        Self { times: requests, ..self }
    }

    /// All of them.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }
}

/// The faults that wait for their request.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(On, Fault)>>);

impl Faults {
    pub(crate) fn add(&self, on: On, fault: Fault) {
        self.waiting().push((on, fault));
    }

    pub(crate) fn clear(&self) {
        self.waiting().clear();
    }

    /// The fault for this request: the first that was added of those that match. The others do not count the request.
    pub(crate) fn take(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut waiting = self.waiting();
        let matches = |on: &On| on.method.as_ref().is_none_or(|m| m == method) && path.contains(&on.path);
        let (on, fault) = waiting.iter_mut().find(|(on, _)| on.times > 0 && matches(on))?;
        if on.skip > 0 {
            on.skip -= 1;
            return None;
        }
        on.times -= 1;
        Some(fault.clone())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(On, Fault)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
