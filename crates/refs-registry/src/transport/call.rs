//! One request, ready to be sent as often as needed.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use refs_url::RepoName;
use url::Url;

use crate::{
    ByteStream, Error, Replay, Result,
    auth::Scopes,
    error::{RequestLine, Wanted},
    transport::outgoing::{self, Proof},
};

/// A request to a registry or its token service, without credentials: those are added when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Those that the caller added, which may be secrets: they are for the origin of `url` alone.
    pub(crate) own: HeaderMap,
    pub(crate) body: Body,
    /// What a token must allow for it.
    pub(crate) scopes: Scopes,
    pub(crate) repository: Option<RepoName>,
    /// What it is about, for errors.
    pub(crate) wanted: Wanted,
    pub(crate) follow: Follow,
    pub(crate) takes: Takes,
}

/// Which answers are no errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Success,
    /// Those of any status, when another attempt would not change it.
    Any,
}

/// How far redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Anywhere,
    SameOrigin,
}

/// The body of a request.
#[derive(Clone)]
pub(crate) enum Body {
    Empty,
    Bytes(Bytes),
    /// A part of a blob, or all of it, checked on its way out: what does not match its digest is never sent to its end.
    Part {
        replay: Replay,
        range: Range<u64>,
        proof: Proof,
        fault: FaultSlot,
    },
    /// Gone once it has been sent.
    Once(Arc<Mutex<Option<ByteStream>>>),
}

/// Where a body that fails while it is sent leaves its own error: what the connection says then is only that it was cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultSlot(Arc<Mutex<Option<Error>>>);

impl FaultSlot {
    pub(crate) fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Body {
    pub(crate) fn once(stream: ByteStream) -> Self {
        Self::Once(Arc::new(Mutex::new(Some(stream))))
    }

    pub(crate) const fn is_replayable(&self) -> bool {
        !matches!(self, Self::Once(_))
    }

    /// The error of the body itself, when that is why a request failed.
    pub(crate) fn fault(&self) -> Option<Error> {
        match self {
            Self::Part { fault, .. } => fault.take(),
            _ => None,
        }
    }

    /// The number of its bytes, unless only its end will tell.
    pub(crate) const fn len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Part { range, .. } => Some(range.end - range.start),
            Self::Once(_) => None,
        }
    }

    /// The bytes, to be sent; `None` when there are none, or none any more.
    pub(crate) async fn open(&self) -> Result<Option<ByteStream>> {
        match self {
            Self::Empty => Ok(None),
            Self::Bytes(bytes) => Replay::Bytes(bytes.clone()).open(0).await.map(Some),
            Self::Part { replay, range, proof, fault } => {
                outgoing::checked(replay, range.clone(), proof.clone(), fault.clone()).await.map(Some)
            }
            Self::Once(stream) => Ok(stream.lock().unwrap_or_else(PoisonError::into_inner).take()),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Part { range, .. } => write!(f, "Part({}-{})", range.start, range.end),
            Self::Once(_) => f.write_str("Once"),
        }
    }
}

impl Call {
    pub(crate) fn new(method: Method, url: Url, wanted: Wanted) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            own: HeaderMap::new(),
            body: Body::Empty,
            scopes: Scopes::default(),
            repository: None,
            wanted,
            follow: Follow::Anywhere,
            takes: Takes::Success,
        }
    }

    pub(crate) fn get(url: Url, wanted: Wanted) -> Self {
        Self::new(Method::GET, url, wanted)
    }

    /// Says which repository it is about, and what a token must allow.
    pub(crate) fn scoped(self, repository: &RepoName, scopes: Scopes) -> Self {
        Self { repository: Some(repository.clone()), scopes, ..self }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn of_any_status(self) -> Self {
        Self { takes: Takes::Any, ..self }
    }

    pub(crate) fn within_origin(self) -> Self {
        Self { follow: Follow::SameOrigin, ..self }
    }

    /// The request as errors and logs show it.
    pub(crate) fn line(&self) -> RequestLine {
        self.line_to(&self.url)
    }

    /// The same where it was sent on to `url`.
    pub(crate) fn line_to(&self, url: &Url) -> RequestLine {
        let line = RequestLine::new(&self.method, url);
        if self.wanted == Wanted::Token { line.asking_token_service() } else { line }
    }
}
