//! The last bytes of a blob, which say where its table of contents starts.
//!
//! Both directions work on fixed byte positions. A gzip library must not be asked: what it writes for an empty stream
//! changes between versions, and the legacy form is not quite gzip.

use crate::{Error, Result};

/// How many bytes the footer has that this crate writes.
pub const FOOTER_BYTES: usize = 51;
/// How many bytes the footer of the older stargz format has.
pub const LEGACY_FOOTER_BYTES: usize = 47;
/// How many bytes the footer has that says: the table of contents is elsewhere.
pub const EXTERNAL_FOOTER_BYTES: usize = 46;

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
}

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
const ESTARGZ_EXTRA: [u8; 6] = [26, 0, b'S', b'G', 22, 0];
const LEGACY_EXTRA: [u8; 2] = [22, 0];
const EXTERNAL_EXTRA: [u8; 23] = *b"\x15\x00SG\x11\x00STARGZEXTERNALTOC";
const MAGIC: [u8; 6] = *b"STARGZ";
/// One stored block without bytes, then checksum and size 0.
const EMPTY_STREAM: [u8; 13] = [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];

impl Footer {
    /// Reads the footer at the end of `tail`, the last bytes of a blob of `blob_bytes`; 51 are enough.
    ///
    /// # Errors
    ///
    /// [`Error::NotEstargz`] when there is no footer, [`Error::FooterSyntax`] and [`Error::FooterOffset`] when there is
    /// one that can't be true.
    pub fn parse(tail: &[u8], blob_bytes: u64) -> Result<Self> {
        let footer = if let Some(offset) = offset_between(tail, &ESTARGZ_EXTRA) {
            Self::Estargz { toc_offset: parse_hex(offset)? }
        } else if let Some(offset) = offset_between(tail, &LEGACY_EXTRA) {
            Self::Legacy { toc_offset: parse_hex(offset)? }
        } else if is_external(tail) {
            Self::ExternalToc
        } else {
            return Err(Error::NotEstargz);
        };
        footer.check_offset(blob_bytes)?;
        Ok(footer)
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
        }
    }

    /// Where the table of contents starts in the blob, unless it is elsewhere.
    pub fn toc_offset(&self) -> Option<u64> {
        match *self {
            Self::Estargz { toc_offset } | Self::Legacy { toc_offset } => Some(toc_offset),
            Self::ExternalToc => None,
        }
    }

    fn check_offset(self, blob_bytes: u64) -> Result<()> {
        let footer_offset = blob_bytes.saturating_sub(self.bytes() as u64);
        match self.toc_offset() {
            Some(toc_offset) if toc_offset >= footer_offset => Err(Error::FooterOffset { toc_offset, footer_offset }),
            _ => Ok(()),
        }
    }
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
