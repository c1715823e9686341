//! What exactly is in the way.

use std::{fmt, path::PathBuf};

use refs_registry::error::Code;
use refs_url::ParseError;

use super::{Error, said::Listed};
use crate::unpack::LEADS_OUT;

/// What is wrong with a location.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationFault {
    /// It names no tag and no digest, and the verb needs one.
    NoTarget,
    /// It names a digest where only a tag can be written.
    DigestAsTarget,
    /// It names no digest, and the verb is about a blob, which has no other name.
    NoDigest,
    /// It names a tag, and the verb is about a blob: tags lead to manifests.
    TagNotAllowed,
    /// It names a tag or a digest, and the verb is about all the tags of a repository.
    TargetNotAllowed,
    /// The verb works on a registry only.
    NotRegistry,
    /// It is a file, and the verb writes to a repository.
    File,
    /// It is a file, and the verb needs tags.
    Untagged,
    /// It should be a file, and is a directory.
    Directory,
    /// It is in another repository than what is to refer to it.
    OtherRepository,
    /// It is written as skopeo does, with this transport, which is not read.
    Transport(&'static str),
    /// Nothing follows the scheme.
    NoPath,
    /// The tag or digest after the path is not one.
    BadTarget(ParseError),
    /// It is a layout that lists these repositories, and the verb is about one of them.
    SeveralRepositories(Vec<String>),
    /// It would be written by this name into a layout, and no repository has such a name.
    BadName(String),
}

impl fmt::Display for LocationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget => f.write_str("names no tag and no digest"),
            Self::DigestAsTarget => f.write_str("names a digest, and only a tag can be pushed to"),
            Self::NoDigest => f.write_str("names no digest, and a blob has no other name"),
            Self::TagNotAllowed => f.write_str("names a tag, and tags lead to manifests, not to blobs"),
            Self::TargetNotAllowed => f.write_str("names a tag or a digest, and all tags of a repository are listed"),
            Self::NotRegistry => f.write_str("is not a repository of a registry"),
            Self::File => f.write_str("is a layer in a file, which nothing can be pushed to"),
            Self::Untagged => f.write_str("is a layer in a file, which has no tags"),
            Self::Directory => f.write_str("is a directory"),
            Self::OtherRepository => {
                f.write_str("is in another repository, and only what is in the same can be a subject")
            }
            Self::Transport(name) => {
                write!(f, "begins with `{name}:`: what is read is HOST/REPO:TAG, ocidir://PATH:TAG or file://PATH")
            }
            Self::NoPath => f.write_str("has no path after its scheme"),
            Self::BadTarget(error) => write!(f, "does not end in a tag or digest: {error}"),
            Self::SeveralRepositories(names) => write!(f, "lists several repositories: {}", Listed(names)),
            Self::BadName(name) => write!(f, "names `{name}` in a layout, which is no HOST/REPO"),
        }
    }
}

/// A side of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

impl Side {
    pub(super) const fn doing(self, what: Portion) -> &'static str {
        match (self, what) {
            (Self::Source, Portion::Artifact) => "copy from",
            (Self::Source, Portion::Referrers) => "copy what refers to it from",
            (Self::Destination, Portion::Artifact) => "copy to",
            (Self::Destination, Portion::Referrers) => "copy what refers to it to",
        }
    }
}

/// A portion of what a copy moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// The artifact, with all that it leads to.
    Artifact,
    /// What refers to it.
    Referrers,
}

/// How many manifests that hang together are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphLimit {
    /// So many may be above one another, by what they list or by what they refer to.
    Depth(u32),
    /// So many there may be in all.
    Manifests(usize),
    /// So many bytes they may have together.
    Bytes(u64),
}

impl fmt::Display for GraphLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(limit) => write!(f, "manifests that are nested more than {limit} deep"),
            Self::Manifests(limit) => write!(f, "more than {limit} manifests"),
            Self::Bytes(limit) => write!(f, "manifests of more than {limit} bytes together"),
        }
    }
}

impl Error {
    /// The failure of the registry, or of a store on this machine, that this is, or that a side of a copy had.
    #[must_use]
    pub fn registry(&self) -> Option<&refs_registry::Error> {
        match self {
            Self::Registry(error) => Some(error),
            Self::Copy { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the same may succeed later, as [`refs_registry::Error::is_retryable`] says. What is wrong with an artifact, a
    /// destination or a request is so later, too.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.registry().is_some_and(refs_registry::Error::is_retryable)
    }

    /// The code that a registry gave for its refusal ([`refs_registry::Error::code`]).
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.registry()?.code()
    }

    /// The HTTP status of a registry's refusal ([`refs_registry::Error::status`]).
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.registry()?.status()
    }

    /// Whether a symbolic link was refused because it leads out of the destination. In the root file system of a container it
    /// leads elsewhere, and [`Client::unpack`](crate::Client::unpack) writes it as it is.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        matches!(self, Self::UnsafeLink { reason, .. } if LEADS_OUT.contains(reason))
    }
}

/// How much the layers of an image are read of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerLimit {
    /// So many may lie on each other.
    Layers(usize),
    /// So many bytes their paths, links and extended attributes may have together.
    TextBytes(u64),
}

impl fmt::Display for LayerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layers(limit) => write!(f, "is one of more than {limit} layers"),
            Self::TextBytes(limit) => {
                write!(f, "brings the paths, links and attributes of all layers to more than {limit} bytes")
            }
        }
    }
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// The compressed stream can't be inflated.
    #[error("it cannot be inflated ({0})")]
    Compression(String),
    /// It ends in the middle of an entry.
    #[error("it ends in the middle of an entry")]
    Truncated,
    /// The checksum of a header does not hold.
    #[error("a header's checksum is wrong")]
    Checksum,
    /// A field of a header can't be read.
    #[error("a header's field `{0}` cannot be read")]
    Field(&'static str),
    /// An extension header is larger than the limit.
    #[error("an extension header has {size} bytes, more than {limit}")]
    ExtensionTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// More follows the end of the archive than padding.
    #[error("more than {limit} bytes follow the end of the archive")]
    TooMuchPadding {
        /// The limit in bytes.
        limit: u64,
    },
    /// A type that carries no data declares some.
    #[error("`{0}` declares data that its type cannot have")]
    UnexpectedData(String),
    /// It was read twice, and was not the same.
    #[error("it is not what it was when it was read before")]
    Changed,
    /// The archive and the layer's table of contents differ in what is at a path: who reads the one sees other files than
    /// who reads the other.
    #[error("its table of contents tells otherwise of `{0}`")]
    OtherInTable(String),
    /// The layer's table of contents tells the digests of the chunks of a file and not that of all of it, by which what the
    /// archive holds could be compared before the table is read. A pull of some files goes by the chunks.
    #[error("its table of contents has no digest of all of `{0}`")]
    NoDigestInTable(String),
}

/// What is in the way at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationFault {
    /// A directory with something in it.
    NotEmpty,
    /// Something that is no directory.
    NotDirectory,
    /// A file.
    Exists,
    /// Something that is no file.
    NotFile,
    /// It lies in the directory that is packed.
    InSource,
    /// Another process put something there meanwhile.
    Taken,
    /// It has no last component to put a directory under.
    NoName,
    /// It is, has in it, or lies in the layout that is pulled from.
    Layout,
    /// It is, has in it, or lies in the folder of the store that the client keeps things in; a layout that is written to is that
    /// folder, or lies in it. Of a folder that the client spares: it is that folder, or lies in it.
    Cache,
    /// Another file system is mounted there, which can't be renamed.
    MountPoint,
}

impl fmt::Display for DestinationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEmpty => "is not empty",
            Self::NotDirectory => "is not a directory",
            Self::Exists => "exists already",
            Self::NotFile => "is not a file",
            Self::InSource => "is in the directory that is to be packed",
            Self::Taken => "was taken by another process meanwhile",
            Self::NoName => "has no name of its own",
            Self::Layout => "is where the layout is that is pulled from",
            Self::Cache => "is where the cache is",
            Self::MountPoint => "is a mount point",
        })
    }
}

/// Why something can't be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceFault {
    /// It is not there.
    Missing,
    /// It is not a directory.
    NotDirectory,
    /// A socket, pipe or device.
    SpecialFile(&'static str),
    /// A symbolic link that leads out of the directory.
    EscapingLink(PathBuf),
    /// A name that is not UTF-8, which no registry tool could show.
    NotUnicode,
    /// It changed while it was read.
    Changed,
    /// An exclusion that is not a valid pattern.
    BadExclusion(String),
    /// A name that the layer format keeps for itself.
    ReservedName,
    /// It has the name of the manifest file, and is a link, a directory or a device.
    ManifestNotFile,
    /// A name that no manifest file can have, which is a file at the root.
    BadManifestName,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::NotDirectory => f.write_str("it is not a directory"),
            Self::SpecialFile(kind) => write!(f, "it is a {kind}"),
            Self::EscapingLink(target) => {
                write!(f, "it is a link to `{}`, outside of what is packed", target.display())
            }
            Self::NotUnicode => f.write_str("its name is not valid UTF-8"),
            Self::Changed => f.write_str("it changed while it was read"),
            Self::BadExclusion(pattern) => write!(f, "the exclusion `{pattern}` is not a valid pattern"),
            Self::ReservedName => f.write_str("its name is reserved by the layer format"),
            Self::ManifestNotFile => f.write_str("it should be the manifest file, and is no regular file"),
            Self::BadManifestName => f.write_str("it is not the name of a file at the root"),
        }
    }
}
