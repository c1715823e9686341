//! How much of an artifact a store has.

use refs_registry::{Descriptor, MediaType, Platform, Source};
use refs_url::Target;

use crate::{Result, artifact::Artifact, layer::Purpose};

/// What there is of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Less than a pull reads.
    Part,
    /// What a pull reads. Of an image the config is missing, without which it can't be unpacked.
    Files,
    /// All that any verb reads.
    All,
}

/// What `source`, behind which nobody is, has of the artifact at `target`: of an index, of the image for `platform`, which is
/// Linux on this machine's processor unless given.
pub(crate) async fn extent(source: &dyn Source, at: &str, target: &Target, platform: Option<&Platform>) -> Extent {
    // Boxed: what looks through indexes is large.
    match Box::pin(find(source, at, target, platform)).await {
        Ok(extent) => extent,
        Err(error) => {
            tracing::debug!(%at, %target, %error, "it is not here as a whole");
            Extent::Part
        }
    }
}

async fn find(source: &dyn Source, at: &str, target: &Target, platform: Option<&Platform>) -> Result<Extent> {
    let wanted = platform.cloned().unwrap_or_else(Platform::linux_here);
    let artifact = Artifact::find(source, at, target, &wanted).await?;
    if platform.is_some() {
        artifact.require(source, &wanted).await?;
    }
    let image = &artifact.image;
    let mut layers = image.layers.iter().filter(|layer| layer.media_type != MediaType::OCI_EMPTY).peekable();
    // What has no layers is its config.
    let (is_bare, is_image) = (layers.peek().is_none(), Purpose::of(image) == Purpose::Image);
    for layer in layers {
        if !has(source, layer).await {
            return Ok(Extent::Part);
        }
    }
    Ok(match (is_bare, is_image) {
        (false, false) => Extent::All,
        _ if has(source, &image.config).await => Extent::All,
        (true, _) => Extent::Part,
        (false, true) => Extent::Files,
    })
}

async fn has(source: &dyn Source, blob: &Descriptor) -> bool {
    matches!(source.stat_blob(&blob.digest).await, Ok(Some(size)) if size == blob.size)
}
