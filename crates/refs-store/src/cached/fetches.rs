//! One fetch for all of a process who want the same, each of whom reads it from its first byte on as it comes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use refs_registry::{Blob, ByteStream, Result, Resume, Source};
use refs_url::Digest;

use super::{Cached, arriving::Sought, part_fetches::PartFetches};
use crate::{
    joint::{Fetched, FetchedBlob, FetchedBy, Fetching, Joint},
    store::Origin,
};

/// The fetches of blobs and of their parts that are under way in this process, for those who read much at a time through one
/// store. A clone is of the same fetches.
///
/// A fetch of a part goes on as long as somebody reads it. That of a whole blob is a task of its own: it goes on when the
/// reader leaves who began it. When all have left, it goes on to its end if that is near, and otherwise leaves what there is
/// for the next.
#[derive(Debug, Clone, Default)]
pub struct Fetches {
    blobs: Joint<Key>,
    pub(super) parts: PartFetches,
    apart: Apart,
}

/// What was fetched past the store, for each who reads it: the log has said so.
#[derive(Debug, Clone, Default)]
struct Apart(Arc<Mutex<HashSet<Digest>>>);

/// By repository: the one may be denied what the other is given, and nothing vouches for a beginning but where it came from.
/// Whoever wants the same for another repository waits for all of it, by its [flight](crate::Store::flight).
type Key = (Origin, Digest);

impl Fetches {
    /// The blob of the repository `cached`, from the store, from a fetch that is under way, or else from one that begins now.
    ///
    /// # Errors
    /// As [`Source::blob`]. The failure of a fetch to begin is told to all who wait for it, and the next to ask begins another.
    pub async fn blob(&self, cached: &Arc<Cached>, digest: &Digest) -> Result<FetchedBlob> {
        if let Some(blob) = cached.kept(digest).await {
            return Ok(FetchedBlob { blob, by: FetchedBy::Itself });
        }
        let key = (cached.origin_name().clone(), digest.clone());
        let fetching = FromOrigin { cached: Arc::clone(cached), digest: digest.clone(), apart: self.apart.clone() };
        self.blobs.blob(key, digest, Arc::new(fetching)).await
    }
}

impl Apart {
    /// So many are remembered, then none.
    const MOST: usize = 10_000;

    fn is_new(&self, digest: &Digest) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= Self::MOST {
            seen.clear();
        }
        seen.insert(digest.clone())
    }
}

struct FromOrigin {
    cached: Arc<Cached>,
    digest: Digest,
    apart: Apart,
}

#[async_trait]
impl Fetching for FromOrigin {
    async fn fetched(&self) -> Result<Fetched> {
        let Self { cached, digest, apart } = self;
        let flight = match cached.sought(digest).await {
            Sought::Brought(blob) => return Ok(Fetched { blob, growing: None }),
            Sought::ToFetch(flight) => flight,
        };
        let fetched = cached.fetched(digest, flight).await?;
        if fetched.growing.is_none() && apart.is_new(digest) {
            let size = fetched.blob.size;
            tracing::warn!(%digest, size, "the store does not take a blob, and each who reads it costs a fetch");
        }
        Ok(fetched)
    }

    async fn alone(&self) -> Result<Blob> {
        self.cached.blob(&self.digest, Resume::START).await
    }

    async fn rest(&self, from: Resume) -> Result<ByteStream> {
        Ok(self.cached.origin.blob(&self.digest, from).await?.stream)
    }
}
