//! How a manifest shows among those that refer to another.

use refs_url::Digest;

use super::{Descriptor, Document, ImageManifest, Index, MediaType};
use crate::Filter;

/// A manifest that refers to another, its subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// The manifest that it refers to, which need not be there.
    pub subject: Digest,
    /// Its type, digest and size, with the artifact type and all annotations of the manifest, as
    /// [listings of referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers) have it.
    pub descriptor: Descriptor,
}

impl Referrer {
    /// The listing of the manifest `descriptor`, which says `document`; `None` when it has no subject. An image that
    /// names no artifact type is of the type of its config.
    #[must_use]
    pub fn of(descriptor: &Descriptor, document: &Document) -> Option<Self> {
        let (subject, artifact_type, annotations) = match document {
            Document::Image(image) => (&image.subject, Some(kind_of(image)), &image.annotations),
            Document::Index(index) => (&index.subject, declared_kind_of(index), &index.annotations),
        };
        let mut descriptor = Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size);
        descriptor.artifact_type = artifact_type.cloned();
        descriptor.annotations = annotations.clone();
        subject.as_ref().map(|subject| Self { subject: subject.digest.clone(), descriptor })
    }

    /// Whether a listing of what refers to `subject` shows this one.
    #[must_use]
    pub fn listed(&self, subject: &Digest, filter: &Filter) -> bool {
        self.subject == *subject
            && filter.artifact_type.as_ref().is_none_or(|wanted| self.descriptor.artifact_type.as_ref() == Some(wanted))
    }
}

fn kind_of(image: &ImageManifest) -> &MediaType {
    let declared = image.artifact_type.as_ref().filter(|kind| !kind.as_str().is_empty());
    declared.unwrap_or(&image.config.media_type)
}

fn declared_kind_of(index: &Index) -> Option<&MediaType> {
    index.artifact_type.as_ref().filter(|kind| !kind.as_str().is_empty())
}
