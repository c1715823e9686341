//! The files of an artifact, whatever its layers are: eStargz read by ranges, a tar archive streamed, or one file a blob.

mod agreement;
mod archive;
mod blocks;
mod cached;
mod contents;
mod copied;
mod cutter;
mod deliver;
mod delta;
mod fetch;
mod file;
mod find;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod image;
mod listed;
mod merge;
mod on_disk;
mod one;
mod outline;
mod passes;
mod path;
mod pax;
mod pipe;
mod portions;
mod queue;
mod ranges;
mod read;
mod runs;
mod same;
mod sought;
mod spans;
mod spool;
mod stack;
mod stream;
mod survey;
mod tar;
#[cfg(test)]
mod tests;

pub(crate) use cached::vouched_layers;
pub(crate) use contents::Contents;
pub use contents::{Access, Trust};
pub(crate) use find::distance;
pub(crate) use form::{Purpose, TITLE, UNPACK};
pub(crate) use image::ImageLayers;
pub(crate) use listed::Listed;
#[cfg(test)]
pub(crate) use merge::Origin;
pub(crate) use merge::Shown;
pub(crate) use on_disk::open_file;
pub(crate) use outline::Outline;
pub(crate) use ranges::{Indexed, Ranges};
pub(crate) use stream::{may_be_changed_on_the_way, open_blob};
