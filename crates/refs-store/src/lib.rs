#![doc = include_str!("../README.md")]

mod admission;
#[cfg(feature = "object-store")]
mod bucket;
mod cached;
mod disk;
mod evict;
mod file;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod growing;
mod health;
mod ingest;
mod joint;
mod journal;
mod layer_file;
mod layout;
mod layouts;
mod lock;
mod memory;
mod part;
mod pieces;
mod queues;
mod reading;
mod record;
mod running;
mod session;
mod spool;
mod store;
mod times;
mod usage;

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub use bucket::NoBucket;
#[cfg(feature = "object-store")]
pub use bucket::{Bucket, BucketOptions, BucketStore};
pub use cached::{Cached, CachedOptions, CachedResolver, FetchedPart, Fetches, Freshness, Kept};
pub use disk::{DiskOptions, DiskStore, Held, Left, ListedImage, PruneOptions, Pruned, StoreInfo, Verified, Verifying};
pub use flight::Flight;
pub use growing::Growing;
pub use health::{Health, Verdict};
pub use joint::{FetchedBlob, FetchedBy};
pub use journal::{Journal, UploadProgress};
pub use layer_file::LayerFile;
pub use layout::{Layout, ListedRepository};
pub use layouts::Layouts;
pub use memory::{Memories, Memory, MemoryStore};
pub use record::{TagChange, TagRecord};
pub use spool::Spool;
pub use store::{Checked, Fill, Origin, Partial, Store, StoredImage, Taken};
