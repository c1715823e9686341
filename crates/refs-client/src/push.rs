//! Pushes a directory: the layer while it is being packed, the manifest last.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use refs_estargz::Built;
use refs_registry::{Descriptor, Manifest, MediaType, Payload, Sent, Sink, spec::ImageManifest};
use refs_url::Tag;

use crate::{
    Error, Location, Meter, PackOptions, Result, config::image_config, layer, pack, send::send_layer, upload::JournalAt,
};

/// How to push a directory.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// What of the directory to pack, and how.
    pub pack: PackOptions,
    /// Further tags for the same artifact.
    pub tags: Vec<Tag>,
    /// Annotations of the image manifest. They outweigh those of what the manifest file says.
    pub annotations: BTreeMap<String, String>,
    /// What it refers to, by tag or digest in the same repository: a signature its image, an SBOM its program. It is then
    /// listed among the referrers of that.
    pub subject: Option<Location>,
    /// What kind of artifact it is; a plain image when `None`.
    pub artifact_type: Option<MediaType>,
    /// The media type of the layer.
    pub layer_type: MediaType,
    /// The media type of the config.
    pub config_type: MediaType,
    /// How often a large layer is packed and sent in all when its upload breaks: it is sent while it is packed, so that
    /// nothing is kept that could be sent again. With a store, what the registry has acknowledged is packed again and not
    /// sent again, by a later push, too.
    pub stream_attempts: u32,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            pack: PackOptions::default(),
            tags: Vec::new(),
            annotations: BTreeMap::new(),
            subject: None,
            artifact_type: None,
            layer_type: MediaType::OCI_LAYER_GZIP,
            config_type: MediaType::OCI_CONFIG,
            stream_attempts: 3,
        }
    }
}

/// What a push made.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The manifest: what to pull it by.
    pub descriptor: Descriptor,
    /// The layer.
    pub layer: Descriptor,
    /// Files, directories and links.
    pub entries: u64,
    /// The bytes of the files together.
    pub file_bytes: u64,
    /// Whether the layer's bytes had to be sent.
    pub layer_sent: Sent,
}

/// Packs `directory` and pushes it to `sink` under `tag`, as something that refers to `subject`.
///
/// # Errors
/// `Source` and `Io` for what can't be packed, `ManifestNotFound` when one is required, else the sink's own. After an
/// error no tag has moved; blobs may have been left behind, which the registry will collect.
pub(crate) async fn push(
    sink: &Arc<dyn Sink>,
    directory: &Path,
    tag: &Tag,
    subject: Option<Descriptor>,
    meter: &Arc<Meter>,
    journal: Option<&JournalAt>,
    options: &PushOptions,
) -> Result<Pushed> {
    let (plan, manifest_file) = pack::plan(directory, &options.pack).await?;
    let plan = Arc::new(plan);
    let mut annotations = manifest_file.map(|file| file.annotations()).unwrap_or_default();
    annotations.extend(options.annotations.clone());
    let (built, layer_sent) = send_layer(sink, tag, &plan, meter, journal, options).await?;
    let layer = layer_descriptor(&built, options);
    let config = image_config(built.diff_id.clone());
    let config = Bytes::from(serde_json::to_vec(&config).map_err(|_infallible| Error::Worker)?);
    let config_descriptor = Descriptor::of(options.config_type.clone(), &config);
    sink.put_blob(&config_descriptor, Payload::from(config)).await?;
    let manifest = Manifest::image(&ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: options.artifact_type.clone(),
        config: config_descriptor,
        layers: vec![layer.clone()],
        subject,
        annotations,
        extra: BTreeMap::new(),
    })?;
    let tags: Vec<Tag> = std::iter::once(tag).chain(&options.tags).cloned().collect();
    sink.put_manifest(&manifest, &tags).await?;
    let descriptor = manifest.descriptor;
    Ok(Pushed { descriptor, layer, entries: built.entries, file_bytes: plan.bytes(), layer_sent })
}

fn layer_descriptor(built: &Built, options: &PushOptions) -> Descriptor {
    // With these two, `oras pull` unpacks the layer where it is called; without, it would skip it.
    let unpacked_there = [(layer::TITLE, ".".to_owned()), (layer::UNPACK, "true".to_owned())];
    let annotations = built.annotations().into_iter().chain(unpacked_there);
    Descriptor {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).collect(),
        ..Descriptor::new(options.layer_type.clone(), built.digest.clone(), built.size)
    }
}
