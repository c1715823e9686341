//! Large blobs on their way to a registry, which a later copy can go on with.

use std::{num::NonZeroU64, sync::Arc};

use async_trait::async_trait;
use refs_registry::{Descriptor, Noted, Notes, Sink, UploadState};
use refs_store::{Journal, Origin, Store, UploadProgress};
use refs_url::Digest;

/// Where it is written down how far blobs have come at one destination.
#[derive(Debug, Clone)]
pub(crate) struct Journals {
    store: Arc<dyn Store>,
    to: Arc<Origin>,
    piece_bytes: NonZeroU64,
}

impl Journals {
    /// For what is sent to `to` in pieces of `piece_bytes`, in `store`.
    pub(super) fn new(store: Arc<dyn Store>, to: Origin, piece_bytes: NonZeroU64) -> Self {
        Self { store, to: Arc::new(to), piece_bytes }
    }

    /// Whether the upload of `blob` is written down: it is long enough to be sent in pieces.
    pub(super) const fn has(&self, blob: &Descriptor) -> bool {
        blob.size > self.piece_bytes.get()
    }

    /// The notes on the upload of `blob`, wherever it comes from. None for one that is sent at once, while another process
    /// sends the same, and when the store fails: it goes on without them.
    pub(super) async fn of(&self, blob: &Descriptor) -> Option<Noted> {
        if !self.has(blob) {
            return None;
        }
        let opened = self.store.journal(&self.to, &format!("blob\n{}", blob.digest)).await;
        let journal = opened.unwrap_or_else(|error| {
            tracing::debug!(%error, "the upload is not written down");
            None
        });
        Some(Noted { notes: Arc::new(Written(journal?)), piece_bytes: self.piece_bytes })
    }

    /// How many bytes of `blob` an upload that is written down has brought to `sink`, which is where it goes to.
    pub(super) async fn begun(&self, blob: &Descriptor, sink: &dyn Sink) -> u64 {
        let Some(noted) = self.of(blob).await else { return 0 };
        let Some(state) = noted.notes.last().await else { return 0 };
        match sink.upload(Some(state.clone())).await.map(|upload| upload.state().offset) {
            Ok(offset) if (state.offset..=blob.size).contains(&offset) => offset,
            // The copy begins the blob anew.
            Ok(_) | Err(_) => 0,
        }
    }
}

/// The notes on one blob.
#[derive(Debug)]
struct Written(Journal);

#[async_trait]
impl Notes for Written {
    async fn last(&self) -> Option<UploadState> {
        let read = self.0.read().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what an earlier upload has written down can't be read");
            None
        });
        read.map(|progress| progress.upload)
    }

    async fn write(&self, state: &UploadState) {
        // Of a blob its digest says what its first bytes are, as far as these can be known without reading them again.
        let progress = UploadProgress { upload: state.clone(), hashed: 0, digest: Digest::sha256(b"") };
        if let Err(error) = self.0.write(&progress).await {
            tracing::debug!(%error, "the upload is not written down any more");
        }
    }

    async fn clear(&self) {
        if let Err(error) = self.0.clear().await {
            tracing::debug!(%error, "what was written down of the upload stays");
        }
    }
}
