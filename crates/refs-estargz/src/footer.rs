//! The last bytes of a blob, which say where its table of contents starts.
//!
//! Both directions work on fixed byte positions. A gzip library must not be asked: what it writes for an empty stream
//! changes between versions, and the legacy form is not quite gzip.

use std::ops::Range;

use crate::{Error, Result};

/// How many bytes the footer has that this crate writes.
pub const FOOTER_BYTES: usize = 51;
/// How many bytes the footer of the older stargz format has.
pub const LEGACY_FOOTER_BYTES: usize = 47;
/// How many bytes the footer has that says: the table of contents is elsewhere.
pub const EXTERNAL_FOOTER_BYTES: usize = 46;

/// How many bytes the footer has of a zstd:chunked layer that the reference implementation of eStargz wrote.
pub const STARGZ_ZSTD_FOOTER_BYTES: usize = 48;
/// How many bytes the footer has of a zstd:chunked layer that podman, buildah or skopeo wrote: the longest of all.
pub const STORAGE_ZSTD_FOOTER_BYTES: usize = 72;

/// Where a blob's footer says the table of contents is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footer {
    /// eStargz, in 51 bytes.
    Estargz {
        /// Where the gzip member of the table of contents starts in the blob.
        toc_offset: u64,
    },
    /// The older stargz, in 47 bytes.
    Legacy {
        /// Where the gzip member of the table of contents starts in the blob.
        toc_offset: u64,
    },
    /// eStargz whose table of contents is in another image, in 46 bytes.
    ExternalToc,
    /// zstd:chunked as the reference implementation of eStargz writes it, in 48 bytes.
    StargzZstd {
        /// Where the compressed table of contents starts in the blob.
        toc_offset: u64,
        /// How many bytes it has.
        toc_bytes: u64,
    },
    /// zstd:chunked as podman, buildah and skopeo write it, in 72 bytes.
    StorageZstd {
        /// Where the compressed table of contents starts in the blob.
        toc_offset: u64,
        /// How many bytes it has.
        toc_bytes: u64,
    },
}

/// Where the table of contents of a zstd:chunked layer is, as the annotation [`ZSTD_TOC_POSITION_ANNOTATION`] says.
///
/// [`ZSTD_TOC_POSITION_ANNOTATION`]: crate::ZSTD_TOC_POSITION_ANNOTATION
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TocPosition {
    /// Where it starts in the blob, compressed.
    pub offset: u64,
    /// How many bytes it has, compressed.
    pub bytes: u64,
}

/// A place for a table of contents in a blob that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TocPlace {
    pub(crate) toc: Range<u64>,
    /// How many bytes of the blob come before it and the header around it.
    pub(crate) payload_bytes: u64,
    pub(crate) packing: Packing,
}

/// How the members of a blob are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
}

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
const ESTARGZ_EXTRA: [u8; 6] = [26, 0, b'S', b'G', 22, 0];
const LEGACY_EXTRA: [u8; 2] = [22, 0];
const EXTERNAL_EXTRA: [u8; 23] = *b"\x15\x00SG\x11\x00STARGZEXTERNALTOC";
const MAGIC: [u8; 6] = *b"STARGZ";
/// One stored block without bytes, then checksum and size 0.
const EMPTY_STREAM: [u8; 13] = [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
/// What is in a skippable frame of zstd starts so many bytes behind the start of the frame.
const SKIPPABLE_HEADER_BYTES: u64 = 8;
const STARGZ_ZSTD_HEADER: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 40, 0, 0, 0];
const STARGZ_ZSTD_MAGIC: [u8; 8] = *b"GnUlInUx";
const STORAGE_ZSTD_HEADER: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 64, 0, 0, 0];
const STORAGE_ZSTD_MAGIC: [u8; 8] = *b"GNUlInUx";
/// The one type of table that there is.
const TOC_TYPE: u64 = 1;

impl Footer {
    /// Reads the footer at the end of `tail`, the last bytes of a blob of `blob_bytes`; 72 are enough.
    ///
    /// # Errors
    ///
    /// [`Error::NotEstargz`] when there is no footer; [`Error::FooterSyntax`], [`Error::FooterOffset`] and
    /// [`Error::TocType`] when there is one that can't be true.
    pub fn parse(tail: &[u8], blob_bytes: u64) -> Result<Self> {
        let footer = if let Some(offset) = offset_between(tail, &ESTARGZ_EXTRA) {
            Self::Estargz { toc_offset: parse_hex(offset)? }
        } else if let Some(offset) = offset_between(tail, &LEGACY_EXTRA) {
            Self::Legacy { toc_offset: parse_hex(offset)? }
        } else if is_external(tail) {
            Self::ExternalToc
        } else if let Some(fields) = zstd_fields(tail, &STARGZ_ZSTD_HEADER, &STARGZ_ZSTD_MAGIC) {
            let TocPosition { offset, bytes } = position(fields)?;
            Self::StargzZstd { toc_offset: offset, toc_bytes: bytes }
        } else if let Some(fields) = zstd_fields(tail, &STORAGE_ZSTD_HEADER, &STORAGE_ZSTD_MAGIC) {
            let TocPosition { offset, bytes } = position(fields)?;
            Self::StorageZstd { toc_offset: offset, toc_bytes: bytes }
        } else {
            return Err(Error::NotEstargz);
        };
        footer.place(blob_bytes).map(|_| footer)
    }

    /// The 51 bytes to put behind a table of contents whose member starts at `toc_offset`.
    pub fn encode(toc_offset: u64) -> [u8; FOOTER_BYTES] {
        let mut footer = [0; FOOTER_BYTES];
        footer[..10].copy_from_slice(&GZIP_HEADER);
        footer[10..16].copy_from_slice(&ESTARGZ_EXTRA);
        for (place, digit) in footer[16..32].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(toc_offset >> (60 - 4 * place) & 15) as usize];
        }
        footer[32..38].copy_from_slice(&MAGIC);
        footer[38..].copy_from_slice(&EMPTY_STREAM);
        footer
    }

    /// How many bytes this footer has.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Estargz { .. } => FOOTER_BYTES,
            Self::Legacy { .. } => LEGACY_FOOTER_BYTES,
            Self::ExternalToc => EXTERNAL_FOOTER_BYTES,
            Self::StargzZstd { .. } => STARGZ_ZSTD_FOOTER_BYTES,
            Self::StorageZstd { .. } => STORAGE_ZSTD_FOOTER_BYTES,
        }
    }

    /// Where the table of contents starts in the blob, unless it is elsewhere.
    pub fn toc_offset(&self) -> Option<u64> {
        match *self {
            Self::Estargz { toc_offset }
            | Self::Legacy { toc_offset }
            | Self::StargzZstd { toc_offset, .. }
            | Self::StorageZstd { toc_offset, .. } => Some(toc_offset),
            Self::ExternalToc => None,
        }
    }

    /// Where the table lies in a blob of `blob_bytes`, unless it is elsewhere.
    pub(crate) fn place(self, blob_bytes: u64) -> Result<Option<TocPlace>> {
        let footer_offset = blob_bytes.saturating_sub(self.bytes() as u64);
        match self {
            Self::ExternalToc => Ok(None),
            Self::Estargz { toc_offset } | Self::Legacy { toc_offset } if toc_offset < footer_offset => {
                let toc = toc_offset..footer_offset;
                Ok(Some(TocPlace { toc, payload_bytes: toc_offset, packing: Packing::Gzip }))
            }
            Self::Estargz { toc_offset } | Self::Legacy { toc_offset } => {
                Err(Error::FooterOffset { toc_offset, footer_offset })
            }
            Self::StargzZstd { toc_offset, toc_bytes } | Self::StorageZstd { toc_offset, toc_bytes } => {
                TocPosition { offset: toc_offset, bytes: toc_bytes }.place(footer_offset).map(Some)
            }
        }
    }
}

impl TocPosition {
    /// Reads the text of the annotation: where the table starts, its size compressed, its size, and its type, as decimal
    /// numbers with colons between them. `None` when it is anything else, or of another type than 1.
    pub fn parse(annotation: &str) -> Option<Self> {
        let mut numbers = annotation.split(':').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (position, _, toc_type) = (Self { offset: next()?, bytes: next()? }, next()?, next()?);
        (numbers.next().is_none() && toc_type == TOC_TYPE).then_some(position)
    }

    /// The place of the table, if it lies before `end`, in a frame.
    pub(crate) fn place(self, end: u64) -> Result<TocPlace> {
        let toc_end = self.offset.checked_add(self.bytes).filter(|&toc_end| toc_end <= end);
        match (self.offset.checked_sub(SKIPPABLE_HEADER_BYTES), toc_end) {
            (Some(payload_bytes), Some(toc_end)) if toc_end > self.offset => {
                Ok(TocPlace { toc: self.offset..toc_end, payload_bytes, packing: Packing::Zstd })
            }
            _ => Err(Error::FooterOffset { toc_offset: self.offset, footer_offset: end }),
        }
    }
}

/// The fields of the footer at the end of `tail`, if it is one of zstd:chunked with these around them.
fn zstd_fields<'a>(tail: &'a [u8], header: &[u8; 8], magic: &[u8; 8]) -> Option<&'a [u8; 32]> {
    let fields = tail.strip_suffix(magic)?;
    let (rest, fields) = fields.split_at_checked(fields.len().checked_sub(usize::from(header[4]) - magic.len())?)?;
    rest.ends_with(header).then(|| fields.first_chunk()).flatten()
}

fn position(fields: &[u8; 32]) -> Result<TocPosition> {
    let (numbers, _) = fields.as_chunks();
    let [offset, bytes, _, toc_type] = [0, 1, 2, 3].map(|at: usize| u64::from_le_bytes(numbers[at]));
    if toc_type == TOC_TYPE { Ok(TocPosition { offset, bytes }) } else { Err(Error::TocType { toc_type }) }
}

/// The digits of the footer at the end of `tail`, if it is one with this `extra` field.
fn offset_between<'a>(tail: &'a [u8], extra: &[u8]) -> Option<&'a [u8; 16]> {
    let rest = tail.strip_suffix(&EMPTY_STREAM)?.strip_suffix(&MAGIC)?;
    let (rest, digits) = rest.split_last_chunk()?;
    rest.strip_suffix(extra)?.ends_with(&GZIP_HEADER).then_some(digits)
}

fn is_external(tail: &[u8]) -> bool {
    tail.strip_suffix(&EMPTY_STREAM)
        .and_then(|rest| rest.strip_suffix(&EXTERNAL_EXTRA))
        .is_some_and(|rest| rest.ends_with(&GZIP_HEADER))
}

fn parse_hex(digits: &[u8; 16]) -> Result<u64> {
    digits.iter().try_fold(0, |offset, digit| match digit {
        b'0'..=b'9' => Ok(offset << 4 | u64::from(digit - b'0')),
        b'a'..=b'f' => Ok(offset << 4 | u64::from(digit - b'a' + 10)),
        _ => Err(Error::FooterSyntax),
    })
}
