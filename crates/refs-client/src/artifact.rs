//! An artifact by its target: of an index, the image for the platform.

use refs_registry::{
    Descriptor, Manifest, Platform, Source,
    spec::{Document, ImageConfig, ImageManifest},
};
use refs_store::StoredImage;
use refs_url::Target;

use crate::{
    Error, Result, config,
    platform::{fit, is_nameless},
    search::search,
};

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
    /// The image at `target`. An index is followed to its image for `platform`; a lone image is taken as it
    /// is, and [`require`](Artifact::require) looks at what it is for.
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

    /// As a store lists it that has all of it, asked for by `target`.
    pub(crate) fn stored(&self, target: Target) -> StoredImage {
        let (manifest, index, platform) = (self.manifest.descriptor.clone(), self.index.clone(), self.platform.clone());
        StoredImage { target, manifest, index, platform }
    }

    /// Refuses an image that runs elsewhere than was asked for. An index says where its images run; of others only the
    /// config does, which is read for that. Files run nowhere: the platform in the config that they must have means nothing.
    ///
    /// # Errors
    /// `PlatformNotFound`; those of the source.
    pub(crate) async fn require(&self, source: &dyn Source, wanted: &Platform) -> Result<()> {
        if self.platform.is_some() {
            return Ok(());
        }
        match config::fetch(source, &self.image.config).await? {
            Some(config) => self.require_of(&config, wanted),
            None => Ok(()),
        }
    }

    /// As [`require`](Artifact::require) for those who have the config.
    pub(crate) fn require_of(&self, config: &ImageConfig, wanted: &Platform) -> Result<()> {
        if config::is_of_files(config) { Ok(()) } else { self.require_image(config, wanted) }
    }

    /// As [`require_of`](Artifact::require_of) for those who take what this is for an image, whatever the config leaves out.
    pub(crate) fn require_image(&self, config: &ImageConfig, wanted: &Platform) -> Result<()> {
        let Ok(platform) = config.platform() else { return Ok(()) };
        // What it does not say is no contradiction.
        let said = |said: &String, wanted: &String| if said.is_empty() { wanted.clone() } else { said.clone() };
        let full = Platform {
            os: said(&platform.os, &wanted.os),
            architecture: said(&platform.architecture, &wanted.architecture),
            ..platform.clone()
        };
        if self.platform.is_some() || is_nameless(&platform) || fit(&full, wanted).is_some() {
            return Ok(());
        }
        let (at, wanted) = (self.at.clone(), Box::new(wanted.clone()));
        Err(Error::PlatformNotFound { at, wanted, available: vec![platform] })
    }
}
