//! Frames of zstd, decoded from bytes that arrive in pieces.
//!
//! `ruzstd` decodes a block at a time, but wants all of its bytes at once. So the bytes of a header or a block, which are
//! never more than 128 KiB, are gathered here before it gets them.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window that a frame may ask for, in bytes: what the zstd program takes without being told otherwise.
pub(crate) const MAX_WINDOW_BYTES: u64 = 128 << 20;
/// No block is larger, neither compressed nor decoded.
const MAX_BLOCK_BYTES: usize = 128 << 10;
/// A decoder is used for the next frame, too, if that asks for no larger window.
const REUSED_WINDOW_BYTES: u64 = 1 << 20;
const MAGIC: u32 = 0xfd2f_b528;
/// The last four bits of it are anything.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;

/// One frame, and skippable frames before it.
pub(crate) struct Frame {
    decoder: FrameDecoder,
    part: Part,
    /// The bytes of the part so far.
    gathered: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    /// So many bytes that mean nothing.
    Skipped(usize),
    /// A block. So many bytes follow the last one.
    Block {
        checksum_bytes: usize,
    },
    /// Nothing: the frame has ended.
    End,
}

/// What decoding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// How many bytes of the input are done with.
    pub(crate) taken: usize,
    /// How many bytes of the output are written.
    pub(crate) made: usize,
    /// Whether the frame has no more to give.
    pub(crate) is_end: bool,
}

impl Frame {
    pub(crate) fn new() -> Self {
        Self { decoder: decoder(), part: Part::Header, gathered: Vec::new() }
    }

    /// Turns to the first byte of another frame.
    pub(crate) fn reset(&mut self) {
        self.part = Part::Header;
        self.gathered.clear();
    }

    /// Whether not a byte of the frame was taken.
    pub(crate) fn is_at_start(&self) -> bool {
        self.part == Part::Header && self.gathered.is_empty()
    }

    /// Decodes some of `input` to some of `output`, which has room. Nothing is taken, and nothing made, only if there is no
    /// input, or at the end.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the bytes are no frame, or one that wants a dictionary or a window of more than 128 MiB.
    pub(crate) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded> {
        let mut made = self.drain(output)?;
        let mut taken = 0;
        if made == 0 {
            taken = self.take(input)?;
            made = self.drain(output)?;
        }
        Ok(Decoded { taken, made, is_end: self.part == Part::End && self.decoder.can_collect() == 0 })
    }

    fn drain(&mut self, output: &mut [u8]) -> io::Result<usize> {
        // Before its own header, the decoder has the frame before.
        if matches!(self.part, Part::Block { .. } | Part::End) { self.decoder.read(output) } else { Ok(0) }
    }

    /// Takes bytes until a block was decoded, or there are no more.
    fn take(&mut self, input: &[u8]) -> io::Result<usize> {
        let mut rest = input;
        loop {
            if let Part::Skipped(bytes) = self.part {
                let skipped = bytes.min(rest.len());
                rest = &rest[skipped..];
                self.part = if skipped == bytes { Part::Header } else { Part::Skipped(bytes - skipped) };
            }
            let wanted = match self.part {
                Part::Header => header_bytes(&self.gathered)?,
                Part::Block { checksum_bytes } => block_bytes(&self.gathered, checksum_bytes)?,
                Part::Skipped(_) | Part::End => break,
            };
            if let Some(missing) = wanted.checked_sub(self.gathered.len()).filter(|&missing| missing > 0) {
                let (more, behind) = rest.split_at(missing.min(rest.len()));
                self.gathered.extend_from_slice(more);
                rest = behind;
                if more.len() < missing {
                    break;
                }
            } else if self.complete()? {
                break;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Decodes the header or block that is gathered, and says whether it was a block.
    fn complete(&mut self) -> io::Result<bool> {
        let gathered = std::mem::take(&mut self.gathered);
        let is_block = matches!(self.part, Part::Block { .. });
        self.part = self.part_after(&gathered)?;
        self.gathered = gathered;
        self.gathered.clear();
        Ok(is_block)
    }

    fn part_after(&mut self, gathered: &[u8]) -> io::Result<Part> {
        match self.part {
            Part::Header => {
                if let Some(skipped) = skipped_bytes(gathered) {
                    return Ok(Part::Skipped(skipped));
                }
                // A decoder that is used again takes all memory that its next frame asks for beforehand.
                if window_bytes(gathered) > REUSED_WINDOW_BYTES {
                    self.decoder = decoder();
                }
                self.decoder.init(gathered).map_err(|error| invalid(&error.to_string()))?;
                Ok(Part::Block { checksum_bytes: if gathered[4] & 4 == 0 { 0 } else { 4 } })
            }
            Part::Block { .. } => {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(gathered, one).map_err(|error| invalid(&error.to_string()))?;
                Ok(if self.decoder.is_finished() { Part::End } else { self.part })
            }
            part @ (Part::Skipped(_) | Part::End) => Ok(part),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("part", &self.part).finish_non_exhaustive()
    }
}

fn decoder() -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW_BYTES);
    decoder
}

/// How many bytes back the frame with this header may refer to (RFC 8878, 3.1.1.1).
fn window_bytes(header: &[u8]) -> u64 {
    let Some((descriptor, rest)) = header.get(4..).and_then(<[u8]>::split_first) else { return 0 };
    if descriptor & 0x20 == 0 {
        let (exponent, mantissa) = rest.first().map_or((0, 0), |window| (window >> 3, window & 7));
        let base = 1 << (10 + exponent);
        return base + base / 8 * u64::from(mantissa);
    }
    // The whole content, whose size comes last; one of two bytes has 256 more than it says, which is no matter here.
    let size = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..).unwrap_or_default();
    size.iter().rev().fold(0, |size, &byte| size << 8 | u64::from(byte))
}

/// How many bytes the header has that starts with `bytes`, as far as these tell: at least one more than there are, unless
/// they are all.
fn header_bytes(bytes: &[u8]) -> io::Result<usize> {
    let Some((magic, rest)) = bytes.split_first_chunk() else { return Ok(4) };
    match u32::from_le_bytes(*magic) {
        magic if magic & !15 == SKIPPABLE_MAGIC => return Ok(8),
        MAGIC => {}
        _ => return Err(invalid("there is no zstd frame")),
    }
    let Some(&descriptor) = rest.first() else { return Ok(5) };
    let is_single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        flag => 1 << flag,
    };
    Ok(5 + usize::from(!is_single_segment) + dictionary + size)
}

/// How many bytes to skip after the header `bytes`, if it is that of a skippable frame.
fn skipped_bytes(bytes: &[u8]) -> Option<usize> {
    let (magic, size) = bytes.split_first_chunk()?;
    let is_skippable = u32::from_le_bytes(*magic) & !15 == SKIPPABLE_MAGIC;
    let size = u32::from_le_bytes(*size.first_chunk()?);
    usize::try_from(size).ok().filter(|_| is_skippable)
}

/// How many bytes the block has that starts with `bytes`, with the checksum that follows the last.
fn block_bytes(bytes: &[u8], checksum_bytes: usize) -> io::Result<usize> {
    let Some(&[first, second, third]) = bytes.first_chunk() else { return Ok(3) };
    let header = usize::from(first) | usize::from(second) << 8 | usize::from(third) << 16;
    let (is_last, kind, size) = (header & 1 != 0, header >> 1 & 3, header >> 3);
    if kind == 3 || size > MAX_BLOCK_BYTES {
        return Err(invalid("a zstd block is larger than a block can be, or of no known kind"));
    }
    let content = if kind == 1 { 1 } else { size };
    Ok(3 + content + if is_last { checksum_bytes } else { 0 })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Reads what zstd has compressed, from the first byte to the last: frames that follow each other, and skippable frames,
/// which give nothing.
///
/// Checksums are not compared: it is meant for bytes that a digest vouches for. A frame may ask for a window of up to
/// 128 MiB; memory grows with what was decoded, up to the window and a block.
#[derive(Debug)]
pub struct ZstdReader<R> {
    input: R,
    frame: Frame,
}

impl<R: BufRead> ZstdReader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, frame: Frame::new() }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    /// # Errors
    ///
    /// `InvalidData` when the bytes are not zstd, or a frame wants a dictionary or too large a window; `UnexpectedEof` when
    /// they end within a frame; and those of the input.
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.input.fill_buf()?;
            let is_end_of_input = input.is_empty();
            if is_end_of_input && self.frame.is_at_start() {
                return Ok(0);
            }
            let Decoded { taken, made, is_end } = self.frame.decode(input, output)?;
            self.input.consume(taken);
            if is_end {
                self.frame.reset();
            }
            if made > 0 {
                return Ok(made);
            }
            if is_end_of_input && !is_end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &[u8], bytes: u64) {
        assert_eq!(window_bytes(&[&MAGIC.to_le_bytes(), header].concat()), bytes, "{header:?}");
    }

    #[test]
    fn windows_are_read_from_either_field() {
        check(&[0, 0], 1 << 10);
        check(&[0, 10 << 3], 1 << 20);
        check(&[0, 17 << 3 | 4], (128 << 20) + (64 << 20));
        check(&[0, 31 << 3 | 7], (1 << 41) + (7 << 38));
        check(&[0x20, 7], 7);
        check(&[0x23, 1, 2, 3, 4, 7], 7);
        check(&[0xa0, 1, 2, 0, 0], 513);
        check(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0], 1 << 32);
        check(&[], 0);
    }

    #[test]
    fn decoder_that_may_take_much_memory_beforehand_is_not_used_again() {
        let frame = |window: u8| [b"\x28\xb5\x2f\xfd\0", &[window][..], b"\x21\0\0abcd"].concat();
        let mut frames = Frame::new();
        for window in [0, 10 << 3, 17 << 3, 0, 17 << 3] {
            let mut output = [0; 8];
            let decoded = frames.decode(&frame(window), &mut output).unwrap();
            assert_eq!((&output[..decoded.made], decoded.is_end), (&b"abcd"[..], true));
            frames.reset();
        }
    }
}
