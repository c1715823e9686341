//! `/healthz`: whether to send requests here.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use http::{
    Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Body, Refusal,
    answer::{self, Reply},
};

pub(crate) const PATH: &str = "/healthz";

/// Tries out whether what a server keeps things in takes writes.
#[async_trait]
pub trait Probe: fmt::Debug + Send + Sync {
    /// Whether something can be written now.
    async fn is_writable(&self) -> bool;
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It takes requests.
    Good,
    /// It is about to stop.
    Draining,
    /// Its store takes no writes.
    Unwritable,
}

impl Health {
    /// The status of `/healthz`: 200 or 503.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Good => StatusCode::OK,
            Self::Draining | Self::Unwritable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer to `method` on `/healthz`.
    pub(crate) fn answer(self, method: &Method) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            return answer::finish(Err(Refusal::unsupported("this path only tells").with(ALLOW, "GET, HEAD")));
        }
        let reply = Reply::new(self.status()).with(CONTENT_TYPE, "text/plain; charset=utf-8");
        let reply = reply.with(CACHE_CONTROL, "no-store").with_bytes(format!("{self}\n").into());
        let response = answer::finish(Ok(reply));
        if method == Method::HEAD { answer::without_body(response) } else { response }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "ok",
            Self::Draining => "draining",
            Self::Unwritable => "the store cannot be written",
        })
    }
}

/// What the last try came to. Strangers may ask, so not each of them makes the store write.
#[derive(Debug, Default)]
pub(crate) struct Tried(Mutex<Option<(Instant, bool)>>);

impl Tried {
    /// Whether `probe` found the store writable, a moment ago or now. One that does not answer is not.
    pub(crate) async fn is_writable(&self, probe: &dyn Probe) -> bool {
        const COUNTS_FOR: Duration = Duration::from_secs(1);
        const PATIENCE: Duration = Duration::from_secs(5);
        // Whoever asks meanwhile waits for the same try.
        let mut last = self.0.lock().await;
        if let Some((at, found)) = *last
            && at.elapsed() < COUNTS_FOR
        {
            return found;
        }
        let found = tokio::time::timeout(PATIENCE, probe.is_writable()).await.unwrap_or(false);
        *last = Some((Instant::now(), found));
        found
    }
}
