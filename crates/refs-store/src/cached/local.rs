//! A store on behalf of one origin. Nothing here is an error: what the store does not give is asked of the origin.

use std::{
    fs::File,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Blob, ByteStream, Descriptor, Error, Manifest, MediaType, Part, Resume};
use refs_url::{Digest, Tag};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    keeping::{Beginning, Keeping},
    shared::{Purpose, Shared, is_damage},
    touched::{Damages, Touched},
};
use crate::{
    flight::Flight,
    memory::MemoryStore,
    record::TagRecord,
    store::{Fill, Origin, Partial, Store},
};

/// What the store has of an origin.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) shared: Arc<Shared>,
    touched: Mutex<Touched>,
    /// Nothing is given: readers want all of it anew, or something that can't be does not go away.
    pub(super) is_passed_by: AtomicBool,
    /// The number of the first fetch of a part that has nothing of what was found fault with.
    not_before: AtomicU64,
}

impl Local {
    pub(super) fn new(store: Arc<dyn Store>, origin: Origin, purpose: Purpose) -> Self {
        let is_passed_by = AtomicBool::new(purpose == Purpose::Write);
        let (shared, not_before) = (Arc::new(Shared::new(store, origin, purpose)), AtomicU64::new(0));
        Self { shared, touched: Mutex::default(), is_passed_by, not_before }
    }

    /// Nothing is ever kept, or looked for.
    pub(super) fn without_store(origin: Origin) -> Self {
        Self::new(Arc::new(MemoryStore::new()), origin, Purpose::Nothing)
    }

    /// Whose content it is.
    pub(super) fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// What was found to be damaged.
    pub(super) fn damages(&self) -> &Damages {
        &self.shared.damages
    }

    /// The size of the whole content in bytes, if it is kept.
    pub(super) async fn stat(&self, digest: &Digest) -> Option<u64> {
        let store = self.readable()?;
        self.shared.undamaged(digest, store.stat(digest).await).await.flatten()
    }

    pub(super) async fn has(&self, digest: &Digest) -> bool {
        self.stat(digest).await.is_some()
    }

    /// Whether the store has taken what was just given to it, which may not be given out.
    pub(super) async fn has_taken(&self, digest: &Digest) -> bool {
        let Some(store) = self.shared.usable() else { return false };
        self.shared.undamaged(digest, store.stat(digest).await).await.flatten().is_some()
    }

    pub(super) async fn is_member(&self, digest: &Digest) -> bool {
        let Some(store) = self.readable() else { return false };
        self.shared.granted(store.is_member(&self.shared.origin, digest).await).unwrap_or(false)
    }

    pub(super) async fn add_member(&self, digest: &Digest) {
        self.shared.add_member(digest).await;
    }

    pub(super) async fn recorded(&self, tag: &Tag) -> Option<TagRecord> {
        let store = self.readable()?;
        self.shared.granted(store.recorded(&self.shared.origin, tag).await).flatten()
    }

    /// The tags of which something is recorded, sorted.
    pub(super) async fn recorded_tags(&self) -> Vec<Tag> {
        let Some(store) = self.readable() else { return Vec::new() };
        self.shared.granted(store.recorded_tags(&self.shared.origin).await).unwrap_or_default()
    }

    pub(super) async fn record(&self, tag: &Tag, record: &TagRecord) {
        let Some(store) = self.shared.writable() else { return };
        self.shared.taken(store.record(&self.shared.origin, tag, record).await);
    }

    /// The record to write on, whether or not it may be given out.
    pub(super) async fn known(&self, tag: &Tag) -> Option<TagRecord> {
        let store = self.shared.writable()?;
        self.shared.granted(store.recorded(&self.shared.origin, tag).await).flatten()
    }

    /// Whether the store has the manifest for who reads offline.
    pub(super) async fn holds(&self, digest: &Digest) -> bool {
        let Some(store) = self.shared.usable() else { return false };
        let is_member = self.shared.granted(store.is_member(&self.shared.origin, digest).await);
        is_member == Some(true) && self.has_taken(digest).await
    }

    /// The manifest, if it is kept and undamaged.
    pub(super) async fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let Blob { size, stream } = self.blob(digest, Resume::START).await?;
        if size > Manifest::MAX_BYTES {
            return None;
        }
        let chunks: Vec<Bytes> = stream.try_collect().await.ok()?;
        let raw = Bytes::from(chunks.concat());
        let descriptor = Descriptor::new(media_type(&raw)?, digest.clone(), size);
        Some(Manifest { descriptor, raw })
    }

    /// Keeps a manifest, if its bytes tell what it is.
    pub(super) async fn keep_manifest(&self, manifest: &Manifest, flight: Option<Flight>) {
        let Descriptor { media_type: announced, digest, size, .. } = &manifest.descriptor;
        if media_type(&manifest.raw).as_ref() != Some(announced) {
            return;
        }
        if let Some(mut keeping) = self.fill(digest, *size, flight).await {
            keeping.write(&manifest.raw).await;
            keeping.finish().await;
        }
    }

    /// The content, if it is kept. That it is damaged shows when it is read; it is gone from the store then.
    pub(super) async fn blob(&self, digest: &Digest, from: Resume) -> Option<Blob> {
        let store = self.readable()?;
        let blob = self.shared.undamaged(digest, store.blob(digest, from).await).await?;
        Some(self.given(digest, blob))
    }

    /// The same, if it is kept; it is given if the origin is known to have it.
    pub(super) async fn blob_of_origin(&self, digest: &Digest) -> Option<Option<Blob>> {
        let store = self.readable()?;
        let blob = self.shared.undamaged(digest, store.blob_of(&self.shared.origin, digest).await).await?;
        Some(blob.map(|blob| self.given(digest, blob)))
    }

    fn given(&self, digest: &Digest, Blob { size, stream }: Blob) -> Blob {
        self.give(digest);
        Blob { size, stream: self.watched(digest, stream) }
    }

    /// The part, if it is kept.
    pub(super) async fn part(&self, digest: &Digest, range: Range<u64>) -> Option<Part> {
        let store = self.readable()?;
        // Less may be kept than there should be.
        let Part { range, total, stream } =
            self.shared.undamaged(digest, store.part(&self.shared.origin, digest, range).await).await?;
        self.give(digest);
        Some(Part { range, total, stream: self.watched(digest, stream) })
    }

    /// The part, if it is kept and the origin is known to have it.
    pub(super) async fn own_part(&self, digest: &Digest, range: Range<u64>) -> Option<Part> {
        if self.is_member(digest).await { self.part(digest, range).await } else { None }
    }

    /// The content as a file, if it is kept so, and undamaged.
    pub(super) async fn file(&self, digest: &Digest) -> Option<File> {
        let store = self.readable()?;
        self.shared.undamaged(digest, store.file(digest).await).await.flatten()
    }

    /// The right to fetch the content, once nobody else does. It may be kept by then.
    pub(super) async fn flight(&self, digest: &Digest) -> Option<Flight> {
        let store = self.readable().and_then(|_| self.shared.writable())?;
        self.shared.taken(store.flight(digest).await).flatten()
    }

    /// The right to fetch the part, once nobody else does. It may be kept by then.
    pub(super) async fn part_flight(&self, digest: &Digest, range: &Range<u64>) -> Option<Flight> {
        let (Origin { wire, host, repository }, Range { start, end }) = (&self.shared.origin, range);
        self.flight(&Digest::sha256(format!("{wire:?} {host}/{repository}@{digest} {start}-{end}").as_bytes())).await
    }

    /// The right to ask what the tag leads to, once nobody else does. It may be recorded by then.
    pub(super) async fn tag_flight(&self, tag: &Tag) -> Option<Flight> {
        let Origin { wire, host, repository } = &self.shared.origin;
        // No content has this digest: it is what the flights of tags are told from others by.
        self.flight(&Digest::sha256(format!("{wire:?} {host}/{repository}:{tag}").as_bytes())).await
    }

    /// Takes content out of the store that is not what it should be.
    pub(super) async fn drop_damaged(&self, digest: &Digest) {
        self.shared.drop_damaged(digest).await;
    }

    /// The note on how to read parts of the content, if one is kept.
    pub(super) async fn seek_index(&self, digest: &Digest) -> Option<Bytes> {
        let store = self.readable()?;
        self.shared.undamaged(digest, store.seek_index(digest).await).await.flatten()
    }

    /// Whether the store has not failed so far.
    pub(super) fn is_usable(&self) -> bool {
        self.shared.writable().is_some()
    }

    /// Why the store takes nothing more, if it has failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.shared.failure()
    }

    /// Whether the store has failed to give what it has.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.read_failure().is_some()
    }

    /// Keeps a note on content that has come from the origin.
    pub(super) async fn keep_seek_index(&self, digest: &Digest, index: Bytes) {
        if let Some(store) = self.shared.writable()
            && self.shared.taken(store.keep_seek_index(digest, index).await).is_some()
        {
            self.shared.add_member(digest).await;
        }
    }

    /// Begins to keep content of `size` bytes, for which those wait who want the flight.
    pub(super) async fn fill(&self, digest: &Digest, size: u64, flight: Option<Flight>) -> Option<Keeping> {
        let store = self.shared.writable()?;
        let fill = self.shared.taken(store.fill(&self.shared.origin, digest, size).await)?;
        Some(self.keeping(digest, fill?).holding(flight))
    }

    /// The beginning of the content, if one is kept that nobody fills. Nobody may see it before the origin has given the
    /// rest.
    pub(super) async fn partial(&self, digest: &Digest) -> Option<Beginning> {
        let store = self.readable().and_then(|_| self.shared.writable())?;
        let Partial { total, resume, stream, fill } =
            self.shared.undamaged(digest, store.partial(&self.shared.origin, digest).await).await??;
        Some(Beginning { total, resume, stream: self.watched(digest, stream), keeping: self.keeping(digest, fill) })
    }

    /// Drops what is kept of a blob that was said to have another size than `total`, which is what the origin says now.
    pub(super) async fn drop_other_parts(&self, digest: &Digest, total: u64) {
        let Some(store) = self.shared.writable() else { return };
        if self.shared.taken(store.drop_other_parts(&self.shared.origin, digest, total).await) == Some(true) {
            tracing::warn!(%digest, total, "a blob has another size than it had: the parts that were kept are dropped");
        }
    }

    /// The size of the blob in bytes, of which all from `end` on is kept.
    pub(super) async fn blob_before_end(&self, digest: &Digest, end: u64) -> Option<u64> {
        let (store, origin) = (self.shared.writable()?, &self.shared.origin);
        let Part { total, .. } = store.part(origin, digest, end..end).await.ok()?;
        store.part(origin, digest, end..total).await.ok().map(|part| part.total)
    }

    /// Begins to keep a part of a blob of `total` bytes.
    pub(super) async fn fill_part(&self, digest: &Digest, range: &Range<u64>, total: u64) -> Option<Keeping> {
        let store = self.shared.writable()?;
        let fill = self.shared.taken(store.fill_part(&self.shared.origin, digest, range.clone(), total).await)?;
        let keeping = self.keeping(digest, fill?);
        self.touched().kept_in_part.insert(digest.clone());
        Some(keeping)
    }

    /// The number of the first fetch of a part that readers may join.
    pub(super) fn not_before(&self) -> u64 {
        self.not_before.load(Ordering::Relaxed)
    }

    /// Readers have found fault with what came: they may join no fetch before this one.
    pub(super) fn join_none_before(&self, number: u64) {
        self.not_before.store(number, Ordering::Relaxed);
    }

    /// Whether no part of the blob was asked for before.
    pub(super) fn is_first_part(&self, digest: &Digest) -> bool {
        self.touched().read_in_part.insert(digest.clone())
    }

    fn readable(&self) -> Option<&dyn Store> {
        self.shared.usable().filter(|_| !self.is_passed_by.load(Ordering::Relaxed))
    }

    /// Notes that content goes to a reader.
    pub(super) fn give(&self, digest: &Digest) {
        self.touched().given.insert(digest.clone());
    }

    pub(super) fn touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps nothing: for content that the store does not take.
    pub(super) fn keeping_nothing(&self, digest: &Digest) -> Keeping {
        Keeping::new(Arc::clone(&self.shared), digest, None)
    }

    fn keeping(&self, digest: &Digest, fill: Box<dyn Fill>) -> Keeping {
        Keeping::new(Arc::clone(&self.shared), digest, Some(fill))
    }

    /// `stream`, which comes from the store. Damage is removed before it is told, so that the next read heals it.
    fn watched(&self, digest: &Digest, stream: ByteStream) -> ByteStream {
        let state = (stream, Arc::clone(&self.shared), digest.clone());
        stream::try_unfold(state, |(mut stream, shared, digest)| async move {
            match stream.next().await.transpose() {
                Ok(chunk) => Ok(chunk.map(|chunk| (chunk, (stream, shared, digest)))),
                Err(error) => {
                    if is_damage(&error) {
                        shared.damages.note(&digest, &error);
                        shared.drop_damaged(&digest).await;
                    }
                    Err(error)
                }
            }
        })
        .boxed()
    }
}

/// What a manifest says that it is. No type is kept beside the bytes, so that they have to tell.
fn media_type(raw: &[u8]) -> Option<MediaType> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<MediaType>,
        manifests: Option<IgnoredAny>,
    }
    let Shape { media_type, manifests } = serde_json::from_slice(raw).ok()?;
    let untold = if manifests.is_some() { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST };
    Some(media_type.unwrap_or(untold))
}
