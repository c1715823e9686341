//! What can go wrong, by cause.

use std::{io, sync::Arc};

use crate::seek::SeekFault;
use refs_url::Digest;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a layer could not be read or written. A clone is cheap: causes are shared.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The blob's end is none of the footers of eStargz: it may be a plain `tar.gz`.
    #[error("the blob does not end in an estargz footer")]
    NotEstargz,
    /// The footer is one of eStargz, but the offset in it is not sixteen lower-case hexadecimal digits.
    #[error("the offset in the estargz footer is not sixteen lower-case hexadecimal digits")]
    FooterSyntax,
    /// The footer says that the table of contents starts behind the place where the footer itself does.
    #[error("the estargz footer puts the table of contents at {toc_offset}, the footer is at {footer_offset}")]
    FooterOffset {
        /// Where the footer says the table starts.
        toc_offset: u64,
        /// Where the footer starts.
        footer_offset: u64,
    },
    /// The footer of a zstd:chunked layer names a type of table that is not known.
    #[error("the table of contents is of type {toc_type}, expected 1")]
    TocType {
        /// The type found.
        toc_type: u64,
    },
    /// The table of contents is kept in another image.
    #[error("the table of contents is kept outside the layer")]
    ExternalToc,
    /// A part of the table of contents is larger than its limit.
    #[error("{part} of the table of contents exceeds {limit}")]
    TocLimit {
        /// What is too large.
        part: TocPart,
        /// The limit, in bytes, or as a count of entries.
        limit: u64,
    },
    /// The gzip member or the frame of zstd that holds the table of contents can't be inflated.
    #[error("the table of contents can't be inflated")]
    TocInflate {
        /// What inflating said.
        source: Arc<io::Error>,
    },
    /// The tar entry that holds the table of contents is not as it must be.
    #[error("the tar entry of the table of contents is wrong: {fault}")]
    TocTar {
        /// What is wrong with it.
        fault: TocTarFault,
    },
    /// The table of contents is not the one that the manifest names.
    #[error("the table of contents has digest {actual}, expected {expected}")]
    TocDigest {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the table as it was received.
        actual: Digest,
    },
    /// The digest asked for is of an algorithm that can't be computed here, so nothing can be compared with it.
    #[error("can't compute digests like {digest}")]
    DigestAlgorithm {
        /// The digest asked for.
        digest: Digest,
    },
    /// The table of contents is not the JSON it must be.
    #[error("the table of contents is malformed at byte {offset}")]
    Json {
        /// Where the value starts that is wrong, or what should be there instead, in bytes.
        offset: u64,
        /// What the parser said; lines and columns are those of the value.
        source: Arc<serde_json::Error>,
    },
    /// The table of contents is of a version that is not known.
    #[error("the table of contents has version {version}, expected 1")]
    Version {
        /// The version found.
        version: u64,
    },
    /// A path that can't be used.
    #[error("path `{path}` {fault}")]
    Path {
        /// The path as it was given.
        path: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// Two entries have one path.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// An entry lies below something that is not a directory.
    #[error("`{path}` is not a directory, but has entries below it")]
    NotDirectory {
        /// The path of what is not a directory.
        path: String,
    },
    /// The target of a symbolic or hard link can't be used.
    #[error("link `{path}` to `{target}` {fault}")]
    Link {
        /// The path of the link.
        path: String,
        /// Where it points.
        target: String,
        /// What is wrong with it.
        fault: LinkFault,
    },
    /// A field of an entry has a value it can't have.
    #[error("`{path}` has {fault}")]
    Field {
        /// The path of the entry.
        path: String,
        /// Which field, and what is wrong with it.
        fault: FieldFault,
    },
    /// The table of contents contradicts itself on where the content of a file is.
    #[error("content of `{path}` {fault}")]
    Chunk {
        /// The path of the file.
        path: String,
        /// What is wrong with it.
        fault: ChunkFault,
    },
    /// There is no such entry.
    #[error("no entry `{path}` in the layer")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// Content was asked of an entry that has none: it is neither a file nor a link to one.
    #[error("`{path}` is not a file")]
    NotFile {
        /// The path asked for.
        path: String,
    },
    /// The bytes of a span are not what the table of contents says they are.
    #[error("`{path}`: the member at {offset} {fault}")]
    Member {
        /// The path of the file that was read.
        path: String,
        /// Where the member starts in the blob.
        offset: u64,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// The content of a file is not what its digest says.
    #[error("content of `{path}` has digest {actual}, expected {expected}")]
    ContentDigest {
        /// The path of the file.
        path: String,
        /// The digest in the table of contents.
        expected: Digest,
        /// The digest of what was read.
        actual: Digest,
    },
    /// The bytes of a span ended before its last chunk.
    #[error("the bytes of the span end before the chunk at {offset}")]
    SpanCut {
        /// Where the member of the missing chunk starts in the blob.
        offset: u64,
    },
    /// A seek index can't be used, or does not fit the blob.
    #[error("the seek index of the layer is of no use: {fault}")]
    Seek {
        /// What is wrong with it.
        fault: SeekFault,
    },

    /// The compression level is not between 0 and 9.
    #[error("compression level {level} is not between 0 and 9")]
    Level {
        /// The level asked for.
        level: u32,
    },
    /// The chunk size is 0, or larger than readers accept.
    #[error("chunk size {chunk_bytes} is not between 1 and {limit}")]
    ChunkBytes {
        /// The size asked for, in bytes.
        chunk_bytes: usize,
        /// The largest size, in bytes.
        limit: u64,
    },
    /// A file turned out shorter or longer than its entry said; it may have changed while it was read.
    #[error("`{path}` is {actual}, its entry says {declared} bytes")]
    SizeChanged {
        /// The path of the file.
        path: String,
        /// The size in its entry, in bytes.
        declared: u64,
        /// What was read instead.
        actual: ActualSize,
    },
    /// The content of a file could not be read.
    #[error("can't read the content of `{path}`")]
    Content {
        /// The path of the file.
        path: String,
        /// What reading said.
        source: Arc<io::Error>,
    },
    /// The blob could not be written.
    #[error("can't write the layer")]
    Write {
        /// What writing said.
        source: Arc<io::Error>,
    },
    /// An earlier error left the blob incomplete, so nothing can be added to it.
    #[error("the layer was given up after an earlier error")]
    Abandoned,
    /// A thread of the writer has panicked, so that a part of the layer is missing.
    #[error("a thread that deflates has panicked")]
    Worker,
}

/// A part of the table of contents that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TocPart {
    /// The compressed bytes.
    #[error("the compressed size")]
    Compressed,
    /// The bytes when inflated.
    #[error("the inflated size")]
    Inflated,
    /// The number of entries.
    #[error("the number of entries")]
    Entries,
}

/// What is wrong with the tar entry of a table of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TocTarFault {
    /// There are bytes between the member that holds the table and the footer.
    #[error("other bytes follow its gzip member")]
    TrailingBytes,
    /// It is shorter than a tar header, or its header has a wrong checksum or an unreadable size.
    #[error("it has no valid tar header")]
    Header,
    /// It is not a regular file with the name `stargz.index.json`.
    #[error("it is not a file with the name stargz.index.json")]
    Name,
    /// Its header claims more bytes than there are.
    #[error("its header claims more bytes than there are")]
    Size,
    /// Another tar entry follows.
    #[error("it is not the last entry of the archive")]
    NotLast,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// It names nothing, or the root.
    #[error("names nothing below the root")]
    Empty,
    /// It starts with `/`, ends with it, or has an empty or `.` component: it has another, normal form.
    #[error("is not in its normal form")]
    NotNormal,
    /// It has a `..` component.
    #[error("has a `..` component")]
    Parent,
    /// It has a NUL byte.
    #[error("has a NUL byte")]
    Nul,
    /// It is longer than the limit.
    #[error("is too long")]
    Long,
    /// One of its components is longer than the limit.
    #[error("has a component that is too long")]
    LongComponent,
    /// It has more components than the limit.
    #[error("is too deep")]
    Deep,
    /// It is a name that eStargz keeps for itself, or one with which layers mark deletions.
    #[error("is a reserved name")]
    Reserved,
}

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The target is empty.
    #[error("has an empty target")]
    Empty,
    /// The target is longer than the limit.
    #[error("has a target that is too long")]
    Long,
    /// The target has a NUL byte.
    #[error("has a target with a NUL byte")]
    Nul,
    /// A hard link names no entry of the same layer (when writing: none that was written before it).
    #[error("has no target in the layer")]
    Missing,
    /// A hard link names something that is not a regular file.
    #[error("has a target that is not a file")]
    NotFile,
    /// Hard links name each other in a circle, or in a chain longer than 40.
    #[error("is part of a circle or of a long chain")]
    Circle,
}

/// Which field of an entry is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldFault {
    /// The modification time is not a time of RFC 3339, or of a year after 9999 or before 0.
    #[error("an unusable modification time")]
    Mtime,
    /// The user or group id does not fit in 32 bits.
    #[error("an owner that does not fit in 32 bits")]
    Owner,
    /// An extended attribute is not base64.
    #[error("an extended attribute that is not base64")]
    Xattr,
    /// The extended attributes are larger than the limit.
    #[error("extended attributes that are too large")]
    LargeXattrs,
    /// A device number does not fit in a tar header.
    #[error("a device number that does not fit in a tar header")]
    Device,
    /// A digest is malformed, or not sha256.
    #[error("a digest that is not of sha256")]
    Digest,
}

/// How a table of contents contradicts itself on the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkFault {
    /// A chunk follows no file, or an empty one.
    #[error("has a chunk that belongs to no file")]
    Orphan,
    /// Chunks leave a hole, overlap, or the first is not at 0.
    #[error("has chunks that don't follow each other")]
    Hole,
    /// Chunks don't sum up to the size of the file.
    #[error("has chunks that don't sum up to its size")]
    Sum,
    /// A chunk is larger than the limit.
    #[error("has a chunk that is too large")]
    Large,
    /// A chunk lies too far inside its member.
    #[error("has a chunk too far inside its member")]
    Inner,
    /// A chunk's member starts in or behind the table of contents.
    #[error("has a chunk outside the payload")]
    Offset,
    /// Two chunks share bytes of a member.
    #[error("has a chunk that overlaps another")]
    Overlap,
    /// The chunks of one file are not in order in the blob, or those of another lie between them.
    #[error("has chunks that are not in order in the layer")]
    Order,
    /// A chunk has no digest.
    #[error("has a chunk without a digest")]
    NoDigest,
    /// The digest of the file and that of its only chunk differ, or that of an empty file is not that of no bytes.
    #[error("has digests that contradict each other")]
    Digest,
}

/// What is wrong with a gzip member, or a frame of zstd, that holds content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// There is no gzip header where it should start.
    #[error("has no gzip header")]
    Header,
    /// Its deflate stream, or its frame, is broken.
    #[error("can't be inflated")]
    Inflate,
    /// It ends before the chunk does.
    #[error("ends before the chunk does")]
    Short,
    /// The chunk's bytes are not those its digest names.
    #[error("does not hold the bytes its digest names")]
    Digest,
}

/// What was found instead of the size an entry declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActualSize {
    /// It ended early, after this many bytes.
    #[error("{0} bytes")]
    Ended(u64),
    /// It went on.
    #[error("longer")]
    GoesOn,
}
