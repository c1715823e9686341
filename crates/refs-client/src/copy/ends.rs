//! The two ends of a copy, and which of them failed.

use std::sync::Arc;

use refs_registry::{Descriptor, Error as RegistryError, ErrorKind, Sink, Source};
use refs_url::{Digest, Reference, RepoName, Tag, Target};

use super::{journal::Journals, noted::Noted};
use crate::{
    Error, Meter, Result,
    error::{Portion, Side},
};

/// Where a copy comes from and goes to.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) sink: Arc<dyn Sink>,
    /// What the source is called in errors.
    pub(crate) from: String,
    /// What the destination is called in errors.
    pub(crate) to: String,
    pub(crate) relation: Relation,
    /// Where it is written down how far large blobs have come, if it is.
    pub(crate) journals: Option<Journals>,
    /// What counts what need not be moved. What is moved is counted by the source, if it is.
    pub(crate) meter: Arc<Meter>,
}

/// How near the ends are to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    /// They are one repository.
    Same,
    /// They are in one registry, where the source has this name: blobs may be mounted.
    Beside(RepoName),
    /// They have nothing in common.
    Apart,
}

impl Relation {
    /// How near two repositories are to each other.
    pub(crate) fn of(from: &Reference, to: &Reference) -> Self {
        match (from.host() == to.host(), from.repository() == to.repository()) {
            (true, true) => Self::Same,
            (true, false) => Self::Beside(from.repository().clone()),
            (false, _) => Self::Apart,
        }
    }
}

impl Ends {
    /// A failure of the source.
    pub(super) fn unread(&self, source: RegistryError) -> Error {
        failure(Side::Source, &self.from, source)
    }

    /// A failure of the destination.
    pub(super) fn unwritten(&self, source: RegistryError) -> Error {
        failure(Side::Destination, &self.to, source)
    }

    /// A failure of the destination while it read from the source through `noted`.
    pub(super) fn blamed(&self, noted: &Noted, error: RegistryError) -> Error {
        match noted.failure() {
            Some(failure) => self.unread(failure),
            // Whoever sends bytes finds out that they are wrong before whoever reads them has come to their end.
            None if matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size) => self.unread(error),
            None => self.unwritten(error),
        }
    }

    /// Whether the blobs of a manifest are at the destination because the manifest is.
    pub(super) fn vouches_for_blobs(&self) -> bool {
        self.relation == Relation::Same || self.sink.vouches_for_blobs()
    }

    /// Whether mounting `blob` would do. Where nobody vouches for blobs it would give another name to whatever is in the
    /// source's file, or leave what is in the destination's: only a file that is missing takes a whole one.
    pub(super) async fn may_mount(&self, blob: &Descriptor) -> Result<bool> {
        if self.sink.vouches_for_blobs() {
            return Ok(true);
        }
        let there = self.sink.stat_blob(&blob.digest).await.map_err(|error| self.unwritten(error))?;
        let found = self.source.stat_blob(&blob.digest).await.map_err(|error| self.unread(error))?;
        Ok(there.is_none() && found == Some(blob.size))
    }

    /// Whether the destination has the manifest `digest`, which the source has.
    pub(super) async fn has_manifest(&self, digest: &Digest) -> Result<bool> {
        if self.relation == Relation::Same { Ok(true) } else { self.has_stored(digest).await }
    }

    /// The same of a manifest that the source does not have.
    pub(super) async fn has_stored(&self, digest: &Digest) -> Result<bool> {
        self.unless_lacking(self.sink.resolve(&Target::Digest(digest.clone())).await.map(|_| true))
    }

    /// Whether `digest` has `tag` at the destination.
    pub(super) async fn is_tagged(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        self.unless_lacking(self.sink.has_tag(tag, digest).await)
    }

    fn unless_lacking(&self, answer: Result<bool, RegistryError>) -> Result<bool> {
        match answer {
            Err(error) if self.may_lack(error.kind()) => Ok(false),
            answer => answer.map_err(|error| self.unwritten(error)),
        }
    }

    /// Whether a manifest may be absent that the destination fails to give so. Where nobody vouches for files a damaged one
    /// is as good as none: writing the manifest replaces it.
    pub(super) fn may_lack(&self, kind: ErrorKind) -> bool {
        let is_damaged = matches!(kind, ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt);
        may_be_absent(kind) || is_damaged && !self.sink.vouches_for_blobs()
    }
}

/// How the side at `at` failed.
pub(super) fn failure(side: Side, at: &str, source: RegistryError) -> Error {
    Error::Copy { side, what: Portion::Artifact, at: at.to_owned(), source: Box::new(source) }
}

/// A repository that is to come into being is denied to readers by some registries; whether it may be written shows when it
/// is.
pub(super) const fn may_be_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unauthorized | ErrorKind::Unsupported)
}
