//! A layer on its way, which a later push of the same can go on with.

use std::{collections::VecDeque, path::Path, sync::Arc};

use bytes::Bytes;
use refs_registry::{ErrorKind, Sink, Upload, UploadState};
use refs_store::{Journal, Origin, Store, UploadProgress};
use refs_url::{Digest, Hasher, Tag};

/// Where it is written down how far an upload has come.
#[derive(Debug)]
pub(crate) struct JournalAt {
    store: Arc<dyn Store>,
    origin: Origin,
    upload: String,
}

impl JournalAt {
    /// For what `directory` is packed into, on its way to `tag` of `origin`.
    pub(crate) fn new(store: Arc<dyn Store>, origin: Origin, tag: &Tag, directory: &Path) -> Self {
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        Self { store, origin, upload: format!("{tag}\n{}", directory.display()) }
    }

    /// The journal; none while another process sends the same, or when the store fails: the upload goes on without it.
    async fn open(&self) -> Option<Journal> {
        self.store.journal(&self.origin, &self.upload).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the upload is not written down");
            None
        })
    }
}

/// An upload, and its journal.
///
/// Bytes that an earlier upload has sent are hashed and passed over: packing gives the same ones again, unless something
/// has changed, which is found out by the hash in the journal, and, as far as that does not reach, by the registry when it
/// is given the digest of all.
pub(crate) struct LayerUpload {
    upload: Box<dyn Upload>,
    journal: Option<Journal>,
    /// What the earlier upload has sent; `None` for a fresh one.
    resumed: Option<UploadProgress>,
    /// How many bytes the registry has from that.
    there: u64,
    given: u64,
    hasher: Hasher,
    /// After so many bytes, this was their digest; from the last bytes that were acknowledged on.
    marks: VecDeque<(u64, Digest)>,
    acknowledged: u64,
}

/// Why bytes were not sent.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The registry does not take them.
    Broken(refs_registry::Error),
    /// They are not those that an earlier upload has begun with: a fresh one is needed.
    Stale,
}

impl LayerUpload {
    /// Goes on with the upload that the journal tells of, if the registry still has it; begins one otherwise.
    ///
    /// # Errors
    /// The registry's own.
    pub(crate) async fn open(sink: &dyn Sink, at: Option<&JournalAt>) -> refs_registry::Result<Self> {
        let journal = match at {
            Some(at) => at.open().await,
            None => None,
        };
        if let Some(journal) = &journal
            && let Some(progress) = written(journal).await
            && let Some((upload, state)) = resume(sink, &progress).await?
        {
            let there = state.offset;
            tracing::debug!(offset = there, "an earlier upload goes on");
            return Ok(Self { there, resumed: Some(progress), ..Self::new(upload, Some(journal.clone())) });
        }
        Ok(Self::new(sink.upload(None).await?, journal))
    }

    fn new(upload: Box<dyn Upload>, journal: Option<Journal>) -> Self {
        let (hasher, marks) = (Hasher::sha256(), VecDeque::new());
        Self { upload, journal, resumed: None, there: 0, given: 0, hasher, marks, acknowledged: 0 }
    }

    /// Appends `chunk`, as far as it is not there already.
    ///
    /// # Errors
    /// After `Broken` the upload is to be left or aborted, after `Stale` aborted.
    pub(crate) async fn write(&mut self, chunk: Bytes) -> Result<(), Unsent> {
        let start = self.given;
        self.given += chunk.len() as u64;
        self.hash(start, &chunk)?;
        if self.given <= self.there {
            return Ok(());
        }
        let known = self.there.saturating_sub(start) as usize;
        self.upload.write(chunk.slice(known..)).await.map_err(Unsent::Broken)?;
        self.note().await;
        Ok(())
    }

    /// Ends the upload.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn commit(self, digest: &Digest) -> Result<(), Unsent> {
        if self.given < self.there {
            drop(self.upload.abort().await);
            forget(self.journal.as_ref()).await;
            return Err(Unsent::Stale);
        }
        match self.upload.commit(digest).await {
            Ok(()) => forget(self.journal.as_ref()).await,
            Err(error) if is_passing(error.kind()) => {
                // The session may be what fails: nobody is to go on with it for ever.
                if self.resumed.is_some() && matches!(error, refs_registry::Error::Refused { .. }) {
                    forget(self.journal.as_ref()).await;
                }
                return Err(Unsent::Broken(error));
            }
            Err(error) => {
                forget(self.journal.as_ref()).await;
                tracing::debug!(%error, is_resumed = self.resumed.is_some(), "the registry does not take the layer");
                return Err(if self.resumed.is_some() { Unsent::Stale } else { Unsent::Broken(error) });
            }
        }
        Ok(())
    }

    /// Leaves the upload to be gone on with, where it was written down; aborts it otherwise.
    pub(crate) async fn leave(self) {
        let is_written = self.journal.is_some() && (self.acknowledged > 0 || self.resumed.is_some());
        if !is_written {
            self.abort().await;
        }
    }

    /// Gives the upload up.
    pub(crate) async fn abort(self) {
        // The failure that led here is the one to report; a session that can't be cancelled expires by itself.
        drop(self.upload.abort().await);
        forget(self.journal.as_ref()).await;
    }

    /// Hashes `chunk`, which begins after `start` bytes, and compares where the journal says what the hash must be.
    fn hash(&mut self, start: u64, chunk: &Bytes) -> Result<(), Unsent> {
        if self.journal.is_none() {
            return Ok(());
        }
        let mut rest = chunk.as_ref();
        if let Some(progress) =
            self.resumed.as_ref().filter(|progress| (start + 1..=self.given).contains(&progress.hashed))
        {
            let (before, after) = rest.split_at((progress.hashed - start) as usize);
            self.hasher.update(before);
            if self.hasher.clone().finish() != progress.digest {
                return Err(Unsent::Stale);
            }
            rest = after;
        }
        self.hasher.update(rest);
        self.marks.push_back((self.given, self.hasher.clone().finish()));
        Ok(())
    }

    /// Writes down what was acknowledged, when that is more than before.
    async fn note(&mut self) {
        let Some(journal) = &self.journal else { return };
        let state = self.upload.state();
        if state.offset <= self.acknowledged {
            return;
        }
        self.acknowledged = state.offset;
        let mut reached = None;
        while self.marks.front().is_some_and(|(bytes, _)| *bytes <= state.offset) {
            reached = self.marks.pop_front();
        }
        let Some((hashed, digest)) = reached else { return };
        if let Err(error) = journal.write(&UploadProgress { upload: state, hashed, digest }).await {
            tracing::debug!(%error, "the upload is not written down any more");
            self.journal = None;
        }
    }
}

/// Whether the upload may succeed at another time.
pub(crate) const fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout)
}

/// Whether the registry is full, which passes at another time, but not at once.
pub(crate) const fn is_full(error: &refs_registry::Error) -> bool {
    matches!(error, refs_registry::Error::Refused { status: 507, .. })
}

async fn written(journal: &Journal) -> Option<UploadProgress> {
    journal.read().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "what an earlier upload has written down can't be read");
        None
    })
}

/// The earlier upload, if the registry still has what it has acknowledged.
async fn resume(
    sink: &dyn Sink,
    progress: &UploadProgress,
) -> refs_registry::Result<Option<(Box<dyn Upload>, UploadState)>> {
    let upload = match sink.upload(Some(progress.upload.clone())).await {
        Ok(upload) => upload,
        // A registry that does not answer at all says so of a fresh one, too, and the journal stays.
        Err(error) => {
            tracing::debug!(%error, "the registry does not go on with the earlier upload");
            return Ok(None);
        }
    };
    let state = upload.state();
    if state.offset >= progress.hashed {
        return Ok(Some((upload, state)));
    }
    tracing::debug!(
        offset = state.offset,
        hashed = progress.hashed,
        "the registry has lost bytes of the earlier upload"
    );
    drop(upload.abort().await);
    Ok(None)
}

async fn forget(journal: Option<&Journal>) {
    if let Some(journal) = journal
        && let Err(error) = journal.clear().await
    {
        tracing::debug!(%error, "what was written down of the upload stays");
    }
}

#[cfg(test)]
mod tests {
    use refs_registry::Wire;
    use refs_store::{DiskOptions, DiskStore, Memories};
    use tempfile::TempDir;

    use super::*;

    const CHUNKS: [&str; 4] = ["one ", "two ", "three ", "four "];

    /// A repository that keeps sessions, and a journal for an upload to it.
    struct Place {
        sink: Arc<dyn Sink>,
        at: JournalAt,
        folder: TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(DiskStore::new(folder.path().join("cache"), &DiskOptions::default()));
            let (host, repository) = ("localhost".parse().unwrap(), "o/r".parse().unwrap());
            let origin = Origin { wire: Wire::Open, host, repository };
            let sink = Memories::new().repository(&origin.host, &origin.repository);
            let at = JournalAt::new(store, origin, &Tag::latest(), folder.path());
            Self { sink: Arc::new(sink), at, folder }
        }

        async fn open(&self) -> LayerUpload {
            LayerUpload::open(self.sink.as_ref(), Some(&self.at)).await.unwrap()
        }

        /// Sends `chunks`, and leaves the rest for another time.
        async fn begin(&self, chunks: &[&'static str]) {
            let mut upload = self.open().await;
            send(&mut upload, chunks).await.unwrap();
            upload.leave().await;
        }

        /// Sends all of `chunks`, as a later push does.
        async fn finish(&self, chunks: &[&'static str]) -> Result<(), Unsent> {
            let mut upload = self.open().await;
            if let Err(unsent) = send(&mut upload, chunks).await {
                upload.abort().await;
                return Err(unsent);
            }
            upload.commit(&Digest::sha256(chunks.concat().as_bytes())).await
        }

        async fn has(&self, content: &str) -> bool {
            self.sink.stat_blob(&Digest::sha256(content.as_bytes())).await.unwrap().is_some()
        }

        fn journals(&self) -> usize {
            std::fs::read_dir(self.folder.path().join("cache/uploads")).unwrap().count()
        }
    }

    async fn send(upload: &mut LayerUpload, chunks: &[&'static str]) -> Result<(), Unsent> {
        for chunk in chunks {
            upload.write(Bytes::from_static(chunk.as_bytes())).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_was_sent_is_not_sent_again() {
        let place = Place::new();
        place.begin(&CHUNKS[..2]).await;
        place.begin(&CHUNKS[..3]).await;
        let upload = place.open().await;
        assert_eq!(upload.there, CHUNKS[..3].concat().len() as u64);
        upload.leave().await;
        place.finish(&CHUNKS).await.unwrap();
        assert!(place.has(&CHUNKS.concat()).await);
        assert_eq!(place.journals(), 0);
    }

    #[tokio::test]
    async fn chunks_may_be_cut_otherwise_the_next_time() {
        let place = Place::new();
        place.begin(&CHUNKS[..3]).await;
        place.finish(&["o", "ne two thr", "ee fo", "ur "]).await.unwrap();
        assert!(place.has(&CHUNKS.concat()).await);
    }

    #[tokio::test]
    async fn an_upload_of_other_bytes_is_begun_anew() {
        let place = Place::new();
        for other in [&["one ", "TWO ", "three ", "four "][..], &["one "], &["one ", "two "]] {
            place.begin(&CHUNKS[..3]).await;
            let unsent = place.finish(other).await.unwrap_err();
            assert!(matches!(unsent, Unsent::Stale), "{unsent:?}");
            assert_eq!(place.journals(), 0);
            place.finish(other).await.unwrap();
            assert!(place.has(&other.concat()).await);
        }
    }

    #[tokio::test]
    async fn what_the_journal_does_not_vouch_for_the_registry_finds_out() {
        let place = Place::new();
        place.begin(&CHUNKS[..3]).await;
        let journal = place.at.open().await.unwrap();
        let written = journal.read().await.unwrap().unwrap();
        let digest = Digest::sha256(b"one ");
        journal.write(&UploadProgress { hashed: 4, digest, ..written }).await.unwrap();
        drop(journal);
        let other = ["one ", "TWO ", "three ", "four "];
        let unsent = place.finish(&other).await.unwrap_err();
        assert!(matches!(unsent, Unsent::Stale), "{unsent:?}");
        place.finish(&other).await.unwrap();
    }

    #[tokio::test]
    async fn an_upload_that_the_registry_forgot_is_begun_anew() {
        let place = Place::new();
        place.begin(&CHUNKS[..3]).await;
        let journal = place.at.open().await.unwrap();
        let written = journal.read().await.unwrap().unwrap();
        let upload = UploadState { session: "lost".to_owned(), ..written.upload.clone() };
        journal.write(&UploadProgress { upload, ..written }).await.unwrap();
        drop(journal);
        place.finish(&CHUNKS).await.unwrap();
    }

    #[tokio::test]
    async fn two_at_once_do_not_share_an_upload() {
        let place = Place::new();
        let mut first = place.open().await;
        send(&mut first, &CHUNKS[..2]).await.unwrap();
        place.finish(&CHUNKS).await.unwrap();
        send(&mut first, &CHUNKS[2..]).await.unwrap();
        first.commit(&Digest::sha256(CHUNKS.concat().as_bytes())).await.unwrap();
        assert_eq!(place.journals(), 0);
    }

    #[tokio::test]
    async fn an_upload_of_which_nothing_was_acknowledged_leaves_nothing() {
        let place = Place::new();
        place.begin(&[]).await;
        assert_eq!(place.journals(), 0);
    }
}
