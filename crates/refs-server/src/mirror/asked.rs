//! An upstream's repository, and what one request has asked of it.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::Method;
use refs_registry::{
    Blob, Clock, Descriptor, Error, ErrorKind, Filter, Manifest, Part, Result, Resume, Source, Wire,
    error::{Code, RequestLine},
};
use refs_store::{Origin, Store};
use refs_url::{Digest, Tag, Target};
use url::Url;

use super::{
    heads::Heads,
    hearing::{Heard, Hearing, PATIENCE},
    refused::Refused,
    silence::Silence,
    sizes::Sizes,
};
use crate::observer::Observers;

/// What one request has moved from an upstream.
#[derive(Debug, Default)]
pub(crate) struct Trail(AtomicU8);

impl Trail {
    /// It was asked what something is.
    const WORD: u8 = 1;
    /// Content came.
    const CONTENT: u8 = 2;
    /// The rest of content came of which the beginning was kept.
    const REST: u8 = 4;

    /// Whether nothing was asked.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn has_moved_content(&self) -> bool {
        self.has(Self::CONTENT)
    }

    pub(crate) fn has_moved_the_rest(&self) -> bool {
        self.has(Self::REST)
    }

    /// Notes that content comes by another request.
    pub(crate) fn add_content(&self) {
        self.add(Self::CONTENT);
    }

    fn has(&self, step: u8) -> bool {
        self.0.load(Ordering::Relaxed) & step != 0
    }

    fn add(&self, step: u8) {
        self.0.fetch_or(step, Ordering::Relaxed);
    }
}

/// An upstream's repository on behalf of one request, which leaves a trail. A tag that was refused a moment ago is not asked
/// for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) source: Arc<dyn Source>,
    pub(super) origin: Origin,
    pub(super) trail: Arc<Trail>,
    pub(super) store: Arc<dyn Store>,
    pub(super) refused: Arc<Refused>,
    pub(super) sizes: Arc<Sizes>,
    pub(super) heads: Arc<Heads>,
    pub(super) silence: Arc<Silence>,
    pub(super) hearing: Arc<Hearing>,
    /// How long what is missing is not asked for.
    pub(super) pause: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observers: Observers,
}

impl Asked {
    /// What `ask` comes to, unless `target` was refused a moment ago.
    async fn unless_refused<T>(&self, target: &Target, step: u8, ask: impl Future<Output = Result<T>>) -> Result<T> {
        let Target::Tag(tag) = target else {
            return self.told(step, ask).await;
        };
        if let Some(error) = self.refused.of(&self.origin, tag, self.clock.now())
            && (step == Trail::WORD || !is_bare(&error))
        {
            return Err(error);
        }
        let answer = self.told(step, ask).await;
        if let Err(error) = &answer
            && error.kind() == ErrorKind::NotFound
        {
            self.refused.note(&self.origin, tag, error, self.clock.now(), self.pause);
            if says_gone(error) {
                self.forget(tag).await;
            }
        }
        answer
    }

    /// What `ask` comes to, of which the observers are told.
    async fn told<T>(&self, step: u8, ask: impl Future<Output = Result<T>>) -> Result<T> {
        let ask = async {
            self.trail.add(step);
            ask.await
        };
        let answer = match self.hearing.unless_silent(ask, || self.source.last_heard(), &*self.clock).await {
            Heard::Answer(answer) => answer,
            Heard::Nothing => Err(self.silent()),
            // Nobody was asked, so that nobody is told.
            Heard::NotAsked => return Err(self.silent()),
        };
        self.silence.heard(answer.as_ref().err());
        self.observers.asked(&self.origin.host, answer.as_ref().err().map(Error::kind));
        answer
    }

    /// The error of an upstream that says nothing.
    fn silent(&self) -> Error {
        let Origin { wire, host, repository } = &self.origin;
        let scheme = if *wire == Wire::Open { "http" } else { "https" };
        match Url::parse(&format!("{scheme}://{host}/v2/{repository}/")) {
            Ok(url) => Error::Timeout { at: RequestLine::new(&Method::GET, &url), after: PATIENCE },
            Err(source) => Error::Unreachable { host: host.clone(), source: Arc::new(source) },
        }
    }

    /// The list `entries`, of which the observers are told at its first error, or at its end.
    fn listed<'a, T: Send + 'a>(&'a self, entries: BoxStream<'a, Result<T>>) -> BoxStream<'a, Result<T>> {
        self.trail.add(Trail::CONTENT);
        let told = Listing { asked: self, error: None };
        let entries = stream::unfold(entries, |mut entries| async {
            let next = async { entries.next().await.transpose() };
            match self.hearing.unless_silent(next, || self.source.last_heard(), &*self.clock).await {
                Heard::Answer(entry) => entry.transpose().map(|entry| (entry, entries)),
                Heard::Nothing | Heard::NotAsked => Some((Err(self.silent()), stream::empty().boxed())),
            }
        });
        let entries = entries.scan(told, |told, entry| {
            told.error = entry.as_ref().err().map(Error::kind);
            std::future::ready(Some(entry))
        });
        entries.boxed()
    }

    /// What a tag led to that is gone must not be given when the upstream is down.
    async fn forget(&self, tag: &Tag) {
        if let Err(error) = self.store.forget(&self.origin, tag).await {
            tracing::warn!(%error, %tag, "the store goes on knowing a tag that is gone");
        }
    }
}

/// A list that an upstream is asked for. The observers are told when it is dropped.
struct Listing<'a> {
    asked: &'a Asked,
    error: Option<ErrorKind>,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        self.asked.observers.asked(&self.asked.origin.host, self.error);
    }
}

#[async_trait]
impl Source for Asked {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.unless_refused(target, Trail::WORD, self.source.resolve(target)).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let ask = async { self.source.manifest(target).await.map_err(unexplained) };
        self.unless_refused(target, Trail::CONTENT, ask).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let step = if from.offset() == 0 { Trail::CONTENT } else { Trail::REST };
        self.told(step, self.source.blob(digest, from)).await
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let part = self.told(Trail::CONTENT, self.source.blob_part(digest, range)).await?;
        self.sizes.note(&self.origin, digest, part.total);
        Ok(part)
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        if let Some(size) = self.sizes.of(&self.origin, digest) {
            return Ok(Some(size));
        }
        // Each who waits is given the upstream's word; the observers are told of the one request.
        self.trail.add(Trail::WORD);
        self.heads.answer(&self.origin, digest, self.told(Trail::WORD, self.source.stat_blob(digest))).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.listed(self.source.tags(after))
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.listed(self.source.referrers(subject, filter))
    }
}

/// Whether there is no reason with it, as in what answers a HEAD.
const fn is_bare(error: &Error) -> bool {
    matches!(error, Error::NotFound { code: None, .. })
}

/// Whether the upstream's own word is that it has no such manifest. Where it gives no reason, that may be a proxy's answer, or
/// the repository may be hidden.
const fn says_gone(error: &Error) -> bool {
    matches!(error, Error::NotFound { code: Some(Code::ManifestUnknown), .. })
}

/// What is not found for no reason that was given may be hidden, or a proxy's answer: it is not said to be missing.
fn unexplained(error: Error) -> Error {
    match error {
        Error::NotFound { wanted, at, code: None } => Error::NotFound { wanted, at, code: Some(Code::Unknown) },
        error => error,
    }
}
