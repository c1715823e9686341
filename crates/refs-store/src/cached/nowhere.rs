//! What is behind a cache when nobody may be asked.

use std::ops::Range;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source,
    error::{Place, Wanted},
};
use refs_url::{Digest, Tag, Target};

use crate::store::Origin;

/// A repository that is out of reach: it has nothing, and says what it would have been asked for. No socket is behind it.
#[derive(Debug)]
pub(super) struct Nowhere(Place);

impl Nowhere {
    pub(super) fn of(Origin { host, repository, .. }: &Origin) -> Self {
        Self(format!("{host}/{repository}").into())
    }

    fn lacks(&self, wanted: Wanted) -> Error {
        Error::NotCached { wanted, of: Some(self.0.clone()) }
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
