//! The documents of the [image spec](https://github.com/opencontainers/image-spec): descriptors, manifests, configs.
//! Docker's twins of them are read by the same types; only the media types differ.

mod artifact;
mod config;
mod container;
mod descriptor;
mod manifest;
mod media_type;
mod platform;
mod referrer;
mod room;

pub use artifact::ArtifactManifest;
pub use config::{ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use manifest::{Document, ImageManifest, Index, Manifest};
pub use media_type::{LayerFormat, MediaType};
pub use platform::Platform;
pub use referrer::Referrer;

pub(crate) use manifest::from_json;
pub(crate) use room::has_room;
