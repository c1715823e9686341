//! Brings blobs from the origin into the store, and to who reads them.

use futures_util::StreamExt;
use refs_registry::{Blob, Result, Resume};
use refs_url::Digest;

use super::{
    keeping::{Beginning, Keeping},
    source::Cached,
    tee::tee,
};
use crate::{flight::Flight, joint::Fetched};

/// What came of waiting for the turn to fetch a blob.
pub(super) enum Sought {
    /// It is to be fetched, by those alone who have its flight where there is one.
    ToFetch(Option<Flight>),
    /// Another has brought it.
    Brought(Blob),
}

impl Cached {
    /// The blob, of which `beginning` is kept and the origin gives the rest: by that it has shown that it has the blob. `None`
    /// when what is kept can't be its beginning.
    async fn resumed(&self, digest: &Digest, beginning: Beginning) -> Result<Option<Fetched>> {
        let Beginning { total, resume, stream, keeping } = beginning;
        let offset = resume.offset();
        let rest = self.origin.blob(digest, resume).await?;
        if rest.size != total {
            tracing::debug!(%digest, total, size = rest.size, "what is kept is the beginning of something else");
            keeping.discard().await;
            return Ok(None);
        }
        tracing::debug!(%digest, offset, total, "reading on where an earlier read has ended");
        self.local.give(digest);
        let keeping = match &self.aside {
            Some(aside) => keeping.or_aside(aside, total).await,
            None => keeping,
        };
        let growing = keeping.growing();
        let blob = Blob { size: total, stream: stream.chain(tee(rest.stream, keeping)).boxed() };
        Ok(Some(Fetched { blob, growing }))
    }

    /// The blob as the origin gives it from its start, or the rest of it where its beginning is kept.
    pub(super) async fn fetched(&self, digest: &Digest, flight: Option<Flight>) -> Result<Fetched> {
        let flight = match self.local.partial(digest).await {
            Some(beginning) => match self.resumed(digest, beginning.holding(flight)).await? {
                Some(fetched) => return Ok(fetched),
                // It was let go with the beginning.
                None => self.local.flight(digest).await,
            },
            None => flight,
        };
        let blob = self.origin.blob(digest, Resume::START).await?;
        let fill = self.local.fill(digest, blob.size, flight).await;
        let fill = match &self.aside {
            Some(aside) => {
                let fill = fill.unwrap_or_else(|| self.local.keeping_nothing(digest));
                Some(fill.or_aside(aside, blob.size).await)
            }
            None => fill,
        };
        let growing = fill.as_ref().and_then(Keeping::growing);
        let blob = match fill {
            Some(fill) => Blob { size: blob.size, stream: tee(blob.stream, fill) },
            None => blob,
        };
        Ok(Fetched { blob, growing })
    }

    /// The blob from the store, or from the origin into it.
    pub(super) async fn kept_or_fetched(&self, digest: &Digest) -> Result<Blob> {
        match self.kept(digest).await {
            Some(blob) => Ok(blob),
            None => match self.sought(digest).await {
                Sought::Brought(blob) => Ok(blob),
                Sought::ToFetch(flight) => self.fetched(digest, flight).await.map(|fetched| fetched.blob),
            },
        }
    }

    /// The turn to fetch the blob, which was not kept a moment ago, unless another has brought it meanwhile.
    pub(super) async fn sought(&self, digest: &Digest) -> Sought {
        let flight = self.local.flight(digest).await;
        match flight {
            Some(_) => self.kept(digest).await.map_or(Sought::ToFetch(flight), Sought::Brought),
            None => Sought::ToFetch(None),
        }
    }

    /// The blob from the store, if it is there and the origin has it.
    pub(super) async fn kept(&self, digest: &Digest) -> Option<Blob> {
        match self.local.blob_of_origin(digest).await? {
            Some(blob) => Some(blob),
            None if self.has_shown(digest).await => self.local.blob(digest, Resume::START).await,
            None => None,
        }
    }
}
