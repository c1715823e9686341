//! What one repository in memory holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use refs_registry::{Descriptor, Filter, Manifest, spec::Referrer};
use refs_url::{Digest, Tag, Target};

#[derive(Default)]
pub(super) struct Contents {
    pub(super) blobs: BTreeMap<Digest, Bytes>,
    pub(super) manifests: BTreeMap<Digest, Held>,
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// The bytes of unfinished uploads by session.
    pub(super) sessions: BTreeMap<String, Vec<u8>>,
}

pub(super) struct Held {
    pub(super) manifest: Manifest,
    pub(super) referrer: Option<Referrer>,
}

/// What a repository holds that nobody has written to.
pub(super) static NOTHING: Contents =
    Contents { blobs: BTreeMap::new(), manifests: BTreeMap::new(), tags: BTreeMap::new(), sessions: BTreeMap::new() };

impl Contents {
    pub(super) fn manifest(&self, target: &Target) -> Option<&Manifest> {
        let digest = match target {
            Target::Tag(tag) => self.tags.get(tag)?,
            Target::Digest(digest) => digest,
        };
        self.manifests.get(digest).map(|held| &held.manifest)
    }

    pub(super) fn referrers(&self, subject: &Digest, filter: &Filter) -> Vec<Descriptor> {
        let referrers = self.manifests.values().filter_map(|held| held.referrer.as_ref());
        referrers
            .filter(|referrer| referrer.listed(subject, filter))
            .map(|referrer| referrer.descriptor.clone())
            .collect()
    }

    /// Takes away a tag, or a manifest and its tags; says whether there was one.
    pub(super) fn remove(&mut self, target: &Target) -> Option<()> {
        match target {
            Target::Tag(tag) => self.tags.remove(tag).map(|_| ()),
            Target::Digest(digest) => {
                self.tags.retain(|_, tagged| tagged != digest);
                self.manifests.remove(digest).map(|_| ())
            }
        }
    }

    pub(super) fn has_content(&self) -> bool {
        !self.blobs.is_empty() || !self.manifests.is_empty()
    }

    pub(super) fn is_unused(&self) -> bool {
        !self.has_content() && self.sessions.is_empty()
    }
}
