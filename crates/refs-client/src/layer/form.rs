//! How the files of a layer are packed, as far as the manifest tells.

use std::{collections::BTreeMap, sync::Arc};

use refs_estargz::{Entry, Expected, Kind, TAIL_ANNOTATION, TOC_DIGEST_ANNOTATION, ZSTD_TOC_DIGEST_ANNOTATION};
use refs_registry::{
    Descriptor, MediaType,
    spec::{ImageManifest, LayerFormat},
};
use refs_url::Digest;
use tokio::sync::OnceCell;

use super::{Trust, archive::unsupported, path, ranges::Indexed, sought::Known};
use crate::{Error, Result, error::LayerLimit};

/// The name that a file was pushed under.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";
/// Says that a blob is a directory, packed, and its title the directory's name.
pub(crate) const UNPACK: &str = "io.deis.oras.content.unpack";
/// An artifact may have many files, but layers that lie on each other are no more than this.
pub(super) const MAX_LAYERS: usize = 128;

/// What the layers of a manifest are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Files, for whoever pulls them. A lone layer holds them as they are, whatever they are called.
    Artifact,
    /// The root file system of a container: names may delete, may begin at the root and may lead through links, and the root
    /// is its own parent.
    Image,
}

/// A layer, and how to read it.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) form: Form,
    /// Of an archive that has no table of contents, by which its files are found once it was streamed.
    pub(crate) known: OnceCell<Known>,
}

/// How the files of a layer are packed.
#[derive(Debug)]
pub(crate) enum Form {
    /// An archive that may have a table of contents: eStargz, or zstd:chunked.
    Indexed {
        /// What vouches for the table.
        vouched: Vouched,
        /// The table once it was read; `None` inside when the layer turned out to be an archive like any other.
        index: OnceCell<Option<Arc<Indexed>>>,
    },
    /// An archive that is read as a stream.
    Archive {
        /// The directory that all its entries are in; empty for the artifact's root.
        root: String,
    },
    /// The blob is one file.
    File(Entry),
}

/// What the manifest says of a layer's table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// Nothing that could be compared with it.
    Nothing,
    /// The digest of its JSON.
    Json(Digest),
    /// The digest of its JSON as it is compressed with zstd.
    Compressed(Digest),
}

impl Purpose {
    /// As far as `image` tells: artifacts may have the config of an image, but not without saying so, or that they were pushed
    /// by this library.
    pub(crate) fn of(image: &ImageManifest) -> Self {
        let is_pushed = image.layers.iter().any(|layer| layer.annotations.contains_key(TAIL_ANNOTATION));
        if image.config.media_type.is_config() && image.artifact_type.is_none() && !is_pushed {
            Self::Image
        } else {
            Self::Artifact
        }
    }
}

/// The layers of an image that hold files, the lowest first.
///
/// # Errors
/// `UnsupportedLayer`; `LayerLimit` for too many; `UnsafePath` for a title that is no path.
pub(crate) fn layers(image: &ImageManifest, trust: Trust) -> Result<Vec<Layer>> {
    let filled = image.layers.iter().filter(|layer| layer.media_type != MediaType::OCI_EMPTY);
    let layers = filled
        .map(|layer| {
            Ok(Layer {
                descriptor: Arc::new(layer.clone()),
                form: form(layer, &image.config, trust)?,
                known: OnceCell::new(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut archives = layers.iter().filter(|layer| !matches!(layer.form, Form::File(_)));
    match archives.nth(MAX_LAYERS) {
        Some(beyond) => Err(too_many(&beyond.descriptor)),
        None => Ok(layers),
    }
}

/// The error for the first layer that is one too many.
pub(super) fn too_many(beyond: &Descriptor) -> Error {
    Error::LayerLimit { layer: beyond.digest.clone(), limit: LayerLimit::Layers(MAX_LAYERS) }
}

fn form(layer: &Descriptor, config: &Descriptor, trust: Trust) -> Result<Form> {
    if layer.media_type.is_encrypted() {
        return Err(unsupported(layer, "it is encrypted"));
    }
    let is_image = config.media_type.is_config();
    let format = layer.media_type.layer_format();
    let has_title = layer.annotations.contains_key(TITLE);
    // Without a type of its own, oras gives a file the type of an image's layer: only an image's config tells.
    let is_image_layer = format.is_some() && (is_image || !has_title);
    let vouched = Vouched::of(layer)?;
    let has_table = match (format, &vouched) {
        (Some(LayerFormat::TarGzip | LayerFormat::TarZstd) | None, Vouched::Json(_))
        | (Some(LayerFormat::TarZstd) | None, Vouched::Compressed(_)) => true,
        (Some(LayerFormat::TarGzip | LayerFormat::TarZstd), _) => is_image_layer && trust == Trust::Unverified,
        _ => false,
    };
    match trust {
        Trust::Verified if has_table => Ok(indexed(vouched)),
        Trust::Unverified if has_table => Ok(indexed(Vouched::Nothing)),
        _ if is_image_layer => Ok(Form::Archive { root: String::new() }),
        _ => by_title(layer),
    }
}

const fn indexed(vouched: Vouched) -> Form {
    Form::Indexed { vouched, index: OnceCell::const_new() }
}

impl Vouched {
    /// What is no digest vouches for nothing, as if it were not there.
    ///
    /// # Errors
    /// `UnsupportedLayer` when the manifest names two tables: they may tell of other files, and who reads which is chance.
    pub(super) fn of(layer: &Descriptor) -> Result<Self> {
        let annotation = |key| layer.annotations.get(key).map(|digest| digest.parse().ok());
        match (annotation(TOC_DIGEST_ANNOTATION), annotation(ZSTD_TOC_DIGEST_ANNOTATION)) {
            (Some(_), Some(_)) => Err(unsupported(layer, "its manifest names two tables of contents")),
            (Some(Some(digest)), None) => Ok(Self::Json(digest)),
            (None, Some(Some(digest))) => Ok(Self::Compressed(digest)),
            _ => Ok(Self::Nothing),
        }
    }

    /// What the table is checked against.
    pub(crate) fn expected(&self) -> Expected<'_> {
        match self {
            Self::Nothing => Expected::Unverified,
            Self::Json(digest) => Expected::Digest(digest),
            Self::Compressed(digest) => Expected::Compressed(digest),
        }
    }
}

/// As oras packs: a file is a blob of its own, a directory an archive whose names begin with that of the directory.
fn by_title(layer: &Descriptor) -> Result<Form> {
    let Some(title) = layer.annotations.get(TITLE) else { return Ok(Form::Archive { root: String::new() }) };
    let path = path::entry_path(title.as_bytes())?;
    if layer.annotations.get(UNPACK).is_some_and(|unpack| unpack == "true") {
        return Ok(Form::Archive { root: path });
    }
    if path.is_empty() {
        return Err(Error::UnsafePath { path: title.clone(), reason: "it names no file" });
    }
    Ok(Form::File(Entry {
        path,
        kind: Kind::File { size: layer.size },
        mode: 0o644,
        mtime: 0,
        uid: 0,
        gid: 0,
        xattrs: BTreeMap::new(),
        digest: Some(layer.digest.clone()),
    }))
}
