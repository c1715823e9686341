//! Inflates gzip members one after the other, and stops wherever it could go on later from little.

use std::{fmt, ops::Range};

use flate2::Crc;
use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        BlockBoundaryState, DecompressorOxide, decompress,
        inflate_flags::{
            TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
    },
};

use super::WINDOW_BYTES;
use crate::gzip::{HEADER, HeaderReader, NoHeader};

/// Not wrapping, so that a distance to before the start of a member is found.
const FLAGS: u32 =
    TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
/// The window, and as much again and more, as moving the window costs.
const BUFFER_BYTES: usize = 8 * WINDOW_BYTES;
const TRAILER_BYTES: usize = 8;

/// The state of inflating, between two portions of the blob.
pub(super) struct Inflate {
    place: Place,
    deflate: Box<DecompressorOxide>,
    /// As far as `filled`, the end of what was inflated last.
    buffer: Box<[u8]>,
    filled: usize,
    /// Of the current member; none when it was entered in its middle.
    checksum: Option<Crc>,
}

/// What comes next.
#[derive(Debug)]
enum Place {
    Header(HeaderReader),
    Deflated,
    Trailer {
        read: usize,
        bytes: [u8; TRAILER_BYTES],
    },
    /// A further member, or the end of the blob.
    Between,
}

/// What a step came to.
#[derive(Debug)]
pub(super) struct Step {
    /// How many bytes of the input are done with.
    pub(super) taken: usize,
    /// Where in the buffer is what they gave.
    pub(super) made: Range<usize>,
    /// Whether this is a place to go on from later.
    pub(super) stop: Option<Stop>,
}

/// A place from which inflating can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Behind a member.
    Member,
    /// Between two blocks, with bits of the byte before that are of the second one.
    Block(Bits),
}

/// The last bits of a byte, that of the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    count: u8,
    value: u8,
}

/// What is wrong with a gzip blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no gzip header where a member should start")]
    Header,
    #[error("bytes that are no gzip follow the last member")]
    Trailing,
    #[error("a deflate stream is broken")]
    Deflate,
    #[error("the checksum of a member does not hold")]
    Checksum,
}

impl Bits {
    /// `None` for what can't be left of a byte.
    pub(super) fn new(count: u8, value: u8) -> Option<Self> {
        (count < 8 && value >> count == 0).then_some(Self { count, value })
    }

    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.count, self.value]
    }
}

impl Inflate {
    /// At the first byte of a member.
    pub(super) fn new() -> Self {
        Self {
            place: Place::Header(HeaderReader::default()),
            deflate: Box::default(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            filled: 0,
            checksum: None,
        }
    }

    /// Between two blocks, where the next begins with `bits` and `window` is what was inflated last.
    pub(super) fn resumed(bits: Bits, window: &[u8]) -> Self {
        let state = BlockBoundaryState { num_bits: bits.count, bit_buf: bits.value, ..BlockBoundaryState::default() };
        let window = &window[window.len().saturating_sub(WINDOW_BYTES)..];
        let mut inflate = Self::new();
        inflate.place = Place::Deflated;
        inflate.deflate = Box::new(DecompressorOxide::from_block_boundary_state(&state));
        inflate.buffer[..window.len()].copy_from_slice(window);
        inflate.filled = window.len();
        inflate
    }

    /// Whether the blob may end here.
    pub(super) fn is_between_members(&self) -> bool {
        matches!(self.place, Place::Between)
    }

    /// What a [`Step`] made, until the next step.
    pub(super) fn bytes(&self, made: Range<usize>) -> &[u8] {
        &self.buffer[made]
    }

    /// What was inflated last, as far as the next block may refer to it.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.filled.saturating_sub(WINDOW_BYTES)..self.filled]
    }

    /// Goes on with `input`, which is not empty. A step may take nothing, when it makes something or is a stop.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, Fault> {
        match &mut self.place {
            Place::Between => {
                if !input.starts_with(&HEADER[..1]) {
                    return Err(Fault::Trailing);
                }
                self.place = Place::Header(HeaderReader::default());
                self.step(input)
            }
            Place::Header(header) => {
                let taken = header.take(input).map_err(|NoHeader| Fault::Header)?;
                if header.is_done() {
                    self.start_member();
                }
                Ok(self.taken(taken))
            }
            Place::Deflated => self.inflate(input),
            Place::Trailer { read, bytes } => {
                let taken = input.len().min(TRAILER_BYTES - *read);
                bytes[*read..*read + taken].copy_from_slice(&input[..taken]);
                *read += taken;
                if *read < TRAILER_BYTES {
                    return Ok(self.taken(taken));
                }
                let trailer = *bytes;
                self.end_member(trailer)?;
                Ok(Step { stop: Some(Stop::Member), ..self.taken(taken) })
            }
        }
    }

    fn start_member(&mut self) {
        self.place = Place::Deflated;
        self.deflate.init();
        self.filled = 0;
        self.checksum = Some(Crc::new());
    }

    fn end_member(&mut self, trailer: [u8; TRAILER_BYTES]) -> Result<(), Fault> {
        self.place = Place::Between;
        let Some(checksum) = self.checksum.take() else { return Ok(()) };
        let [a, b, c, d, e, f, g, h] = trailer;
        let is_right = checksum.sum().to_le_bytes() == [a, b, c, d] && checksum.amount().to_le_bytes() == [e, f, g, h];
        if is_right { Ok(()) } else { Err(Fault::Checksum) }
    }

    fn inflate(&mut self, input: &[u8]) -> Result<Step, Fault> {
        if self.filled == self.buffer.len() {
            self.buffer.copy_within(self.filled - WINDOW_BYTES.., 0);
            self.filled = WINDOW_BYTES;
        }
        let start = self.filled;
        let (status, taken, made) = decompress(&mut self.deflate, input, &mut self.buffer, start, FLAGS);
        self.filled += made;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.buffer[start..self.filled]);
        }
        let stop = match status {
            TINFLStatus::Done => {
                self.place = Place::Trailer { read: 0, bytes: [0; TRAILER_BYTES] };
                None
            }
            TINFLStatus::BlockBoundary => self.bits().map(Stop::Block),
            TINFLStatus::HasMoreOutput => None,
            TINFLStatus::NeedsMoreInput if taken > 0 => None,
            _ => return Err(Fault::Deflate),
        };
        Ok(Step { taken, made: start..self.filled, stop })
    }

    fn bits(&self) -> Option<Bits> {
        let state = self.deflate.block_boundary_state()?;
        Bits::new(state.num_bits, state.bit_buf)
    }

    fn taken(&self, taken: usize) -> Step {
        Step { taken, made: self.filled..self.filled, stop: None }
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").field("place", &self.place).field("filled", &self.filled).finish_non_exhaustive()
    }
}
