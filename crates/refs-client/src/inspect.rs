//! Tells what an artifact is, from its manifest, its config and the ends of its layers: no file is fetched for it.

use std::{collections::BTreeMap, sync::Arc};

use refs_estargz::{Entry, UNCOMPRESSED_SIZE_ANNOTATION};
use refs_registry::{
    Descriptor, MediaType, Platform, Source,
    spec::{Document, ImageConfig, ImageManifest, LayerFormat},
};
use refs_url::{Digest, Target};

use crate::{
    ByteRange, Error, ManifestFile, ReadOptions, Result,
    artifact::Artifact,
    config,
    layer::{Access, Contents, Outline},
    manifest_file::{Faults, Finding, FindingKind},
};

/// What a tag or digest leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The manifest or index itself.
    pub descriptor: Descriptor,
    /// What kind of artifact it says it is.
    pub artifact_type: Option<MediaType>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The manifests that an index lists, each with its platform; none when it is an image itself.
    pub manifests: Vec<Descriptor>,
    /// The image: of an index that for the platform, if it has one. Its digest is another than that of the index.
    pub image: Option<Inspected>,
}

/// What an image is.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// What kind of artifact it says it is.
    pub artifact_type: Option<MediaType>,
    /// The annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// Its config.
    pub config: Descriptor,
    /// What the config says, if it is an image's and not larger than 4 MiB.
    pub image_config: Option<ImageConfig>,
    /// Its layers, the lowest first, without those that hold nothing.
    pub layers: Vec<InspectedLayer>,
    /// The manifest file, or what is wrong with it; `None` when there is none, or when whole layers would have to be
    /// fetched to find it.
    pub manifest_file: Option<std::result::Result<ManifestFile, Faults>>,
}

/// What a layer is.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedLayer {
    /// Its type, digest and compressed size.
    pub descriptor: Descriptor,
    /// The digest of its archive before compression, if the config can be that of the image.
    pub diff_id: Option<Digest>,
    /// How its files are packed.
    pub kind: LayerKind,
    /// The size of its archive before compression, in bytes, as far as an annotation claims one.
    pub uncompressed_bytes: Option<u64>,
    /// How many files it has, if that is known without fetching them.
    pub files: Option<u64>,
    /// The bytes of these files together.
    pub file_bytes: Option<u64>,
}

/// How the files of a layer are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerKind {
    /// An archive with a table of contents; the manifest vouches for it, unless what is read is a file, or need not be
    /// verified.
    Estargz,
    /// The same, compressed with zstd.
    ZstdChunked,
    /// A tar archive.
    Tar,
    /// A tar archive, gzipped.
    TarGzip,
    /// A tar archive, compressed with zstd.
    TarZstd,
    /// The blob is one file.
    File,
    /// Its media type does not tell.
    Other,
}

/// Inspects what `target` leads to.
///
/// # Errors
/// `PlatformNotFound`, `PlatformUnknown` and `NoImage` when a platform was asked for and is not there; those of the source and of
/// layers' formats.
pub(crate) async fn inspect(
    source: Arc<dyn Source>,
    at: &str,
    target: &Target,
    options: &ReadOptions,
) -> Result<Inspection> {
    let manifest = source.manifest(target).await?;
    let descriptor = manifest.descriptor.clone();
    let (artifact_type, annotations, manifests) = match manifest.parse()? {
        Document::Image(image) => (image.artifact_type, image.annotations, Vec::new()),
        Document::Index(index) => (index.artifact_type, index.annotations, index.manifests),
    };
    let platform = options.platform.clone().unwrap_or_else(Platform::linux_here);
    let image = match Artifact::follow(source.as_ref(), at, manifest, &platform).await {
        Ok(artifact) => Some(image(source, artifact, options).await?),
        // Nobody asked for this machine's platform: the list of those there are is the answer.
        Err(Error::PlatformNotFound { .. } | Error::PlatformUnknown { .. } | Error::NoImage { .. })
            if options.platform.is_none() =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    Ok(Inspection { descriptor, artifact_type, annotations, manifests, image })
}

async fn image(source: Arc<dyn Source>, artifact: Artifact, options: &ReadOptions) -> Result<Inspected> {
    let required = match &options.platform {
        Some(wanted) => artifact.require(source.as_ref(), wanted).await?,
        None => None,
    };
    let image_config = match required {
        Some(config) => Some(config),
        None => config::fetch(source.as_ref(), &artifact.image.config).await?,
    };
    let (mut layers, manifest_file): (Vec<_>, _) = match Contents::open(source, &artifact, options.trust) {
        Ok(contents) => {
            let layers = contents.outline().await?.iter().map(inspected).collect();
            (layers, manifest_file(&contents, options).await?)
        }
        // What can't be read can still be described.
        Err(Error::UnsupportedLayer { .. } | Error::LayerLimit { .. } | Error::UnsafePath { .. }) => {
            (filled(&artifact.image).map(|layer| described(layer, by_media_type(layer))).collect(), None)
        }
        Err(error) => return Err(error),
    };
    if let Some(config) = image_config.as_ref().filter(|config| config.check(&artifact.image).is_ok()) {
        add_diff_ids(&mut layers, &artifact.image, &config.rootfs.diff_ids);
    }
    Ok(Inspected {
        descriptor: artifact.manifest.descriptor,
        artifact_type: artifact.image.artifact_type,
        annotations: artifact.image.annotations,
        config: artifact.image.config,
        image_config,
        layers,
        manifest_file,
    })
}

/// The layers that hold something.
fn filled(image: &ImageManifest) -> impl Iterator<Item = &Descriptor> {
    image.layers.iter().filter(|layer| layer.media_type != MediaType::OCI_EMPTY)
}

/// Gives each of `layers`, those of `image` that hold something, the one of `diff_ids` that is its own: there is one for
/// each layer of `image`.
fn add_diff_ids(layers: &mut [InspectedLayer], image: &ImageManifest, diff_ids: &[Digest]) {
    let all = image.layers.iter().zip(diff_ids);
    let own = all.filter(|(layer, _)| layer.media_type != MediaType::OCI_EMPTY).map(|(_, diff_id)| diff_id);
    for (layer, diff_id) in layers.iter_mut().zip(own) {
        layer.diff_id = Some(diff_id.clone());
    }
}

async fn manifest_file(
    contents: &Contents,
    options: &ReadOptions,
) -> Result<Option<std::result::Result<ManifestFile, Faults>>> {
    if contents.access() == Access::Stream {
        return Ok(None);
    }
    match contents.read_file(options.manifest_file.as_str(), ByteRange::ALL, ManifestFile::MAX_BYTES, Vec::new()).await
    {
        Ok(yaml) => Ok(Some(ManifestFile::parse(&yaml).map(|checked| checked.manifest))),
        Err(Error::FileTooLarge { limit, .. }) => {
            let kind = FindingKind::TooLarge { limit };
            Ok(Some(Err(Faults(vec![Finding { position: None, field: String::new(), kind }]))))
        }
        Err(Error::FileNotFound { .. } | Error::NotFile { .. } | Error::UnsupportedLayer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn inspected(outline: &Outline) -> InspectedLayer {
    let kind = match outline {
        Outline::Indexed { descriptor, .. } if by_media_type(descriptor) == LayerKind::TarZstd => {
            LayerKind::ZstdChunked
        }
        Outline::Indexed { .. } => LayerKind::Estargz,
        Outline::File { .. } => LayerKind::File,
        Outline::Archive { descriptor } => by_media_type(descriptor),
    };
    let (descriptor, counted) = match outline {
        Outline::Indexed { descriptor, index } => (descriptor, Some(counted(index.toc().entries()))),
        Outline::File { descriptor, entry } => (descriptor, Some(counted([entry.clone()]))),
        Outline::Archive { descriptor } => (descriptor, None),
    };
    let layer = described(descriptor, kind);
    InspectedLayer { files: counted.map(|(files, _)| files), file_bytes: counted.map(|(_, bytes)| bytes), ..layer }
}

/// How many files there are, and their bytes.
fn counted(entries: impl IntoIterator<Item = Entry>) -> (u64, u64) {
    let files = entries.into_iter().filter(Entry::is_file);
    // Sizes are as declared, and may be anything.
    files.fold((0, 0_u64), |(files, bytes), file| (files + 1, bytes.saturating_add(file.size())))
}

fn described(layer: &Descriptor, kind: LayerKind) -> InspectedLayer {
    let claimed = layer.annotations.get(UNCOMPRESSED_SIZE_ANNOTATION);
    let uncompressed_bytes = claimed.and_then(|bytes| bytes.parse().ok());
    InspectedLayer { descriptor: layer.clone(), diff_id: None, kind, uncompressed_bytes, files: None, file_bytes: None }
}

fn by_media_type(layer: &Descriptor) -> LayerKind {
    match layer.media_type.layer_format() {
        Some(LayerFormat::Tar) => LayerKind::Tar,
        Some(LayerFormat::TarGzip) => LayerKind::TarGzip,
        Some(LayerFormat::TarZstd) => LayerKind::TarZstd,
        _ => LayerKind::Other,
    }
}
