//! Frames of zstd in portions of any size.

use std::io::{self, BufReader, Read};

use crate::ZstdReader;

/// A few bytes may give gigabytes: so many of them are looked at.
const MOST_BYTES: u64 = 1 << 20;

/// How many bytes come at a time, and frames.
pub fn zstd(data: &[u8]) {
    let Some((portion, frames)) = data.split_first() else { return };
    let (whole, ended) = read(frames, frames.len().max(1));
    let (again, ended_again) = read(frames, usize::from(*portion).max(1));
    assert!(whole == again, "{} bytes are {} in portions", whole.len(), again.len());
    assert_eq!(ended, ended_again);
}

/// What is in `frames`, read `portion` bytes at a time, and how it ended.
fn read(frames: &[u8], portion: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut output = Vec::new();
    let reader = ZstdReader::new(BufReader::with_capacity(portion, frames));
    let ended = reader.take(MOST_BYTES).read_to_end(&mut output);
    (output, ended.err().map(|error| error.kind()))
}

/// `content` as a frame that is not compressed.
pub(super) fn stored(content: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 128 << 10;
    // A window of a megabyte.
    let mut frame = b"\x28\xb5\x2f\xfd\0\x50".to_vec();
    let blocks = content.len().div_ceil(BLOCK_BYTES).max(1);
    for at in 0..blocks {
        let block = &content[at * BLOCK_BYTES..content.len().min((at + 1) * BLOCK_BYTES)];
        let header = (block.len() << 3) as u32 | u32::from(at + 1 == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}
