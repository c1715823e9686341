//! Storing a manifest under several names.

use http::HeaderName;
use refs_url::{Algorithm, Digest, Tag, Target};

use super::{
    Repository,
    manifests::{Condition, subject_in},
};
use crate::{Error, Manifest, Result, Tagging, transport::Answer};

/// Registries have to take so many tags with one manifest; more may be too many.
const MOST_AT_ONCE: usize = 10;

impl Repository {
    /// Stores `manifest` under its digest and all `tags`, in as few requests as the registry allows. Gives the subject that
    /// it has taken note of.
    pub(super) async fn put_named(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Option<Digest>> {
        let digest = &manifest.descriptor.digest;
        // A registry files a manifest that comes by tag under its sha256.
        let needs_digest = tags.is_empty() || digest.algorithm() != Algorithm::Sha256;
        let (mut noted, mut left) = (None, tags.to_vec());
        if self.remote.quirks().tagging == Tagging::AtOnce && (tags.len() > 1 || needs_digest && !tags.is_empty()) {
            noted = self.put_at_once(manifest, &mut left).await?;
        }
        let is_there = left.len() < tags.len();
        if needs_digest && !is_there {
            let answer = self.put_if(manifest, &Target::Digest(digest.clone()), &Condition::Any).await?;
            noted = subject_in(&answer).or(noted);
        }
        for tag in left {
            let answer = self.put_if(manifest, &Target::Tag(tag), &Condition::Any).await?;
            noted = subject_in(&answer).or(noted);
        }
        Ok(noted)
    }

    /// Puts `manifest` by its digest with the tags of `left`, a few in each request, and takes away from `left` those that
    /// the registry says to have set
    /// ([pushing manifests](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests)).
    async fn put_at_once(&self, manifest: &Manifest, left: &mut Vec<Tag>) -> Result<Option<Digest>> {
        let target = Target::Digest(manifest.descriptor.digest.clone());
        let mut noted = None;
        while !left.is_empty() {
            let sent = left[..MOST_AT_ONCE.min(left.len())].to_vec();
            let answer = match self.put_with_tags(manifest, &target, &sent).await {
                Ok(answer) => answer,
                // Too long an address, or one that the registry makes nothing of. If it is the manifest that it does not
                // like, it says so again.
                Err(Error::Refused { status: 400..=499, .. } | Error::NotFound { .. } | Error::Unsupported { .. }) => {
                    return Ok(noted);
                }
                Err(error) => return Err(error),
            };
            noted = subject_in(&answer).or(noted);
            let set = tags_in(&answer);
            if set.is_empty() {
                self.remote.learn(|quirks| quirks.tagging = Tagging::OneByOne);
            }
            left.retain(|tag| !(sent.contains(tag) && set.contains(tag)));
            if !sent.iter().all(|tag| set.contains(tag)) {
                return Ok(noted);
            }
        }
        Ok(noted)
    }
}

/// The tags that the registry says to have set.
fn tags_in(answer: &Answer) -> Vec<Tag> {
    const TAG: HeaderName = HeaderName::from_static("oci-tag");
    let values = answer.headers.get_all(TAG).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|tag| Tag::parse(tag.trim()).ok()).collect()
}
