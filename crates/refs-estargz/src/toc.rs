//! From the bytes behind the payload to the entries in the table of contents, whose digest is decided on the way.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use flate2::bufread::GzDecoder;
use refs_url::{Digest, Hasher};

use crate::{
    Error, Limits, Result, TocPart, ZstdReader, document, error::TocTarFault, footer::Packing, path::TOC_NAME,
    pieces::Pieces, window::Window, wire::WireEntry,
};

/// What a table of contents is checked against.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// The digest that the manifest gives for it, in the annotation [`TOC_DIGEST_ANNOTATION`](crate::TOC_DIGEST_ANNOTATION).
    Digest(&'a Digest),
    /// The digest that the manifest gives for it as it is compressed, in the annotation
    /// [`ZSTD_TOC_DIGEST_ANNOTATION`](crate::ZSTD_TOC_DIGEST_ANNOTATION).
    Compressed(&'a Digest),
    /// Nothing. Whoever can change the blob can then change every file in it.
    Unverified,
}

/// The JSON of a table of contents that is the expected one.
pub(crate) struct Json<'t> {
    /// Its digest.
    pub(crate) digest: Digest,
    text: Text<'t>,
}

enum Text<'t> {
    Whole(Vec<u8>),
    /// From its start once more.
    Again(Box<dyn Read + 't>),
}

/// A text that is longer is inflated twice, first for its digest and then for its entries, and never held.
const WHOLE_BYTES: u64 = 6 << 20;
/// So many bytes are inflated at a time.
const PORTION_BYTES: usize = 64 << 10;
const BLOCK: usize = 512;

impl Json<'_> {
    /// Gives the entries to `take`, one by one, up to an error of either.
    ///
    /// # Errors
    ///
    /// Those of `take`; [`Error::Json`] and [`Error::Version`].
    pub(crate) fn entries(self, take: impl FnMut(&WireEntry<'_>) -> Result<()>) -> Result<()> {
        match self.text {
            Text::Whole(text) => document::entries(Window::whole(text), take),
            Text::Again(text) => document::entries(Window::new(text, PORTION_BYTES), take),
        }
    }
}

/// The JSON in a compressed table of contents; `toc` is that and nothing else.
pub(crate) fn json<'t>(toc: Pieces<'t>, packing: Packing, expected: Expected<'_>, limits: &Limits) -> Result<Json<'t>> {
    if toc.bytes() > limits.toc_compressed {
        return Err(Error::TocLimit { part: TocPart::Compressed, limit: limits.toc_compressed });
    }
    if let Expected::Compressed(digest) = expected {
        let mut hasher = hasher(expected)?;
        toc.iter().for_each(|piece| hasher.update(piece));
        check_digest(&hasher.finish(), digest)?;
    }
    let json = match packing {
        Packing::Gzip => json_in_tar(toc, expected, limits.toc_inflated)?,
        Packing::Zstd => json_alone(toc, expected, limits.toc_inflated)?,
    };
    match expected {
        Expected::Digest(digest) => check_digest(&json.digest, digest)?,
        Expected::Compressed(_) | Expected::Unverified => {}
    }
    Ok(json)
}

/// The JSON of a table that was inflated before.
pub(crate) fn inflated(json: Vec<u8>, expected: &Digest, limits: &Limits) -> Result<Json<'static>> {
    if json.len() as u64 > limits.toc_inflated {
        return Err(Error::TocLimit { part: TocPart::Inflated, limit: limits.toc_inflated });
    }
    let mut hasher = hasher(Expected::Digest(expected))?;
    hasher.update(&json);
    let digest = hasher.finish();
    check_digest(&digest, expected)?;
    Ok(Json { digest, text: Text::Whole(json) })
}

/// The JSON in the tar entry in a gzip member.
fn json_in_tar<'t>(toc_tar_gz: Pieces<'t>, expected: Expected<'_>, limit: u64) -> Result<Json<'t>> {
    let mut tar = GzDecoder::new(toc_tar_gz.reader());
    let size = json_bytes(&mut tar)?;
    let (digest, bytes, whole) = digest(&mut tar, size, expected, limit)?;
    if bytes < size {
        return Err(Error::TocTar { fault: TocTarFault::Size });
    }
    check_end(tar, limit)?;
    let text = match whole {
        Some(whole) => Text::Whole(whole),
        None => {
            let mut tar = GzDecoder::new(toc_tar_gz.into_reader());
            json_bytes(&mut tar)?;
            Text::Again(Box::new(tar.take(size)))
        }
    };
    Ok(Json { digest, text })
}

/// The JSON in a frame of zstd.
fn json_alone<'t>(toc_zst: Pieces<'t>, expected: Expected<'_>, limit: u64) -> Result<Json<'t>> {
    let (digest, _, whole) = digest(ZstdReader::new(toc_zst.reader()), u64::MAX, expected, limit)?;
    let text = match whole {
        Some(whole) => Text::Whole(whole),
        None => Text::Again(Box::new(ZstdReader::new(toc_zst.into_reader()))),
    };
    Ok(Json { digest, text })
}

/// How many bytes of JSON follow the tar header that `tar` starts with, as that claims.
fn json_bytes(tar: &mut impl Read) -> Result<u64> {
    let mut block = Vec::with_capacity(BLOCK);
    tar.take(BLOCK as u64).read_to_end(&mut block).map_err(inflate_error)?;
    claimed_bytes(&block).map_err(|fault| Error::TocTar { fault })
}

fn claimed_bytes(block: &[u8]) -> Result<u64, TocTarFault> {
    if block.len() != BLOCK {
        return Err(TocTarFault::Header);
    }
    let header = tar::Header::from_byte_slice(block);
    if header.cksum().ok() != Some(checksum(block)) {
        return Err(TocTarFault::Header);
    }
    if *header.path_bytes() != *TOC_NAME.as_bytes() || !header.entry_type().is_file() {
        return Err(TocTarFault::Name);
    }
    header.entry_size().ok().ok_or(TocTarFault::Header)
}

/// The sum of a tar header's bytes, with those of the checksum itself counted as spaces.
fn checksum(block: &[u8]) -> u32 {
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    let field: u32 = block[148..156].iter().copied().map(u32::from).sum();
    sum - field + 8 * u32::from(b' ')
}

/// The digest of the next `size` bytes, how many of them there are, and these bytes if they are few.
fn digest(json: impl Read, size: u64, expected: Expected<'_>, limit: u64) -> Result<(Digest, u64, Option<Vec<u8>>)> {
    let mut hasher = match expected {
        Expected::Digest(_) => hasher(expected)?,
        Expected::Compressed(_) | Expected::Unverified => Hasher::sha256(),
    };
    let mut json = json.take(size.min(limit.saturating_add(1)));
    let mut whole = (size <= WHOLE_BYTES || size == u64::MAX).then(Vec::new);
    let mut portion = vec![0; PORTION_BYTES];
    let mut bytes = 0;
    loop {
        let text = match json.read(&mut portion).map_err(inflate_error)? {
            0 => break,
            read => &portion[..read],
        };
        hasher.update(text);
        bytes += text.len() as u64;
        whole = whole.filter(|_| bytes <= WHOLE_BYTES);
        if let Some(whole) = &mut whole {
            whole.extend_from_slice(text);
        }
    }
    if bytes > limit {
        return Err(Error::TocLimit { part: TocPart::Inflated, limit });
    }
    Ok((hasher.finish(), bytes, whole))
}

fn hasher(expected: Expected<'_>) -> Result<Hasher> {
    match expected {
        Expected::Digest(digest) | Expected::Compressed(digest) => {
            Hasher::for_digest(digest).ok_or_else(|| Error::DigestAlgorithm { digest: digest.clone() })
        }
        Expected::Unverified => Ok(Hasher::sha256()),
    }
}

/// Checks that nothing follows the JSON but the end of the tar archive, which may be padded, and nothing the gzip member.
fn check_end(mut tar: GzDecoder<impl BufRead>, limit: u64) -> Result<()> {
    let padding = limit.saturating_add(4 * BLOCK as u64);
    let mut portion = vec![0; PORTION_BYTES];
    let mut passed = 0;
    loop {
        match tar.read(&mut portion).map_err(inflate_error)? {
            0 => break,
            read if portion[..read].iter().any(|&byte| byte != 0) => {
                return Err(Error::TocTar { fault: TocTarFault::NotLast });
            }
            read => passed += read as u64,
        }
        if passed > padding {
            return Err(Error::TocLimit { part: TocPart::Inflated, limit });
        }
    }
    match tar.get_mut().fill_buf().map_err(inflate_error)? {
        [] => Ok(()),
        _ => Err(Error::TocTar { fault: TocTarFault::TrailingBytes }),
    }
}

fn check_digest(actual: &Digest, expected: &Digest) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    Err(Error::TocDigest { expected: expected.clone(), actual: actual.clone() })
}

fn inflate_error(source: io::Error) -> Error {
    Error::TocInflate { source: Arc::new(source) }
}
