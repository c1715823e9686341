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
        let manifest = source.manifest(target).await?;
        Self::follow(source, at, manifest, platform).await
    }

    /// The image that `manifest` is or leads to.
    pub(crate) async fn follow(
        source: &dyn Source,
        at: &str,
        mut manifest: Manifest,
        platform: &Platform,
    ) -> Result<Self> {
        let mut depth = 0;
        loop {
            let index = match manifest.parse()? {
                Document::Image(image) => return Ok(Self { at: at.to_owned(), manifest, image: *image }),
                Document::Index(index) => index,
            };
            if depth == MAX_INDEX_DEPTH {
                return Err(Error::IndexTooDeep { at: at.to_owned(), limit: MAX_INDEX_DEPTH });
            }
            let chosen = choose(&index, platform, at)?;
            manifest = source.manifest(&Target::Digest(chosen.digest.clone())).await?;
            depth += 1;
        }
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
        available: index.manifests.iter().filter_map(|manifest| manifest.platform.clone()).filter(is_known).collect(),
    })
}

fn satisfies(offered: &Platform, wanted: &Platform) -> bool {
    offered.os == wanted.os
        && offered.architecture == wanted.architecture
        && (wanted.variant.is_none() || variant(offered) == variant(wanted))
}

/// The variant, unless it is the only one of its processor: `arm64` and `arm64/v8` are the same.
fn variant(platform: &Platform) -> Option<&str> {
    platform.variant.as_deref().filter(|variant| (platform.architecture.as_str(), *variant) != ("arm64", "v8"))
}

/// Builders put attestations into an index as images for a platform named so.
fn is_known(platform: &Platform) -> bool {
    platform.os != "unknown"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(offered: &str, wanted: &str, expected: bool) {
        let (offers, wants) = (Platform::parse(offered).unwrap(), Platform::parse(wanted).unwrap());
        assert_eq!(satisfies(&offers, &wants), expected, "{offered} for {wanted}");
    }

    #[test]
    fn variant_counts_when_one_is_wanted() {
        check("linux/amd64", "linux/amd64", true);
        check("linux/amd64", "linux/arm64", false);
        check("windows/amd64", "linux/amd64", false);
        check("linux/arm/v7", "linux/arm", true);
        check("linux/arm/v7", "linux/arm/v7", true);
        check("linux/arm/v6", "linux/arm/v7", false);
        check("linux/arm", "linux/arm/v7", false);
        check("linux/amd64/v3", "linux/amd64", true);
    }

    #[test]
    fn arm64_is_its_eighth_version() {
        check("linux/arm64", "linux/arm64/v8", true);
        check("linux/arm64/v8", "linux/arm64", true);
        check("linux/arm64/v8", "linux/arm64/v8", true);
        check("linux/arm64/v9", "linux/arm64/v8", false);
    }
}
