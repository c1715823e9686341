//! The image config of an artifact made of files.

use std::collections::BTreeMap;

use refs_registry::spec::{ImageConfig, RootFs};
use refs_url::Digest;

/// The config of an image whose one layer unpacks to `diff_id`. Files have no platform, but a config must name one, and
/// the same on every machine or the digest would not be the same: builders take a file out of a `linux/amd64` image
/// without a warning on the most machines.
pub(crate) fn image_config(diff_id: Digest) -> ImageConfig {
    ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config: serde_json::Map::new(),
        rootfs: RootFs::layers(vec![diff_id]),
        extra: BTreeMap::new(),
    }
}
