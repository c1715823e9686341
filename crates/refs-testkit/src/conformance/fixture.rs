//! Content for the suite to read.

use bytes::Bytes;
use refs_registry::{Descriptor, Manifest, MediaType, Result, Sink};
use refs_url::{Digest, Tag};

use super::{
    Referrers,
    check::{put, tag},
};
use crate::{Image, image::index};

/// What a repository holds that [`reads`](super::reads) can read; nothing else must be in it.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// A blob of more than one chunk.
    pub(super) large: Bytes,
    /// An image with that blob as its layer, under all of [`Fixture::TAGS`].
    pub(super) image: Manifest,
    /// An index of the image, without a tag.
    pub(super) index: Manifest,
    /// What refers to the image, in order of digests.
    pub(super) referrers: Vec<Descriptor>,
}

/// The artifact type of one of the two referrers.
pub(super) const SBOM: &str = "application/vnd.example.sbom+json";

impl Fixture {
    /// The tags of the image, in order of their bytes.
    pub(super) const TAGS: [&'static str; 5] = ["B", "a", "b", "v1.10", "v1.9"];

    /// Puts the content into the empty repository `sink`.
    ///
    /// # Errors
    /// Those of the sink.
    pub async fn push(sink: &dyn Sink) -> Result<Self> {
        let large = Bytes::from("0123456789".repeat(100_000));
        put(sink, "").await?;
        let image = Image::new().layer(MediaType::OCI_LAYER, large.clone()).push(sink, &Self::TAGS).await?;
        let index = index(vec![image.descriptor.clone()])?;
        sink.put_manifest(&index, &[]).await?;
        let mut referrers = Vec::new();
        for kind in ["application/vnd.example.signature", SBOM] {
            referrers.push(push_referrer(sink, &image.descriptor, kind).await?);
        }
        referrers.sort_by(|one, other| one.digest.cmp(&other.digest));
        Ok(Self { large, image, index, referrers })
    }

    pub(super) fn large_digest(&self) -> Digest {
        Digest::sha256(&self.large)
    }

    /// The tags that the repository has, sorted: with the one of the list of referrers, where clients keep that.
    pub(super) fn tags(&self, referrers: Referrers) -> Vec<Tag> {
        let list = (referrers == Referrers::Tag).then(|| self.image.descriptor.digest.referrers_tag());
        let mut tags: Vec<Tag> = Self::TAGS.into_iter().map(tag).chain(list).collect();
        tags.sort();
        tags
    }
}

/// Stores an artifact that refers to `subject`, and gives it as a list of referrers has to show it.
pub(super) async fn push_referrer(sink: &dyn Sink, subject: &Descriptor, kind: &str) -> Result<Descriptor> {
    let artifact = Image::new().artifact_type(kind).subject(subject).annotate("kind", kind);
    let mut shown = artifact.push(sink, &[]).await?.descriptor;
    shown.artifact_type = Some(MediaType::new(kind));
    shown.annotations.insert("kind".to_owned(), kind.to_owned());
    Ok(shown)
}
