//! The frame of a gzip member, read and written without its checksum being trusted: digests vouch for content.

use std::io::{self, Read};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// How every member starts that this crate writes: no name, no time, no system.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// How much is deflated at a time. Some encoders' output depends on it, so it is part of the format of our blobs.
const OUTPUT_BYTES: usize = 64 << 10;

/// Deflates members; the state of one serves the next.
#[derive(Debug)]
pub(crate) struct Deflater {
    state: Compress,
    output: Box<[u8]>,
}

impl Deflater {
    /// `level` is between 0 and 9.
    pub(crate) fn new(level: u32) -> Self {
        Self { state: Compress::new(Compression::new(level), false), output: vec![0; OUTPUT_BYTES].into_boxed_slice() }
    }

    /// Appends a member that holds `raw` to `member`.
    ///
    /// The bytes depend on `raw` and the level alone. `Compress::compress_vec` is not used: it zeroes all spare capacity
    /// at each call, which costs more than deflating a small file.
    pub(crate) fn member(&mut self, raw: &[u8], member: &mut Vec<u8>) -> io::Result<()> {
        member.extend_from_slice(&HEADER);
        self.state.reset();
        self.deflate(raw, FlushCompress::Finish, member)?;
        let mut checksum = Crc::new();
        checksum.update(raw);
        end_member(&checksum, member);
        Ok(())
    }

    /// Appends what is made of all of `raw`; with `Finish`, to the end of the deflated bytes.
    fn deflate(&mut self, raw: &[u8], flush: FlushCompress, deflated: &mut Vec<u8>) -> io::Result<()> {
        let start = self.state.total_in();
        loop {
            let (taken, made) = ((self.state.total_in() - start) as usize, self.state.total_out());
            if taken == raw.len() && flush == FlushCompress::None {
                return Ok(());
            }
            let status = self.state.compress(&raw[taken..], &mut self.output, flush)?;
            deflated.extend_from_slice(&self.output[..(self.state.total_out() - made) as usize]);
            if status == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

/// Appends what stands behind the deflated bytes of a member.
fn end_member(checksum: &Crc, member: &mut Vec<u8>) {
    member.extend_from_slice(&checksum.sum().to_le_bytes());
    member.extend_from_slice(&checksum.amount().to_le_bytes());
}

/// A member that is too long to be held in memory, made piece by piece.
///
/// Up to [`PIECE_BYTES`], it is the one that [`Deflater::member`] makes. An encoder's output may depend on the pieces in
/// which it is given its input, so their length is part of the format of our blobs.
#[derive(Debug)]
pub(crate) struct LongMember<R> {
    content: R,
    /// How many bytes of the content are to come.
    rest: u64,
    deflater: Deflater,
    checksum: Crc,
    raw: Vec<u8>,
    deflated: Vec<u8>,
}

const PIECE_BYTES: usize = 1 << 20;

impl<R: Read> LongMember<R> {
    /// A member that holds the next `bytes` of `content`, of which there is at least one.
    pub(crate) fn new(level: u32, content: R, bytes: u64) -> Self {
        Self {
            content,
            rest: bytes,
            deflater: Deflater::new(level),
            checksum: Crc::new(),
            raw: Vec::new(),
            deflated: HEADER.to_vec(),
        }
    }

    /// The next piece, and the bytes of the member that it adds; `None` when the member is complete.
    pub(crate) fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if self.rest == 0 {
            return Ok(None);
        }
        if !self.raw.is_empty() {
            self.deflated.clear();
        }
        self.raw.resize(self.rest.min(PIECE_BYTES as u64) as usize, 0);
        self.content.read_exact(&mut self.raw)?;
        self.rest -= self.raw.len() as u64;
        self.checksum.update(&self.raw);
        let flush = if self.rest == 0 { FlushCompress::Finish } else { FlushCompress::None };
        self.deflater.deflate(&self.raw, flush, &mut self.deflated)?;
        if self.rest == 0 {
            end_member(&self.checksum, &mut self.deflated);
        }
        Ok(Some((&self.raw, &self.deflated)))
    }
}

/// Reads over the header of a member that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct HeaderReader {
    state: HeaderState,
    flags: u8,
}

#[derive(Debug, Clone, Copy)]
enum HeaderState {
    /// So many of the ten fixed bytes are read.
    Fixed(usize),
    /// The two bytes of the length of the extra field: how many are read, and their value so far.
    ExtraLength(u8, usize),
    /// So many bytes of the extra field are to come.
    Extra(usize),
    Name,
    Comment,
    /// So many bytes of the header's checksum are to come.
    Checksum(u8),
    Done,
}

impl Default for HeaderState {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// The bytes are no gzip header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoHeader;

/// The optional fields, and the bits of the flags that say they are there.
const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl HeaderReader {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, HeaderState::Done)
    }

    /// Takes bytes until the header ends, and says how many.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, NoHeader> {
        for (taken, &byte) in bytes.iter().enumerate() {
            if self.is_done() {
                return Ok(taken);
            }
            self.step(byte)?;
        }
        Ok(bytes.len())
    }

    fn step(&mut self, byte: u8) -> Result<(), NoHeader> {
        self.state = match self.state {
            HeaderState::Fixed(at) if at < 3 && byte != HEADER[at] => return Err(NoHeader),
            HeaderState::Fixed(3) if byte & 0xe0 != 0 => return Err(NoHeader),
            HeaderState::Fixed(9) => self.after(0),
            HeaderState::Fixed(at) => {
                if at == 3 {
                    self.flags = byte;
                }
                HeaderState::Fixed(at + 1)
            }
            HeaderState::ExtraLength(0, _) => HeaderState::ExtraLength(1, usize::from(byte)),
            HeaderState::ExtraLength(_, low) => match low | usize::from(byte) << 8 {
                0 => self.after(EXTRA),
                length => HeaderState::Extra(length),
            },
            HeaderState::Extra(1) => self.after(EXTRA),
            HeaderState::Extra(left) => HeaderState::Extra(left - 1),
            HeaderState::Name if byte == 0 => self.after(NAME),
            HeaderState::Comment if byte == 0 => self.after(COMMENT),
            HeaderState::Checksum(1) => HeaderState::Done,
            HeaderState::Checksum(left) => HeaderState::Checksum(left - 1),
            state @ (HeaderState::Name | HeaderState::Comment | HeaderState::Done) => state,
        };
        Ok(())
    }

    /// What follows the optional field `flag`; 0 stands for the fixed part.
    fn after(&self, flag: u8) -> HeaderState {
        let is_next = |next: u8, before: &[u8]| self.flags & next != 0 && before.contains(&flag);
        match () {
            () if is_next(EXTRA, &[0]) => HeaderState::ExtraLength(0, 0),
            () if is_next(NAME, &[0, EXTRA]) => HeaderState::Name,
            () if is_next(COMMENT, &[0, EXTRA, NAME]) => HeaderState::Comment,
            () if self.flags & CHECKSUM != 0 => HeaderState::Checksum(2),
            () => HeaderState::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes with matches near and far, as files have them.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((0..40u8, 1..300usize), 0..400).prop_map(|runs| {
            runs.iter().flat_map(|&(seed, len)| (0..len).map(move |at| (at as u8).wrapping_mul(seed) & 0x3f)).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn member_does_not_depend_on_the_one_before(before in texts(), raw in texts(), level in 0..10u32) {
            let (mut fresh, mut used) = (Vec::new(), Vec::new());
            Deflater::new(level).member(&raw, &mut fresh)?;
            let mut deflater = Deflater::new(level);
            deflater.member(&before, &mut used)?;
            used.clear();
            deflater.member(&raw, &mut used)?;
            prop_assert_eq!(fresh, used);
        }
    }
}
