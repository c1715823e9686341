//! An artifact by its target: of an index, the image for the platform.

use refs_registry::{
    Descriptor, Manifest, Platform, Source,
    spec::{Document, ImageManifest, Index},
};
use refs_url::Target;

use crate::{Error, Result};

const MAX_INDEX_DEPTH: u32 = 4;

/// An artifact, found: its manifest, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// Where it was found, for errors.
    pub(crate) at: String,
    /// The manifest of the image.
    pub(crate) manifest: Manifest,
    /// What the manifest says.
    pub(crate) image: ImageManifest,
}

impl Artifact {
    /// The image at `target`. An index is followed to its image for `platform`; a lone image is taken as it is.
    pub(crate) async fn find(source: &dyn Source, at: &str, target: &Target, platform: &Platform) -> Result<Self> {
        let mut manifest = source.manifest(target).await?;
        for _ in 0..=MAX_INDEX_DEPTH {
            match manifest.parse()? {
                Document::Image(image) => return Ok(Self { at: at.to_owned(), manifest, image: *image }),
                Document::Index(index) => {
                    let chosen = choose(&index, platform, at)?;
                    manifest = source.manifest(&Target::Digest(chosen.digest.clone())).await?;
                }
            }
        }
        Err(Error::IndexTooDeep { at: at.to_owned(), limit: MAX_INDEX_DEPTH })
    }
}

fn choose<'a>(index: &'a Index, wanted: &Platform, at: &str) -> Result<&'a Descriptor> {
    let fits =
        |candidate: &&Descriptor| candidate.platform.as_ref().is_some_and(|platform| satisfies(platform, wanted));
    // An index of one artifact that names no platform has nothing to choose from.
    let only = match index.manifests.as_slice() {
        [only] if only.platform.is_none() => Some(only),
        _ => None,
    };
    index.manifests.iter().find(fits).or(only).ok_or_else(|| Error::PlatformNotFound {
        at: at.to_owned(),
        wanted: Box::new(wanted.clone()),
        available: index.manifests.iter().filter_map(|manifest| manifest.platform.clone()).collect(),
    })
}

fn satisfies(offered: &Platform, wanted: &Platform) -> bool {
    offered.os == wanted.os
        && offered.architecture == wanted.architecture
        && (wanted.variant.is_none() || offered.variant == wanted.variant)
}
