//! Media types, Docker's and OCI's in one table.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// A media type, without parameters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

/// How the files of a layer are packed, as far as its media type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerFormat {
    /// A tar archive.
    Tar,
    /// A tar archive, gzipped; eStargz is one, too.
    TarGzip,
    /// A tar archive, compressed with zstd.
    TarZstd,
}

macro_rules! known {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

known! {
    /// An image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An index of manifests.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// Docker's image manifest, schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index, the manifest list.
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// An image's config.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// Docker's image config.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// The empty JSON object, for artifacts without a config.
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// A tar layer.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// A gzipped tar layer.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A zstd-compressed tar layer.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's gzipped tar layer.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

impl MediaType {
    /// The media type `text`, of which parameters (`; charset=…`) are dropped.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bare = text.split_once(';').map_or(text, |(bare, _)| bare);
        Self(Cow::Owned(bare.trim().to_owned()))
    }

    /// The media type `text`; `None` when it is not `type/subtype` by the grammar of
    /// [RFC 6838, section 4.2](https://www.rfc-editor.org/rfc/rfc6838#section-4.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_name = |name: &str| {
            name.len() <= 127
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
        };
        (is_name(kind) && is_name(subtype)).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The types that a client asks for when it asks for a manifest, best first.
    pub const MANIFESTS: [Self; 4] = [Self::OCI_MANIFEST, Self::OCI_INDEX, Self::DOCKER_MANIFEST, Self::DOCKER_INDEX];

    /// Whether this is an image manifest, OCI's or Docker's.
    #[must_use]
    pub fn is_image(&self) -> bool {
        *self == Self::OCI_MANIFEST || *self == Self::DOCKER_MANIFEST
    }

    /// Whether this is an index of manifests, OCI's or Docker's.
    #[must_use]
    pub fn is_index(&self) -> bool {
        *self == Self::OCI_INDEX || *self == Self::DOCKER_INDEX
    }

    /// How a layer of this type is packed; `None` when its name does not say.
    #[must_use]
    pub fn layer_format(&self) -> Option<LayerFormat> {
        let name = self.as_str();
        if name.ends_with("tar+gzip") || name.ends_with("tar.gzip") {
            Some(LayerFormat::TarGzip)
        } else if name.ends_with("tar+zstd") || name.ends_with("tar.zstd") {
            Some(LayerFormat::TarZstd)
        } else if name.ends_with(".tar") {
            Some(LayerFormat::Tar)
        } else {
            None
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
