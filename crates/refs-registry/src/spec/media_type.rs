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
    /// An artifact manifest, of a draft of the image spec that was given up.
    OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";
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
    /// A tar layer that was not for everyone to pass on; obsolete.
    OCI_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    /// The same, gzipped.
    OCI_NONDISTRIBUTABLE_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// The same, compressed with zstd.
    OCI_NONDISTRIBUTABLE_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
    /// Docker's tar layer.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker's gzipped tar layer.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's zstd-compressed tar layer.
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker's tar layer that comes from elsewhere, such as those of Windows did.
    DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    /// The same, gzipped.
    DOCKER_FOREIGN_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// The same, compressed with zstd.
    DOCKER_FOREIGN_ZSTD = "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd";
    /// Docker's image manifest of schema 1, which nothing here reads.
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// The same, signed.
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

/// Docker's types, each with what the image spec calls the same. Of schema 1 there is none.
static TWINS: [(MediaType, MediaType); 9] = [
    (MediaType::DOCKER_MANIFEST, MediaType::OCI_MANIFEST),
    (MediaType::DOCKER_INDEX, MediaType::OCI_INDEX),
    (MediaType::DOCKER_CONFIG, MediaType::OCI_CONFIG),
    (MediaType::DOCKER_LAYER, MediaType::OCI_LAYER),
    (MediaType::DOCKER_LAYER_GZIP, MediaType::OCI_LAYER_GZIP),
    (MediaType::DOCKER_LAYER_ZSTD, MediaType::OCI_LAYER_ZSTD),
    (MediaType::DOCKER_FOREIGN, MediaType::OCI_NONDISTRIBUTABLE),
    (MediaType::DOCKER_FOREIGN_GZIP, MediaType::OCI_NONDISTRIBUTABLE_GZIP),
    (MediaType::DOCKER_FOREIGN_ZSTD, MediaType::OCI_NONDISTRIBUTABLE_ZSTD),
];

/// What tools append to the type of a layer that they encrypt.
const ENCRYPTED: &str = "+encrypted";

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

    /// What the image spec calls the same; all but Docker's types are their own.
    #[must_use]
    pub fn oci(&self) -> &Self {
        TWINS.iter().find(|(docker, _)| docker == self).map_or(self, |(_, oci)| oci)
    }

    /// Whether this is an image manifest, OCI's or Docker's.
    #[must_use]
    pub fn is_image(&self) -> bool {
        *self.oci() == Self::OCI_MANIFEST
    }

    /// Whether this is an index of manifests, OCI's or Docker's.
    #[must_use]
    pub fn is_index(&self) -> bool {
        *self.oci() == Self::OCI_INDEX
    }

    /// Whether this is an artifact manifest, of the draft that was given up.
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        *self == Self::OCI_ARTIFACT
    }

    /// Whether this is a manifest of any kind, of those that nothing here reads, too.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        self.is_image() || self.is_index() || self.is_artifact() || self.is_schema1()
    }

    /// Whether this is a layer that was not for everyone to pass on, OCI's or Docker's.
    #[must_use]
    pub fn is_nondistributable(&self) -> bool {
        [Self::OCI_NONDISTRIBUTABLE, Self::OCI_NONDISTRIBUTABLE_GZIP, Self::OCI_NONDISTRIBUTABLE_ZSTD]
            .contains(self.oci())
    }

    /// Whether this is the config of an image, OCI's or Docker's.
    #[must_use]
    pub fn is_config(&self) -> bool {
        *self.oci() == Self::OCI_CONFIG
    }

    /// Whether this is a manifest of Docker's schema 1, signed or not.
    #[must_use]
    pub fn is_schema1(&self) -> bool {
        *self == Self::DOCKER_SCHEMA1 || *self == Self::DOCKER_SCHEMA1_SIGNED
    }

    /// Whether this is a layer that only those can read who have a key.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.as_str().ends_with(ENCRYPTED)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, oci: &str, format: Option<LayerFormat>) {
        let media_type = MediaType::new(name);
        assert_eq!((media_type.oci().as_str(), media_type.layer_format()), (oci, format), "{name}");
        assert_eq!(MediaType::new(oci).layer_format(), format, "{oci}");
    }

    #[test]
    fn docker_types_have_twins() {
        use LayerFormat::{Tar, TarGzip, TarZstd};
        let docker = |rest: &str| format!("application/vnd.docker.{rest}");
        let oci = |rest: &str| format!("application/vnd.oci.image.{rest}");
        check(&docker("distribution.manifest.v2+json"), &oci("manifest.v1+json"), None);
        check(&docker("distribution.manifest.list.v2+json"), &oci("index.v1+json"), None);
        check(&docker("container.image.v1+json"), &oci("config.v1+json"), None);
        check(&docker("image.rootfs.diff.tar"), &oci("layer.v1.tar"), Some(Tar));
        check(&docker("image.rootfs.diff.tar.gzip"), &oci("layer.v1.tar+gzip"), Some(TarGzip));
        check(&docker("image.rootfs.diff.tar.zstd"), &oci("layer.v1.tar+zstd"), Some(TarZstd));
        let nondistributable = |rest: &str| oci(&format!("layer.nondistributable.v1.tar{rest}"));
        check(&docker("image.rootfs.foreign.diff.tar"), &nondistributable(""), Some(Tar));
        check(&docker("image.rootfs.foreign.diff.tar.gzip"), &nondistributable("+gzip"), Some(TarGzip));
        check(&docker("image.rootfs.foreign.diff.tar.zstd"), &nondistributable("+zstd"), Some(TarZstd));
    }

    #[test]
    fn other_types_are_their_own() {
        for own in ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.example", "text/plain", ""] {
            assert_eq!(MediaType::new(own).oci().as_str(), own);
        }
        assert_eq!(MediaType::DOCKER_SCHEMA1.oci(), &MediaType::DOCKER_SCHEMA1);
    }

    #[test]
    fn encrypted_layers_are_told_by_their_types() {
        for layer in
            [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP, MediaType::OCI_LAYER_ZSTD, MediaType::DOCKER_LAYER_GZIP]
        {
            let encrypted = MediaType::new(&format!("{layer}+encrypted"));
            assert_eq!((encrypted.is_encrypted(), encrypted.layer_format()), (true, None), "{encrypted}");
            assert!(!layer.is_encrypted(), "{layer}");
        }
    }
}
