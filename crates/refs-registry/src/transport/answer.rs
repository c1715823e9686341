//! An answer, and what it means when it is no success.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, StatusCode, Version, header};
use refs_url::{Digest, Host};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{
    call::Call,
    exchange::{Grant, SLOWEST},
    retry::{Failure, Retryable, retry_after},
};
use crate::{
    Error, Options, Result, Timeouts,
    auth::{Demand, Refusal},
    error::{Detail, Fault, RequestLine, Wanted},
    transport::Clock,
};

/// Of what a registry says about a refusal, more is not read.
const REFUSAL_BYTES: u64 = 8 * 1024;

/// An answer's head, and its body to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// Where it came from, after all redirects.
    pub(crate) url: Url,
    pub(crate) at: RequestLine,
    pub(crate) body: Incoming,
    /// Whose credential was accepted, when one was asked for.
    pub(crate) accepted: Option<String>,
    /// Whose credentials were refused before.
    pub(crate) refused: Vec<String>,
}

impl Answer {
    /// The value of a header, when it is there and is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn location(&self) -> Option<String> {
        self.header(&header::LOCATION).map(str::to_owned)
    }

    /// The digest that the registry reports.
    ///
    /// # Errors
    /// `Protocol` when it reports something that is none.
    pub(crate) fn content_digest(&self) -> Result<Option<Digest>> {
        const NAME: HeaderName = HeaderName::from_static("docker-content-digest");
        let Some(value) = self.header(&NAME) else { return Ok(None) };
        Digest::parse(value).map(Some).ok().ok_or_else(|| self.bad_header("docker-content-digest", value))
    }

    /// The length that the registry announces.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.parse().ok()
    }

    pub(crate) fn protocol(&self, fault: Fault) -> Error {
        Error::Protocol { at: self.at.clone(), fault }
    }

    pub(crate) fn bad_header(&self, name: &'static str, value: &str) -> Error {
        // Of a URL, the query may hold a signature.
        let shown = value.split('?').next().unwrap_or_default();
        let value = shown.chars().take(128).flat_map(char::escape_default).collect();
        self.protocol(Fault::BadHeader { name, value })
    }

    /// Whether the same request may get another answer later.
    pub(crate) fn may_change(&self) -> bool {
        Retryable::of_status(self.status, None) != Retryable::Never
    }

    /// This answer when it is a success.
    ///
    /// # Errors
    /// What its status means for `call`, which was shown `grant`.
    pub(crate) async fn accepted(self, call: &Call, host: &Host, grant: Option<&Grant>) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (status, at, hint) = (self.status, self.at.clone(), retry_after(&self.headers));
        let is_elsewhere = self.url.origin() != call.url.origin();
        let detail = self.detail(grant).await;
        let host = host.clone();
        let place = || match &call.repository {
            Some(repository) => format!("{host}/{repository}").into(),
            None => host.as_str().into(),
        };
        let retryable = Retryable::of_status(status, hint);
        let error = match status.as_u16() {
            404 | 410 => Error::NotFound { wanted: call.wanted.clone(), at: place() },
            // olareg says so of a session that it does not know.
            400 if detail.has_code("BLOB_UPLOAD_UNKNOWN") => {
                Error::NotFound { wanted: call.wanted.clone(), at: place() }
            }
            401 if !is_elsewhere => Error::Unauthorized { host, tried: Vec::new(), detail },
            403 if !is_elsewhere => Error::Denied { host, at, tried: Vec::new(), detail },
            405 | 501 => Error::Unsupported { wanted: call.wanted.clone(), at: place() },
            409 => Error::Conflict { wanted: call.wanted.clone(), at: place(), detail },
            429 => Error::RateLimited { host, retry_after: hint },
            // Overloaded, and it says until when: that is the same to whoever waits.
            503 if hint.is_some() => Error::RateLimited { host, retry_after: hint },
            status => Error::Refused { at, status, detail },
        };
        // A signed URL that has expired is refused by the host it leads to: the registry gives a new one.
        let is_expired = is_elsewhere && matches!(status.as_u16(), 400 | 401 | 403);
        Err(Failure { error, retryable: if is_expired { Retryable::Anew } else { retryable } })
    }

    /// What to answer a 401 or 403 with.
    pub(crate) async fn refusal(self, grant: Option<&Grant>) -> Refusal {
        let (status, at) = (self.status, self.at.clone());
        let demand = Demand::of(&self.headers);
        Refusal { status, demand, at, detail: self.detail(grant).await }
    }

    /// What the other side says, without what it was shown.
    pub(crate) async fn detail(self, grant: Option<&Grant>) -> Detail {
        let body = self.body.beginning(REFUSAL_BYTES).await;
        let words = grant.map(secrets).unwrap_or_default().iter().fold(words(&body), |words, secret| {
            if secret.is_empty() { words } else { words.replace(secret.as_str(), "***") }
        });
        Detail::new(&words)
    }
}

/// What `grant` shows, in the forms in which it may come back: the header's word, and the password in it.
fn secrets(grant: &Grant) -> Vec<Zeroizing<String>> {
    let Some((_, word)) = grant.header.to_str().ok().and_then(|header| header.split_once(' ')) else {
        return Vec::new();
    };
    let pair = BASE64_STANDARD.decode(word).ok().and_then(|pair| String::from_utf8(pair).ok()).map(Zeroizing::new);
    let password = pair.and_then(|pair| Some(Zeroizing::new(pair.split_once(':')?.1.to_owned())));
    std::iter::once(Zeroizing::new(word.to_owned())).chain(password).collect()
}

/// The words in an error body
/// ([error codes](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes)); none in a page
/// that was made for a browser.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    struct Plain {
        #[serde(alias = "details", alias = "error_description", alias = "error")]
        message: String,
    }
    if let Ok(Errors { errors }) = serde_json::from_slice(body) {
        let said = errors.iter().map(|one| match (one.code.as_str(), one.message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        });
        return said.filter(|said| !said.is_empty()).collect::<Vec<_>>().join("; ");
    }
    if let Ok(Plain { message }) = serde_json::from_slice(body) {
        return message;
    }
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with(['<', '{', '[']) { String::new() } else { text.into_owned() }
}

/// A body on its way in.
pub(crate) struct Incoming {
    stream: BoxStream<'static, reqwest::Result<Bytes>>,
    at: RequestLine,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    received: u64,
    pace: Pace,
}

/// How much has come in how much time of waiting for it. The time that the reader takes does not count.
#[derive(Debug, Default)]
struct Pace {
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// Whether the other side has been too slow for too long.
    fn is_too_slow(&mut self, bytes: usize, waited: Duration) -> bool {
        let (least, window) = SLOWEST;
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < window {
            return false;
        }
        std::mem::take(self).bytes < least
    }
}

impl Incoming {
    pub(crate) fn new(response: reqwest::Response, at: RequestLine, options: &Options) -> Self {
        Self {
            stream: response.bytes_stream().boxed(),
            at,
            clock: options.clock.clone(),
            timeouts: options.timeouts,
            received: 0,
            pace: Pace::default(),
        }
    }

    /// The next bytes; `None` at the end that the other side announced.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let timed_out = |after| Failure::passing(Error::Timeout { at: self.at.clone(), after });
        let began = self.clock.now();
        let chunk = tokio::select! {
            biased;
            chunk = self.stream.next() => chunk,
            () = self.clock.sleep(self.timeouts.idle) => return Err(timed_out(self.timeouts.idle)),
        };
        let waited = self.clock.now().saturating_duration_since(began);
        match chunk {
            None => Ok(None),
            Some(Ok(chunk)) if self.pace.is_too_slow(chunk.len(), waited) => Err(timed_out(SLOWEST.1)),
            Some(Ok(chunk)) => {
                self.received += chunk.len() as u64;
                Ok(Some(chunk))
            }
            Some(Err(error)) => {
                let (at, received) = (self.at.clone(), self.received);
                Err(Failure::passing(Error::Cut { at, received, source: Arc::new(error.without_url()) }))
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// `TooLarge` beyond `limit` bytes.
    pub(crate) async fn collect(&mut self, limit: u64, wanted: &Wanted) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(Failure::last(Error::TooLarge { wanted: wanted.clone(), limit }));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// At most `limit` bytes of the body, as far as it comes.
    async fn beginning(mut self, limit: u64) -> Bytes {
        let mut all = BytesMut::new();
        while let Ok(Some(chunk)) = self.next().await {
            let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(all.len());
            all.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if room <= chunk.len() {
                break;
            }
        }
        all.freeze()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("at", &self.at).field("received", &self.received).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m171_a_drip_is_too_slow_and_a_slow_reader_is_not_at_fault() {
        let second = Duration::from_secs(1);
        let mut drip = Pace::default();
        assert_eq!((1..).find(|_| drip.is_too_slow(1, second)), Some(60));
        let mut slow = Pace::default();
        assert!((0..600).all(|_| !slow.is_too_slow(1024, second)));
        let mut idle_reader = Pace::default();
        assert!((0..600).all(|_| !idle_reader.is_too_slow(1, Duration::ZERO)));
    }

    #[track_caller]
    fn check_words(body: &str, expect: &str) {
        assert_eq!(words(body.as_bytes()), expect, "{body}");
    }

    #[test]
    fn refusals_are_read_in_all_the_forms_that_registries_give_them() {
        check_words(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, "DENIED: no");
        check_words(r#"{"errors":[{"code":"A"},{"message":"b"},{}]}"#, "A; b");
        check_words(r#"{"errors":[]}"#, "");
        check_words(r#"{"details":"incorrect username or password"}"#, "incorrect username or password");
        check_words(r#"{"error":"invalid_grant"}"#, "invalid_grant");
        check_words("plain words", "plain words");
        check_words("<html><body>Bad Gateway</body></html>", "");
        check_words(r#"{"unknown":1}"#, "");
        check_words(r#"{"errors":[{"code":"CUT","#, "");
        check_words("", "");
    }
}
