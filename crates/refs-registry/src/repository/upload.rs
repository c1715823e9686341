//! Upload sessions
//! ([pushing blobs](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs)).

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use refs_url::{Algorithm, Digest, Hasher, RepoName};
use tokio::{sync::mpsc, task::JoinHandle};
use url::Url;

use super::{Repository, manifests::check_stored};
use crate::{
    Error, Mounted, Result, Upload, UploadState,
    auth::Scopes,
    error::{Fault, Wanted},
    transport::{Answer, Body, Call, Failure, commit},
};

/// Chunks that may wait for the connection to take them.
const QUEUE: usize = 4;

pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Repository {
    pub(super) async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        let call = self.session_call();
        let answer = self.remote.send(&call, &mut self.remote.budget()).await?;
        Ok(Box::new(self.session(&answer)?))
    }

    /// The request that begins a session. Made twice, it leaves one behind that expires by itself.
    pub(super) fn session_call(&self) -> Call {
        self.writing(Call::new(
            Method::POST,
            self.remote.endpoints.uploads(&self.name),
            Wanted::Repository(self.name.clone()),
        ))
    }

    fn session(&self, answer: &Answer) -> Result<Session> {
        let url = self.next_location(answer)?;
        Ok(Session { repository: self.clone(), url, sent: 0, hasher: Some(Hasher::sha256()), patch: None })
    }

    pub(super) async fn resume_upload(&self, state: &UploadState) -> Result<Box<dyn Upload>> {
        const RANGE: HeaderName = header::RANGE;
        let foreign = |error: url::ParseError| Error::Settings {
            what: "the upload session".to_owned(),
            source: std::sync::Arc::new(error),
        };
        let url = self.remote.endpoints.base().join(&state.session).map_err(foreign)?;
        let call = self.writing(Call::get(url, Wanted::Upload));
        self.check_session(&call.url).map_err(|fault| Error::Protocol { at: call.line(), fault })?;
        let answer = self.remote.send(&call, &mut self.remote.budget()).await?;
        let url = if answer.location().is_some() { self.next_location(&answer)? } else { call.url };
        let range = answer.header(&RANGE).unwrap_or_default();
        let last =
            range.trim_start_matches("bytes=").strip_prefix("0-").and_then(|last| last.trim().parse::<u64>().ok());
        let offset = match last {
            None => 0,
            // Distribution says `0-0` for none and for one byte.
            Some(0) => state.offset.min(1),
            Some(last) => last.saturating_add(1),
        };
        Ok(Box::new(Session { repository: self.clone(), url, sent: offset, hasher: None, patch: None }))
    }

    pub(super) async fn mount_blob(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        let url = self.remote.endpoints.mount(&self.name, digest, from);
        // One token for both repositories: Docker Hub wants to see the reading of the source in it.
        let scopes = Scopes::push(&self.name).union(&Scopes::pull(from));
        let call = Call::new(Method::POST, url, Wanted::Blob(digest.clone())).scoped(&self.name, scopes);
        match self.remote.send(&call, &mut self.remote.budget()).await {
            Ok(answer) if answer.status == StatusCode::CREATED => {
                check_stored(&answer, digest)?;
                Ok(Mounted::Mounted)
            }
            Ok(answer) => Ok(Mounted::Upload(Box::new(self.session(&answer)?))),
            Err(error @ (Error::Unreachable { .. } | Error::Timeout { .. } | Error::RateLimited { .. })) => Err(error),
            // Harbor answers 401 or 404 where it should begin an upload.
            Err(error) => {
                tracing::debug!(host = %self.host(), %error, "mounting refused, the blob is uploaded");
                self.begin_upload().await.map(Mounted::Upload)
            }
        }
    }

    /// The URL that a session goes on at.
    pub(super) fn next_location(&self, answer: &Answer) -> Result<Url> {
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
        Err(Fault::UnsafeRedirect { to: url.origin().ascii_serialization(), reason })
    }

    /// Ends a session, its blob being `digest`.
    pub(super) async fn finish_upload(&self, session: Url, digest: &Digest, body: Body) -> Result<(), Failure> {
        let call = Call::new(Method::PUT, commit(session, digest), Wanted::Upload);
        let call = self.writing(call).header(header::CONTENT_TYPE, OCTETS).body(body);
        let answer = self.remote.once(&call).await?;
        Ok(check_stored(&answer, digest)?)
    }

    pub(super) async fn cancel_upload(&self, session: Url) -> Result<()> {
        let call = self.writing(Call::new(Method::DELETE, session, Wanted::Upload));
        match self.remote.send(&call, &mut self.remote.budget()).await {
            // It is gone, which is what was wanted.
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// An upload session on a registry.
struct Session {
    repository: Repository,
    url: Url,
    /// The bytes that the registry has acknowledged.
    sent: u64,
    /// Of all bytes since the session's beginning; `None` when not all of them went through here.
    hasher: Option<Hasher>,
    patch: Option<Patch>,
}

/// A `PATCH` whose body is being written.
struct Patch {
    feed: mpsc::Sender<Result<Bytes>>,
    answer: JoinHandle<Result<Answer, Failure>>,
    fed: u64,
}

impl Drop for Patch {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Patch {
    fn begin(repository: &Repository, url: &Url) -> Self {
        let (feed, queue) = mpsc::channel(QUEUE);
        let body = stream::unfold(queue, |mut queue| async { queue.recv().await.map(|chunk| (chunk, queue)) });
        let call = Call::new(Method::PATCH, url.clone(), Wanted::Upload);
        let call = repository.writing(call).header(header::CONTENT_TYPE, OCTETS).body(Body::once(body.boxed()));
        let remote = repository.remote.clone();
        Self { feed, answer: tokio::spawn(async move { remote.once(&call).await }), fed: 0 }
    }

    /// The registry's answer, once nothing more is fed.
    async fn finish(mut self) -> Result<Answer> {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.feed, closed));
        match (&mut self.answer).await {
            Ok(answer) => answer.map_err(|failure| failure.error),
            Err(lost) => Err(Error::Settings { what: "the runtime".to_owned(), source: std::sync::Arc::new(lost) }),
        }
    }
}

#[async_trait]
impl Upload for Session {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        let len = chunk.len() as u64;
        let patch = self.patch.get_or_insert_with(|| Patch::begin(&self.repository, &self.url));
        if patch.feed.send(Ok(chunk)).await.is_ok() {
            patch.fed += len;
            return Ok(());
        }
        // The registry has stopped taking the body: its answer says why.
        match self.patch.take() {
            Some(patch) => {
                let answer = patch.finish().await?;
                Err(answer.protocol(Fault::EarlyAnswer))
            }
            None => Ok(()),
        }
    }

    fn state(&self) -> UploadState {
        UploadState { session: self.url.to_string(), offset: self.sent }
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        if let Some(patch) = self.patch.take() {
            let fed = patch.fed;
            let answer = patch.finish().await?;
            // ECR's `Range` stays at the first chunk, so that an accepted body is taken for a stored one.
            self.sent += fed;
            self.url = self.repository.next_location(&answer)?;
        }
        let hasher = self.hasher.take().filter(|_| digest.algorithm() == Algorithm::Sha256);
        if let Some(actual) = hasher.map(Hasher::finish).filter(|actual| actual != digest) {
            drop(self.repository.cancel_upload(self.url).await);
            return Err(Error::Digest { wanted: Wanted::Blob(digest.clone()), actual });
        }
        match self.repository.finish_upload(self.url.clone(), digest, Body::Empty).await {
            Ok(()) => Ok(()),
            // The answer may have been lost, and not the request.
            Err(failure) => {
                let scopes = Scopes::push(self.repository.name());
                match self.repository.head_blob(digest, scopes).await {
                    Ok(Some(_)) if failure.is_passing() => Ok(()),
                    _ => Err(failure.error),
                }
            }
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        drop(self.patch.take());
        self.repository.cancel_upload(self.url).await
    }
}
