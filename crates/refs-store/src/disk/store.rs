//! The store on disk itself.

use std::{
    fs::{File, OpenOptions},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Blob, Error, Part, Result, Resume, Verify, error::Wanted};
use refs_url::{Digest, Tag};
use tokio::sync::OnceCell;

use super::{
    MEMBERS_FOLDER, PINS_FOLDER, TAGS_FOLDER, UPLOADS_FOLDER,
    fill::DiskFill,
    found::{Found, Opened},
    home, indexes,
    known::Known,
    notes::{is_marked, latest_marks, mark, mark_durably, read_record, tag_names, unmark, write_record},
    order::{Obsolete, Order, Place as Filling},
    origins::wire_name,
    partials::{self, Left, Remains},
    parts::{self, Kept},
    removal,
};
use crate::{
    evict::{Bound, When},
    file::{blocking, each_chunk, open_file, unless_emptied},
    flight::{Flight, Patience, Turn},
    journal::{Begun, Journal},
    layout::Layout,
    part::within,
    reading::read_range,
    record::TagRecord,
    store::{Checked, Fill, Origin, Partial, Store, StoredImage},
};

/// A [`Store`] whose content is an image layout on disk, shared by all processes that open it, and bounded: what was read
/// once goes before what was read again, however much there is of it (S3-FIFO), and nothing is evicted while somebody reads
/// it or fills it, in whatever process, where the file system has locks. What is damaged, or is [removed](Store::remove) or
/// [pruned](DiskStore::prune) because somebody says so, goes at once; whoever reads it then has it open, and reads on.
///
/// Beside the layout's own files there are `pins`, `queues`, `uploads`, `locks`, `indexes`, `quarantine`, and
/// `origins/WIRE/HOST/NAME` with `_tags`, `_members`, `_parts` and `_partials`; `CACHEDIR.TAG` tells programs that make
/// backups to leave all of it out. The layout's index lists the [images](DiskStore::images) that are here as a whole. It
/// keeps none from being evicted: what is to stay is [pinned](Store::pin), or put into a layout of its own.
///
/// Nothing waits for the disk here but a pin and the listing of an image. What a power cut damages is found when it is read,
/// and fetched anew.
///
/// A clone is cheap and is of the same store.
///
/// # Security
/// Whoever may read the folder may read all content in it, whatever origin it is of and whatever credentials it took; so
/// does a [`Cached`](crate::Cached), after a logout, too. Nothing is encrypted. Bytes are hashed when they are read as a
/// whole, and not in a part. A file of a mebibyte or more that this store, or a clone of it, has hashed within ten minutes is
/// not hashed again unless its size or its times have changed since. The folder must be its user's alone to write; the
/// folders above it are not looked at.
#[derive(Debug, Clone)]
pub struct DiskStore {
    pub(super) path: Arc<Path>,
    bound: Bound,
    patience: Duration,
    pub(super) layout: Arc<OnceCell<Layout>>,
    remains: Remains,
    begun: Begun,
    known: Known,
    /// Whether somebody who makes room has seen what processes that died have left uncounted.
    is_looked_through: Arc<AtomicBool>,
}

/// How a [`DiskStore`] is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskOptions {
    /// How many bytes of content it keeps; 4 GiB unless set. What is pinned stays beyond it.
    pub max_bytes: u64,
    /// How long a reader waits for another who fetches the same content and brings no more of it; 10 s unless set.
    pub patience: Duration,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { max_bytes: 4 << 30, patience: Duration::from_secs(10) }
    }
}

impl DiskStore {
    /// The store in the folder `path`. Nothing is read or made before it is needed; then the folder is made, for its owner
    /// alone. One that has something in it and was not made so, an image layout included, that belongs to another user, or
    /// that others may write, is left as it is, and shows as an `Io` of all that is asked. A store that has lost its
    /// `CACHEDIR.TAG` and is a sound layout, with notes on origins and nothing unknown beside it, gets it back.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, options: &DiskOptions) -> Self {
        let (path, bound) = (path.into().into(), Bound { max_bytes: options.max_bytes });
        let (layout, remains, begun) = (Arc::default(), Remains::default(), Begun::default());
        let (known, is_looked_through) = (Known::default(), Arc::default());
        Self { path, bound, patience: options.patience, layout, remains, begun, known, is_looked_through }
    }

    /// The store's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn max_bytes(&self) -> u64 {
        self.bound.max_bytes
    }

    /// Whether there is anything at the folder's path.
    pub(super) fn is_made(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// The content that was on its way into this store, and its clones, when whoever read it stopped or failed: what of it
    /// is kept, so that the next who reads it needs only the rest. Complete once the threads that write have ended.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        self.remains.all()
    }

    /// How many bytes registries have acknowledged of the uploads that were written down here, by this store and its clones,
    /// and have not ended: a later run of the same sends only the rest.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.bytes()
    }

    async fn order(&self, digest: &Digest, size: u64) -> Result<Order> {
        let folder = self.layout().await?.folder();
        let name = folder.blob_path(digest);
        let (digest, remains) = (digest.clone(), self.remains.clone());
        Ok(Order {
            folder,
            bound: self.bound,
            digest,
            size,
            name,
            obsolete: Obsolete::Nothing,
            place: Filling::Anonymous,
            remains,
        })
    }

    /// For whole content.
    async fn whole(&self, origin: &Origin, digest: &Digest, size: u64, place: Filling) -> Result<Order> {
        let obsolete = Obsolete::All(self.parts_of(origin, digest));
        Ok(Order { obsolete, place, ..self.order(digest, size).await? })
    }

    /// Begins to take in whole content that leaves no beginning when it is broken off, and is of no origin.
    #[cfg(feature = "object-store")]
    pub(crate) async fn fill_anonymous(&self, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        if size > self.bound.max_bytes {
            return Ok(None);
        }
        Ok(Some(Box::new(DiskFill::begin(self.order(digest, size).await?))))
    }

    fn pin_path(&self, digest: &Digest) -> PathBuf {
        self.path.join(PINS_FOLDER).join(digest.algorithm_str()).join(digest.encoded())
    }
}

#[async_trait]
impl Store for DiskStore {
    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
    }

    async fn make_room(&self) -> Result<()> {
        if !self.is_made() {
            return Ok(());
        }
        let (root, bound, is_looked_through) =
            (Arc::clone(&self.path), self.bound, Arc::clone(&self.is_looked_through));
        let is_open = self.layout.initialized();
        blocking(&self.path, move || {
            if is_open {
                home::renew(&root)?;
            }
            let when = if is_looked_through.load(Ordering::Relaxed) { When::TooMuch } else { When::Anyway };
            bound.make_room(&root, when)?;
            is_looked_through.store(true, Ordering::Relaxed);
            Ok(())
        })
        .await
    }

    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        let wanted = digest.clone();
        let size = self.run(move |folder| folder.blob_size(&wanted)).await?;
        size.map_or(Ok(()), |size| unless_emptied(digest, size)).map(|()| size)
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let (digest, known) = (digest.clone(), self.known.clone());
        Ok(self.run(move |folder| Opened::at(folder, &digest, from, &known)).await?.blob())
    }

    async fn blob_of(&self, origin: &Origin, digest: &Digest) -> Result<Option<Blob>> {
        let (digest, known, member) = (digest.clone(), self.known.clone(), self.member_path(origin, digest));
        let opened = self.run(move |folder| {
            let opened = Opened::at(folder, &digest, Resume::START, &known)?;
            Ok(is_marked(&member)?.then_some(opened))
        });
        Ok(opened.await?.map(Opened::blob))
    }

    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let (wanted, asked, parts) = (digest.clone(), range.clone(), self.parts_of(origin, digest));
        let found = self.run(move |folder| Found::part(folder, &wanted, &parts, &asked)).await?;
        let Found { file, path, kept: Kept { range: kept, total } } = found.ok_or_else(|| not_cached(digest))?;
        let range = within(digest, range, total)?;
        let in_file = range.start - kept.start..range.end - kept.start;
        Ok(Part { range, total, stream: read_range(file.into(), path.into(), in_file) })
    }

    async fn file(&self, digest: &Digest) -> Result<Option<File>> {
        let digest = digest.clone();
        self.run(move |folder| {
            let Some(Found { file, path, kept }) = Found::whole(folder, &digest)? else { return Ok(None) };
            let mut verify = Verify::new(&digest, kept.total, Resume::START)?;
            each_chunk(&file, &path, kept.range, |chunk| verify.update(chunk))?;
            verify.finish().map(|()| Some(file))
        })
        .await
    }

    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        if size > self.bound.max_bytes {
            return Ok(None);
        }
        let place = match size {
            partials::MIN_TOTAL.. => Filling::Partial(partials::path(&self.path_of(origin), digest, size)),
            _ => Filling::Anonymous,
        };
        Ok(Some(Box::new(DiskFill::begin(self.whole(origin, digest, size, place).await?))))
    }

    async fn partial(&self, origin: &Origin, digest: &Digest) -> Result<Option<Partial>> {
        let (notes, wanted) = (self.path_of(origin), digest.clone());
        let found = self.run(move |_| partials::find(&notes, &wanted)).await?;
        let Some(partials::Found { ingest, total, resume, stream }) = found else { return Ok(None) };
        let order = self.whole(origin, digest, total, Filling::Left(Box::new(ingest))).await?;
        Ok(Some(Partial { total, resume, stream, fill: Box::new(DiskFill::begin(order)) }))
    }

    async fn flight(&self, digest: &Digest) -> Result<Option<Flight>> {
        let mut patience = Patience::new(self.patience);
        loop {
            let wanted = digest.clone();
            match self.write(move |folder| Flight::take(folder.root(), &wanted)).await? {
                Turn::Ours(flight) => return Ok(Some(flight)),
                Turn::Theirs(bytes) => match patience.next_step(bytes) {
                    Some(step) => tokio::time::sleep(step).await,
                    None => return Ok(None),
                },
            }
        }
    }

    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>> {
        let size = range.end.saturating_sub(range.start);
        if size > self.bound.max_bytes {
            return Ok(None);
        }
        let folder = self.parts_of(origin, digest);
        let counted = folder.clone();
        if self.run(move |_| parts::is_full(&counted)).await? {
            return Ok(None);
        }
        let name = folder.join(Kept { range, total }.file_name());
        let obsolete = Obsolete::PartsUnlessOf { folder, total };
        Ok(Some(Box::new(DiskFill::begin(Order { name, obsolete, ..self.order(digest, size).await? }))))
    }

    async fn drop_other_parts(&self, origin: &Origin, digest: &Digest, total: u64) -> Result<bool> {
        let folder = self.parts_of(origin, digest);
        self.write(move |_| parts::drop_others(&folder, total)).await
    }

    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        let (notes, digest) = (self.path_of(origin), digest.clone());
        self.write(move |folder| removal::quarantine(folder, &digest, &notes)).await
    }

    async fn set_aside(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let digest = digest.clone();
        self.run(move |folder| removal::set_aside(folder, &digest)).await
    }

    async fn journal(&self, origin: &Origin, upload: &str) -> Result<Option<Journal>> {
        let key = format!("{}\n{}\n{}\n{upload}", wire_name(origin.wire), origin.host, origin.repository);
        let begun = self.begun.clone();
        self.write(move |folder| Journal::open(&folder.root().join(UPLOADS_FOLDER), &key, &begun)).await
    }

    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) -> Result<()> {
        let (digest, bound) = (digest.clone(), self.bound);
        self.write(move |folder| indexes::write(folder, &digest, &index, bound)).await
    }

    async fn seek_index(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let path = indexes::path(&self.path, digest);
        self.run(move |_| {
            let Some((file, total)) = open_file(OpenOptions::new().read(true), &path)? else { return Ok(None) };
            let Found { file, path, .. } = Found { file, path, kept: Kept { range: 0..total, total } }.touched();
            indexes::read(file, &path).map(Some)
        })
        .await
    }

    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        let (pin, notes, digest) = (self.pin_path(digest), self.path_of(origin), digest.clone());
        self.write(move |folder| removal::remove_unless(&pin, folder, &digest, &notes)).await
    }

    async fn list_image(&self, origin: &Origin, image: &StoredImage) -> Result<()> {
        self.list(origin, image).await
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        let (path, record) = (self.tag_path(origin, tag), record.clone());
        self.write(move |folder| write_record(folder, &path, &record)).await
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        // Nothing is made for the question.
        if !self.is_made() {
            return Ok(None);
        }
        let path = self.tag_path(origin, tag);
        self.run(move |_| read_record(&path)).await
    }

    async fn forget(&self, origin: &Origin, tag: &Tag) -> Result<()> {
        let path = self.tag_path(origin, tag);
        self.run(move |_| unmark(&path)).await
    }

    async fn recorded_tags(&self, origin: &Origin) -> Result<Vec<Tag>> {
        let folder = self.path_of(origin).join(TAGS_FOLDER);
        self.run(move |_| tag_names(&folder)).await
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        let path = self.member_path(origin, digest);
        self.write(move |_| mark(&path)).await
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        let path = self.member_path(origin, digest);
        self.run(move |_| is_marked(&path)).await
    }

    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        let path = self.path_of(origin).join(MEMBERS_FOLDER);
        self.run(move |_| latest_marks(&path, most)).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        let path = self.pin_path(digest);
        self.write(move |folder| folder.lock().and_then(|_held| mark_durably(&path))).await
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        let path = self.pin_path(digest);
        self.write(move |folder| folder.lock().and_then(|_held| unmark(&path))).await
    }
}

pub(super) fn not_cached(digest: &Digest) -> Error {
    Error::NotCached { wanted: Wanted::Blob(digest.clone()), of: None, lost: None }
}
