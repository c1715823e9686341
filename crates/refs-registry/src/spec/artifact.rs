//! Artifact manifests: of a draft of the image spec that was given up, and still about.

use refs_url::Target;
use serde::Deserialize;

use super::{Descriptor, Manifest, MediaType, from_json};
use crate::{
    Error, Result,
    error::{ManifestFault, Wanted},
};

/// An artifact: blobs, without a config
/// ([artifact manifest](https://github.com/opencontainers/image-spec/blob/v1.1.0-rc2/artifact.md), a draft). Nothing makes
/// them any more; what was made is read for what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactManifest {
    /// Its content, in order.
    pub blobs: Vec<Descriptor>,
    /// The manifest that it refers to.
    pub subject: Option<Descriptor>,
}

impl ArtifactManifest {
    /// Reads the bytes of `manifest`.
    ///
    /// # Errors
    /// `Manifest` when they are no artifact manifest, or have fields of other manifests, so that two readers could disagree.
    pub fn parse(manifest: &Manifest) -> Result<Self> {
        read(manifest).map_err(|fault| Error::Manifest {
            wanted: Wanted::Manifest(Target::Digest(manifest.descriptor.digest.clone())),
            fault,
        })
    }
}

fn read(manifest: &Manifest) -> Result<ArtifactManifest, ManifestFault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<MediaType>,
        blobs: Option<Vec<Descriptor>>,
        subject: Option<Descriptor>,
        layers: Option<serde::de::IgnoredAny>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let shape: Shape = from_json(&manifest.raw)?;
    if shape.layers.is_some() || shape.manifests.is_some() {
        return Err(ManifestFault::Ambiguous);
    }
    let announced = &manifest.descriptor.media_type;
    match shape.media_type.as_ref().unwrap_or(announced) {
        found if found != announced => Err(ManifestFault::media_type(announced, found)),
        found if !found.is_artifact() => Err(ManifestFault::media_type(&MediaType::OCI_ARTIFACT, found)),
        _ => Ok(ArtifactManifest { blobs: shape.blobs.unwrap_or_default(), subject: shape.subject }),
    }
}
