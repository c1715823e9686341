//! An artifact by its target: of an index, the image for the platform.

use refs_registry::{
    Descriptor, Manifest, Platform, Source,
    spec::{Document, ImageConfig, ImageManifest},
};
use refs_store::StoredImage;
use refs_url::Target;

use crate::{
    Error, Result, config,
    layer::Purpose,
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
    /// The platform that it is for, in the words of the index, or of its config when it was found by that.
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

    /// Whether both have the same layers, and these mean the same to whoever reads files.
    pub(crate) fn has_files_of(&self, other: &Self) -> bool {
        let kind = |image: &ImageManifest| (image.config.media_type.clone(), image.artifact_type.clone());
        self.image.layers == other.image.layers && kind(&self.image) == kind(&other.image)
    }

    /// Refuses an image that runs elsewhere than was asked for. What lists it may say where it runs; of others only the config
    /// does, which is read for that, and given. Artifacts run nowhere: the platform in the config that they may have means
    /// nothing.
    ///
    /// # Errors
    /// `PlatformNotFound`; `Config`; those of the source.
    pub(crate) async fn require(&self, source: &dyn Source, wanted: &Platform) -> Result<Option<ImageConfig>> {
        if self.suits_unread(wanted)? {
            return Ok(None);
        }
        let config = config::read(source, &self.image.config).await?;
        self.require_of(&config, wanted).map(|()| Some(config))
    }

    /// As [`require`](Artifact::require) for those who have the config.
    pub(crate) fn require_of(&self, config: &ImageConfig, wanted: &Platform) -> Result<()> {
        if self.suits_unread(wanted)? {
            return Ok(());
        }
        match config::platform(config, &self.image.config)? {
            Some(told) => self.require_fit(&told, wanted),
            None => Ok(()),
        }
    }

    /// Whether it suits, whatever its config says; when that is `false`, the config tells.
    fn suits_unread(&self, wanted: &Platform) -> Result<bool> {
        if self.platform.is_some() {
            return Ok(true);
        }
        match self.manifest.descriptor.platform.as_ref().filter(|listed| !is_nameless(listed)) {
            Some(listed) => self.require_fit(listed, wanted).map(|()| true),
            None => Ok(Purpose::of(&self.image) == Purpose::Artifact),
        }
    }

    fn require_fit(&self, platform: &Platform, wanted: &Platform) -> Result<()> {
        // What it does not say is no contradiction.
        let said = |said: &String, wanted: &String| if said.is_empty() { wanted.clone() } else { said.clone() };
        let full = Platform {
            os: said(&platform.os, &wanted.os),
            architecture: said(&platform.architecture, &wanted.architecture),
            ..platform.clone()
        };
        if fit(&full, wanted).is_some() {
            return Ok(());
        }
        let (at, wanted) = (self.at.clone(), Box::new(wanted.clone()));
        Err(Error::PlatformNotFound { at, wanted, available: vec![platform.clone()] })
    }
}
