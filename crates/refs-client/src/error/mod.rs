//! What can go wrong with an artifact's files.

mod fault;
mod said;

use std::{io, path::PathBuf};

pub use fault::{ArchiveFault, DestinationFault, GraphLimit, LayerLimit, LocationFault, Portion, Side, SourceFault};
use refs_registry::{MediaType, Platform, error::ConfigFault, error::Doing};
use refs_url::{Digest, ParseError, Tag, version::Constraint, version::LeftOut};

use self::said::{Behind, Listed, NoneOf, Quoted};

/// A result with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no reference.
    #[error(transparent)]
    Reference(#[from] ParseError),
    /// The text names a place, but not one that this verb can use.
    #[error("`{input}` {fault}")]
    Location {
        /// The text as given.
        input: String,
        /// What is wrong with it.
        fault: LocationFault,
    },
    /// The registry, or the store on this machine, failed.
    #[error(transparent)]
    Registry(#[from] refs_registry::Error),
    /// One side of a copy failed.
    #[error("cannot {} {at}", .side.doing(*.what))]
    Copy {
        /// Which.
        side: Side,
        /// What was being copied.
        what: Portion,
        /// The source or the destination, as it was named.
        at: String,
        /// How it failed.
        source: Box<refs_registry::Error>,
    },
    /// The destination of a copy names a digest, and the source leads to another one.
    #[error("{at} names another digest than the source has: {actual}")]
    OtherDigest {
        /// The destination.
        at: String,
        /// The digest that it names.
        expected: Box<Digest>,
        /// The digest of what was to be copied.
        actual: Box<Digest>,
    },
    /// A tag and a digest were given, and the tag leads elsewhere.
    #[error("tag `{tag}` of {at} leads to {actual}")]
    TagMoved {
        /// The reference.
        at: String,
        /// Its tag.
        tag: Tag,
        /// Its digest.
        expected: Box<Digest>,
        /// The digest that the tag leads to.
        actual: Box<Digest>,
    },
    /// More manifests hang together than this library copies.
    #[error("{at} leads to {limit}")]
    GraphTooLarge {
        /// The artifact.
        at: String,
        /// How much is copied.
        limit: GraphLimit,
    },
    /// An image is to be kept, and the client has no store.
    #[error("{at} can't be kept: there is no store")]
    NoStore {
        /// The image.
        at: String,
    },
    /// A layer's table of contents or its chunks are not what they must be.
    #[error("layer `{layer}` cannot be read")]
    Estargz {
        /// The layer's digest.
        layer: Digest,
        /// What is wrong with it.
        source: refs_estargz::Error,
    },
    /// A directory can't be packed.
    #[error("cannot pack `{}`", .path.display())]
    Pack {
        /// The directory.
        path: PathBuf,
        /// What is in the way.
        source: refs_estargz::Error,
    },
    /// A layer's archive is broken.
    #[error("layer `{layer}` is corrupt at byte {offset} of its archive: {fault}")]
    Corrupt {
        /// The layer's digest.
        layer: Digest,
        /// Where in the inflated archive.
        offset: u64,
        /// What is wrong there.
        fault: ArchiveFault,
    },
    /// A file's chunks are what the table of contents says, and the file that they make together is not.
    #[error("`{path}` has the digest {actual}, and its table of contents says {expected}")]
    FileDigest {
        /// The file's path.
        path: String,
        /// The digest that the table of contents gives for all of it.
        expected: Digest,
        /// The digest of what its chunks make.
        actual: Digest,
    },
    /// A layer unpacks to something else than the image's config says.
    #[error("layer `{layer}` unpacks to {actual}, and the image's config says {expected}")]
    DiffId {
        /// The layer's digest.
        layer: Digest,
        /// The digest that the config gives for its archive.
        expected: Digest,
        /// The digest of its archive.
        actual: Digest,
    },
    /// What the manifest calls a config is none that a root file system could be made by.
    #[error("config `{config}` is not that of a container image: {fault}")]
    Config {
        /// The config's digest.
        config: Digest,
        /// What is wrong with it.
        fault: ConfigFault,
    },
    /// The artifact holds something that this version does not read.
    #[error("`{layer}` of type `{media_type}` is not read: {reason}")]
    UnsupportedLayer {
        /// The layer's digest.
        layer: Digest,
        /// The layer's media type.
        media_type: MediaType,
        /// Why not.
        reason: &'static str,
    },
    /// Layers hold more together than this library reads.
    #[error("layer `{layer}` {limit}")]
    LayerLimit {
        /// The digest of the layer that is too much.
        layer: Digest,
        /// How much is read.
        limit: LayerLimit,
    },
    /// A file that was named as a layer is none.
    #[error("`{}` is not a tar archive: it is {found}", .path.display())]
    NotArchive {
        /// The file.
        path: PathBuf,
        /// What it is, by its first bytes.
        found: &'static str,
    },
    /// A pattern that globs can't express.
    #[error("`{pattern}` is not a valid glob")]
    InvalidGlob {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// Patterns were given, and nothing in the artifact matches any.
    #[error("nothing in {at} matches {}", Quoted(.patterns))]
    NoMatch {
        /// The artifact.
        at: String,
        /// The patterns.
        patterns: Vec<String>,
    },
    /// The artifact has no file of that name.
    #[error("no file `{path}` in {at}{}", Behind(.behind))]
    FileNotFound {
        /// The artifact.
        at: String,
        /// The path asked for.
        path: String,
        /// Where the links on the way lead, if there are any.
        behind: Option<String>,
        /// A path of the artifact that looks much like it.
        nearest: Option<String>,
    },
    /// The path is there, but it is no file.
    #[error("`{path}` in {at} is a {kind}, not a file")]
    NotFile {
        /// The artifact.
        at: String,
        /// The path asked for.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// The text is no range of bytes.
    #[error("`{input}` is not a range of bytes")]
    InvalidRange {
        /// The text as given.
        input: String,
    },
    /// The file ends before the range begins.
    #[error("`{path}` has {size} bytes, and the range begins at byte {start}")]
    RangeOutside {
        /// The file's path.
        path: String,
        /// Where the range begins.
        start: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// The artifact has no manifest file.
    #[error("no manifest file `{name}` in {at}")]
    ManifestNotFound {
        /// The artifact.
        at: String,
        /// The name the manifest file would have.
        name: String,
    },
    /// The manifest file of a directory does not hold to its schema.
    #[error("`{}` is not a valid manifest file", .path.display())]
    ManifestFile {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        source: crate::manifest_file::Faults,
    },
    /// There are versions, and none satisfies the constraint.
    #[error("no tag of {at} satisfies `{constraint}`: the highest are {}", Listed(.available))]
    NoMatchingVersion {
        /// The repository.
        at: String,
        /// What none satisfies.
        constraint: Constraint,
        /// The highest versions that there are, prereleases included, from the highest down; a few at most.
        available: Vec<Tag>,
        /// Prereleases that would satisfy it if it named any.
        left_out: Option<Box<LeftOut>>,
    },
    /// No tag is a version.
    #[error("{}", NoneOf(at, *others))]
    NoVersions {
        /// The repository.
        at: String,
        /// How many tags there are, none of which is one; 0 where nothing was pushed yet.
        others: usize,
    },
    /// A tag was named, and a constraint that it does not satisfy.
    #[error("the tag of {at} does not satisfy `{constraint}`")]
    TagViolates {
        /// The artifact, with the tag.
        at: String,
        /// What the tag does not satisfy.
        constraint: Constraint,
    },
    /// The index has no image for the platform, or the image is in no index, and its config names another platform.
    #[error("no image for platform {wanted} in {at}: it has {}", Listed(.available))]
    PlatformNotFound {
        /// The index or image.
        at: String,
        /// The platform asked for.
        wanted: Box<Platform>,
        /// The platforms that there are images for, each once, sorted by name.
        available: Vec<Platform>,
    },
    /// The index lists no image: nothing at all, or nothing but attestations.
    #[error("the index {at} lists no image")]
    NoImage {
        /// The index.
        at: String,
    },
    /// The index has several images, and nothing says which of them is for which platform.
    #[error("none of the {manifests} manifests in {at} names its platform")]
    PlatformUnknown {
        /// The index.
        at: String,
        /// How many there are.
        manifests: usize,
    },
    /// An index leads to an index leads to an index, deeper than this library follows.
    #[error("{at} nests indexes more than {limit} deep")]
    IndexTooDeep {
        /// The outermost index.
        at: String,
        /// How deep is followed.
        limit: u32,
    },
    /// An index leads to more indexes than this library looks into.
    #[error("{at} leads to more than {limit} indexes")]
    IndexTooWide {
        /// The outermost index.
        at: String,
        /// How many are looked into.
        limit: usize,
    },
    /// A path in a layer leads, or might lead, out of the destination.
    #[error("path `{path}` in a layer is not safe: {reason}")]
    UnsafePath {
        /// The path as the layer gives it.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A link in a layer leads, or might lead, out of the destination.
    #[error("link `{path}` to `{target}` in a layer is not safe: {reason}")]
    UnsafeLink {
        /// The link's path.
        path: String,
        /// Where it points.
        target: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A layer holds something that is no file, directory or link.
    #[error("`{path}` in a layer is a {kind}, which is not written")]
    SpecialFile {
        /// Its path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// Two entries of a layer want the same path.
    #[error("`{path}` is in a layer twice, as different things")]
    PathConflict {
        /// The path.
        path: String,
    },
    /// A file has more bytes than allowed.
    #[error("`{path}` has {size} bytes, more than the limit of {limit} for a file")]
    FileTooLarge {
        /// The file's path.
        path: String,
        /// Its size in bytes: at least so many.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The files have more bytes together than allowed.
    #[error("the files have more than {limit} bytes together")]
    TotalTooLarge {
        /// The bytes of those that were counted until the limit was passed.
        total: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more entries than allowed.
    #[error("there are more than {limit} files, directories and links")]
    TooManyEntries {
        /// The entries that were counted until the limit was passed.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// There is something at the destination already.
    #[error("the destination `{}` {fault}", .path.display())]
    Destination {
        /// The destination.
        path: PathBuf,
        /// What is in the way.
        fault: DestinationFault,
    },
    /// The directory can't be packed as it is.
    #[error("`{}` cannot be packed: {fault}", .path.display())]
    Source {
        /// What in the directory, or the directory itself.
        path: PathBuf,
        /// Why not.
        fault: SourceFault,
    },
    /// The file system failed.
    #[error("cannot {doing} `{}`", .path.display())]
    Io {
        /// The operation.
        doing: Doing,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// What the caller gave to write a file's content to failed. A part may have been written.
    #[error("cannot write out `{path}`")]
    Output {
        /// The file of the artifact whose content it was.
        path: String,
        /// What the writer said.
        source: io::Error,
    },
    /// A thread that worked on this died, which is a defect of this library, or the system gave none to work on it.
    #[error("a worker stopped before its work was done")]
    Worker,
}
