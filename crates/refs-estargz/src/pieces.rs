//! Bytes in pieces, each of which is freed when it has been read for the last time.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, BufRead, Read},
};

/// Bytes that are read once or twice.
#[derive(Debug)]
pub(crate) struct Pieces<'b> {
    /// None of them is empty.
    pieces: VecDeque<Cow<'b, [u8]>>,
}

/// Large enough for an allocator to give it back to the system.
const PIECE_BYTES: usize = 256 << 10;

impl<'b> From<&'b [u8]> for Pieces<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        let piece = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { pieces: piece.map(Cow::Borrowed).into_iter().collect() }
    }
}

impl<'b> Pieces<'b> {
    /// A copy of `bytes`, which they can be freed after.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self { pieces: bytes.chunks(PIECE_BYTES).map(|piece| Cow::Owned(piece.to_vec())).collect() }
    }

    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// They, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &**piece)
    }

    /// Reads them, and leaves them where they are.
    pub(crate) fn reader(&self) -> Reader<impl Iterator<Item = &[u8]>> {
        Reader::new(self.iter())
    }

    /// Reads them, and frees each piece when it is done with.
    pub(crate) fn into_reader(self) -> Reader<impl Iterator<Item = Cow<'b, [u8]>>> {
        Reader::new(self.pieces.into_iter())
    }
}

/// Reads pieces one after the other.
#[derive(Debug)]
pub(crate) struct Reader<I: Iterator> {
    pieces: I,
    piece: Option<I::Item>,
    /// So much of the piece has been read.
    read: usize,
}

impl<I: Iterator> Reader<I> {
    fn new(mut pieces: I) -> Self {
        Self { piece: pieces.next(), pieces, read: 0 }
    }
}

impl<I: Iterator<Item: AsRef<[u8]>>> BufRead for Reader<I> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &self.piece {
            Some(piece) => Ok(&piece.as_ref()[self.read..]),
            None => Ok(&[]),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.read += bytes;
        let is_done = |piece: &I::Item| piece.as_ref().len() == self.read;
        if self.piece.as_ref().is_some_and(is_done) {
            self.piece = None;
            (self.piece, self.read) = (self.pieces.next(), 0);
        }
    }
}

impl<I: Iterator<Item: AsRef<[u8]>>> Read for Reader<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let taken = bytes.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&bytes[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: Pieces<'_>, expected: &[u8]) {
        assert_eq!(pieces.bytes(), expected.len() as u64);
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        pieces.reader().read_to_end(&mut once).unwrap();
        pieces.into_reader().read_to_end(&mut twice).unwrap();
        assert!(once == expected && twice == expected);
    }

    #[test]
    fn pieces_are_read_twice() {
        for bytes in [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 1] {
            let bytes: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            check(Pieces::from(bytes.as_slice()), &bytes);
            check(Pieces::copied(&bytes), &bytes);
        }
    }
}
