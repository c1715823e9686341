//! An image's config.

use std::collections::BTreeMap;

use refs_url::Digest;
use serde::{Deserialize, Serialize};

use super::manifest::from_json;
use crate::error::ManifestFault;

/// What an image's config says of its root file system
/// ([image config](https://github.com/opencontainers/image-spec/blob/main/config.md)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The processor that the image is for.
    pub architecture: String,
    /// The operating system that the image is for.
    pub os: String,
    /// How a container of the image runs, as written.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The layers before compression.
    pub rootfs: RootFs,
    /// Fields that this library does not know, kept as they are.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl ImageConfig {
    /// Reads the config of an image.
    ///
    /// # Errors
    /// `Json` when it is none, or has so many values that they would take more memory than any config needs.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestFault> {
        from_json(json)
    }
}

/// The layers of an image before compression, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digest of each layer's uncompressed tar.
    pub diff_ids: Vec<Digest>,
}

impl RootFs {
    /// A root file system of these layers.
    #[must_use]
    pub fn layers(diff_ids: Vec<Digest>) -> Self {
        Self { kind: "layers".to_owned(), diff_ids }
    }
}
