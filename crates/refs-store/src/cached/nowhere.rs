//! What is behind a cache when nobody may be asked.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source,
    error::{Lost, Place, Wanted},
};
use refs_url::{Digest, Tag, Target};

use super::shared::Shared;
use crate::{
    record::{TagChange, TagRecord},
    store::Origin,
};

/// A repository that is out of reach: it has nothing, and says what it would have been asked for, or why it would have been.
/// No socket is behind it.
#[derive(Debug)]
pub(super) struct Nowhere {
    place: Place,
    shared: Arc<Shared>,
}

impl Nowhere {
    /// In the place of the origin of `shared`, which tells what became of what is asked for.
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        let Origin { host, repository, .. } = &shared.origin;
        Self { place: format!("{host}/{repository}").into(), shared }
    }

    async fn lacks(&self, wanted: Wanted) -> Error {
        let damage = digest_of(&wanted).and_then(|digest| self.shared.damages.of(digest));
        match damage.or_else(|| self.shared.read_failure()) {
            Some(cause) => cause,
            None => Error::NotCached { lost: self.lost(&wanted).await, wanted, of: Some(self.place.clone()) },
        }
    }

    /// What has become of what is wanted, in this process or in another before it.
    async fn lost(&self, wanted: &Wanted) -> Option<Lost> {
        let (store, origin) = (self.shared.usable()?, &self.shared.origin);
        let digest = match wanted {
            Wanted::Manifest(Target::Tag(tag)) => match store.recorded(origin, tag).await.ok()?? {
                TagRecord { descriptor, since: Some(TagChange::Gone { seen }), .. } => {
                    return Some(Lost::Gone { seen, was: descriptor.digest });
                }
                TagRecord { descriptor, .. } => descriptor.digest,
            },
            wanted => digest_of(wanted)?.clone(),
        };
        // Of what only others have brought nothing is told.
        if !store.is_member(origin, &digest).await.is_ok_and(|is_member| is_member) {
            return None;
        }
        store.set_aside(&digest).await.ok().flatten().map(Lost::Damaged)
    }
}

const fn digest_of(wanted: &Wanted) -> Option<&Digest> {
    match wanted {
        Wanted::Blob(digest) | Wanted::BlobPart(digest) | Wanted::Manifest(Target::Digest(digest)) => Some(digest),
        _ => None,
    }
}

#[async_trait]
impl Source for Nowhere {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        Err(self.lacks(Wanted::Manifest(target.clone())).await)
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        Err(self.lacks(Wanted::Manifest(target.clone())).await)
    }

    async fn blob(&self, digest: &Digest, _from: Resume) -> Result<Blob> {
        Err(self.lacks(Wanted::Blob(digest.clone())).await)
    }

    async fn blob_part(&self, digest: &Digest, _range: Range<u64>) -> Result<Part> {
        Err(self.lacks(Wanted::BlobPart(digest.clone())).await)
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Err(self.lacks(Wanted::Blob(digest.clone())).await)
    }

    fn tags(&self, _after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::once(async { Err(self.lacks(Wanted::Tags).await) }).boxed()
    }

    fn referrers(&self, subject: &Digest, _filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        let wanted = Wanted::Referrers(subject.clone());
        stream::once(async { Err(self.lacks(wanted).await) }).boxed()
    }
}
