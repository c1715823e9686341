//! OCI image layouts on disk ([image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md)).

mod begun;
mod change;
mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod images;
mod index;
mod manifests;
mod names;
mod parsed;
mod repositories;
mod repository;
mod upload;

pub(crate) use folder::{
    BLOBS_FOLDER, CACHE_TAG_FILE, Folder, INDEX_FILE, INGEST_FOLDER, LAYOUT_FOLDER, LOCK_FILE, Shelf, VERSION_FILE,
};
pub(crate) use images::{Needs, Whole};
pub(crate) use names::{name_and_index, named, platform_suffix};
pub use repositories::ListedRepository;
pub use repository::Layout;
