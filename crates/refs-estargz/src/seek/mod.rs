//! Reads parts of an ordinary `tar.gz` without inflating what is before them, by an index that was made while all of it was
//! inflated once.
//!
//! A [`Builder`] inflates a layer and takes notes on the way: about every 4 MiB, between two blocks of deflate, what it takes
//! to go on from there. They and the entries of the archive make an [`Index`], which can be kept as bytes. Later, an
//! [`Extraction`] says which bytes of the blob hold a range of the archive, and inflates and checks only these.
//!
//! ```
//! use std::{io::Read, sync::Arc};
//!
//! use bytes::Bytes;
//! use refs_estargz::seek::{Builder, Index};
//! use refs_url::Digest;
//!
//! fn read_part(blob: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let mut builder = Builder::new(blob);
//!     std::io::copy(&mut builder, &mut std::io::sink())?;
//!     let index = builder.finish(&Digest::sha256(blob), Vec::new());
//!     let kept = index.and_then(|index| index.to_bytes()).ok_or("there can be no index of this one")?;
//!
//!     let index = Arc::new(Index::parse(&kept, &Digest::sha256(blob))?);
//!     let mut extraction = index.extraction(5_000_000..5_000_100);
//!     let range = extraction.compressed();
//!     extraction.push(Bytes::copy_from_slice(&blob[range.start as usize..range.end as usize]));
//!     let mut part = Vec::new();
//!     while let Some(piece) = extraction.next() {
//!         part.extend_from_slice(piece?);
//!     }
//!     extraction.finish()?;
//!     Ok(part)
//! }
//! ```

mod builder;
mod codec;
mod extraction;
mod fault;
mod index;
mod inflate;
mod table;
#[cfg(test)]
mod tests;
mod wire;

pub use builder::Builder;
pub use extraction::Extraction;
pub use fault::SeekFault;
pub use index::{Index, Located, Names};

/// A checkpoint is taken at the first chance after so many inflated bytes.
const SPAN_BYTES: u64 = 4 << 20;
/// From one checkpoint to the next there are at most so many inflated bytes, as an extraction holds them until they are
/// checked. A block of deflate has no greatest length, so that a blob may offer no place to stop at.
const MAX_SPAN_BYTES: u64 = 64 << 20;
/// Deflate refers back to at most so many bytes.
const WINDOW_BYTES: usize = 32 << 10;
