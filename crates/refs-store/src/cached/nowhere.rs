//! What is behind a cache when nobody may be asked.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source,
    error::{Place, Wanted},
};
use refs_url::{Digest, Tag, Target};

use super::shared::Shared;
use crate::store::Origin;

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

    fn lacks(&self, wanted: Wanted) -> Error {
        let damage = match &wanted {
            Wanted::Blob(digest) | Wanted::BlobPart(digest) | Wanted::Manifest(Target::Digest(digest)) => {
                self.shared.damages.of(digest)
            }
            _ => None,
        };
        let cause = damage.or_else(|| self.shared.read_failure());
        cause.unwrap_or_else(|| Error::NotCached { wanted, of: Some(self.place.clone()) })
    }
}

#[async_trait]
impl Source for Nowhere {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        Err(self.lacks(Wanted::Manifest(target.clone())))
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        Err(self.lacks(Wanted::Manifest(target.clone())))
    }

    async fn blob(&self, digest: &Digest, _from: Resume) -> Result<Blob> {
        Err(self.lacks(Wanted::Blob(digest.clone())))
    }

    async fn blob_part(&self, digest: &Digest, _range: Range<u64>) -> Result<Part> {
        Err(self.lacks(Wanted::BlobPart(digest.clone())))
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Err(self.lacks(Wanted::Blob(digest.clone())))
    }

    fn tags(&self, _after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::iter([Err(self.lacks(Wanted::Tags))]).boxed()
    }

    fn referrers(&self, subject: &Digest, _filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::iter([Err(self.lacks(Wanted::Referrers(subject.clone())))]).boxed()
    }
}
