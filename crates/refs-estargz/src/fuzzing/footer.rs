//! The last bytes of a blob, and the annotation that stands in for them.

use crate::{Footer, TocPosition, footer::TocPlace};

/// The longest footer.
const MOST_BYTES: usize = crate::STORAGE_ZSTD_FOOTER_BYTES;

/// The size of a blob in eight bytes, little-endian, and its last bytes.
pub fn footer(data: &[u8]) {
    let Some((blob_bytes, tail)) = data.split_first_chunk() else { return };
    let blob_bytes = u64::from_le_bytes(*blob_bytes);
    let parsed = Footer::parse(tail, blob_bytes);
    let last = &tail[tail.len().saturating_sub(MOST_BYTES)..];
    assert_eq!(format!("{:?}", Footer::parse(last, blob_bytes)), format!("{parsed:?}"));
    let Ok(footer) = parsed else { return };
    let Some((_, own)) = tail.split_at_checked(tail.len().wrapping_sub(footer.bytes())) else {
        panic!("{footer:?} is longer than {} bytes", tail.len());
    };
    assert_eq!(own, written(&footer, own), "{footer:?} could be written otherwise");
    let place = match footer.place(blob_bytes) {
        Ok(place) => place,
        Err(error) => panic!("{footer:?} has no place: {error}"),
    };
    assert_eq!(place.as_ref().map(|place| place.toc.start), footer.toc_offset());
    place.iter().for_each(|place| lies_before(place, blob_bytes - footer.bytes() as u64));
}

/// The text of an annotation in a line, then as [`footer`].
pub fn zstd_footer(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (annotation, rest) = data.split_at(line);
    let rest = rest.get(1..).unwrap_or_default();
    footer(rest);
    let Some(position) = std::str::from_utf8(annotation).ok().and_then(TocPosition::parse) else { return };
    let TocPosition { offset, bytes } = position;
    assert_eq!(TocPosition::parse(&format!("{offset}:{bytes}:0:1")), Some(position));
    let end = rest.first_chunk().map_or(u64::MAX, |size| u64::from_le_bytes(*size));
    if let Ok(place) = position.place(end) {
        assert_eq!((place.toc.start, place.toc.end - place.toc.start), (offset, bytes));
        lies_before(&place, end);
    }
}

/// A table has bytes, behind the payload and before `end`.
fn lies_before(place: &TocPlace, end: u64) {
    assert!(!place.toc.is_empty() && place.toc.end <= end, "{place:?} is not before {end}");
    assert!(place.payload_bytes <= place.toc.start, "{place:?} lies in the payload");
}

/// The one form of a footer; of what it says beside the place of the table, as `own` has it.
fn written(footer: &Footer, own: &[u8]) -> Vec<u8> {
    let gzip = |extra: &[u8], text: &str| {
        let (header, end) = (b"\x1f\x8b\x08\x04\0\0\0\0\0\xff", b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
        [&header[..], extra, text.as_bytes(), end].concat()
    };
    match *footer {
        Footer::Estargz { toc_offset } => {
            let written = gzip(b"\x1a\0SG\x16\0", &format!("{toc_offset:016x}STARGZ"));
            assert_eq!(written, Footer::encode(toc_offset));
            written
        }
        Footer::Legacy { toc_offset } => gzip(b"\x16\0", &format!("{toc_offset:016x}STARGZ")),
        Footer::ExternalToc => gzip(b"\x15\0SG\x11\0", "STARGZEXTERNALTOC"),
        Footer::StargzZstd { toc_offset, toc_bytes } => {
            let [offset, bytes] = [toc_offset, toc_bytes].map(u64::to_le_bytes);
            [b"\x50\x2a\x4d\x18\x28\0\0\0", &offset[..], &bytes, &own[24..32], b"\x01\0\0\0\0\0\0\0GnUlInUx"].concat()
        }
        Footer::StorageZstd { toc_offset, toc_bytes } => {
            let [offset, bytes] = [toc_offset, toc_bytes].map(u64::to_le_bytes);
            let start = [b"\x50\x2a\x4d\x18\x40\0\0\0", &offset[..], &bytes, &own[24..32], b"\x01\0\0\0\0\0\0\0"];
            [&start.concat(), &own[40..64], b"GNUlInUx"].concat()
        }
    }
}
