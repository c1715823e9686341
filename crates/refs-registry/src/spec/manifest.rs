//! Manifests: the bytes as received, and what they say.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use refs_url::{Digest, Target};
use serde::{Deserialize, Serialize};

use super::{Descriptor, MediaType, has_room};
use crate::{
    Error, Result,
    error::{ManifestFault, Wanted},
};

/// A manifest as received. Its digest is of exactly these bytes, so they are what is stored and forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Media type, digest and size of [`raw`](Manifest::raw).
    pub descriptor: Descriptor,
    /// The bytes.
    pub raw: Bytes,
}

/// What a [`Manifest`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// An image, or an artifact.
    Image(Box<ImageManifest>),
    /// An index of manifests.
    Index(Box<Index>),
}

/// An image: a config and layers ([image manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The config.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this library does not know, kept as they are.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// An index: a list of manifests, for platforms or as one wants
/// ([image index](https://github.com/opencontainers/image-spec/blob/main/image-index.md)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this library does not know, kept as they are.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// More bytes than any registry takes for a manifest are not read, either.
    pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

    /// A manifest of these bytes, described by their sha256.
    #[must_use]
    pub fn new(media_type: MediaType, raw: Bytes) -> Self {
        Self { descriptor: Descriptor::of(media_type, &raw), raw }
    }

    /// The manifest that says `image`.
    ///
    /// # Errors
    /// `Manifest` when a free field of `image` has no JSON form.
    pub fn image(image: &ImageManifest) -> Result<Self> {
        Self::write(image.media_type.clone().unwrap_or(MediaType::OCI_MANIFEST), image)
    }

    /// The manifest that says `index`.
    ///
    /// # Errors
    /// As [`image`](Manifest::image).
    pub fn index(index: &Index) -> Result<Self> {
        Self::write(index.media_type.clone().unwrap_or(MediaType::OCI_INDEX), index)
    }

    fn write(media_type: MediaType, document: &impl Serialize) -> Result<Self> {
        let raw = serde_json::to_vec(document).map_err(|error| Error::Manifest {
            wanted: Wanted::Manifest(Target::Digest(Digest::sha256(&[]))),
            fault: ManifestFault::Json(error.to_string().into()),
        })?;
        Ok(Self::new(media_type, raw.into()))
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// `Manifest` when they are no image manifest and no index, or when two readers could disagree about which: fields of
    /// both (CVE-2021-41190), or a media type in the body that is not the announced one.
    pub fn parse(&self) -> Result<Document> {
        self.read().map_err(|fault| Error::Manifest {
            wanted: Wanted::Manifest(Target::Digest(self.descriptor.digest.clone())),
            fault,
        })
    }

    fn read(&self) -> Result<Document, ManifestFault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: u32,
            media_type: Option<MediaType>,
            layers: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = from_json(&self.raw)?;
        if shape.layers.is_some() && shape.manifests.is_some() {
            return Err(ManifestFault::Ambiguous);
        }
        let announced = &self.descriptor.media_type;
        if let Some(found) = shape.media_type.filter(|found| found != announced) {
            return Err(ManifestFault::media_type(announced, &found));
        }
        if shape.schema_version != 2 {
            let announced = clipped(announced.as_str());
            return Err(ManifestFault::Unknown(format!("{announced} with schema version {}", shape.schema_version)));
        }
        if announced.is_index() {
            from_json(&self.raw).map(|index| Document::Index(Box::new(index)))
        } else if announced.is_image() {
            from_json(&self.raw).map(|image| Document::Image(Box::new(image)))
        } else {
            Err(ManifestFault::Unknown(clipped(announced.as_str())))
        }
    }
}

/// Reads JSON that a stranger wrote.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(raw: &'a [u8]) -> Result<T, ManifestFault> {
    bounded(raw).map_err(ManifestFault::Json)
}

/// Reads JSON that a stranger wrote, if it has room; else says why not.
pub(super) fn bounded<'a, T: Deserialize<'a>>(raw: &'a [u8]) -> Result<T, Arc<str>> {
    if !has_room(raw) {
        return Err(Arc::from("it has more values than any manifest needs"));
    }
    // The parser quotes the values that it stumbles over, however long they are.
    serde_json::from_slice(raw).map_err(|error| clipped(&error.to_string()).into())
}

impl ManifestFault {
    /// That it says to be `found` where `expected` was announced.
    pub(crate) fn media_type(expected: &MediaType, found: &MediaType) -> Self {
        Self::MediaType { expected: clipped(expected.as_str()), found: clipped(found.as_str()) }
    }
}

/// The beginning of `words`.
fn clipped(words: &str) -> String {
    words.chars().take(256).collect()
}
