//! `refs inspect`

use std::{collections::BTreeMap, fmt};

use refs_client::{Inspected, InspectedLayer, Inspection, LayerKind, ManifestFile, manifest_file::Faults};
use refs_registry::{Descriptor, spec::ImageConfig};
use serde::Serialize;

use super::{Failure, container::Container};
use crate::{
    args::Inspect,
    output::{Bytes, escape},
    wiring::{Session, read_options},
};

/// The name that a file was pushed under.
const TITLE: &str = "org.opencontainers.image.title";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    reference: String,
    #[serde(flatten)]
    top: Document,
    /// The manifests of an index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<Document>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    #[serde(flatten)]
    manifest: Document,
    config: Document,
    /// How a container runs; `None` when the config says nothing of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_config: Option<ImageConfig>,
    /// The bytes of all layers as they are stored.
    layer_bytes: u64,
    /// The files of all layers, if they are known of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_file: Option<Described>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(flatten)]
    blob: Document,
    /// The digest of the archive before compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_id: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
}

/// What the manifest file says, or what is wrong with it.
#[derive(Serialize)]
#[serde(untagged)]
enum Described {
    Valid { title: String, link: String, description: String, classifications: Vec<String>, tags: Vec<String> },
    Invalid { faults: Vec<String> },
}

pub(super) async fn run(session: &Session, args: Inspect) -> Result<(), Failure> {
    let options = read_options(args.read, Vec::new());
    let inspection = session.showing("inspecting", session.client().inspect(&args.at, &options)).await?;
    let mut output = session.output();
    output.result(&shown(args.at.to_string(), inspection))?;
    Ok(output.flush()?)
}

fn shown(reference: String, inspection: Inspection) -> Shown {
    let Inspection { descriptor, artifact_type, annotations, manifests, image } = inspection;
    let artifact_type = artifact_type.map(|artifact_type| artifact_type.to_string());
    Shown {
        reference,
        top: Document { artifact_type, annotations, ..document(descriptor) },
        manifests: manifests.into_iter().map(document).collect(),
        image: image.map(shown_image),
    }
}

fn shown_image(image: Inspected) -> Image {
    let sum = |figure: fn(&InspectedLayer) -> Option<u64>| {
        image.layers.iter().map(figure).try_fold(0_u64, |sum, figure| Some(sum.saturating_add(figure?)))
    };
    let (files, file_bytes) = (sum(|layer| layer.files), sum(|layer| layer.file_bytes));
    let layer_bytes = sum(|layer| Some(layer.descriptor.size)).unwrap_or_default();
    let artifact_type = image.artifact_type.map(|artifact_type| artifact_type.to_string());
    let container = image.image_config.as_ref().map(Container::of).filter(|found| *found != Container::default());
    let platform = image.image_config.as_ref().and_then(platform_in);
    Image {
        manifest: Document { artifact_type, platform, annotations: image.annotations, ..document(image.descriptor) },
        config: document(image.config),
        container,
        image_config: image.image_config,
        layer_bytes,
        files,
        file_bytes,
        layers: image.layers.into_iter().map(shown_layer).collect(),
        manifest_file: image.manifest_file.map(described),
    }
}

/// The platform that a config names. That of an artifact may be empty, and name none.
fn platform_in(config: &ImageConfig) -> Option<String> {
    let platform = config.platform().ok()?;
    Some(platform).filter(|platform| !platform.os.is_empty()).map(|platform| platform.to_string())
}

fn shown_layer(layer: InspectedLayer) -> Layer {
    let InspectedLayer { descriptor, diff_id, kind, uncompressed_bytes, files, file_bytes } = layer;
    let diff_id = diff_id.map(|diff_id| diff_id.to_string());
    Layer { blob: document(descriptor), diff_id, kind: kind_word(kind), uncompressed_bytes, files, file_bytes }
}

fn document(descriptor: Descriptor) -> Document {
    Document {
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.to_string(),
        size: descriptor.size,
        artifact_type: descriptor.artifact_type.map(|artifact_type| artifact_type.to_string()),
        platform: descriptor.platform.map(|platform| platform.to_string()),
        annotations: descriptor.annotations,
    }
}

fn described(manifest_file: Result<ManifestFile, Faults>) -> Described {
    match manifest_file {
        Ok(ManifestFile { title, link, content, .. }) => Described::Valid {
            title,
            link,
            description: content.description,
            classifications: content.classifications.iter().map(|found| found.kind.to_string()).collect(),
            tags: content.tags,
        },
        Err(faults) => Described::Invalid { faults: faults.0.iter().map(ToString::to_string).collect() },
    }
}

fn kind_word(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Estargz => "estargz",
        LayerKind::ZstdChunked => "zstd:chunked",
        LayerKind::Tar => "tar",
        LayerKind::TarGzip => "tar+gzip",
        LayerKind::TarZstd => "tar+zstd",
        LayerKind::File => "file",
        _ => "other",
    }
}

/// Name and value of one thing, a line each, and all that came from a server spelled out.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14} {}", "reference", escape(&self.reference))?;
        head(f, &self.top)?;
        annotations(f, &self.top)?;
        for manifest in &self.manifests {
            let platform = manifest.platform.as_deref().unwrap_or("no platform");
            line(f, "manifest", &format!("{platform} {} {}", manifest.digest, manifest.media_type))?;
        }
        let Some(image) = &self.image else { return Ok(()) };
        if !self.manifests.is_empty() {
            line(f, "image", &image.manifest.digest)?;
            annotations(f, &image.manifest)?;
        }
        write!(f, "{image}")
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        line(f, "config", &format!("{} {} {}", config.digest, config.media_type, Bytes(config.size)))?;
        if let Some(platform) = &self.manifest.platform {
            line(f, "platform", platform)?;
        }
        if let Some(container) = &self.container {
            write!(f, "{container}")?;
        }
        for layer in &self.layers {
            line(f, "layer", &layer.to_string())?;
            if let Some(diff_id) = &layer.diff_id {
                line(f, "diff id", diff_id)?;
            }
        }
        if self.layers.len() > 1 {
            line(f, "layers", &format!("{}, {} together", self.layers.len(), Bytes(self.layer_bytes)))?;
        }
        if let (Some(files), Some(bytes)) = (self.files, self.file_bytes) {
            line(f, "files", &format!("{files}, {} together", Bytes(bytes)))?;
        }
        match &self.manifest_file {
            Some(Described::Valid { title, link, description, classifications, tags }) => {
                line(f, "title", title)?;
                line(f, "link", link)?;
                line(f, "description", description)?;
                line(f, "types", &classifications.join(", "))?;
                line(f, "tags", &tags.join(", "))
            }
            Some(Described::Invalid { faults }) => faults.iter().try_for_each(|fault| line(f, "manifest fault", fault)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, blob, .. } = self;
        write!(f, "{kind} {} {} {}", blob.digest, blob.media_type, Bytes(blob.size))?;
        if let Some(title) = blob.annotations.get(TITLE) {
            write!(f, ", `{title}`")?;
        }
        if let Some(bytes) = self.uncompressed_bytes {
            write!(f, ", {} unpacked", Bytes(bytes))?;
        }
        match self.files {
            Some(files) => write!(f, ", {files} file{}", if files == 1 { "" } else { "s" }),
            None => Ok(()),
        }
    }
}

fn head(f: &mut fmt::Formatter<'_>, document: &Document) -> fmt::Result {
    line(f, "digest", &document.digest)?;
    line(f, "media type", &document.media_type)?;
    match &document.artifact_type {
        Some(artifact_type) => line(f, "artifact type", artifact_type),
        None => Ok(()),
    }
}

fn annotations(f: &mut fmt::Formatter<'_>, document: &Document) -> fmt::Result {
    document.annotations.iter().try_for_each(|(key, value)| line(f, "annotation", &format!("{key}={value}")))
}

pub(super) fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, "\n{name:<14} {}", escape(value))
}
