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
        let at_once = self.remote.quirks().tagging == Tagging::AtOnce && (needs_digest || tags.len() > 1);
        if needs_digest || at_once {
            let chunk = if at_once { MOST_AT_ONCE.min(left.len()) } else { 0 };
            noted = self.put_at_once(manifest, &mut left, chunk).await?;
        }
        for tag in left {
            let answer = self.put_if(manifest, &Target::Tag(tag), &Condition::Any).await?;
            noted = subject_in(&answer).or(noted);
        }
        Ok(noted)
    }

    /// Puts `manifest` by its digest with the tags of `left`, up to `chunk` in each request, and takes away from `left`
    /// those that the registry says to have set
    /// ([pushing manifests](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests)).
    async fn put_at_once(&self, manifest: &Manifest, left: &mut Vec<Tag>, chunk: usize) -> Result<Option<Digest>> {
        let target = Target::Digest(manifest.descriptor.digest.clone());
        let mut noted = None;
        loop {
            let sent = left[..chunk.min(left.len())].to_vec();
            let answer = match self.put_with_tags(manifest, &target, &sent).await {
                Ok(answer) => answer,
                // Too long an address, or one with what the registry does not know.
                Err(Error::Refused { status: 400 | 414 | 431, .. }) if !sent.is_empty() => {
                    self.put_with_tags(manifest, &target, &[]).await?
                }
                Err(error) => return Err(error),
            };
            noted = subject_in(&answer).or(noted);
            let set = tags_in(&answer);
            left.retain(|tag| !(sent.contains(tag) && set.contains(tag)));
            if !sent.is_empty() && set.is_empty() {
                self.remote.learn(|quirks| quirks.tagging = Tagging::OneByOne);
            }
            if left.is_empty() || !sent.iter().all(|tag| set.contains(tag)) || sent.is_empty() {
                return Ok(noted);
            }
        }
    }
}

/// The tags that the registry says to have set.
fn tags_in(answer: &Answer) -> Vec<Tag> {
    const TAG: HeaderName = HeaderName::from_static("oci-tag");
    let values = answer.headers.get_all(TAG).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|tag| Tag::parse(tag.trim()).ok()).collect()
}
