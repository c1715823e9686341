//! One repository of a registry.

mod blobs;
mod content_range;
mod link;
mod listing;
mod manifests;
mod mount;
mod parts;
mod pieces;
mod put;
mod referrers;
mod sending;
mod session;
mod tagged_list;
mod tagging;
mod upload;

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use refs_url::{Digest, Host, RepoName, Tag, Target};

pub(crate) use listing::catalog;

use crate::{
    Blob, Descriptor, Filter, Manifest, Mounted, Part, Payload, Result, Resume, Sent, Sink, Source, Stored, Upload,
    UploadState,
    auth::Scopes,
    error::{Place, Wanted},
    transport::{Call, Remote},
};

/// One repository of a registry. A clone is cheap, and uses the same connections and tokens.
#[derive(Debug, Clone)]
pub struct Repository {
    remote: Arc<Remote>,
    name: RepoName,
}

impl Repository {
    pub(crate) const fn new(remote: Arc<Remote>, name: RepoName) -> Self {
        Self { remote, name }
    }

    /// The host of the registry.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.remote.host
    }

    /// The repository's name within the registry.
    #[must_use]
    pub const fn name(&self) -> &RepoName {
        &self.name
    }

    fn place(&self) -> Place {
        format!("{}/{}", self.remote.host, self.name).into()
    }

    fn reading(&self, call: Call) -> Call {
        call.scoped(&self.name, Scopes::pull(&self.name))
    }

    fn writing(&self, call: Call) -> Call {
        call.scoped(&self.name, Scopes::push(&self.name))
    }

    fn blob_url(&self, digest: &Digest) -> url::Url {
        self.remote.endpoints.blob(&self.name, digest)
    }
}

#[async_trait]
impl Source for Repository {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.head_manifest(target).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.read_manifest(target).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.read_blob(digest, from).await
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.read_part(digest, range).await
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.head_blob(digest, Scopes::pull(&self.name)).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.list_tags(after.as_ref())
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.list_referrers(subject.clone(), filter)
    }
}

#[async_trait]
impl Sink for Repository {
    async fn upload(&self, resume: Option<UploadState>) -> Result<Box<dyn Upload>> {
        match resume {
            None => self.begin_upload(None).await,
            Some(state) => self.resume_upload(&state).await,
        }
    }

    async fn mount(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        self.mount_blob(digest, from).await
    }

    async fn put_blob(&self, blob: &Descriptor, payload: Payload) -> Result<Sent> {
        if self.head_blob(&blob.digest, Scopes::push(&self.name)).await?.is_some() {
            return Ok(Sent::Present);
        }
        match payload {
            Payload::Again(replay) => self.put_replay(blob, &replay).await?,
            Payload::Once(stream) => self.put_stream(blob, stream).await?,
        }
        Ok(Sent::Uploaded)
    }

    async fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        self.write_manifest(manifest, tags).await
    }

    async fn delete_manifest(&self, target: &Target) -> Result<()> {
        self.remove_manifest(target).await
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        self.delete(self.blob_url(digest), Wanted::Blob(digest.clone())).await
    }
}
