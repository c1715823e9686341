//! A repository, read through a store.

use std::{fs::File, ops::Range, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use refs_registry::{
    Blob, Clock, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source, SystemClock, error::Wanted,
};
use refs_url::{Digest, Tag, Target};

use super::{
    aside::Aside,
    fetches::Fetches,
    freshness::{Belief, CachedOptions, Freshness},
    local::Local,
    nowhere::Nowhere,
    shared::Purpose,
};
use crate::{
    record::{TagChange, TagRecord},
    store::{Origin, Store},
};

/// A repository whose content is taken from a [`Store`] where it is there, and kept there when it has come.
///
/// What is asked for by digest asks the origin for nothing once it is kept. A tag that led to something kept is asked for
/// by one request, which moves no manifest. Blobs are kept when they have been read to their end, and served in whole and
/// in parts. Of a blob that is read in parts, what may be its table of contents is kept: the part that is read first, and
/// those at its end. Seek indexes that readers leave are kept, too, and outlast the blob where it is evicted before them.
///
/// When a read of a long blob breaks off, or its process dies, a store on disk keeps what has come. The next read of the
/// blob, in whatever process, hashes that, and asks the origin for the rest only; the digest is verified over all of it.
///
/// How far records of tags are believed is said by [`Freshness`](crate::Freshness). A repository that was made
/// [`offline`](Cached::offline) is what the store has of it, and nothing else.
///
/// A store that fails is left alone, after one warning: reading goes on without it. One that takes nothing, as on a file
/// system that is read only, is read on.
///
/// # Security
/// Whole content that came from one origin is served for another only after that one has said that it has it, too; a part
/// or a beginning, which no digest vouches for, never. One repository over an open wire and over a secured one is two
/// origins.
///
/// The origin is not asked whether whoever reads may still do so: what it gave once is given by digest without a request,
/// whatever the credentials are by then. A store is for one user, or for users who may all read the same. Whole content
/// and manifests are hashed when they are read; a part is as little verified as the origin's.
#[derive(Debug)]
pub struct Cached {
    pub(super) origin: Arc<dyn Source>,
    pub(super) local: Arc<Local>,
    pub(super) belief: Belief,
    pub(super) clock: Arc<dyn Clock>,
    /// What is kept for an operation, beside the store.
    pub(super) aside: Option<Arc<Aside>>,
    /// What others fetch, who share it.
    pub(super) fetches: Fetches,
    /// A longer part is not kept.
    pub(super) max_part_bytes: u64,
}

/// Since when a store has a blob that it was to [keep](Cached::keep).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was there.
    Before,
    /// It has come just now.
    Now,
}

impl Cached {
    /// `source`, which is the repository `origin`, read through `store`. Other repositories may share the store.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, origin: Origin, store: Arc<dyn Store>) -> Self {
        Self::with_options(source, origin, store, &CachedOptions::default())
    }

    /// The same, as `options` say.
    #[must_use]
    pub fn with_options(
        source: Arc<dyn Source>,
        origin: Origin,
        store: Arc<dyn Store>,
        options: &CachedOptions,
    ) -> Self {
        let CachedOptions { freshness, clock, max_part_bytes } = options.clone();
        let purpose = match freshness {
            Freshness::Revalidate | Freshness::Within(_) => Purpose::ReadAndWrite,
            Freshness::Refresh => Purpose::Write,
        };
        let local = Arc::new(Local::new(store, origin, purpose));
        let (belief, fetches) = (freshness.into(), Fetches::default());
        Self { origin: source, local, belief, clock, aside: None, fetches, max_part_bytes }
    }

    /// The same, whose readers join the `fetches` of parts that others have under way, and let others join theirs. All of them
    /// must have the same credentials for a repository.
    #[must_use]
    pub fn sharing(self, fetches: &Fetches) -> Self {
        Self { fetches: fetches.clone(), ..self }
    }

    /// What `store` has of the repository `origin`, without the repository: no source is behind it that could open a socket,
    /// and nothing is written, but that what proves to be damaged goes to quarantine: that is the error then, and not that it
    /// is not there. A tag leads to what was last [recorded](Cached::recorded) of it, however long ago; the tags are those
    /// whose manifests are kept, of which there must be one. What is not there is an error of the kind `NotCached` that names
    /// it, and where its damaged copy is if it went to quarantine before; where the store can't be read, why it can't is the
    /// error.
    #[must_use]
    pub fn offline(origin: Origin, store: Arc<dyn Store>) -> Self {
        let local = Local::new(store, origin, Purpose::Read);
        Self {
            origin: Arc::new(Nowhere::of(Arc::clone(&local.shared))),
            local: Arc::new(local),
            belief: Belief::All,
            clock: Arc::new(SystemClock),
            aside: None,
            fetches: Fetches::default(),
            max_part_bytes: 0,
        }
    }

    /// What the store remembers of `tag`, and since when. The origin may know better. A move to a manifest that has come
    /// since counts as made.
    pub async fn recorded(&self, tag: &Tag) -> Option<TagRecord> {
        let record = self.local.recorded(tag).await?;
        match record.since {
            Some(TagChange::Moved { to, seen }) if self.local.holds(&to.digest).await => {
                Some(TagRecord::new(*to, seen))
            }
            since => Some(TagRecord { since, ..record }),
        }
    }

    /// `source`, which is the repository `origin`, read through no store: it keeps only what one operation reads twice
    /// ([`keeping_in`](Source::keeping_in)).
    #[must_use]
    pub fn without_store(source: Arc<dyn Source>, origin: Origin) -> Self {
        Self {
            origin: source,
            local: Arc::new(Local::without_store(origin)),
            belief: Belief::Nothing,
            clock: Arc::new(SystemClock),
            aside: None,
            fetches: Fetches::default(),
            max_part_bytes: 0,
        }
    }

    /// Makes sure that the store has `blob` as a whole: fetches it unless it is there and the repository is known to have it,
    /// and says which. Its bytes are not hashed when it is; whoever reads them has them hashed.
    ///
    /// # Errors
    /// Those of the origin; `Digest` and `Size` when it gives something else; why the store has failed, if it has;
    /// `NotCached` when it does not take the blob.
    pub async fn keep(&self, blob: &Descriptor) -> Result<Kept> {
        let digest = &blob.digest;
        if self.is_kept(digest).await {
            if self.local.stat(digest).await == Some(blob.size) {
                return Ok(Kept::Before);
            }
            self.local.drop_damaged(digest).await;
        }
        if let Some(failure) = self.local.failure() {
            return Err(failure);
        }
        let Blob { size: actual, mut stream } = self.blob(digest, Resume::START).await?;
        if actual != blob.size {
            return Err(Error::Size { wanted: Wanted::Blob(digest.clone()), expected: blob.size, actual });
        }
        while stream.next().await.transpose()?.is_some() {}
        if self.local.has_taken(digest).await {
            Ok(Kept::Now)
        } else {
            Err(self.local.failure().unwrap_or_else(|| Error::NotCached {
                wanted: Wanted::Blob(digest.clone()),
                of: None,
                lost: None,
            }))
        }
    }

    /// The size of what the store has of a blob as a whole.
    pub async fn kept_size(&self, digest: &Digest) -> Option<u64> {
        self.local.stat(digest).await
    }

    /// Whether what the store has of a blob as a whole is of another size than the origin says, which is asked for that. It may
    /// be wrong.
    pub async fn is_resized(&self, digest: &Digest) -> bool {
        let Some(kept) = self.local.stat(digest).await else { return false };
        matches!(self.origin.stat_blob(digest).await, Ok(Some(size)) if size != kept)
    }

    /// Has what the store has of a blob as a whole hashed, and dropped if it is damaged. Says whether there is none now.
    pub async fn drop_damaged(&self, digest: &Digest) -> bool {
        self.local.drop_damaged(digest).await;
        let is_dropped = !self.local.has(digest).await;
        if is_dropped {
            tracing::warn!(%digest, "a damaged file of the store was dropped");
        }
        is_dropped
    }

    /// The repository.
    pub(super) fn origin_name(&self) -> &Origin {
        self.local.origin()
    }

    /// Whether the whole blob may be read from the store: it is there, and the origin has it.
    pub(super) async fn is_kept(&self, digest: &Digest) -> bool {
        self.local.has(digest).await && self.has_shown(digest).await
    }

    /// Whether the origin has said that it has the blob. It is asked, if it has not.
    pub(super) async fn has_shown(&self, digest: &Digest) -> bool {
        if self.local.is_member(digest).await {
            return true;
        }
        let is_member = matches!(self.origin.stat_blob(digest).await, Ok(Some(_)));
        if is_member {
            self.local.add_member(digest).await;
        }
        is_member
    }
}

#[async_trait]
impl Source for Cached {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        let tag = match target {
            Target::Digest(digest) => {
                return match self.own_manifest(digest).await {
                    Some(manifest) => Ok(manifest.descriptor),
                    None => self.origin.resolve(target).await,
                };
            }
            Target::Tag(tag) => tag,
        };
        if let Some(descriptor) = self.believed(tag).await {
            return Ok(descriptor);
        }
        let descriptor = self.resolved_by_origin(tag).await?;
        // Where nobody would believe a record, it is for those who read offline.
        self.record(tag, &descriptor).await;
        Ok(descriptor)
    }

    async fn last_told(&self, tag: &Tag) -> Result<Descriptor> {
        match self.last_recorded(tag).await {
            Some(descriptor) => Ok(descriptor),
            None => self.resolve(&Target::Tag(tag.clone())).await,
        }
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let asked = self.clock.date();
        let kept = match target {
            Target::Digest(digest) => self.own_manifest(digest).await,
            Target::Tag(tag) => self.kept_manifest(tag).await?,
        };
        match (kept, target) {
            (Some(manifest), _) => Ok(manifest),
            (None, Target::Digest(digest)) => self.manifest_by_digest(digest).await,
            (None, Target::Tag(tag)) => self.manifest_by_tag(tag, asked).await,
        }
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        if from.offset() > 0 {
            let kept = if self.is_kept(digest).await { self.local.blob(digest, from.clone()).await } else { None };
            return match kept {
                Some(blob) => Ok(blob),
                None => self.origin.blob(digest, from).await,
            };
        }
        let Some(aside) = &self.aside else { return self.kept_or_fetched(digest).await };
        if let Some(blob) = aside.blob(digest) {
            return Ok(blob);
        }
        let turn = aside.turn(digest).await;
        if let Some(blob) = aside.blob(digest) {
            return Ok(blob);
        }
        let Blob { size, stream } = self.kept_or_fetched(digest).await?;
        // The turn lasts as long as the stream does.
        Ok(Blob {
            size,
            stream: stream
                .inspect(move |_| {
                    let _held = &turn;
                })
                .boxed(),
        })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.fetched_part(digest, range).await.map(|fetched| fetched.part)
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        if self.local.is_member(digest).await
            && let Some(size) = self.local.stat(digest).await
        {
            return Ok(Some(size));
        }
        self.origin.stat_blob(digest).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        match self.belief {
            Belief::All => self.kept_tags(after),
            Belief::Nothing | Belief::Younger(_) => self.origin.tags(after),
        }
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.origin.referrers(subject, filter)
    }

    async fn blob_file(&self, digest: &Digest) -> Option<File> {
        if self.is_kept(digest).await { self.local.file(digest).await } else { None }
    }

    async fn seek_index(&self, digest: &Digest) -> Option<Bytes> {
        let index = self.local.seek_index(digest).await?;
        if !self.has_shown(digest).await {
            return None;
        }
        self.local.give(digest);
        Some(index)
    }

    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) {
        self.local.keep_seek_index(digest, index).await;
    }

    fn keeps_seek_indexes(&self) -> bool {
        self.local.is_usable()
    }

    fn keeping_in(&self, folder: &Path) -> Option<Arc<dyn Source>> {
        let (origin, local, clock) = (Arc::clone(&self.origin), Arc::clone(&self.local), Arc::clone(&self.clock));
        let (aside, fetches) = (Some(Arc::new(Aside::new(folder))), self.fetches.clone());
        Some(Arc::new(Self {
            origin,
            local,
            belief: self.belief,
            clock,
            aside,
            fetches,
            max_part_bytes: self.max_part_bytes,
        }))
    }

    async fn distrust(&self) -> bool {
        self.local.join_none_before(self.fetches.parts.next_number());
        self.local.distrust().await
    }
}
