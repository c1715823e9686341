//! From the bytes behind the payload to the JSON of the table of contents.

use std::{
    io::{self, Read},
    sync::Arc,
};

use flate2::bufread::GzDecoder;
use refs_url::{Digest, Hasher};

use crate::{Error, Limits, Result, TocPart, error::TocTarFault, path::TOC_NAME};

/// What a table of contents is checked against.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// The digest that the manifest gives for it, in the annotation [`TOC_DIGEST_ANNOTATION`](crate::TOC_DIGEST_ANNOTATION).
    Digest(&'a Digest),
    /// Nothing. Whoever can change the blob can then change every file in it.
    Unverified,
}

const BLOCK: usize = 512;

/// The JSON in the gzip member of a table of contents, and its digest; `toc_tar_gz` is that member and nothing else.
pub(crate) fn json(toc_tar_gz: &[u8], expected: Expected<'_>, limits: &Limits) -> Result<(Vec<u8>, Digest)> {
    if toc_tar_gz.len() as u64 > limits.toc_compressed {
        return Err(Error::TocLimit { part: TocPart::Compressed, limit: limits.toc_compressed });
    }
    let mut tar = inflate(toc_tar_gz, limits.toc_inflated)?;
    let size = payload_bytes(&tar).map_err(|fault| Error::TocTar { fault })?;
    if size as u64 > limits.toc_inflated {
        return Err(Error::TocLimit { part: TocPart::Inflated, limit: limits.toc_inflated });
    }
    tar.truncate(BLOCK + size);
    tar.drain(..BLOCK);
    let actual = check_digest(&tar, expected)?;
    Ok((tar, actual))
}

/// Inflates one gzip member that must be all there is.
fn inflate(member: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut decoder = GzDecoder::new(member);
    let mut inflated = Vec::new();
    let tar_bytes = limit.saturating_add(4 * BLOCK as u64);
    (&mut decoder).take(tar_bytes).read_to_end(&mut inflated).map_err(inflate_error)?;
    if inflated.len() as u64 == tar_bytes {
        return Err(Error::TocLimit { part: TocPart::Inflated, limit });
    }
    match decoder.into_inner() {
        [] => Ok(inflated),
        _ => Err(Error::TocTar { fault: TocTarFault::TrailingBytes }),
    }
}

fn inflate_error(source: io::Error) -> Error {
    Error::TocInflate { source: Arc::new(source) }
}

/// How many bytes of JSON follow the tar header at the start of `tar`, if it is all as it must be.
fn payload_bytes(tar: &[u8]) -> Result<usize, TocTarFault> {
    let (block, rest) = tar.split_at_checked(BLOCK).ok_or(TocTarFault::Header)?;
    let header = tar::Header::from_byte_slice(block);
    if header.cksum().ok() != Some(checksum(block)) {
        return Err(TocTarFault::Header);
    }
    if *header.path_bytes() != *TOC_NAME.as_bytes() || !header.entry_type().is_file() {
        return Err(TocTarFault::Name);
    }
    let claimed = header.entry_size().ok().ok_or(TocTarFault::Header)?;
    let size = usize::try_from(claimed).ok().filter(|&size| size <= rest.len()).ok_or(TocTarFault::Size)?;
    if rest[size..].iter().all(|&byte| byte == 0) { Ok(size) } else { Err(TocTarFault::NotLast) }
}

/// The sum of a tar header's bytes, with those of the checksum itself counted as spaces.
fn checksum(block: &[u8]) -> u32 {
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    let field: u32 = block[148..156].iter().copied().map(u32::from).sum();
    sum - field + 8 * u32::from(b' ')
}

fn check_digest(json: &[u8], expected: Expected<'_>) -> Result<Digest> {
    let Expected::Digest(expected) = expected else { return Ok(Digest::sha256(json)) };
    let mut hasher = Hasher::for_digest(expected).ok_or_else(|| Error::DigestAlgorithm { digest: expected.clone() })?;
    hasher.update(json);
    let actual = hasher.finish();
    if actual == *expected { Ok(actual) } else { Err(Error::TocDigest { expected: expected.clone(), actual }) }
}
