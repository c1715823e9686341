//! What the registry has that the caches are asked for.

use serde_json::json;

use super::REPOSITORY;
use crate::error::{Error, Result};
use crate::wire;

/// A blob of the registry, and a manifest of the image that it is the layer of: the paths of both.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) blob: String,
    pub(super) manifest: String,
}

impl Content {
    /// Pushes them to the registry at `host`.
    pub(super) async fn push(host: &str, bytes: &[u8]) -> Result<Self> {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let config = config.to_string();
        let [config_digest, digest] = [digest(config.as_bytes()), digest(bytes)];
        for (digest, bytes) in [(&config_digest, config.as_bytes()), (&digest, bytes)] {
            let pushed = wire::push_blob(host, REPOSITORY, digest, bytes).await;
            pushed.map_err(Error::file("push to", host))?;
        }
        let (kind, manifest) = wire::image_of((&config_digest, config.len()), (&digest, bytes.len()));
        let path = format!("/v2/{REPOSITORY}/manifests/{}", self::digest(manifest.as_bytes()));
        let pushed = wire::push_manifest(host, &path, kind, manifest.as_bytes()).await;
        pushed.map_err(Error::file("push to", host))?;
        Ok(Self { blob: format!("/v2/{REPOSITORY}/blobs/{digest}"), manifest: path })
    }
}

fn digest(bytes: &[u8]) -> String {
    refs_url::Digest::sha256(bytes).to_string()
}
