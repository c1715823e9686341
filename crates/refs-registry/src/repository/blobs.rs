//! Whole blobs: read on after a cut, verified at the end.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, Method, StatusCode, header};
use refs_url::Digest;

use super::{Repository, content_range::ContentRange};
use crate::{
    Blob, Error, Result, Resume, Verify,
    auth::Scopes,
    error::{Fault, Wanted},
    trail::Shared,
    transport::{Answer, Budget, Call, Failure, Incoming},
};

/// After so many bytes, what breaks next counts as a first failure.
pub(super) const PROGRESS_BYTES: u64 = 64 * 1024;

/// A blob of at most so many bytes is given when all of them are known to be right, so that wrong ones can be asked for
/// again. Of a larger one they are given as they come, and what was given can't be taken back.
const HELD_BYTES: u64 = 1024 * 1024;

/// A registry that gives the whole blob instead of its rest is read over so many times.
const MAX_RESTARTS: u32 = 2;

impl Repository {
    pub(super) async fn head_blob(&self, digest: &Digest, scopes: Scopes) -> Result<Option<u64>> {
        let call = |method| {
            Call::new(method, self.blob_url(digest), Wanted::Blob(digest.clone())).scoped(&self.name, scopes.clone())
        };
        let answer = match self.remote.send(&call(Method::HEAD), &mut self.remote.budget()).await {
            // The head of the whole answer tells the same; its body is left unread.
            Err(Error::Unsupported { .. }) => self.remote.send(&call(Method::GET), &mut self.remote.budget()).await,
            answer => answer,
        };
        match answer {
            Ok(answer) => answer.content_length().map(Some).ok_or_else(|| missing_length(&answer)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read_blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let mut budget = self.remote.budget();
        let opened = loop {
            match self.open_from(digest, from.offset(), None).await {
                Ok(opened) => break opened,
                // There is nothing beyond the end: the earlier read had all of it.
                Err(Failure { error: Error::Refused { status: 416, .. }, .. }) if from.offset() > 0 => {
                    return self.finished(digest, from).await;
                }
                Err(failure) => self.remote.pause(failure, &mut budget).await?,
            }
        };
        let size = match opened.size {
            Some(size) => size,
            None => self.head_blob(digest, Scopes::pull(&self.name)).await?.ok_or_else(|| self.no_blob(digest))?,
        };
        let is_held = size <= HELD_BYTES && from.offset() == 0;
        let reading = Reading {
            repository: self.clone(),
            digest: digest.clone(),
            etag: opened.etag.clone(),
            at: from.offset(),
            size,
            verify: if is_held { own(digest, size, from) } else { of_reader(digest, size, from) }?,
            opened: Some(opened),
            budget,
            progress: 0,
            restarts: 0,
            has_ended_early: false,
            broken: None,
        };
        if is_held {
            let whole = futures_util::stream::once(reading.whole());
            let stream = whole.try_filter(|bytes| std::future::ready(!bytes.is_empty()));
            return Ok(Blob { size, stream: stream.boxed() });
        }
        let stream = futures_util::stream::try_unfold(Some(reading), |reading| async {
            let Some(mut reading) = reading else { return Ok(None) };
            match reading.next().await? {
                Some(chunk) => Ok(Some((chunk, Some(reading)))),
                None => reading.verify.verdict().map(|()| None),
            }
        });
        Ok(Blob { size, stream: stream.boxed() })
    }

    /// The rest of a blob of which an earlier read had everything: no bytes, and the verdict.
    async fn finished(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let size = self.head_blob(digest, Scopes::pull(&self.name)).await?.ok_or_else(|| self.no_blob(digest))?;
        let verify = Verify::new(digest, size, from)?;
        Ok(Blob { size, stream: crate::verified(futures_util::stream::empty().boxed(), verify) })
    }

    fn no_blob(&self, digest: &Digest) -> Error {
        Error::NotFound { wanted: Wanted::Blob(digest.clone()), at: self.place(), code: None }
    }

    /// The blob from `offset` on. Where the registry will not give that rest, the whole is still worth asking for.
    async fn open_from(&self, digest: &Digest, offset: u64, etag: Option<&HeaderValue>) -> Result<Opened, Failure> {
        match self.open_blob(digest, offset, etag).await {
            Err(Failure { error: Error::Protocol { .. }, .. }) if offset > 0 => {
                let whole = self.open_blob(digest, 0, None).await?;
                Ok(Opened { skip: offset, ..whole })
            }
            opened => opened,
        }
    }

    /// Asks for the blob from `offset` on.
    async fn open_blob(&self, digest: &Digest, offset: u64, etag: Option<&HeaderValue>) -> Result<Opened, Failure> {
        let mut call = self.reading(Call::get(self.blob_url(digest), Wanted::Blob(digest.clone())));
        if offset > 0 {
            call.headers.insert(header::RANGE, HeaderValue::try_from(format!("bytes={offset}-")).unwrap_or(ALL));
            call.headers.extend(etag.map(|etag| (header::IF_RANGE, etag.clone())));
        }
        let answer = self.remote.once(&call).await?;
        let etag = answer.headers.get(header::ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/")).cloned();
        if answer.status == StatusCode::PARTIAL_CONTENT {
            let range = answer.header(&header::CONTENT_RANGE).and_then(ContentRange::parse);
            return match range {
                Some(range) if range.range == (offset..range.total) && offset > 0 => {
                    Ok(Opened { size: Some(range.total), skip: 0, etag, body: answer.body })
                }
                _ => Err(Failure::last(wrong_range(&answer))),
            };
        }
        Ok(Opened { size: answer.content_length(), skip: offset, etag, body: answer.body })
    }
}

const ALL: HeaderValue = HeaderValue::from_static("bytes=0-");

/// A blob's body, of which the first `skip` bytes are known already.
#[derive(Debug)]
struct Opened {
    size: Option<u64>,
    skip: u64,
    etag: Option<HeaderValue>,
    body: Incoming,
}

/// A blob that is being read, over as many connections as it takes.
struct Reading {
    repository: Repository,
    digest: Digest,
    etag: Option<HeaderValue>,
    /// The byte to come next.
    at: u64,
    size: u64,
    verify: Shared,
    opened: Option<Opened>,
    budget: Budget,
    /// The bytes since the last failure.
    progress: u64,
    restarts: u32,
    /// Whether a body has ended in order before all of it had come.
    has_ended_early: bool,
    /// What the last connection came to.
    broken: Option<Error>,
}

impl Reading {
    /// All the bytes, verified. Those that came wrong are asked for once more, from the start.
    async fn whole(mut self) -> Result<Bytes> {
        let start = self.verify.snapshot();
        match self.collect().await {
            Err(error @ (Error::Digest { .. } | Error::Size { .. })) => {
                tracing::debug!(host = %self.repository.host(), %error, "the blob is asked for once more");
            }
            read => return read,
        }
        (self.opened, self.etag, self.at, self.has_ended_early) = (None, None, start.seen(), false);
        self.verify = Shared::new(start);
        self.collect().await
    }

    async fn collect(&mut self) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        self.verify.verdict()?;
        Ok(all.freeze())
    }

    /// The next bytes, hashed; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.step().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => {
                    self.verify.take_in(self.at, &chunk)?;
                    self.at += chunk.len() as u64;
                    self.progress += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Ok(None) => return Ok(None),
                Err(failure) => {
                    self.opened = None;
                    self.broken = Some(failure.error.clone());
                    if std::mem::take(&mut self.progress) >= PROGRESS_BYTES {
                        self.budget.renew();
                    }
                    self.repository.remote.pause(failure, &mut self.budget).await?;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Failure> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            None => {
                let reopened = self.reopen().await?;
                self.opened.insert(reopened)
            }
        };
        let Some(mut chunk) = opened.body.next().await? else {
            let Some(cut) = opened.body.ended_early().filter(|_| self.at < self.size) else { return Ok(None) };
            self.has_ended_early = true;
            return Err(cut);
        };
        let known = usize::try_from(opened.skip).unwrap_or(usize::MAX).min(chunk.len());
        opened.skip -= known as u64;
        drop(chunk.split_to(known));
        Ok(Some(chunk))
    }

    async fn reopen(&mut self) -> Result<Opened, Failure> {
        let offset = self.at;
        let opened = match self.repository.open_from(&self.digest, offset, self.etag.as_ref()).await {
            // It was no cut: there is no more.
            Err(Failure { error: Error::Refused { status: 416, .. }, .. }) if self.has_ended_early => {
                return Err(Failure::last(self.ended_early()));
            }
            opened => opened?,
        };
        self.etag = opened.etag.clone().or_else(|| self.etag.take());
        if opened.skip > 0 {
            tracing::warn!(host = %self.repository.host(), offset, "the registry begins the blob again from its start");
            self.restarts += 1;
            if self.restarts > MAX_RESTARTS && self.has_ended_early {
                return Err(Failure::last(self.ended_early()));
            }
            if self.restarts > MAX_RESTARTS
                && let Some(broken) = self.broken.take()
            {
                return Err(Failure::last(broken));
            }
        }
        Ok(opened)
    }

    fn ended_early(&self) -> Error {
        Error::Size { wanted: Wanted::Blob(self.digest.clone()), expected: self.size, actual: self.at }
    }
}

/// The check that whoever reads from `from` on has of it, if that is of a blob like this one and stands there.
fn of_reader(digest: &Digest, size: u64, from: Resume) -> Result<Shared> {
    match &from.shared {
        Some(shared) if shared.is_at(from.offset(), digest, size) => Ok(shared.clone()),
        _ => own(digest, size, from),
    }
}

fn own(digest: &Digest, size: u64, from: Resume) -> Result<Shared> {
    Verify::new(digest, size, from).map(Shared::new)
}

/// The error of a part that is not the one asked for.
pub(super) fn wrong_range(answer: &Answer) -> Error {
    match answer.header(&header::CONTENT_RANGE) {
        Some(value) => answer.bad_header("content-range", value),
        None => answer.protocol(Fault::MissingHeader("content-range")),
    }
}

fn missing_length(answer: &Answer) -> Error {
    answer.protocol(Fault::MissingHeader("content-length"))
}
