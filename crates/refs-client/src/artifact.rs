//! An artifact by its target: of an index, the image for the platform.

use refs_registry::{
    Descriptor, Manifest, Platform, Source,
    spec::{Document, ImageConfig, ImageManifest},
};
use refs_url::Target;

use crate::{Result, config, platform::fit, search::search};

/// An artifact, found: its manifest, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// Where it was found, for errors.
    pub(crate) at: String,
    /// The index that it was found through: the outermost, where they are nested.
    pub(crate) index: Option<Descriptor>,
    /// The platform that it is for, in the words of the index.
    pub(crate) platform: Option<Platform>,
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
        let (mut outermost, mut named, mut depth) = (None, None, 0);
        loop {
            let index = match manifest.parse()? {
                Document::Image(image) => {
                    let at = at.to_owned();
                    return Ok(Self { at, index: outermost, platform: named, manifest, image: *image });
                }
                Document::Index(index) => *index,
            };
            outermost.get_or_insert_with(|| manifest.descriptor.clone());
            // Boxed: most artifacts are in no index, and what finds them needs no room for one.
            let found = Box::pin(search(source, at, index, depth, platform)).await?;
            (named, depth) = (found.platform, found.depth);
            // Whatever its descriptor says, this may be one more index.
            manifest = source.manifest(&Target::Digest(found.descriptor.digest)).await?;
        }
    }

    /// Warns of an image that runs elsewhere than was asked for. An index says where its images run; of others only the
    /// config does, which is not read when nothing was asked.
    pub(crate) async fn compare(&self, source: &dyn Source, wanted: &Platform) {
        if self.platform.is_some() {
            return;
        }
        match config::fetch(source, &self.image.config).await {
            Ok(Some(config)) => self.compare_with(&config, wanted),
            Ok(None) => {}
            Err(error) => tracing::debug!(at = self.at, %error, "the config cannot be read for its platform"),
        }
    }

    /// As [`compare`](Artifact::compare) for those who have the config.
    pub(crate) fn compare_with(&self, config: &ImageConfig, wanted: &Platform) {
        // Files run nowhere: the platform in the config that they must have means nothing.
        if self.platform.is_some() || config.config.is_empty() {
            return;
        }
        let Ok(platform) = config.platform() else { return };
        if fit(&platform, wanted).is_none() {
            tracing::warn!(at = self.at, "the image is for {platform}, not for {wanted}; it is taken as it is");
        }
    }
}
