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
    async fn fetched(&self, digest: &Digest, flight: Option<Flight>) -> Result<Fetched> {
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
            None => self.fetched_or_kept(digest).await.map(|fetched| fetched.blob),
        }
    }

    /// The blob, which was not kept a moment ago: from the origin into the store, unless another has brought it meanwhile.
    pub(super) async fn fetched_or_kept(&self, digest: &Digest) -> Result<Fetched> {
        let flight = self.local.flight(digest).await;
        if flight.is_some()
            && let Some(blob) = self.kept(digest).await
        {
            return Ok(Fetched { blob, growing: None });
        }
        self.fetched(digest, flight).await
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
