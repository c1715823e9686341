#![doc = include_str!("../README.md")]

mod archive;
mod arena;
mod batch;
mod built;
mod chunks;
mod collect;
mod contents;
mod document;
mod element;
mod emit;
mod entry;
mod error;
mod footer;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
mod header;
mod index;
mod limits;
mod links;
mod parallel;
mod path;
mod pieces;
mod plan;
mod read;
mod record;
pub mod seek;
mod table;
mod text;
mod time;
mod toc;
mod tree;
mod window;
mod wire;
mod write;
mod zstd;

pub use archive::{Archive, OpenOptions, RangeRead, ReadError};
pub use built::Built;
pub use entry::{Entry, Kind, path_order};
pub use error::{
    ActualSize, ChunkFault, Error, FieldFault, LinkFault, MemberFault, PathFault, Result, TocPart, TocTarFault,
};
pub use footer::{
    EXTERNAL_FOOTER_BYTES, FOOTER_BYTES, Footer, LEGACY_FOOTER_BYTES, STARGZ_ZSTD_FOOTER_BYTES,
    STORAGE_ZSTD_FOOTER_BYTES, TocPosition,
};
pub use index::Toc;
pub use limits::Limits;
pub use path::{is_format_file, normal_path};
pub use plan::{ChunkId, FileChunk, Plan, PlanOptions, Span};
pub use read::{Piece, SpanDecoder};
pub use toc::Expected;
pub use write::{NewEntry, WriteOptions, Writer};
pub use zstd::ZstdReader;

/// The annotation of a layer's descriptor with the digest of its table of contents: what [`Expected::Digest`] takes.
pub const TOC_DIGEST_ANNOTATION: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The annotation of a zstd:chunked layer's descriptor, as podman, buildah and skopeo write it, with the digest of its table
/// of contents as it is compressed: what [`Expected::Compressed`] takes.
pub const ZSTD_TOC_DIGEST_ANNOTATION: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// The annotation beside it that says where the table is: what [`TocPosition::parse`] takes.
pub const ZSTD_TOC_POSITION_ANNOTATION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// The annotation of a layer's descriptor with the size of the tar archive in it, in bytes, as a decimal number.
pub const UNCOMPRESSED_SIZE_ANNOTATION: &str = "io.containers.estargz.uncompressed-size";
/// The annotation of a layer's descriptor that says how many bytes at the end of the blob hold the files that are wanted
/// first, the table of contents and the footer, as a decimal number: [`OpenOptions::tail_bytes`].
pub const TAIL_ANNOTATION: &str = "dev.refs.estargz.tail";
