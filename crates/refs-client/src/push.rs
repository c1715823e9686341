//! Packs a directory and pushes it: the layer while it is being compressed, the manifest last.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use refs_estargz::{Built, Kind, TAIL_ANNOTATION, TOC_DIGEST_ANNOTATION, UNCOMPRESSED_SIZE_ANNOTATION};
use refs_registry::{Descriptor, Manifest, MediaType, Payload, Sent, Sink, spec::ImageManifest};
use refs_url::Tag;

use crate::{
    Error, Limits, ManifestName, Meter, Result,
    config::image_config,
    layer, manifest_file,
    pack::{Mtime, Plan, Rules},
    send::send_layer,
    thread,
};

/// How to push a directory.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Further tags for the same artifact.
    pub tags: Vec<Tag>,
    /// Annotations of the image manifest. They outweigh those that come of the manifest file.
    pub annotations: BTreeMap<String, String>,
    /// What to leave out, in gitignore's grammar; `.git/`, `.DS_Store` and `node_modules/` are left out anyway.
    pub exclude: Vec<String>,
    /// What kind of artifact it is; a plain image when `None`.
    pub artifact_type: Option<MediaType>,
    /// The media type of the layer.
    pub layer_type: MediaType,
    /// The media type of the config.
    pub config_type: MediaType,
    /// What the manifest file is called. Where there is one, it is checked, what it says goes into the annotations, and
    /// what it excludes is left out.
    pub manifest_file: ManifestName,
    /// Whether a directory without a manifest file is refused.
    pub require_manifest: bool,
    /// Which modification times to keep.
    pub mtime: Mtime,
    /// How hard to compress, from 0 to 9.
    pub level: u32,
    /// Above these figures a pull will refuse by default; a push warns.
    pub limits: Limits,
    /// How often a large layer is packed and sent in all when its upload breaks: it is sent while it is packed, so that
    /// nothing is kept that could be sent again.
    pub stream_attempts: u32,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            annotations: BTreeMap::new(),
            exclude: Vec::new(),
            artifact_type: None,
            layer_type: MediaType::OCI_LAYER_GZIP,
            config_type: MediaType::OCI_CONFIG,
            manifest_file: ManifestName::DEFAULT,
            require_manifest: false,
            mtime: Mtime::Keep,
            level: 6,
            limits: Limits::default(),
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

/// Packs `directory` and pushes it to `sink` under `tag`.
///
/// # Errors
/// `Source` and `Io` for what can't be packed, `ManifestNotFound` when one is required, else the sink's own. After an
/// error no tag has moved; blobs may have been left behind, which the registry will collect.
pub(crate) async fn push(
    sink: &Arc<dyn Sink>,
    directory: &Path,
    tag: &Tag,
    meter: &Arc<Meter>,
    options: &PushOptions,
) -> Result<Pushed> {
    let (plan, annotations) = plan(directory, options).await?;
    let plan = Arc::new(plan);
    let (built, layer_sent) = send_layer(sink, tag, &plan, meter, options).await?;
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
        subject: None,
        annotations,
        extra: BTreeMap::new(),
    })?;
    let tags: Vec<Tag> = std::iter::once(tag).chain(&options.tags).cloned().collect();
    sink.put_manifest(&manifest, &tags).await?;
    let descriptor = manifest.descriptor;
    Ok(Pushed { descriptor, layer, entries: built.entries, file_bytes: plan.bytes(), layer_sent })
}

/// What to pack, and the annotations of the image manifest.
async fn plan(directory: &Path, options: &PushOptions) -> Result<(Plan, BTreeMap<String, String>)> {
    let (root, name, exclude) = (directory.to_owned(), options.manifest_file.clone(), options.exclude.clone());
    let mtime = options.mtime;
    let (plan, manifest) = thread::run(move || {
        let manifest = manifest_file::read(&root, &name)?;
        let rules = Rules::new(name, manifest.as_ref(), &exclude)?;
        Ok((Plan::walk(&root, &rules, mtime)?, manifest))
    })
    .await?;
    if options.require_manifest && manifest.is_none() {
        let at = directory.display().to_string();
        return Err(Error::ManifestNotFound { at, name: options.manifest_file.to_string() });
    }
    warn_of_limits(&plan, &options.limits);
    let mut annotations = manifest.map(|manifest| manifest.annotations()).unwrap_or_default();
    annotations.extend(options.annotations.clone());
    Ok((plan, annotations))
}

fn warn_of_limits(plan: &Plan, limits: &Limits) {
    let exceeds = |figure: u64, limit: u64| limit != 0 && figure > limit;
    let entries = plan.entries().count() as u64;
    if exceeds(entries, limits.entries) {
        tracing::warn!(entries, limit = limits.entries, "more entries than a pull takes by default");
    }
    if exceeds(plan.bytes(), limits.total_bytes) {
        tracing::warn!(bytes = plan.bytes(), limit = limits.total_bytes, "more bytes than a pull takes by default");
    }
    for entry in plan.entries() {
        if let Kind::File { size } = entry.kind
            && exceeds(size, limits.file_bytes)
        {
            tracing::warn!(path = %entry.path, size, limit = limits.file_bytes, "a file larger than a pull takes by default");
        }
    }
}

fn layer_descriptor(built: &Built, options: &PushOptions) -> Descriptor {
    let annotations = [
        (TOC_DIGEST_ANNOTATION, built.toc_digest.to_string()),
        (UNCOMPRESSED_SIZE_ANNOTATION, built.uncompressed_size.to_string()),
        (TAIL_ANNOTATION, built.tail_bytes.to_string()),
        // With these two, `oras pull` unpacks the layer where it is called; without, it would skip it.
        (layer::TITLE, ".".to_owned()),
        (layer::UNPACK, "true".to_owned()),
    ];
    Descriptor {
        annotations: annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        ..Descriptor::new(options.layer_type.clone(), built.digest.clone(), built.size)
    }
}
