#![doc = include_str!("../README.md")]

mod apart;
mod artifact;
mod beneath;
mod blobs;
mod byte_range;
mod client;
mod config;
pub mod copy;
mod diff;
mod error;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod healed;
mod inspect;
mod kept;
mod layer;
mod list;
mod location;
pub mod manifest_file;
mod meter;
mod named;
mod namespace;
mod naming;
mod older;
mod pack;
mod platform;
mod pull;
mod push;
mod reach;
mod receive;
mod resolve;
mod resumed;
mod rootfs;
mod search;
mod select;
mod send;
mod thread;
mod tree;
mod unchanged;
mod unpack;
mod upload;
pub mod versions;
mod whole;

pub use apart::resolved;
pub use byte_range::ByteRange;
pub use client::Client;
pub use copy::{Copied, CopyOptions};
pub use diff::{Aspect, Change, Diff, DiffOptions, DiffSide, Times};
pub use error::{
    ArchiveFault, DestinationFault, Error, GraphLimit, LayerLimit, LocationFault, Portion, Result, Side, SourceFault,
};
pub use fetch::{FetchOptions, Fetched};
pub use graph::{Children, manifest_digests};
pub use inspect::{Inspected, InspectedLayer, Inspection, LayerKind};
pub use layer::{Access, Trust};
pub use list::{Listing, ReadOptions};
pub use location::Location;
pub use manifest_file::{ManifestFile, ManifestName};
pub use meter::Meter;
pub use namespace::Namespace;
pub use older::Reused;
pub use pack::{Mtime, PackOptions, Packed};
pub use pull::{PullOptions, Pulled};
pub use push::{PushOptions, Pushed};
pub use refs_estargz::{Entry as FileEntry, Kind};
pub use refs_registry::Sent;
pub use refs_store::Freshness;
pub use rootfs::{UnpackOptions, Unpacked};
pub use select::literal_pattern;
pub use tree::{Beneath, Node, Role, TreeOptions};
pub use unpack::{Existing, Limits};
pub use versions::{FetchAllOptions, FetchedVersion, ResolvedVersion, VersionOptions};

/// The manifest file of an artifact, at its root, unless another name is asked for with a [`ManifestName`].
pub const MANIFEST_FILE: &str = ".sow-ref.yaml";
