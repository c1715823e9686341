//! The image config: of an artifact made of files, and as others have written it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use futures_util::StreamExt;
use refs_registry::{
    Descriptor, Error as RegistryError, Platform, Source,
    error::{ConfigFault, Wanted},
    spec::{ImageConfig, RootFs},
};
use refs_url::Digest;

use crate::{Error, Result, layer, platform::is_nameless};

/// The config of an image has at most so many bytes.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

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

/// The config that `descriptor` points to, as something to show; `None` when it is no image's, or larger than 4 MiB.
///
/// # Errors
/// Those of the source.
pub(crate) async fn fetch(source: &dyn Source, descriptor: &Descriptor) -> Result<Option<ImageConfig>> {
    match read(source, descriptor).await {
        Ok(config) => Ok(Some(config)),
        Err(Error::Config { fault: ConfigFault::MediaType { .. }, .. }) => Ok(None),
        Err(Error::Registry(RegistryError::TooLarge { .. })) => Ok(None),
        Err(error @ Error::Config { .. }) => {
            tracing::warn!(config = %descriptor.digest, %error, "the config is not an image's");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The platform that `config` tells, which `descriptor` points to; `None` when it tells none.
///
/// # Errors
/// `Config`, for a platform that is malformed.
pub(crate) fn platform(config: &ImageConfig, descriptor: &Descriptor) -> Result<Option<Platform>> {
    let refuse = |fault| Error::Config { config: descriptor.digest.clone(), fault };
    let platform = config.platform().map_err(refuse)?;
    Ok(Some(platform).filter(|platform| !is_nameless(platform)))
}

/// The config that `descriptor` points to, which must be an image's.
///
/// # Errors
/// `Config`; `Registry` with `TooLarge` above 4 MiB, before anything is fetched; those of the source.
pub(crate) async fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<ImageConfig> {
    let Descriptor { media_type, digest, size, .. } = descriptor;
    let refuse = |fault| Error::Config { config: digest.clone(), fault };
    // What is not said to be an image's config need not be JSON, nor small.
    if !media_type.is_config() {
        return Err(refuse(ConfigFault::MediaType { found: media_type.to_string() }));
    }
    if *size > MAX_CONFIG_BYTES {
        let wanted = Wanted::Blob(digest.clone());
        return Err(RegistryError::TooLarge { wanted, limit: MAX_CONFIG_BYTES }.into());
    }
    let mut stream = layer::open_blob(source, descriptor).await?;
    let mut json = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        json.extend_from_slice(&chunk?);
    }
    ImageConfig::parse(&json).map_err(refuse)
}
