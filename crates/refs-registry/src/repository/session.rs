//! An upload session, as the registry knows it.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use http::{HeaderName, HeaderValue, Method, header};
use refs_url::{Algorithm, Digest};
use url::Url;

use super::{Repository, manifests::check_stored, pieces::told};
use crate::{
    Error, Result, UploadState,
    error::{Fault, Setting, Wanted},
    quirks::MIB,
    transport::{Answer, Body, Call, Failure, commit, shown},
};

/// A session that is neither ended nor told of is cancelled when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    repository: Repository,
    url: Url,
    /// The bytes that the registry has acknowledged.
    offset: u64,
    /// What every piece but the last one must have at least.
    least: u64,
    standing: Standing,
    /// Whether somebody has been told of it, who may go on with it.
    is_told: AtomicBool,
}

/// What is known of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Both sides know how much there is.
    Sure,
    /// The registry has told of less than was sent, and may have more.
    Told,
    /// A request may have had its effect, in part.
    InDoubt,
    /// There is none any more.
    Gone,
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Session {
    /// None yet: the first step of an upload is to begin one.
    pub(super) fn none(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            url: repository.remote.endpoints.base().clone(),
            offset: 0,
            least: 0,
            standing: Standing::Gone,
            is_told: AtomicBool::new(false),
        }
    }

    /// Begins one for the blob `digest`; for any that has a sha256 when that is not known yet.
    pub(super) async fn begin(repository: &Repository, digest: Option<&Digest>) -> Result<Self, Failure> {
        Self::asked(repository, repository.session_call(digest), Self::opened).await
    }

    /// What `read` makes of the answer to `call`, which may begin one. Given up meanwhile, it is still answered, and a session
    /// that was begun is cancelled.
    pub(super) async fn asked<T: Send + 'static>(
        repository: &Repository,
        call: Call,
        read: impl FnOnce(&Repository, &Answer) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let asking = repository.clone();
        let answered = async move {
            let answer = asking.remote.once(&call).await?;
            Ok(read(&asking, &answer)?)
        };
        repository.remote.options().farewells.to_its_end(answered).await
    }

    /// The one that `answer` has opened.
    pub(super) fn opened(repository: &Repository, answer: &Answer) -> Result<Self> {
        Ok(Self::at(repository, repository.next_location(answer)?, 0, answer))
    }

    /// The one that an earlier upload has left, as far as the registry has it.
    pub(super) async fn resume(repository: &Repository, state: &UploadState) -> Result<Self> {
        let url = repository.session_url(state)?;
        let call = repository.writing(Call::get(url, Wanted::Upload));
        let answer = repository.remote.send(&call, &mut repository.remote.budget()).await?;
        let url = repository.location_or(&answer, call.url)?;
        let offset = told(answer.header(&header::RANGE), state.offset).unwrap_or(0);
        let session = Self::at(repository, url, offset, &answer);
        session.is_told.store(true, Ordering::Relaxed);
        Ok(session)
    }

    fn at(repository: &Repository, url: Url, offset: u64, answer: &Answer) -> Self {
        const LEAST: HeaderName = HeaderName::from_static("oci-chunk-min-length");
        /// Pieces of a stream are kept in memory. S3, which is why there is a minimum, wants 5 MiB.
        const MOST: u64 = 64 * MIB;
        let least = answer.header(&LEAST).and_then(|least| least.trim().parse().ok()).unwrap_or(0);
        Self {
            repository: repository.clone(),
            url,
            offset,
            least: MOST.min(least),
            standing: Standing::Sure,
            is_told: AtomicBool::new(false),
        }
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn least(&self) -> u64 {
        self.least
    }

    pub(super) const fn standing(&self) -> Standing {
        self.standing
    }

    /// A request has failed that may have had its effect. What the registry has told still holds.
    pub(super) const fn doubt(&mut self) {
        if !matches!(self.standing, Standing::Told) {
            self.standing = Standing::InDoubt;
        }
    }

    /// The registry's last word is worth a question.
    pub(super) const fn question(&mut self) {
        self.standing = Standing::Told;
    }

    /// Goes on from the registry's last word, as a question has led to none; whether there was one.
    pub(super) const fn trust(&mut self) -> bool {
        let is_told = matches!(self.standing, Standing::Told);
        if is_told {
            self.standing = Standing::Sure;
        }
        is_told
    }

    /// The registry does not know of it.
    pub(super) const fn forget(&mut self) {
        self.standing = Standing::Gone;
    }

    pub(super) fn state(&self) -> UploadState {
        self.is_told.store(true, Ordering::Relaxed);
        UploadState { session: self.url.to_string(), offset: self.offset }
    }

    /// The request that appends `body`.
    pub(super) fn patch(&self, body: Body) -> Call {
        let call = Call::new(Method::PATCH, self.url.clone(), Wanted::Upload);
        self.repository.writing(call).header(header::CONTENT_TYPE, OCTETS).body(body)
    }

    /// The request that appends `body`, which is the bytes `range`
    /// ([pushing a blob in
    /// chunks](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks)).
    pub(super) fn piece(&self, range: &Range<u64>, body: Body) -> Result<Call> {
        let unsendable = |source| Error::Settings {
            what: Setting::Client("a piece of an upload"),
            source: std::sync::Arc::new(source),
        };
        let named = format!("{}-{}", range.start, range.end.saturating_sub(1));
        let named = HeaderValue::try_from(named).map_err(unsendable)?;
        Ok(self.patch(body).header(header::CONTENT_RANGE, named))
    }

    /// Takes note of the `answer` to the bytes `sent`, a success.
    pub(super) fn acknowledged(&mut self, answer: &Answer, sent: &Range<u64>) -> Result<(), Failure> {
        self.url = self.repository.location_or(answer, self.url.clone())?;
        let range = answer.header(&header::RANGE);
        self.offset = match told(range, self.offset) {
            // Distribution appends what comes twice: there is more than was sent, and nobody knows what.
            Some(told) if told > sent.end => {
                return Err(Failure::passing(answer.bad_header("range", range.unwrap_or_default())));
            }
            Some(told) if told > sent.start => told,
            // ECR's `Range` stays at the first piece, so that an accepted body is taken for a stored one.
            _ => sent.end,
        };
        self.standing = Standing::Sure;
        Ok(())
    }

    /// Asks the registry how much it has, of `sent` bytes that it may have. `None` when its word is of no use: then the
    /// session is of none either.
    pub(super) async fn ask(&mut self, sent: u64) -> Result<Option<u64>, Failure> {
        let call = self.repository.writing(Call::get(self.url.clone(), Wanted::Upload));
        let answer = self.repository.remote.once(&call).await?;
        self.url = self.repository.location_or(&answer, self.url.clone())?;
        let told = told(answer.header(&header::RANGE), self.offset).filter(|told| (self.offset..=sent).contains(told));
        // Whether `0-0` is one byte or none can't be known after one was sent.
        let told = told.filter(|told| *told > 0 || sent == 0);
        if let Some(told) = told {
            self.offset = told;
            self.standing = Standing::Sure;
        }
        Ok(told)
    }

    /// Ends it, its blob being `digest` and `body` the last bytes of that.
    pub(super) async fn finish(&mut self, digest: &Digest, body: Body) -> Result<(), Failure> {
        let call = Call::new(Method::PUT, commit(self.url.clone(), digest), Wanted::Upload);
        let call = self.repository.writing(call).header(header::CONTENT_TYPE, OCTETS).body(body);
        let answer = self.repository.remote.once(&call).await?;
        self.standing = Standing::Gone;
        Ok(check_stored(&answer, digest)?)
    }

    /// Tells the registry to forget it.
    ///
    /// # Errors
    /// When the registry could not be told; it will forget the session by itself.
    pub(super) async fn cancel(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.standing, Standing::Gone) == Standing::Gone {
            return Ok(());
        }
        cancel(&self.repository, self.url.clone()).await
    }

    /// Whether somebody may go on with it.
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// Has it forgotten, without anybody waiting for that.
    pub(super) fn abandon(&mut self) {
        if std::mem::replace(&mut self.standing, Standing::Gone) == Standing::Gone {
            return;
        }
        let (repository, url) = (self.repository.clone(), self.url.clone());
        self.repository.remote.options().farewells.say(async move {
            if let Err(error) = cancel(&repository, url).await {
                tracing::debug!(%error, "the session is left to expire");
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_told() {
            self.abandon();
        }
    }
}

async fn cancel(repository: &Repository, session: Url) -> Result<()> {
    let call = repository.writing(Call::new(Method::DELETE, session, Wanted::Upload));
    // Once: a session that is left behind expires.
    match repository.remote.once(&call).await.map_err(|failure| failure.error) {
        // It is gone, which is what was wanted.
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Repository {
    /// The request that begins a session. Made twice, it leaves one behind that expires by itself.
    fn session_call(&self, digest: Option<&Digest>) -> Call {
        let endpoints = &self.remote.endpoints;
        let url = match digest.filter(|digest| digest.algorithm() != Algorithm::Sha256) {
            Some(digest) => endpoints.uploads_by(&self.name, digest.algorithm_str()),
            None => endpoints.uploads(&self.name),
        };
        self.writing(Call::new(Method::POST, url, Wanted::Repository(self.name.clone())))
    }

    fn session_url(&self, state: &UploadState) -> Result<Url> {
        let foreign = |error: url::ParseError| Error::Settings {
            what: Setting::UploadSession,
            source: std::sync::Arc::new(error),
        };
        let url = self.remote.endpoints.base().join(&state.session).map_err(foreign)?;
        let at = || crate::error::RequestLine::new(&Method::GET, &url);
        self.check_session(&url).map_err(|fault| Error::Protocol { at: at(), fault })?;
        Ok(url)
    }

    /// The URL that a session goes on at: the newest one, else the one it was at.
    fn location_or(&self, answer: &Answer, last: Url) -> Result<Url> {
        if answer.location().is_some() { self.next_location(answer) } else { Ok(last) }
    }

    /// The URL that `answer` leads to.
    fn next_location(&self, answer: &Answer) -> Result<Url> {
        let location = answer.location().ok_or_else(|| answer.protocol(Fault::MissingHeader("location")))?;
        let mut url = answer.url.join(&location).ok().ok_or_else(|| answer.bad_header("location", &location))?;
        let base = self.remote.endpoints.base();
        if url.scheme() == "http" && base.scheme() == "https" && url.host() == base.host() && url.port().is_none() {
            // A registry that does not know of the proxy with its TLS in front of it.
            if url.set_scheme("https").is_err() || url.set_port(base.port()).is_err() {
                return Err(answer.bad_header("location", &location));
            }
        }
        self.check_session(&url).map_err(|fault| answer.protocol(fault))?;
        Ok(url)
    }

    /// Says why a session must not go on at `url`, if so.
    fn check_session(&self, url: &Url) -> Result<(), Fault> {
        let reason = if url.origin() != self.remote.endpoints.base().origin() {
            "an upload stays on its registry"
        } else if !url.username().is_empty() || url.password().is_some() {
            // They would be sent beside our own.
            "it carries credentials of its own"
        } else {
            return Ok(());
        };
        Err(Fault::UnsafeRedirect { to: shown(url), reason })
    }
}
