//! An answer, and what it means when it is no success.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

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
    client::{Client, Wait},
    exchange::{Grant, SLOWEST},
    heard::Heard,
    retry::{Failure, Retryable, retry_after},
};
use crate::{
    Error, Options, Result, Timeouts,
    auth::{Demand, Refusal},
    error::{Code, Detail, Fault, Place, RequestLine, Wanted, may_pass},
    transport::Clock,
};

/// Of what a registry says about a refusal, more is not read.
const REFUSAL_BYTES: u64 = 8 * 1024;

/// That a body comes is told so often at most.
const TELLING: Duration = Duration::from_secs(1);

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

    /// Whether its body begins as a page for people does, unless it is said to be JSON. The beginning is gone then.
    pub(crate) async fn is_page(&mut self) -> bool {
        if self.header(&header::CONTENT_TYPE).is_some_and(|kind| kind.contains("json")) {
            return false;
        }
        let text = self.body.beginning(REFUSAL_BYTES).await;
        text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start().starts_with(b"<")
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
        may_pass(self.status.as_u16())
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
            Some(repository) => Place::registry(&format!("{host}/{repository}")),
            None => Place::registry(host.as_str()),
        };
        // What another host says is not the registry's word.
        let own_code = detail.codes().first().copied().filter(|_| !is_elsewhere);
        let error = match status.as_u16() {
            404 | 410 => Error::NotFound { wanted: call.wanted.clone(), at: place(), code: own_code },
            // olareg says so of a session that it does not know.
            400 if detail.codes().contains(&Code::BlobUploadUnknown) => {
                Error::NotFound { wanted: call.wanted.clone(), at: place(), code: own_code }
            }
            401 if !is_elsewhere => Error::Unauthorized { host, tried: Vec::new(), detail },
            403 if !is_elsewhere => Error::Denied { host, at, tried: Vec::new(), detail },
            405 | 501 => Error::Unsupported { wanted: call.wanted.clone(), at: place(), detail },
            409 => Error::Conflict { wanted: call.wanted.clone(), at: place(), detail },
            429 => Error::RateLimited { host, retry_after: hint },
            status => Error::Refused { at, status, retry_after: hint, detail },
        };
        // A signed URL that has expired is refused by the host it leads to: the registry gives a new one.
        let is_expired = is_elsewhere && matches!(status.as_u16(), 400 | 401 | 403);
        Err(if is_expired { Failure { error, retryable: Retryable::Anew } } else { Failure::of(error, hint) })
    }

    /// What to answer a 401 or 403 with.
    pub(crate) async fn refusal(self, grant: Option<&Grant>) -> Refusal {
        let (status, at) = (self.status, self.at.clone());
        let demand = Demand::of(&self.headers);
        Refusal { status, demand, at, detail: self.detail(grant).await }
    }

    /// What the other side says, without what it was shown.
    pub(crate) async fn detail(mut self, grant: Option<&Grant>) -> Detail {
        let body = self.body.beginning(REFUSAL_BYTES).await;
        let (words, codes) = told(&body);
        let words =
            grant.map(secrets).unwrap_or_default().iter().fold(words, |words, secret| {
                if secret.is_empty() { words } else { words.replace(secret.as_str(), "***") }
            });
        Detail::said(&words, codes)
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

/// The words in an error body, and the codes among them
/// ([error codes](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes)); none in a page
/// that was made for a browser.
fn told(body: &[u8]) -> (String, Vec<Code>) {
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
    /// The forms of token services: Docker Hub's, and that of [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
    #[derive(Deserialize)]
    struct Plain {
        error: Option<String>,
        error_description: Option<String>,
        message: Option<String>,
        details: Option<String>,
    }
    if let Ok(Errors { errors }) = serde_json::from_slice(body) {
        let said = errors.iter().map(|one| match (one.code.as_str(), one.message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        });
        let words = said.filter(|said| !said.is_empty()).collect::<Vec<_>>().join("; ");
        return (words, errors.iter().filter_map(|one| Code::parse(&one.code)).collect());
    }
    if let Ok(Plain { error, error_description, message, details }) = serde_json::from_slice(body) {
        let said = [error, error_description, message, details].into_iter().flatten();
        return (said.collect::<Vec<_>>().join(": "), Vec::new());
    }
    let text = String::from_utf8_lossy(body);
    let is_words = !text.trim_start().starts_with(['<', '{', '[']);
    (if is_words { text.into_owned() } else { String::new() }, Vec::new())
}

/// Whether the length that `headers` tell is that of the body
/// ([RFC 9112, section 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)).
fn is_measured(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING)
}

/// A body on its way in.
pub(crate) struct Incoming {
    stream: BoxStream<'static, reqwest::Result<Bytes>>,
    /// Whether its head says how long it is, so that it is no end in order that comes before that.
    is_measured: bool,
    /// Whose connection is to be left when no more comes. One by HTTP/1 ends with its body anyway.
    client: Option<Arc<Client>>,
    at: RequestLine,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    received: u64,
    pace: Pace,
    /// Who is told that more has come.
    told: Option<Arc<Heard>>,
    told_at: Option<Instant>,
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
    pub(crate) fn new(response: reqwest::Response, client: Arc<Client>, at: RequestLine, options: &Options) -> Self {
        Self {
            client: Some(client).filter(|_| response.version() == Version::HTTP_2),
            is_measured: is_measured(response.headers()),
            stream: response.bytes_stream().boxed(),
            at,
            clock: options.clock.clone(),
            timeouts: options.timeouts,
            received: 0,
            pace: Pace::default(),
            told: None,
            told_at: None,
        }
    }

    /// Has `heard` know that more comes.
    pub(super) fn tell(&mut self, heard: &Arc<Heard>) {
        self.told = Some(Arc::clone(heard));
    }

    /// The next bytes; `None` at the end that the other side announced.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let began = self.clock.now();
        let wait = Wait::of(self.client.clone(), &*self.clock);
        let chunk = tokio::select! {
            biased;
            chunk = self.stream.next() => chunk,
            () = self.clock.sleep(self.timeouts.idle) => return Err(self.timed_out(self.timeouts.idle)),
        };
        wait.end();
        let now = self.clock.now();
        let waited = now.saturating_duration_since(began);
        match chunk {
            None => Ok(None),
            Some(Ok(chunk)) if self.pace.is_too_slow(chunk.len(), waited) => Err(self.timed_out(SLOWEST.1)),
            Some(Ok(chunk)) => {
                self.received += chunk.len() as u64;
                self.tell_more(now);
                Ok(Some(chunk))
            }
            Some(Err(error)) => {
                let (at, received) = (self.at.clone(), self.received);
                Err(Failure::of(Error::Cut { at, received, source: Arc::new(error.without_url()) }, None))
            }
        }
    }

    /// What an end in order is that comes before it should: a cut, as some proxies end in order what was cut on its way to
    /// them. A body that was as long as its head says was not cut.
    pub(crate) fn ended_early(&self) -> Option<Failure> {
        let source = Arc::new(io::Error::from(io::ErrorKind::UnexpectedEof));
        let cut = Error::Cut { at: self.at.clone(), received: self.received, source };
        (!self.is_measured).then(|| Failure::of(cut, None))
    }

    fn timed_out(&self, after: Duration) -> Failure {
        if let Some(client) = &self.client {
            client.leave();
        }
        Failure::of(Error::Timeout { at: self.at.clone(), after }, None)
    }

    /// Tells that more has come, and not for each of the many pieces of a large body.
    fn tell_more(&mut self, now: Instant) {
        let Some(heard) = &self.told else { return };
        if self.told_at.is_none_or(|told| now.saturating_duration_since(told) >= TELLING) {
            heard.note(now);
            self.told_at = Some(now);
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
    async fn beginning(&mut self, limit: u64) -> Bytes {
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
    fn check_told(body: &str, words: &str, codes: &[Code]) {
        assert_eq!(told(body.as_bytes()), (words.to_owned(), codes.to_vec()), "{body}");
    }

    #[test]
    fn refusals_are_read_in_all_the_forms_that_registries_give_them() {
        check_told(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, "DENIED: no", &[Code::Denied]);
        check_told(r#"{"errors":[{"code":"A"},{"message":"b"},{}]}"#, "A; b", &[]);
        let both = r#"{"errors":[{"code":"OWN","message":"a"},{"code":"UNKNOWN"},{"code":"SIZE_INVALID"}]}"#;
        check_told(both, "OWN: a; UNKNOWN; SIZE_INVALID", &[Code::Unknown, Code::SizeInvalid]);
        // Words that look like a code are none.
        check_told(r#"{"errors":[{"message":"DENIED: no"}]}"#, "DENIED: no", &[]);
        check_told(r#"{"errors":[]}"#, "", &[]);
        check_told(r#"{"details":"incorrect username or password"}"#, "incorrect username or password", &[]);
        check_told(r#"{"error":"invalid_grant"}"#, "invalid_grant", &[]);
        check_told("plain words", "plain words", &[]);
        check_told("<html><body>Bad Gateway</body></html>", "", &[]);
        check_told(r#"{"unknown":1}"#, "", &[]);
        check_told(r#"{"errors":[{"code":"CUT","#, "", &[]);
        check_told("", "", &[]);
    }
}
