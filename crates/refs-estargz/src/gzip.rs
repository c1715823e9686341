//! The frame of a gzip member, read and written without its checksum being trusted: digests vouch for content.

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
    pub(crate) fn member(&mut self, raw: &[u8], member: &mut Vec<u8>) -> std::io::Result<()> {
        member.extend_from_slice(&HEADER);
        self.state.reset();
        loop {
            let (taken, made) = (self.state.total_in() as usize, self.state.total_out() as usize);
            let status = self.state.compress(&raw[taken..], &mut self.output, FlushCompress::Finish)?;
            member.extend_from_slice(&self.output[..self.state.total_out() as usize - made]);
            if status == Status::StreamEnd {
                break;
            }
        }
        let mut checksum = Crc::new();
        checksum.update(raw);
        member.extend_from_slice(&checksum.sum().to_le_bytes());
        member.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        Ok(())
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
