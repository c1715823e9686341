//! An image's config.

use std::collections::BTreeMap;

use refs_url::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{ImageManifest, manifest::bounded};
use crate::error::ConfigFault;

/// What an image's config says: what its root file system is made of, and how a container of it runs
/// ([image config](https://github.com/opencontainers/image-spec/blob/main/config.md)).
///
/// What is missing or `null` is empty. How a container runs is looked at when it is asked for, so that one field with
/// another kind of value than it must have does not keep the others from being read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct ImageConfig {
    /// The processor that the image is for.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// The operating system that the image is for.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// How a container of the image runs, as written.
    #[serde(default, deserialize_with = "or_default")]
    pub config: Map<String, Value>,
    /// The layers before compression.
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// Fields that this library does not know, kept as they are.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// Reads the config of an image.
    ///
    /// # Errors
    /// `Json` when it is none, or has so many values that they would take more memory than any config needs.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigFault> {
        bounded(json).map_err(ConfigFault::Json)
    }

    /// Checks that this can be the config of `manifest`, and that each of its layers can be unpacked and checked.
    ///
    /// # Errors
    /// `MediaType` when the manifest says that its config is something else; `RootFsType` when the root file system is not made
    /// of layers; `DiffIds` when there are more or fewer of them than layers.
    pub fn check(&self, manifest: &ImageManifest) -> Result<(), ConfigFault> {
        let RootFs { kind, diff_ids } = &self.rootfs;
        if !manifest.config.media_type.is_config() {
            let found = manifest.config.media_type.as_str().chars().take(256).collect();
            return Err(ConfigFault::MediaType { found });
        }
        if kind != RootFs::LAYERS {
            return Err(ConfigFault::RootFsType { found: kind.chars().take(256).collect() });
        }
        if diff_ids.len() != manifest.layers.len() {
            return Err(ConfigFault::DiffIds { diff_ids: diff_ids.len(), layers: manifest.layers.len() });
        }
        Ok(())
    }
}

/// The layers of an image before compression, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// The digest of each layer's uncompressed tar.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl RootFs {
    const LAYERS: &str = "layers";

    /// A root file system of these layers.
    #[must_use]
    pub fn layers(diff_ids: Vec<Digest>) -> Self {
        Self { kind: Self::LAYERS.to_owned(), diff_ids }
    }
}

/// Go writes `null` for what is empty.
pub(super) fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::super::{Descriptor, MediaType};
    use super::*;

    #[test]
    fn what_is_no_config_is_an_error() {
        for json in [
            "",
            "[]",
            "5",
            r#"{"os":"li"#,
            r#"{"os":5}"#,
            r#"{"config":[]}"#,
            r#"{"rootfs":"layers"}"#,
            r#"{"rootfs":{"diff_ids":["x"]}}"#,
        ] {
            assert!(matches!(ImageConfig::parse(json.as_bytes()), Err(ConfigFault::Json(_))), "{json}");
        }
    }

    #[track_caller]
    fn check_layers(media_type: &str, kind: &str, diff_ids: usize, layers: usize, expected: Result<(), &str>) {
        let digest = Digest::sha256(b"");
        let layer = Descriptor::new(MediaType::OCI_LAYER, digest.clone(), 0);
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: Descriptor::new(MediaType::new(media_type), digest.clone(), 0),
            layers: vec![layer; layers],
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let rootfs = RootFs { kind: kind.to_owned(), diff_ids: vec![digest; diff_ids] };
        let config = ImageConfig { rootfs, ..ImageConfig::parse(b"{}").unwrap() };
        let checked = config.check(&manifest).map_err(|fault| fault.to_string());
        assert_eq!(checked.as_ref().map_err(String::as_str).copied(), expected);
    }

    #[test]
    fn config_has_to_suit_the_manifest() {
        const OCI: &str = "application/vnd.oci.image.config.v1+json";
        check_layers(OCI, "layers", 2, 2, Ok(()));
        check_layers(OCI, "layers", 0, 0, Ok(()));
        check_layers("application/vnd.docker.container.image.v1+json", "layers", 1, 1, Ok(()));
        let words = "it is of type `application/x-other`, and must be of Docker's or the image spec's for configs";
        check_layers("application/x-other", "layers", 1, 1, Err(words));
        check_layers(OCI, "x", 1, 1, Err("`rootfs.type` is `x`, and must be `layers`"));
        check_layers(OCI, "", 1, 1, Err("`rootfs.type` is ``, and must be `layers`"));
        check_layers(OCI, "layers", 1, 2, Err("`rootfs.diff_ids` has 1 for the 2 of the manifest's layers"));
        check_layers(OCI, "layers", 3, 2, Err("`rootfs.diff_ids` has 3 for the 2 of the manifest's layers"));
    }
}
