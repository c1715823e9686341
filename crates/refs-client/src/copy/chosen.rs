//! Which manifest to copy, and what of an index.

use std::collections::HashSet;

use refs_registry::{
    Descriptor, Manifest, MediaType, Platform, Source,
    spec::{Document, Index},
};
use refs_url::{Digest, Target};

use super::options::Platforms;
use crate::{
    Error, Result,
    artifact::Artifact,
    search::{Found, search},
};

/// What an attestation in an index is about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// The manifest to copy, and what of it.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) manifest: Manifest,
    pub(super) chosen: Chosen,
    pub(super) origin: Origin,
    /// The index that was asked for, where it is not copied itself.
    pub(super) stays: Option<Digest>,
}

/// Where a manifest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The source has it.
    Source,
    /// It was made for the destination.
    Made,
}

/// What of the manifests that an index lists is copied.
#[derive(Debug)]
pub(super) enum Chosen {
    All,
    /// These images, and the indexes that lead to them.
    Only(HashSet<Digest>),
}

impl Chosen {
    pub(super) fn includes(&self, listed: &Descriptor) -> bool {
        match self {
            Self::All => true,
            Self::Only(chosen) => chosen.contains(&listed.digest),
        }
    }
}

impl Root {
    /// What `platforms` choose at `target`. What a tag leads to is asked once: what is found is what is copied, even if the
    /// tag moves meanwhile.
    pub(super) async fn find(source: &dyn Source, at: &str, target: &Target, platforms: &Platforms) -> Result<Self> {
        let manifest = source.manifest(target).await?;
        let all = |manifest| Self { manifest, chosen: Chosen::All, origin: Origin::Source, stays: None };
        let (wanted, index) = match platforms {
            Platforms::All => return Ok(all(manifest)),
            Platforms::Image(platform) => {
                let artifact = Artifact::follow(source, at, manifest, platform).await?;
                artifact.require(source, platform).await?;
                return Ok(Self { stays: artifact.index.map(|index| index.digest), ..all(artifact.manifest) });
            }
            Platforms::Sparse(wanted) | Platforms::Rewritten(wanted) => match manifest.parse()? {
                Document::Image(_) => {
                    require_any(source, at, &manifest, wanted).await?;
                    return Ok(all(manifest));
                }
                Document::Index(index) => (wanted, *index),
            },
        };
        let Images { images, through } = images(source, at, &index, wanted).await?;
        if let Platforms::Rewritten(_) = platforms {
            let stays = Some(manifest.descriptor.digest);
            let manifest = rewritten(&manifest.descriptor.media_type, index, &images)?;
            return Ok(Self { manifest, chosen: Chosen::All, origin: Origin::Made, stays });
        }
        let chosen = images.into_iter().map(|image| image.digest).chain(through).collect();
        Ok(Self { manifest, chosen: Chosen::Only(chosen), origin: Origin::Source, stays: None })
    }
}

/// Refuses the lone image `manifest` when it suits none of `wanted`, if there are any.
async fn require_any(source: &dyn Source, at: &str, manifest: &Manifest, wanted: &[Platform]) -> Result<()> {
    let mut refusal = None;
    for platform in wanted {
        let artifact = Artifact::follow(source, at, manifest.clone(), platform).await?;
        match artifact.require(source, platform).await {
            Err(error @ Error::PlatformNotFound { .. }) => drop(refusal.get_or_insert(error)),
            other => return other.map(drop),
        }
    }
    refusal.map_or(Ok(()), Err)
}

/// Images of an index.
struct Images {
    /// Each once, and the attestations about them.
    images: Vec<Descriptor>,
    /// The indexes that lead to them from the one that was looked in.
    through: HashSet<Digest>,
}

/// The image for each of `wanted`, in that order, with the attestations about it.
async fn images(source: &dyn Source, at: &str, index: &Index, wanted: &[Platform]) -> Result<Images> {
    let (mut images, mut on_the_way) = (Vec::<Descriptor>::new(), HashSet::new());
    for platform in wanted {
        // Boxed, as it is for artifacts.
        let found = Box::pin(search(source, at, index.clone(), 0, platform)).await?;
        let Found { mut descriptor, platform, through, .. } = found;
        on_the_way.extend(through);
        descriptor.platform = descriptor.platform.or(platform);
        if images.iter().all(|image| image.digest != descriptor.digest) {
            images.push(descriptor);
        }
    }
    let is_about_one = |listed: &&Descriptor| {
        let about = listed.annotations.get(ABOUT);
        about.is_some_and(|about| images.iter().any(|image| image.digest.to_string() == *about))
    };
    let attestations: Vec<_> = index.manifests.iter().filter(is_about_one).cloned().collect();
    images.extend(attestations);
    Ok(Images { images, through: on_the_way })
}

/// An index like `index` that lists `images`: those that it lists itself in its own order, then those of indexes in it.
fn rewritten(media_type: &MediaType, index: Index, images: &[Descriptor]) -> Result<Manifest> {
    let place = |image: &Descriptor| {
        let listed = index.manifests.iter().position(|listed| listed.digest == image.digest);
        listed.unwrap_or(usize::MAX)
    };
    let mut manifests = images.to_vec();
    manifests.sort_by_key(place);
    let index = Index { manifests, media_type: Some(media_type.clone()), ..index };
    Manifest::index(&index).map_err(Error::from)
}
