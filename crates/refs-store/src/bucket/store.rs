//! The store in a bucket itself.

use std::{
    fmt::{self, Debug},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::GetRange;
use refs_registry::{
    Blob, Error, ErrorKind, Part, Result, Resume, Verify,
    error::{Detail, Wanted},
    verified,
};
use refs_url::{Digest, Tag};

use super::{
    coming::{coming, skipping},
    fill::{BucketFill, FromBucket},
    names::{Names, digest_at},
    objects::{Objects, is_left_out},
    options::BucketOptions,
    place::Bucket,
    share::{self, AT_ONCE, Uploads},
    tags,
};
use crate::{
    disk::DiskStore,
    flight::Flight,
    joint::Joint,
    journal::Journal,
    part::within,
    record::TagRecord,
    store::{Checked, Fill, Origin, Partial, Store, StoredImage},
};

/// A [`Store`] for many nodes: what one of them has fetched is in a bucket for all, and on the disk of those who read it.
///
/// Whole content, what tags lead to, who has what, seek indexes and pins are shared by the bucket; parts, beginnings and
/// journals of uploads stay on the disk of their node, and so does the list of images. Content shows in the bucket under its
/// digest once it has been hashed on its way there, as a whole; what is longer than 4 MiB is sent while nobody waits for it
/// ([`settled`](BucketStore::settled)). Of what two nodes say of a tag, what was seen later counts.
///
/// Content that only the bucket has comes onto the disk by one request, however many read it meanwhile, and each of them is
/// given the bytes as they come.
///
/// Nothing in the bucket is evicted: that is for a rule of the bucket's own. Content that its disk does not take is not in
/// the bucket either.
///
/// A bucket that fails is passed by with a warning; after some failures in a row nothing is asked of it for a while
/// ([`BucketOptions`]): the node is alone with its disk until it works again.
///
/// # Security
/// As a [`DiskStore`]; and whoever may write to the bucket says what tags lead to. Content is hashed whenever it is read as a
/// whole; a part is not.
#[derive(Clone)]
pub struct BucketStore {
    pub(super) disk: DiskStore,
    objects: Objects,
    names: Names,
    uploads: Arc<Uploads>,
    /// From the bucket onto the disk.
    fetches: Joint<Digest>,
}

/// A longer note on content is none that was kept.
const MAX_SEEK_INDEX_BYTES: u64 = 256 << 20;

impl BucketStore {
    /// What is in `bucket`, with `disk` in front of it.
    #[must_use]
    pub fn new(bucket: Bucket, disk: DiskStore) -> Self {
        Self::with_options(bucket, disk, &BucketOptions::default())
    }

    /// The same, which waits for the bucket as `options` say.
    #[must_use]
    pub fn with_options(bucket: Bucket, disk: DiskStore, options: &BucketOptions) -> Self {
        let Bucket { store, prefix } = bucket;
        let (objects, names) = (Objects::of(store, options), Names::below(prefix));
        Self { disk, objects, names, uploads: Arc::default(), fetches: Joint::default() }
    }

    /// Waits until what is on its way into the bucket by now is there, or has failed. When the wait is given up, so is that:
    /// whoever fetches it next sends it again.
    pub async fn settled(&self) {
        self.uploads.settled().await;
    }

    fn shared(&self, digest: &Digest, size: u64, on_disk: Box<dyn Fill>) -> Box<dyn Fill> {
        Box::new(BucketFill { store: self.clone(), digest: digest.clone(), size, on_disk })
    }

    /// Brings what has come onto the disk into the bucket, at once or by and by.
    pub(super) async fn share(&self, digest: &Digest, size: u64) {
        let Self { disk, objects, names, .. } = self.clone();
        let digest = digest.clone();
        let upload = async move {
            let shared = async {
                let content = disk.blob(&digest, Resume::START).await?.stream;
                share::share(&objects, &names, &digest, size, content).await
            };
            passed_by(shared.await);
        };
        if size <= AT_ONCE {
            return upload.await;
        }
        let room = Arc::clone(&self.uploads.room);
        self.uploads.spawn(async move {
            let _turn = room.acquire().await;
            upload.await;
        });
    }

    /// The content from the disk, if that has it.
    pub(super) async fn on_disk(&self, digest: &Digest) -> Result<Option<Blob>> {
        match self.disk.blob(digest, Resume::START).await {
            Err(error) if error.kind() == ErrorKind::NotCached => Ok(None),
            blob => blob.map(Some),
        }
    }

    /// The content from the bucket, from `from` on, verified when it has ended.
    pub(super) async fn content(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let name = self.names.blob(digest);
        // No range begins where the content ends.
        let range = (from.offset() > 0).then(|| GetRange::Offset(from.offset() - 1));
        let got = self.objects.get(&name, range).await?.ok_or_else(|| not_cached(digest))?;
        let size = got.meta.size;
        let first = from.offset().min(1) as usize;
        let stream = skipping(coming(&self.objects, digest, &name, got), first);
        Ok(Blob { size, stream: verified(stream, Verify::new(digest, size, from)?) })
    }

    /// Whether the bucket has all of the content, undamaged; what is damaged is removed there.
    async fn is_sound(&self, digest: &Digest) -> Result<bool> {
        let blob = match self.content(digest, Resume::START).await {
            Err(error) if error.kind() == ErrorKind::NotCached => return Ok(false),
            blob => blob?,
        };
        let read = blob.stream.try_for_each(|_chunk| async { Ok(()) });
        match read.await {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size) => {
                self.objects.remove(&self.names.blob(digest)).await.map(|_was_there| false)
            }
            Err(error) => Err(error),
        }
    }

    /// The content from its start, by one request for all who read it at a time, and onto the disk as it comes.
    async fn joined(&self, digest: &Digest) -> Result<Blob> {
        let fetching = Arc::new(FromBucket { store: self.clone(), digest: digest.clone() });
        Ok(self.fetches.blob(digest.clone(), digest, fetching).await?.blob)
    }

    async fn is_in_bucket(&self, at: &object_store::path::Path) -> bool {
        passed_by(self.objects.size(at).await).flatten().is_some()
    }
}

/// What the bucket gave; nothing when it has failed, so that the node goes on without it.
fn passed_by<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(given) => Some(given),
        Err(error) if error.kind() == ErrorKind::NotCached || is_left_out(&error) => None,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the bucket is passed by");
            None
        }
    }
}

fn not_cached(digest: &Digest) -> Error {
    Error::NotCached { wanted: Wanted::Blob(digest.clone()), of: None, lost: None }
}

impl Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketStore").field("disk", &self.disk.path()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for BucketStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.disk.stat(digest).await? {
            Some(size) => Ok(Some(size)),
            None => Ok(passed_by(self.objects.size(&self.names.blob(digest)).await).flatten()),
        }
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        match self.disk.blob(digest, from.clone()).await {
            Err(error) if error.kind() == ErrorKind::NotCached => {}
            on_disk => return on_disk,
        }
        let got = if from.offset() == 0 { self.joined(digest).await } else { self.content(digest, from).await };
        passed_by(got).ok_or_else(|| not_cached(digest))
    }

    async fn blob_of(&self, origin: &Origin, digest: &Digest) -> Result<Option<Blob>> {
        match self.disk.blob_of(origin, digest).await {
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::NotCached => {}
            on_disk => return on_disk,
        }
        if self.stat(digest).await?.is_none() {
            return Err(not_cached(digest));
        }
        if self.is_member(origin, digest).await? { self.blob(digest, Resume::START).await.map(Some) } else { Ok(None) }
    }

    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        match self.disk.part(origin, digest, range.clone()).await {
            Err(error) if error.kind() == ErrorKind::NotCached => {}
            on_disk => return on_disk,
        }
        let name = self.names.blob(digest);
        let total = passed_by(self.objects.size(&name).await).flatten().ok_or_else(|| not_cached(digest))?;
        let range = within(digest, range, total)?;
        if range.is_empty() {
            return Ok(Part { range, total, stream: stream::empty().boxed() });
        }
        let got = self.objects.get(&name, Some(GetRange::Bounded(range.clone()))).await;
        let got = passed_by(got).flatten().ok_or_else(|| not_cached(digest))?;
        Ok(Part { range, total, stream: coming(&self.objects, digest, &name, got) })
    }

    async fn file(&self, digest: &Digest) -> Result<Option<File>> {
        self.disk.file(digest).await
    }

    fn folder(&self) -> Option<&Path> {
        self.disk.folder()
    }

    async fn make_room(&self) -> Result<()> {
        self.disk.make_room().await
    }

    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        let fill = self.disk.fill(origin, digest, size).await?;
        Ok(fill.map(|on_disk| self.shared(digest, size, on_disk)))
    }

    async fn partial(&self, origin: &Origin, digest: &Digest) -> Result<Option<Partial>> {
        let partial = self.disk.partial(origin, digest).await?;
        Ok(partial.map(|partial| Partial { fill: self.shared(digest, partial.total, partial.fill), ..partial }))
    }

    async fn flight(&self, digest: &Digest) -> Result<Option<Flight>> {
        self.disk.flight(digest).await
    }

    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>> {
        self.disk.fill_part(origin, digest, range, total).await
    }

    async fn drop_other_parts(&self, origin: &Origin, digest: &Digest, total: u64) -> Result<bool> {
        self.disk.drop_other_parts(origin, digest, total).await
    }

    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) -> Result<()> {
        passed_by(self.objects.replace(&self.names.seek_index(digest), index.clone()).await);
        self.disk.keep_seek_index(digest, index).await
    }

    async fn seek_index(&self, digest: &Digest) -> Result<Option<Bytes>> {
        if let Some(index) = self.disk.seek_index(digest).await? {
            return Ok(Some(index));
        }
        let read = self.objects.read(&self.names.seek_index(digest), MAX_SEEK_INDEX_BYTES).await;
        let Some((index, _)) = passed_by(read).flatten() else { return Ok(None) };
        self.disk.keep_seek_index(digest, index.clone()).await?;
        Ok(Some(index))
    }

    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        let wanted = Wanted::Blob(digest.clone());
        if self.objects.size(&self.names.pin(digest)).await?.is_some() {
            return Err(Error::Conflict { wanted, at: "the bucket".into(), detail: Detail::new("it is pinned") });
        }
        let had_content = self.objects.remove(&self.names.blob(digest)).await?;
        let had_index = self.objects.remove(&self.names.seek_index(digest)).await?;
        match self.disk.remove(origin, digest).await {
            Err(error) if error.kind() == ErrorKind::NotCached && (had_content || had_index) => Ok(()),
            removed => removed,
        }
    }

    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        let on_disk = self.disk.quarantine(origin, digest).await?;
        let had_index = passed_by(self.objects.remove(&self.names.seek_index(digest)).await).unwrap_or(false);
        Ok(match (on_disk, passed_by(self.is_sound(digest).await).unwrap_or(false)) {
            (Checked::Gone, false) => Checked::Gone,
            (Checked::Sound, _) if !had_index => Checked::Sound,
            _ => Checked::Cleared,
        })
    }

    async fn set_aside(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        self.disk.set_aside(digest).await
    }

    async fn journal(&self, origin: &Origin, upload: &str) -> Result<Option<Journal>> {
        self.disk.journal(origin, upload).await
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        let (name, known) = (self.names.tag(origin, tag), self.disk.recorded(origin, tag).await?);
        let agreed = passed_by(tags::record(&self.objects, &name, record, known.as_ref()).await);
        self.disk.record(origin, tag, agreed.as_ref().unwrap_or(record)).await
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        let agreed = passed_by(tags::recorded(&self.objects, &self.names.tag(origin, tag)).await).flatten();
        let here = self.disk.recorded(origin, tag).await?;
        Ok([agreed, here].into_iter().flatten().max_by_key(TagRecord::asked))
    }

    async fn forget(&self, origin: &Origin, tag: &Tag) -> Result<()> {
        // Each is tried, whatever comes of the other.
        let in_bucket = self.objects.remove(&self.names.tag(origin, tag)).await;
        self.disk.forget(origin, tag).await?;
        in_bucket.map(drop)
    }

    async fn recorded_tags(&self, origin: &Origin) -> Result<Vec<Tag>> {
        let mut tags = self.disk.recorded_tags(origin).await?;
        let listed = self.objects.list(&self.names.tags(origin), usize::MAX).await;
        let names = passed_by(listed).unwrap_or_default();
        tags.extend(names.iter().filter_map(|name| Tag::parse(name.filename()?).ok()));
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        // What the disk knows the bucket was told, unless it failed then: another node asks the origin in that case.
        if self.disk.is_member(origin, digest).await? {
            return Ok(());
        }
        passed_by(self.objects.create(&self.names.member(origin, digest), Bytes::new()).await);
        self.disk.add_member(origin, digest).await
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        if self.disk.is_member(origin, digest).await? {
            return Ok(true);
        }
        let is_member = self.is_in_bucket(&self.names.member(origin, digest)).await;
        if is_member {
            self.disk.add_member(origin, digest).await?;
        }
        Ok(is_member)
    }

    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        let mut members = self.disk.members(origin, most).await?;
        if members.len() < most {
            let listed = passed_by(self.objects.list(&self.names.members(origin), most).await).unwrap_or_default();
            let others: Vec<_> = listed.iter().filter_map(digest_at).filter(|it| !members.contains(it)).collect();
            members.extend(others);
            members.truncate(most);
        }
        Ok(members)
    }

    async fn list_image(&self, origin: &Origin, image: &StoredImage) -> Result<()> {
        self.disk.list_image(origin, image).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.objects.create(&self.names.pin(digest), Bytes::new()).await?;
        self.disk.pin(digest).await
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.objects.remove(&self.names.pin(digest)).await?;
        self.disk.unpin(digest).await
    }
}
