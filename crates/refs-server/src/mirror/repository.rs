//! One repository of an upstream, read through the mirror's store for one request.

use std::{
    ops::Range,
    pin::pin,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::FutureExt;
use http::{
    HeaderName, StatusCode,
    header::{AGE, RETRY_AFTER, WARNING},
};
use refs_registry::{
    Blob, Clock, Descriptor, Error, ErrorKind, Filter, Manifest, Part, Result, Resume, Source, error::Fault,
};
use refs_store::{Cached, FetchedBlob, FetchedBy, FetchedPart, Fetches, Freshness, Origin};
use refs_url::{Digest, Host, Tag, Target};
use tokio::sync::Notify;

use super::{
    TagOptions, Trail,
    crowd::Crowd,
    refused::Refused,
    silence::{Silence, Waited},
    sizes::Sizes,
};
use crate::{
    Found,
    answer::{Outcome, Reply},
    call::Read,
    watch::Notes,
};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// An upstream's repository as one request reads it. It remembers where what it gave has come from.
#[derive(Debug)]
pub(crate) struct Mirrored {
    pub(super) cached: Arc<Cached>,
    /// What is there without asking.
    pub(super) kept: Cached,
    pub(super) origin: Origin,
    pub(super) fetches: Fetches,
    pub(super) refused: Arc<Refused>,
    pub(super) sizes: Arc<Sizes>,
    /// What was said when it was asked for the size of a blob.
    pub(super) sized: OnceLock<Sized>,
    pub(super) tags: TagOptions,
    pub(super) silence: Arc<Silence>,
    /// Of the same upstream where it is asked for sizes: it may be slower to tell these than tags.
    pub(super) size_silence: Arc<Silence>,
    pub(super) crowd: Arc<Crowd>,
    /// Told when too many wait for the upstream.
    pub(super) called_off: Notify,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trail: Arc<Trail>,
    pub(super) record: OnceLock<Record>,
}

/// A blob whose size was asked for, and the size of the file that was the answer, where that is kept.
#[derive(Debug)]
pub(super) struct Sized {
    digest: Digest,
    kept: Option<u64>,
}

/// What was known of a tag, and was given without the upstream's word of now.
#[derive(Debug)]
pub(super) struct Record {
    age: Duration,
    believed: Believed,
}

#[derive(Debug, PartialEq)]
enum Believed {
    Fresh,
    Stale,
}

/// What the upstream last said that a tag leads to, which may be given while it can't be asked.
struct Known {
    digest: Digest,
    age: Duration,
}

impl Mirrored {
    /// The upstream.
    pub(crate) const fn host(&self) -> &Host {
        &self.origin.host
    }

    /// `reply`, the answer to `read`, with headers that say where it has come from.
    pub(crate) fn labelled(&self, reply: Reply, read: &Read, notes: &Notes) -> Reply {
        let found = *notes.cache.get_or_init(|| self.found(read));
        let reply = reply.with(X_CACHE, found);
        let Some(Record { age, believed }) = self.record.get() else { return reply };
        let reply = reply.with(AGE, age.as_secs());
        match believed {
            Believed::Fresh => reply,
            Believed::Stale => reply.with(WARNING, "110 - \"Response is Stale\""),
        }
    }

    /// What comes of `read`, unless it has to be waited for, and `most` wait for the upstream already.
    pub(crate) async fn unless_crowded(&self, most: usize, read: impl Future<Output = Outcome>) -> Outcome {
        let outcome = self.crowd.unless_more_than(most, read, &self.called_off, &*self.clock).await;
        outcome.map_err(|refusal| match refusal.status {
            // So long, others are told at once.
            StatusCode::GATEWAY_TIMEOUT => refusal.with(RETRY_AFTER, self.tags.pause.as_secs().max(1)),
            _ => refusal,
        })
    }

    fn found(&self, read: &Read) -> Found {
        let asks_for_no_content = matches!(read, Read::ManifestHead(_) | Read::BlobHead(_));
        let believed = self.record.get().map(|record| &record.believed);
        match believed {
            Some(Believed::Stale) => Found::Stale,
            _ if self.trail.has_moved_content() => Found::Miss,
            _ if self.trail.has_moved_the_rest() => Found::Partial,
            // The upstream's word was all that there was to give.
            _ if asks_for_no_content && !self.trail.is_untouched() => Found::Miss,
            _ => Found::Hit,
        }
    }

    /// What comes of `ask`, which is after `tag`, or what `of` makes of the manifest that it was last known to lead to, when
    /// the upstream can't be asked, says nothing for too long, or is waited for by too many.
    async fn by_tag<T: Send + 'static>(
        &self,
        tag: &Tag,
        mut ask: BoxFuture<'static, Result<T>>,
        of: fn(Manifest) -> T,
    ) -> Result<T> {
        let known = self.known(tag).await;
        let answer = match known.filter(|known| !self.is_fresh(known)) {
            None => ask.await,
            Some(known) => {
                let (patience, called_off) = (self.tags.patience, self.called_off.notified());
                match self.silence.broken_by(&mut ask, patience, called_off, &*self.clock).await {
                    Waited::Answered(answer) => answer,
                    waited => match self.kept(&known).await {
                        Ok(manifest) => {
                            let is_asking = matches!(waited, Waited::InVain) || !self.trail.is_untouched();
                            if is_asking {
                                // What comes of it is kept. Others only wait for that.
                                tokio::spawn(ask.map(drop));
                            }
                            tracing::debug!(%tag, age = known.age.as_secs(), "a tag is given as it was known");
                            return Ok(of(manifest));
                        }
                        // The upstream would have to be asked for that, too.
                        Err(_) => ask.await,
                    },
                }
            }
        };
        match answer {
            Ok(answer) => {
                self.note_age(tag).await;
                Ok(answer)
            }
            Err(error) => self.stale(tag, error).await.map(of),
        }
    }

    /// What `tag` was last known to lead to, unless that is too long ago. When it was gone before, it is no staler now.
    async fn known(&self, tag: &Tag) -> Option<Known> {
        let record = self.cached.recorded(tag).await?;
        let (descriptor, seen) = record.last()?;
        let age = age(seen, self.clock.date()).filter(|age| *age < self.tags.stale)?;
        Some(Known { digest: descriptor.digest.clone(), age })
    }

    /// Whether the upstream need not be asked.
    fn is_fresh(&self, known: &Known) -> bool {
        matches!(self.tags.freshness, Freshness::Within(limit) if known.age < limit)
    }

    /// The manifest that is known, if it is kept.
    async fn kept(&self, Known { digest, age }: &Known) -> Result<Manifest> {
        let manifest = self.kept.manifest(&Target::Digest(digest.clone())).await?;
        drop(self.record.set(Record { age: *age, believed: Believed::Stale }));
        Ok(manifest)
    }

    /// The manifest that the upstream last said that `tag` leads to, when it can't be asked now because of `error`.
    async fn stale(&self, tag: &Tag, error: Error) -> Result<Manifest> {
        if !is_out_of_reach(&error) {
            return Err(error);
        }
        let Some(known) = self.known(tag).await else { return Err(error) };
        // The upstream would have to be asked for what is not kept, and is out of reach.
        let Ok(manifest) = self.kept(&known).await else { return Err(error) };
        if !self.trail.is_untouched() {
            let age = known.age.as_secs();
            tracing::warn!(%error, %tag, age, "a tag is given as it was known, as it can't be asked for");
            self.refused.note(&self.origin, tag, &error, self.clock.now(), self.tags.pause);
        }
        Ok(manifest)
    }

    /// Drops what is kept of a blob where it is damaged, and the upstream knows the blob by another size. A silent one is not
    /// waited for longer than where a tag is known: that there is no more than what is kept can be said without it.
    async fn drop_resized(&self, digest: &Digest) -> bool {
        let ask = pin!(self.cached.is_resized(digest));
        let (patience, called_off) = (self.tags.patience, self.called_off.notified());
        match self.size_silence.broken_by(ask, patience, called_off, &*self.clock).await {
            Waited::Answered(is_resized) => {
                self.size_silence.heard(None);
                is_resized && self.cached.drop_damaged(digest).await
            }
            Waited::InVain | Waited::NotAtAll => false,
        }
    }

    /// Remembers how old what was given for `tag` is, if it was given without the upstream's word.
    async fn note_age(&self, tag: &Tag) {
        if self.trail.is_untouched()
            && let Some(record) = self.cached.recorded(tag).await
            && let Some(age) = age(record.asked(), self.clock.date())
        {
            drop(self.record.set(Record { age, believed: Believed::Fresh }));
        }
    }
}

#[async_trait]
impl Source for Mirrored {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        let Target::Tag(tag) = target else { return self.cached.resolve(target).await };
        let (cached, target) = (Arc::clone(&self.cached), target.clone());
        let ask = async move { cached.resolve(&target).await };
        self.by_tag(tag, ask.boxed(), |manifest| manifest.descriptor).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let Target::Tag(tag) = target else { return self.cached.manifest(target).await };
        let (cached, target) = (Arc::clone(&self.cached), target.clone());
        let ask = async move { cached.manifest(&target).await };
        self.by_tag(tag, ask.boxed(), |manifest| manifest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        if from.offset() > 0 {
            return self.cached.blob(digest, from).await;
        }
        let FetchedBlob { blob, by } = self.fetches.blob(&self.cached, digest).await?;
        if by == FetchedBy::Another {
            self.trail.add_content();
        }
        Ok(blob)
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let FetchedPart { part, by } = self.cached.fetched_part(digest, range).await?;
        if by == FetchedBy::Another {
            self.trail.add_content();
        }
        Ok(part)
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let size = self.cached.stat_blob(digest).await?;
        let kept = size.filter(|_| self.trail.is_untouched());
        self.sized.get_or_init(|| Sized { digest: digest.clone(), kept });
        Ok(size)
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.cached.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.cached.referrers(subject, filter)
    }

    async fn distrust(&self) -> bool {
        let is_news = match self.sized.get() {
            Some(Sized { digest, kept }) => {
                // What is remembered may be wrong, and the file as well.
                let was_known = self.sizes.forget(&self.origin, digest);
                // Another may have dropped the file before, and brought a whole one.
                let is_other = async || kept.is_some() && self.cached.kept_size(digest).await != *kept;
                self.drop_resized(digest).await || was_known || is_other().await
            }
            None => false,
        };
        self.cached.distrust().await || is_news
    }
}

/// Whether the upstream may say something else once it can be asked. It is not itself that answers with a page for a browser.
const fn is_out_of_reach(error: &Error) -> bool {
    let is_page = matches!(error, Error::Protocol { fault: Fault::Page, .. });
    is_page || matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::RateLimited)
}

/// `None` for what is dated in the future: nobody knows how old that is.
fn age(seen: SystemTime, now: SystemTime) -> Option<Duration> {
    now.duration_since(seen).ok()
}
