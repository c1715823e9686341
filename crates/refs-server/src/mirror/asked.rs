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
use refs_registry::{Blob, Clock, Descriptor, ErrorKind, Filter, Manifest, Part, Result, Resume, Source};
use refs_store::{Origin, Store};
use refs_url::{Digest, Tag, Target};

use super::{refused::Refused, sizes::Sizes};

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

/// An upstream's repository on behalf of one request, which leaves a trail. A tag that was refused a moment ago is not asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) source: Arc<dyn Source>,
    pub(super) origin: Origin,
    pub(super) trail: Arc<Trail>,
    pub(super) store: Arc<dyn Store>,
    pub(super) refused: Arc<Refused>,
    pub(super) sizes: Arc<Sizes>,
    /// How long what is missing is not asked for.
    pub(super) pause: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Asked {
    /// What `ask` comes to, unless `target` was refused a moment ago.
    async fn unless_refused<T>(&self, target: &Target, step: u8, ask: impl Future<Output = Result<T>>) -> Result<T> {
        let Target::Tag(tag) = target else {
            self.trail.add(step);
            return ask.await;
        };
        if let Some(error) = self.refused.of(&self.origin, tag, self.clock.now()) {
            return Err(error);
        }
        self.trail.add(step);
        let answer = ask.await;
        if let Err(error) = &answer
            && error.kind() == ErrorKind::NotFound
        {
            self.refused.note(&self.origin, tag, error, self.clock.now(), self.pause);
            self.forget(tag).await;
        }
        answer
    }

    /// What a tag led to that is gone must not be given when the upstream is down.
    async fn forget(&self, tag: &Tag) {
        if let Err(error) = self.store.forget(&self.origin, tag).await {
            tracing::warn!(%error, %tag, "the store goes on knowing a tag that is gone");
        }
    }
}

#[async_trait]
impl Source for Asked {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.unless_refused(target, Trail::WORD, self.source.resolve(target)).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.unless_refused(target, Trail::CONTENT, self.source.manifest(target)).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.trail.add(if from.offset() == 0 { Trail::CONTENT } else { Trail::REST });
        self.source.blob(digest, from).await
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.trail.add(Trail::CONTENT);
        let part = self.source.blob_part(digest, range).await?;
        self.sizes.note(&self.origin, digest, part.total);
        Ok(part)
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        if let Some(size) = self.sizes.of(&self.origin, digest) {
            return Ok(Some(size));
        }
        self.trail.add(Trail::WORD);
        let size = self.source.stat_blob(digest).await?;
        size.into_iter().for_each(|size| self.sizes.note(&self.origin, digest, size));
        Ok(size)
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.trail.add(Trail::CONTENT);
        self.source.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.trail.add(Trail::CONTENT);
        self.source.referrers(subject, filter)
    }
}
