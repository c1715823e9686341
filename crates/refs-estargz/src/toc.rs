//! From the bytes behind the payload to the entries in the table of contents, whose digest is decided on the way.

use std::{
    io::{self, Read},
    sync::Arc,
};

use flate2::bufread::GzDecoder;
use refs_url::{Digest, Hasher};

use crate::{
    Error, Limits, Result, TocPart, document, error::TocTarFault, path::TOC_NAME, window::Window, wire::WireEntry,
};

/// What a table of contents is checked against.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// The digest that the manifest gives for it, in the annotation [`TOC_DIGEST_ANNOTATION`](crate::TOC_DIGEST_ANNOTATION).
    Digest(&'a Digest),
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

/// The JSON in the gzip member of a table of contents; `toc_tar_gz` is that member and nothing else.
pub(crate) fn json<'t>(toc_tar_gz: &'t [u8], expected: Expected<'_>, limits: &Limits) -> Result<Json<'t>> {
    if toc_tar_gz.len() as u64 > limits.toc_compressed {
        return Err(Error::TocLimit { part: TocPart::Compressed, limit: limits.toc_compressed });
    }
    let mut tar = GzDecoder::new(toc_tar_gz);
    let size = json_bytes(&mut tar)?;
    let (digest, whole) = digest(&mut tar, size, expected, limits.toc_inflated)?;
    check_end(tar, limits.toc_inflated)?;
    check_digest(&digest, expected)?;
    let text = match whole {
        Some(whole) => Text::Whole(whole),
        None => {
            let mut tar = GzDecoder::new(toc_tar_gz);
            json_bytes(&mut tar)?;
            Text::Again(Box::new(tar.take(size)))
        }
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

/// The digest of the next `size` bytes, and these bytes if they are few.
fn digest(json: impl Read, size: u64, expected: Expected<'_>, limit: u64) -> Result<(Digest, Option<Vec<u8>>)> {
    let mut hasher = hasher(expected)?;
    let mut json = json.take(size.min(limit.saturating_add(1)));
    let mut whole = (size <= WHOLE_BYTES).then(Vec::new);
    let mut portion = vec![0; PORTION_BYTES];
    let mut bytes = 0;
    loop {
        let text = match json.read(&mut portion).map_err(inflate_error)? {
            0 => break,
            read => &portion[..read],
        };
        hasher.update(text);
        bytes += text.len() as u64;
        if let Some(whole) = &mut whole {
            whole.extend_from_slice(text);
        }
    }
    match bytes {
        _ if bytes > limit => Err(Error::TocLimit { part: TocPart::Inflated, limit }),
        _ if bytes < size => Err(Error::TocTar { fault: TocTarFault::Size }),
        _ => Ok((hasher.finish(), whole)),
    }
}

fn hasher(expected: Expected<'_>) -> Result<Hasher> {
    match expected {
        Expected::Digest(digest) => {
            Hasher::for_digest(digest).ok_or_else(|| Error::DigestAlgorithm { digest: digest.clone() })
        }
        Expected::Unverified => Ok(Hasher::sha256()),
    }
}

/// Checks that nothing follows the JSON but the end of the tar archive, which may be padded, and nothing the gzip member.
fn check_end(mut tar: GzDecoder<&[u8]>, limit: u64) -> Result<()> {
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
    match tar.into_inner() {
        [] => Ok(()),
        _ => Err(Error::TocTar { fault: TocTarFault::TrailingBytes }),
    }
}

fn check_digest(actual: &Digest, expected: Expected<'_>) -> Result<()> {
    match expected {
        Expected::Digest(expected) if actual != expected => {
            Err(Error::TocDigest { expected: expected.clone(), actual: actual.clone() })
        }
        _ => Ok(()),
    }
}

fn inflate_error(source: io::Error) -> Error {
    Error::TocInflate { source: Arc::new(source) }
}
