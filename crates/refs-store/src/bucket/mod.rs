//! A cache in a bucket, for many nodes, with a disk in front of it at each.

mod coming;
mod fill;
mod names;
mod objects;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod open;
mod options;
mod place;
mod share;
mod store;
mod tags;

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub use open::NoBucket;
pub use options::BucketOptions;
pub use place::Bucket;
pub use store::BucketStore;
