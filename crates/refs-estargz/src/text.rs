//! A long text that is kept deflated until it is read, once.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use refs_url::{Digest, Hasher};

use crate::{Result, emit::write_error};

/// A text that is appended to, with its length and digest.
#[derive(Debug)]
pub(crate) struct Text {
    /// What was appended last, and goes on to the others together.
    fresh: Vec<u8>,
    hasher: Hasher,
    bytes: u64,
    deflated: DeflateEncoder<Blocks>,
}

/// Deflating many short pieces costs more than one long one.
const FRESH_BYTES: usize = 64 << 10;

impl Default for Text {
    fn default() -> Self {
        let deflated = DeflateEncoder::new(Blocks::default(), Compression::fast());
        Self { fresh: Vec::new(), hasher: Hasher::sha256(), bytes: 0, deflated }
    }
}

impl Text {
    pub(crate) fn append(&mut self, text: &[u8]) -> Result<()> {
        self.bytes += text.len() as u64;
        self.fresh.extend_from_slice(text);
        if self.fresh.len() < FRESH_BYTES { Ok(()) } else { self.settle() }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its digest, and the text itself, which frees what has been read.
    pub(crate) fn finish(mut self) -> Result<(Digest, impl Read)> {
        self.settle()?;
        Ok((self.hasher.finish(), DeflateDecoder::new(self.deflated.finish().map_err(write_error)?)))
    }

    fn settle(&mut self) -> Result<()> {
        self.hasher.update(&self.fresh);
        self.deflated.write_all(&self.fresh).map_err(write_error)?;
        self.fresh.clear();
        Ok(())
    }
}

/// Bytes in blocks, so that growing copies nothing.
#[derive(Debug, Default)]
struct Blocks {
    blocks: VecDeque<Vec<u8>>,
    /// How much of the first block has been read.
    read: usize,
}

const BLOCK_BYTES: usize = 64 << 10;

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK_BYTES) {
            self.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
        }
        let Some(block) = self.blocks.back_mut() else { return Ok(0) };
        let taken = bytes.len().min(BLOCK_BYTES - block.len());
        block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(block) = self.blocks.front() else { return Ok(0) };
        let rest = &block[self.read..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.read += taken;
        if self.read == block.len() {
            self.blocks.pop_front();
            self.read = 0;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn text_is_what_was_appended(lengths in prop::collection::vec(0..100_000usize, 0..12), seed: u64) {
            let (mut text, mut whole, mut random) = (Text::default(), Vec::new(), seed);
            for length in lengths {
                let piece: Vec<u8> = (0..length).map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 56) as u8
                }).collect();
                text.append(&piece).unwrap();
                whole.extend(piece);
            }
            prop_assert_eq!(text.bytes(), whole.len() as u64);
            let (digest, mut reader) = text.finish().unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            prop_assert!(read == whole);
            prop_assert_eq!(digest, Digest::sha256(&whole));
        }
    }
}
