//! What a cache keeps of other places.

use std::{
    fmt::{self, Debug},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use refs_registry::{Blob, ByteStream, Descriptor, Error, Part, Platform, Result, Resume, Wire, error::Wanted};
use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::{flight::Flight, growing::Growing, journal::Journal, record::TagRecord};

/// Content by digest, shared by all repositories that it came from, and what is known about each of these. A part of content
/// is of the repository that it came from alone.
///
/// A store never asks anybody: what it does not have is `NotCached`. It has no clock; times are given to it. What is
/// read stays longest where a store has a bound.
///
/// # Security
/// Content is shared between origins, the right to read it is not: whoever answers for an origin has to ask
/// [`is_member`](Store::is_member) before giving out what another one brought in. Nothing vouches for a part but where it
/// came from, so that nobody else is given it.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The size of the content in bytes; `None` when the store does not have it.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when something else than content is in its place.
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>>;

    /// The whole content from `from` on, verified when its stream has ended without an error.
    ///
    /// # Errors
    /// `NotCached`; the stream yields `Digest` or `Size` when the content is damaged. [`remove`](Store::remove) it then.
    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob>;

    /// The whole content, if `origin` is known to have it; `None` if it is not.
    ///
    /// # Errors
    /// As [`blob`](Store::blob): `NotCached` when it is not here, whoever has it.
    async fn blob_of(&self, origin: &Origin, digest: &Digest) -> Result<Option<Blob>> {
        let blob = self.blob(digest, Resume::START).await?;
        Ok(self.is_member(origin, digest).await?.then_some(blob))
    }

    /// Bytes `range` of the content, not verified: from the whole of it, else from a part that was taken in by itself, from
    /// `origin`.
    ///
    /// # Errors
    /// `NotCached`; `Size` when the content is shorter.
    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part>;

    /// The whole content as a file, at its start, where the store has it so. Its bytes have been hashed, and must not be
    /// changed.
    ///
    /// # Errors
    /// `Digest` when the content is damaged; `Io`.
    async fn file(&self, digest: &Digest) -> Result<Option<File>> {
        let _in_memory = digest;
        Ok(None)
    }

    /// The folder that the store is in, whether or not it is there yet; `None` for one that is in none. Whoever replaces or
    /// removes it loses what is kept.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Begins to take in content of `size` bytes; `None` when that is more than the store takes. It shows in the store
    /// when it is committed, and not before, and replaces what was there, with the parts that came from `origin`.
    ///
    /// The bytes are to be those that a [`Source`](refs_registry::Source) has verified against `digest`: they are not
    /// hashed here. Whoever reads them first has them hashed again.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>>;

    /// The beginning of content that a fill from `origin` has left when it was broken off, in this process or in another, and
    /// the fill to go on with. `None` when there is none; when somebody else fills it at this moment; and when what there
    /// is can't be the beginning, which is removed then.
    ///
    /// # Errors
    /// `Io`.
    async fn partial(&self, origin: &Origin, digest: &Digest) -> Result<Option<Partial>> {
        let _keeps_none = (origin, digest);
        Ok(None)
    }

    /// Waits while another, in this process or in any, fetches the content into this store, and gives the right to be the
    /// next one who does. It may be there by then. `None` where nobody takes turns, and when the other gets on no further:
    /// what is fetched twice is no worse for it.
    ///
    /// # Errors
    /// `Io`.
    async fn flight(&self, digest: &Digest) -> Result<Option<Flight>> {
        let _nobody_waits = digest;
        Ok(None)
    }

    /// Begins to take in bytes `range` of content that has `total` from `origin`; `None` when that is more than the store
    /// takes. What is committed shows as a part only, to `origin` only, and never as content: no digest vouches for it.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>>;

    /// Removes the parts that came from `origin` of content that had another size than `total` then; says whether there were
    /// any. A store may leave that to the next part that is committed, beside which those never show.
    ///
    /// # Errors
    /// `Io`.
    async fn drop_other_parts(&self, origin: &Origin, digest: &Digest, total: u64) -> Result<bool> {
        let _later = (origin, digest, total);
        Ok(false)
    }

    /// Keeps a note on how to read parts of what the content inflates to, in the place of the one before, whether or not the
    /// store has the content. A store may leave it; one with a bound counts it as content.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) -> Result<()> {
        let _keeps_none = (digest, index);
        Ok(())
    }

    /// The note that was kept. Nothing vouches for it but the checksum in it.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when something else than a file is in its place.
    async fn seek_index(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let _keeps_none = digest;
        Ok(None)
    }

    /// Removes content, its seek index, and the parts of it that came from `origin`. Records and members stay.
    ///
    /// # Errors
    /// `NotCached`; `Conflict` when it is pinned.
    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()>;

    /// Hashes content that is said to be damaged, and takes it out of the way when it is, so that it is fetched anew. Its
    /// seek index and the parts of it that came from `origin`, which no digest vouches for, are removed.
    ///
    /// # Errors
    /// `Io`; `Conflict` when it is pinned, and the store does not keep elsewhere what is damaged.
    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked>;

    /// Where the content is that was in [quarantine](Store::quarantine) last. That does not mean that nothing has come in its
    /// place since. A store may keep none of it.
    ///
    /// # Errors
    /// `Io`.
    async fn set_aside(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let _keeps_none = digest;
        Ok(None)
    }

    /// Makes room where more is kept than should be, as what had to go was being read or filled when something came. It costs
    /// little where nothing is to be done, but for the first time, when what is there may be looked through.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn make_room(&self) -> Result<()> {
        Ok(())
    }

    /// The journal of an upload to `origin`, which is told from others by the words `upload`; `None` where nothing is
    /// written down, and while another has it open.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn journal(&self, origin: &Origin, upload: &str) -> Result<Option<Journal>> {
        let _keeps_none = (origin, upload);
        Ok(None)
    }

    /// Remembers what a tag of `origin` leads to, in the place of what was remembered before.
    ///
    /// # Errors
    /// `Io`; `Full`. The record is as it was.
    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()>;

    /// What was last recorded of a tag of `origin`. A damaged record counts as none: asking the origin heals it.
    ///
    /// # Errors
    /// `Io`.
    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>>;

    /// Forgets what was recorded of a tag of `origin`; nothing happens where nothing was. A store may go on knowing it.
    ///
    /// # Errors
    /// `Io`.
    async fn forget(&self, origin: &Origin, tag: &Tag) -> Result<()> {
        let _knows_on = (origin, tag);
        Ok(())
    }

    /// The tags of `origin` of which something is recorded, sorted. A record may prove to be damaged all the same.
    ///
    /// # Errors
    /// `Io`.
    async fn recorded_tags(&self, origin: &Origin) -> Result<Vec<Tag>> {
        let _lists_none = origin;
        Ok(Vec::new())
    }

    /// Remembers that `origin` has the content, whether or not the store has it.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()>;

    /// Whether `origin` is known to have the content.
    ///
    /// # Errors
    /// `Io`.
    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool>;

    /// Content that `origin` is known to have, whether or not the store has it: what became known last first, as far as the
    /// store can tell, and at most `most` of it. A store may tell of none.
    ///
    /// # Errors
    /// `Io`.
    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        let _tells_of_none = (origin, most);
        Ok(Vec::new())
    }

    /// Lists an image that was asked of `origin`, and whose manifest, config and layers are all here, by what it was asked
    /// by, where the store has a list of images.
    ///
    /// # Errors
    /// `NotCached` when something of it is missing; `Io`; `Full`. What was listed by that name is listed on then.
    async fn list_image(&self, origin: &Origin, image: &StoredImage) -> Result<()> {
        let _lists_none = (origin, image);
        Ok(())
    }

    /// Protects content from being removed, whether or not it is there yet.
    ///
    /// # Errors
    /// `Io`; `Full`.
    async fn pin(&self, digest: &Digest) -> Result<()>;

    /// Takes the protection away; nothing happens where there was none.
    ///
    /// # Errors
    /// `Io`.
    async fn unpin(&self, digest: &Digest) -> Result<()>;
}

/// What a [`Store`] has by now of content that was said to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// All of it, undamaged, as before.
    Sound,
    /// All of it, undamaged, without the seek index or the parts that there were beside it.
    Cleared,
    /// Nothing.
    Gone,
}

/// The beginning of content, from a fill of a [`Store`] that was broken off.
///
/// # Security
/// Nothing vouches for it but the digest of the whole, so that it is of the origin that it came from alone. That one may have
/// lost the content since: give its bytes to nobody before it has shown that it has it, by giving the rest.
pub struct Partial {
    /// How many bytes the content has, as the origin of the beginning said.
    pub total: u64,
    /// Where the rest begins, with the state of a hasher that has seen what is before.
    pub resume: Resume,
    /// The bytes before that.
    pub stream: ByteStream,
    /// Takes the rest. Dropped, it leaves what there is for another time.
    pub fill: Box<dyn Fill>,
}

impl Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial").field("total", &self.total).field("resume", &self.resume).finish_non_exhaustive()
    }
}

/// Bytes on their way into a [`Store`]. Dropped without [`commit`](Fill::commit), they do not show; a store may keep them
/// as a [`Partial`].
#[async_trait]
pub trait Fill: Send {
    /// Appends `chunk`, waiting while much of what came before is still to be written.
    ///
    /// # Errors
    /// `Io`; `Full`; `Size` beyond the promised bytes. The fill is of no use then.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Holds `flight` until the bytes show or the fill has ended otherwise, and shows by it how it gets on.
    fn hold(&mut self, flight: Flight) {
        drop(flight);
    }

    /// What has come so far, for those who read it before all has come; `None` where nobody can.
    fn growing(&self) -> Option<Growing> {
        None
    }

    /// Lets the bytes show in the store. Whether they survive a power cut is not waited for.
    ///
    /// # Errors
    /// As [`write`](Fill::write); `Size` when bytes are missing. Nothing shows then.
    async fn commit(&mut self) -> Result<()>;

    /// What was written so far, for one who has a use for it beside the store: once it was committed, and after an error,
    /// when it is what came before that. `None` where it can't be told.
    async fn taken(self: Box<Self>) -> Option<Taken> {
        None
    }

    /// Leaves nothing behind, not even a [`Partial`]: the bytes were found to be wrong.
    async fn discard(self: Box<Self>) {}
}

/// What was written to a [`Fill`], and outlives what becomes of it in the store.
#[derive(Debug, Default)]
pub struct Taken {
    /// The file that it was written to, which need not have a name any more.
    pub file: Option<File>,
    /// How many bytes of the file count.
    pub bytes: u64,
    /// What the file did not take: the bytes that follow.
    pub rest: Vec<Bytes>,
}

/// A repository that content came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// How its bytes reach this machine. Whoever can change them on an open wire has no say in what came over a secured one.
    pub wire: Wire,
    /// The registry's host.
    pub host: Host,
    /// The repository's name there.
    pub repository: RepoName,
}

/// An image, all of which is in a [`Store`].
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// What it was asked by.
    pub target: Target,
    /// The image's manifest.
    pub manifest: Descriptor,
    /// The index that it was chosen from, if it was.
    pub index: Option<Descriptor>,
    /// The platform that it is for, in the words of the index.
    pub platform: Option<Platform>,
}

/// What a place without it says of content, in the words of a cache.
pub(crate) fn not_cached(error: Error) -> Error {
    match error {
        Error::NotFound { wanted, .. } => Error::NotCached { wanted, of: None, lost: None },
        other => other,
    }
}

/// The fault of a fill of `expected` bytes that was given `actual`.
pub(crate) fn wrong_size(digest: &Digest, expected: u64, actual: u64) -> Error {
    Error::Size { wanted: Wanted::Blob(digest.clone()), expected, actual }
}
