//! One repository of a registry.

mod blobs;
pub(crate) mod content_range;
mod held;
pub(crate) mod link;
mod listing;
mod manifests;
mod mirrors;
mod mount;
mod noting;
mod parts;
mod pieces;
mod probe;
mod put;
mod referrers;
mod sending;
mod session;
mod tagged_list;
mod tagging;
mod upload;

use std::{ops::Range, sync::Arc, time::Instant};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use refs_url::{Digest, Host, RepoName, Tag, Target};

pub(crate) use listing::catalog;
pub(crate) use manifests::ACCEPT;
pub(crate) use mirrors::MirrorHost;

use crate::{
    Blob, Descriptor, Filter, Manifest, Mounted, Noted, Part, Payload, Replay, Result, Resume, Sent, Sink, Source,
    Stored, Upload, UploadState,
    auth::Scopes,
    error::{Place, Wanted},
    hosts::Serves,
    transport::{Call, Remote},
};

/// One repository of a registry. A clone is cheap, and uses the same connections and tokens.
#[derive(Debug, Clone)]
pub struct Repository {
    remote: Arc<Remote>,
    name: RepoName,
    /// Who is asked before the registry, in this order.
    mirrors: Arc<[mirrors::MirrorOf]>,
}

impl Repository {
    /// The repository `name`, which `mirrors` are asked for first where they have it, under its name `known_as` to them.
    pub(crate) fn new(remote: Arc<Remote>, name: RepoName, mirrors: &[Arc<MirrorHost>], known_as: &RepoName) -> Self {
        Self { remote, name, mirrors: mirrors::of(mirrors, known_as) }
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
        Place::registry(&format!("{}/{}", self.remote.host, self.name))
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
        let mirrored =
            self.mirrored(|serves| serves.covers(target), |mirror| async move { mirror.head_manifest(target).await });
        match mirrored.await {
            Some((found, _)) => Ok(found),
            None => self.head_manifest(target).await,
        }
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        let mirrored =
            self.mirrored(|serves| serves.covers(target), |mirror| async move { mirror.read_manifest(target).await });
        match mirrored.await {
            Some((found, _)) => Ok(found),
            None => self.read_manifest(target).await,
        }
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let resume = &from;
        let mirrored =
            self.mirrored(Serves::has_digests, |mirror| async move { mirror.read_blob(digest, resume.clone()).await });
        match mirrored.await {
            Some((found, mirror)) => Ok(mirror.watch(found)),
            None => self.read_blob(digest, from).await,
        }
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let asked = &range;
        let mirrored =
            self.mirrored(Serves::has_digests, |mirror| async move { mirror.read_part(digest, asked.clone()).await });
        match mirrored.await {
            Some((found, _)) => Ok(found),
            None => self.read_part(digest, range).await,
        }
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let mirrored = self.mirrored(Serves::has_digests, |mirror| async move { mirror.found_blob(digest).await });
        match mirrored.await {
            Some((size, _)) => Ok(Some(size)),
            None => self.head_blob(digest, Scopes::pull(&self.name)).await,
        }
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.list_tags(after.as_ref())
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.list_referrers(subject.clone(), filter)
    }

    fn last_heard(&self) -> Option<Instant> {
        self.last_sign()
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

    async fn put_noted(&self, blob: &Descriptor, replay: Replay, noted: &Noted) -> Result<Sent> {
        if self.head_blob(&blob.digest, Scopes::push(&self.name)).await?.is_some() {
            noted.notes.clear().await;
            return Ok(Sent::Present);
        }
        // Boxed: it holds the state of one upload and of the one that takes its place.
        Box::pin(self.put_by_notes(blob, &replay, noted)).await?;
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
