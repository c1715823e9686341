//! Opens the archive in a layer's bytes: a tar file, compressed with gzip, with zstd, or not.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use refs_estargz::ZstdReader;
use refs_registry::Descriptor;

use super::tar::{self, Walk};
use crate::{Error, Result};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// What follows the first byte of zstd's skippable frames, with which a layer may start, too.
const SKIPPABLE_MAGIC: &[u8] = &[0x2a, 0x4d, 0x18];
/// Headers are small, and each call into the inflater costs.
const INFLATED_BUFFER_BYTES: usize = 128 << 10;

/// An archive whose bytes come from anywhere.
pub(crate) type Archive = Walk<Box<dyn BufRead + Send>>;

/// Reads `bytes`, the whole blob of `layer`, as an archive. How it is compressed is taken from its first bytes: media
/// types are wrong about it often enough that every tool looks there.
///
/// # Errors
/// `UnsupportedLayer` when the bytes are no such archive and the media type doesn't claim it either.
pub(crate) fn open(bytes: impl BufRead + Send + 'static, layer: &Descriptor) -> Result<Archive> {
    Ok(Walk::new(inflated(bytes, layer)?, layer.digest.clone()))
}

/// The tar archive in `bytes`, the whole blob of `layer`, as [`open`] finds it.
///
/// # Errors
/// As of [`open`].
pub(crate) fn inflated(bytes: impl BufRead + Send + 'static, layer: &Descriptor) -> Result<Box<dyn BufRead + Send>> {
    look(bytes, layer).map(Packed::inflated)
}

/// The whole blob of a layer, and how it is compressed.
pub(super) struct Packed {
    pub(super) compression: Compression,
    pub(super) bytes: Box<dyn BufRead + Send>,
}

/// How `bytes`, the whole blob of `layer`, are compressed, as [`open`] finds it.
///
/// # Errors
/// As of [`open`].
pub(super) fn look(mut bytes: impl BufRead + Send + 'static, layer: &Descriptor) -> Result<Packed> {
    let mut start = Vec::with_capacity(tar::BLOCK_BYTES);
    // An error here comes again at the next read, where it is reported.
    let _ = bytes.by_ref().take(tar::BLOCK_BYTES as u64).read_to_end(&mut start);
    let compression = Compression::of(&start);
    let is_known = tar::is_header(&start) || layer.media_type.layer_format().is_some();
    if compression == Compression::None && !is_known {
        return Err(unsupported(layer, "it is no tar archive, and has no title that would make it a file"));
    }
    Ok(Packed { compression, bytes: Box::new(Cursor::new(start).chain(bytes)) })
}

impl Packed {
    /// The tar archive.
    pub(super) fn inflated(self) -> Box<dyn BufRead + Send> {
        let whole = self.bytes;
        match self.compression {
            Compression::None => whole,
            Compression::Gzip => Box::new(BufReader::with_capacity(INFLATED_BUFFER_BYTES, Members::of(whole))),
            Compression::Zstd => Box::new(BufReader::with_capacity(INFLATED_BUFFER_BYTES, ZstdReader::new(whole))),
        }
    }
}

/// What the members of a gzip file hold, and an error that says so when what follows them is none.
struct Members<R> {
    decoder: MultiGzDecoder<R>,
    have_begun: bool,
}

impl<R: BufRead> Members<R> {
    fn of(bytes: R) -> Self {
        Self { decoder: MultiGzDecoder::new(bytes), have_begun: false }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(into);
        // Between members there is no header yet.
        let is_between = self.have_begun && self.decoder.header().is_none();
        self.have_begun |= read.is_ok();
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof if is_between => {
                io::Error::new(io::ErrorKind::InvalidData, "bytes that are no gzip follow the last member")
            }
            _ => error,
        })
    }
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first bytes of it.
    pub(super) fn of(start: &[u8]) -> Self {
        let is_skippable = || matches!(start, [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE_MAGIC));
        match () {
            () if start.starts_with(GZIP_MAGIC) => Self::Gzip,
            () if start.starts_with(ZSTD_MAGIC) || is_skippable() => Self::Zstd,
            () => Self::None,
        }
    }
}

pub(crate) fn unsupported(layer: &Descriptor, reason: &'static str) -> Error {
    Error::UnsupportedLayer { layer: layer.digest.clone(), media_type: layer.media_type.clone(), reason }
}
