//! Seek indexes: what a damaged one does, and whether a good one gives what the whole blob gives.

use std::{
    io::{BufReader, Read},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use refs_url::{Digest, Hasher};

use crate::{
    Error, Result,
    seek::{Builder, Index, SeekFault},
};

/// A few bytes may inflate to gigabytes: so many of them are looked at.
const MOST_BYTES: u64 = 1 << 20;

/// An index that ends in a checksum that holds, of a blob that is made up.
pub fn seek_index(data: &[u8]) {
    let blob = Digest::sha256(b"blob");
    let mut bytes = data.to_vec();
    bytes.extend_from_slice(&Hasher::sha256_hash(data));
    let Ok(index) = Index::parse(&bytes.into(), &blob) else { return };
    assert!(
        index
            .entries()
            .iter()
            .all(|located| { located.content().is_some_and(|content| content.end <= index.inflated_bytes()) })
    );
    assert_eq!(parsed_again(&index, &blob), Some(index.clone()));
    let index = Arc::new(index);
    // It need not be the index of these bytes: then that is found.
    let wrong = Bytes::copy_from_slice(data);
    for range in [0..1, 0..index.inflated_bytes(), index.inflated_bytes() / 2..u64::MAX] {
        if let Err(error) = extract(&index, &wrong, range) {
            assert!(
                matches!(error, Error::Seek { fault: SeekFault::Span { .. } | SeekFault::Short { .. } }),
                "{error}"
            );
        }
    }
}

/// How far apart checkpoints are, how many bytes come at a time, what is wanted, and a blob that may be no gzip.
pub fn seek_blob(data: &[u8]) {
    let Some((&[apart, portion, from, length], blob)) = data.split_first_chunk::<4>() else { return };
    let reader = BufReader::with_capacity(usize::from(portion).max(1), blob);
    let mut builder = Builder::new(reader).span_bytes(u64::from(apart) << 4);
    let mut raw = Vec::new();
    let is_read = builder.by_ref().take(MOST_BYTES).read_to_end(&mut raw).is_ok();
    let mut expected = Vec::new();
    let is_gzip = MultiGzDecoder::new(blob).take(MOST_BYTES).read_to_end(&mut expected).is_ok();
    let alike = raw.len().min(expected.len());
    assert!(raw[..alike] == expected[..alike], "the two inflaters differ within {alike} bytes");
    if !is_read || !is_gzip || raw.len() as u64 == MOST_BYTES {
        return;
    }
    assert_eq!(raw.len(), expected.len());
    let digest = Digest::sha256(blob);
    let Some(index) = builder.finish(&digest, Vec::new()) else { return };
    assert_eq!(parsed_again(&index, &digest), Some(index.clone()));
    let start = u64::from(from) << 2;
    let range = start..start + (u64::from(length) << 2);
    let part = extract(&Arc::new(index), &Bytes::copy_from_slice(blob), range.clone());
    let inside = |at: u64| raw.len().min(at as usize);
    assert!(part.is_ok_and(|part| part == raw[inside(range.start)..inside(range.end)]));
}

fn parsed_again(index: &Index, blob: &Digest) -> Option<Index> {
    Index::parse(&index.to_bytes()?, blob).ok()
}

/// The bytes `range` of the archive, from those bytes of `blob` that the index asks for, as far as there are such.
fn extract(index: &Arc<Index>, blob: &Bytes, range: Range<u64>) -> Result<Vec<u8>> {
    let mut extraction = index.extraction(range);
    let compressed = extraction.compressed();
    let inside = |at: u64| (blob.len() as u64).min(at) as usize;
    extraction.push(blob.slice(inside(compressed.start)..inside(compressed.end)));
    let mut part = Vec::new();
    while let Some(piece) = extraction.next() {
        part.extend_from_slice(piece?);
    }
    extraction.finish().map(|()| part)
}
