//! The two traits that every place of OCI content implements, and what passes through them.

use std::{
    fmt::{self, Debug},
    fs::File,
    ops::Range,
    path::Path,
    sync::Arc,
    time::{Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use refs_url::{Digest, Hasher, RepoName, Tag, Target};
use serde::{Deserialize, Serialize};

use crate::{Descriptor, Manifest, MediaType, Noted, Payload, Replay, Result, trail::Shared};

/// Bytes as they arrive. The stream ends after its first error.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// One repository, to read: a registry's, a layout on disk, a cache, a map in memory.
///
/// What it gives as [`Manifest`] or whole [`Blob`] is verified against its digest, so nobody verifies it again. Errors
/// are [`Error`](crate::Error) with a [`kind`](crate::Error::kind) to act on.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// The descriptor of the manifest at `target`, without its body where the place allows (`HEAD` on a registry).
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn resolve(&self, target: &Target) -> Result<Descriptor>;

    /// What `tag` was last said to lead to. It is what [`resolve`](Source::resolve) gives, but where nobody can be asked: what is
    /// told there last may not be there, and `resolve` gives what was told before, if that is.
    ///
    /// # Errors
    /// As [`resolve`](Source::resolve).
    async fn last_told(&self, tag: &Tag) -> Result<Descriptor> {
        self.resolve(&Target::Tag(tag.clone())).await
    }

    /// The manifest at `target`: the bytes as stored, verified.
    ///
    /// # Errors
    /// `NotFound`; `Digest` when the bytes are not those of `target`; `Size` above 4 MiB.
    async fn manifest(&self, target: &Target) -> Result<Manifest>;

    /// The whole blob from `from` on. Its bytes are verified once the stream has ended without an error, and not before.
    ///
    /// # Errors
    /// `NotFound`; the stream yields `Digest` or `Size` when the bytes are not those of `digest`.
    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob>;

    /// Bytes `range` of the blob. No digest can vouch for a part: the reader has to check it by other means.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` when the place cannot give parts; `Protocol` when it answered with another range.
    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part>;

    /// The size of the blob in bytes, `None` when there is no such blob.
    ///
    /// # Errors
    /// Whatever kept the place from telling.
    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>>;

    /// The tags, in the place's own order, from the one after `after` on.
    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>>;

    /// The manifests whose subject is `subject`
    /// ([listing referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers)).
    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>>;

    /// The whole blob as a file of this machine, at its start, where the place has it so: cheaper to clone or copy than a
    /// stream is to write. Its bytes have been verified, and must not be changed. `None` says nothing about the blob.
    async fn blob_file(&self, digest: &Digest) -> Option<File> {
        let _elsewhere = digest;
        None
    }

    /// What a reader of this blob left for those after it with [`keep_seek_index`](Source::keep_seek_index): how to read
    /// parts of what it inflates to. It is a note beside the blob, and no content: whoever uses it checks what it says.
    async fn seek_index(&self, digest: &Digest) -> Option<Bytes> {
        let _keeps_none = digest;
        None
    }

    /// Leaves `index` for the next reader of the blob, where the place keeps such notes. It must have been made of the blob's
    /// verified bytes, all of which came from here.
    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) {
        let _keeps_none = (digest, index);
    }

    /// Whether [`keep_seek_index`](Source::keep_seek_index) keeps anything, so that it is worth making one.
    fn keeps_seek_indexes(&self) -> bool {
        false
    }

    /// The same repository, for an operation that reads blobs more than once: none of them is moved here twice for it. What
    /// is not kept anyway is kept as long as this lives, in files on the file system of `folder`, which have no name there.
    /// `None` where a place does not keep what it moves.
    fn keeping_in(&self, folder: &Path) -> Option<Arc<dyn Source>> {
        let _keeps_none = folder;
        None
    }

    /// When the place elsewhere that has the repository last gave a sign of life, to whomever and whatever it said; in the
    /// future where it has asked to be left alone until then. `None` where it has given none, or nobody listens for any.
    fn last_heard(&self) -> Option<Instant> {
        None
    }

    /// Told by a reader that what it was given can't be, such as parts that hold none of the digests that they should. A
    /// place that gives copies hashes those that it gave, and drops the damaged ones, and the parts that it can have anew;
    /// what is undamaged stays. Says whether reading once more may help: something was dropped that comes again.
    async fn distrust(&self) -> bool {
        false
    }
}

/// One repository, to write as well.
#[async_trait]
pub trait Sink: Source {
    /// Begins an upload, or goes on with one that an earlier [`Upload::state`] describes.
    ///
    /// # Errors
    /// `NotFound` when the session to resume is gone.
    async fn upload(&self, resume: Option<UploadState>) -> Result<Box<dyn Upload>>;

    /// Whether uploads whose state was taken outlive this process, under sessions that no stranger can guess.
    fn keeps_uploads(&self) -> bool {
        false
    }

    /// Whether a manifest that is here has its blobs here, too, whole. So it is at a registry, which takes a manifest when it
    /// has its blobs, and keeps them as long. Where others can remove files and cut them off, blobs are to be looked at.
    fn vouches_for_blobs(&self) -> bool {
        true
    }

    /// Whether the manifest `digest` has `tag` here, as [`put_manifest`](Sink::put_manifest) sets it. A layout may list the
    /// manifest by another name that ends in the tag and leads to it for readers: that one may be moved or removed by itself.
    ///
    /// # Errors
    /// As [`resolve`](Source::resolve).
    async fn has_tag(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        self.resolve(&Target::Tag(tag.clone())).await.map(|found| found.digest == *digest)
    }

    /// How far the upload has come that the place keeps as `session`: what to resume it by, whoever began it. `None` where
    /// there is none.
    ///
    /// # Errors
    /// Whatever kept the place from telling.
    async fn find_upload(&self, session: &str) -> Result<Option<UploadState>> {
        let _keeps_none = session;
        Ok(None)
    }

    /// Removes what is kept of uploads that nobody works on and nobody has added to since `before`; gives their number.
    ///
    /// # Errors
    /// Whatever kept the place from removing one. Those before it are gone.
    async fn forget_uploads(&self, before: SystemTime) -> Result<u64> {
        let _keeps_none = before;
        Ok(0)
    }

    /// Makes the blob `digest` of the repository `from`, in the same place, part of this one without moving its bytes.
    ///
    /// # Errors
    /// A place that cannot mount answers with [`Mounted::Upload`], not with an error.
    async fn mount(&self, digest: &Digest, from: &RepoName) -> Result<Mounted>;

    /// Stores a blob unless it is there already, whole.
    ///
    /// # Errors
    /// `Digest` or `Size` when `payload` is not what `blob` says. After an error the blob is absent, as before.
    async fn put_blob(&self, blob: &Descriptor, payload: Payload) -> Result<Sent> {
        if self.stat_blob(&blob.digest).await? == Some(blob.size) {
            return Ok(Sent::Present);
        }
        let stream = payload.open().await?;
        fill(self.upload(None).await?, stream, &blob.digest).await.map(|()| Sent::Uploaded)
    }

    /// The bytes of the beginning of `blob` that are here, of one that is not here as a whole. A [`put_blob`](Sink::put_blob) out
    /// of another place ([`Replay::Blob`](crate::Replay::Blob)) goes on behind them, unless it finds them to be wrong.
    ///
    /// # Errors
    /// Whatever kept the place from telling.
    async fn begun(&self, blob: &Descriptor) -> Result<u64> {
        let _keeps_none = blob;
        Ok(0)
    }

    /// Stores a blob unless it is there already, as [`put_blob`](Sink::put_blob) does, and goes on with what an earlier call
    /// has sent of it, if `noted` tells of it and the place still has it. After an error that may pass, what the place has
    /// stays there for the next call. A place that keeps what has come of a blob by itself has no use for notes.
    ///
    /// # Security
    /// Of a blob that is gone on with, only the rest is read from `replay`, and is not hashed here: that all is what the digest
    /// says is for the place to find out, which hashes what becomes a blob. If it refuses that, all is sent anew, and hashed.
    ///
    /// # Errors
    /// As [`put_blob`](Sink::put_blob).
    async fn put_noted(&self, blob: &Descriptor, replay: Replay, noted: &Noted) -> Result<Sent> {
        let _by_itself = noted;
        self.put_blob(blob, replay.into()).await
    }

    /// Stores a manifest under its digest and under each of `tags`. What it refers to must be there already.
    ///
    /// # Errors
    /// `Protocol` when the place refuses it, with the place's own words. Tags may have been set in part. Of a manifest with a
    /// subject, the manifest may be there and not be listed; `Conflict` when the tag that lists it leads to something else,
    /// or other writers would not let it be listed. Putting it again is safe.
    async fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored>;

    /// Removes a tag, or a manifest with all its tags, also from where it is listed as a referrer.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` where deleting is switched off. As [`put_manifest`](Sink::put_manifest), the manifest may
    /// be gone and still be listed.
    async fn delete_manifest(&self, target: &Target) -> Result<()>;

    /// Removes a blob from the repository.
    ///
    /// # Errors
    /// As [`delete_manifest`](Sink::delete_manifest).
    async fn delete_blob(&self, digest: &Digest) -> Result<()>;
}

/// A blob on its way in. Dropped without [`commit`](Upload::commit), it leaves no blob behind; and nothing else, unless its
/// [`state`](Upload::state) was taken.
#[async_trait]
pub trait Upload: Send {
    /// Appends `chunk`, waiting while the place is slower than the caller.
    ///
    /// # Errors
    /// Whatever broke the upload; it can then only be aborted or, by its [`state`](Upload::state), resumed.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// How far the place has acknowledged the upload, to resume it from. Whoever has taken it may go on with the upload
    /// later, so that dropping this one leaves it where it is.
    fn state(&self) -> UploadState;

    /// Ends the upload: the bytes become the blob `digest`, if they hash to it.
    ///
    /// # Errors
    /// `Digest` when they do not. The blob is then absent.
    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()>;

    /// Gives the upload up and frees what the place kept of it.
    ///
    /// # Errors
    /// When the place could not be told; it will forget the upload by itself.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// Writes all of `stream` to `upload` and commits it as the blob `digest`.
///
/// # Errors
/// Those of `stream`, after which the upload is aborted, and of the upload. The blob is then absent.
pub async fn fill(mut upload: Box<dyn Upload>, mut stream: ByteStream, digest: &Digest) -> Result<()> {
    loop {
        let written = match stream.next().await {
            None => return upload.commit(digest).await,
            Some(Ok(chunk)) => upload.write(chunk).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = written {
            // The first failure is the one to report; a session that can't be cancelled expires by itself.
            drop(upload.abort().await);
            return Err(error);
        }
    }
}

/// Where to begin reading a blob: at zero, or where an earlier read ended.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    pub(crate) offset: u64,
    pub(crate) hasher: Option<Hasher>,
    /// The check of whoever reads: a place that hashes by it spares the reader that.
    pub(crate) shared: Option<Shared>,
}

impl Resume {
    /// A fresh read, from the first byte.
    pub const START: Self = Self { offset: 0, hasher: None, shared: None };

    /// Goes on at `offset` bytes, with the `hasher` that has taken in all bytes before it.
    #[must_use]
    pub const fn at(offset: u64, hasher: Hasher) -> Self {
        Self { offset, hasher: Some(hasher), shared: None }
    }

    /// The first byte to give, counted from the start of the blob.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

/// A whole blob, or its rest.
pub struct Blob {
    /// The size of the whole blob in bytes, whatever offset the stream began at.
    pub size: u64,
    /// The bytes, **verified when the stream has ended without an error**.
    pub stream: ByteStream,
}

/// A part of a blob. Its bytes are not verified: only a digest of the part's own can vouch for it.
pub struct Part {
    /// The bytes of the blob that the stream gives, exactly.
    pub range: Range<u64>,
    /// The size of the whole blob in bytes.
    pub total: u64,
    /// The bytes.
    pub stream: ByteStream,
}

impl Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("range", &self.range).field("total", &self.total).finish_non_exhaustive()
    }
}

/// How far an upload has come: enough to go on with it, in another process too. Its Debug leaves out the query of a URL,
/// which may be all that it takes to write into the session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadState {
    /// The session as the place names it: a URL on a registry, a file's name in a layout.
    pub session: String,
    /// The bytes that the place has acknowledged.
    pub offset: u64,
}

impl Debug for UploadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.session.split('?').next().unwrap_or_default();
        f.debug_struct("UploadState").field("session", &shown).field("offset", &self.offset).finish()
    }
}

/// What came of an attempt to mount a blob.
pub enum Mounted {
    /// The blob is there now; no byte was moved.
    Mounted,
    /// The place wants the bytes, and has begun an upload for them.
    Upload(Box<dyn Upload>),
}

impl Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mounted => "Mounted",
            Self::Upload(_) => "Upload",
        })
    }
}

/// Whether the bytes of a blob had to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// They were.
    Uploaded,
    /// The place had them already.
    Present,
}

/// A manifest was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The digest it can be read by.
    pub digest: Digest,
    /// The subject that it is listed as a referrer of now: by the place itself (`OCI-Subject` of a registry), or in the list
    /// that clients keep under a tag where the registry keeps none. `None` for a manifest without a subject.
    pub subject: Option<Digest>,
}

/// Which referrers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this artifact type only; all when `None`.
    pub artifact_type: Option<MediaType>,
}
