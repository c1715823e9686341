//! The image config: of an artifact made of files, and as others have written it.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use refs_registry::{
    Descriptor, Source,
    spec::{ImageConfig, RootFs},
};
use refs_url::Digest;

use crate::{Result, layer};

/// A config is not read beyond this: it is shown, not needed.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

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

/// Whether this is no more than [`image_config`] makes: it says nothing of how it runs, or how it was made.
pub(crate) fn is_of_files(config: &ImageConfig) -> bool {
    config.config.is_empty() && config.extra.is_empty()
}

/// The config that `descriptor` points to; `None` when it is no image's, or larger than 1 MiB.
///
/// # Errors
/// Those of the source.
pub(crate) async fn fetch(source: &dyn Source, descriptor: &Descriptor) -> Result<Option<ImageConfig>> {
    if !descriptor.media_type.is_config() || descriptor.size > MAX_CONFIG_BYTES {
        return Ok(None);
    }
    let Some(json) = bytes(source, descriptor).await? else { return Ok(None) };
    Ok(ImageConfig::parse(&json)
        .inspect_err(|error| tracing::warn!(config = %descriptor.digest, %error, "the config is not an image's"))
        .ok())
}

async fn bytes(source: &dyn Source, config: &Descriptor) -> Result<Option<Bytes>> {
    let mut stream = layer::open_blob(source, config).await?;
    let mut json = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        json.extend_from_slice(&chunk?);
        if json.len() as u64 > MAX_CONFIG_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(json.freeze()))
}
