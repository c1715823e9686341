//! Bytes of files that came before their turn.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use refs_registry::error::Doing;

use crate::{Error, Result};

/// So much is held in memory, of all files of an artifact together. The threads that inflate a layer get ahead of each other
/// by less, unless it is one that a few kilobytes inflate to hundreds of megabytes.
pub(super) const HELD_BYTES: usize = 32 << 20;
/// What a piece costs beside its bytes, so that a flood of short ones is bounded, too.
const PIECE_BYTES: usize = 128;
/// How much of the disk is read at a time.
const READ_BYTES: u64 = 64 << 10;

/// Where pieces wait: [`HELD_BYTES`] of them in memory, more in a file without a name, where each file has a part as long as
/// itself.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    held_bytes: usize,
    aside: Option<File>,
    /// Where the part of the next file begins.
    end: u64,
}

/// The pieces of one file that wait.
#[derive(Debug, Default)]
pub(super) struct Early {
    held: BTreeMap<u64, Vec<u8>>,
    /// Where the file's part of the shelf's file begins, once there is one.
    part: Option<u64>,
    /// What is in that part, from here to there: stretches that meet are one, so that there are no more than chunks.
    aside: BTreeMap<u64, u64>,
}

impl Shelf {
    /// Puts `bytes` of a file of `size` bytes, which belong at `offset`, with those that wait.
    ///
    /// # Errors
    /// `Io` when there is no room on the disk.
    pub(super) fn put(&mut self, early: &mut Early, size: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let cost = bytes.len() + PIECE_BYTES;
        if self.held_bytes + cost <= HELD_BYTES {
            self.held_bytes += cost;
            early.held.insert(offset, bytes.to_vec());
            return Ok(());
        }
        let part = *early.part.get_or_insert_with(|| {
            let part = self.end;
            self.end = part.saturating_add(size);
            part
        });
        self.write(part.saturating_add(offset), bytes).map_err(|source| failed(Doing::Write, source))?;
        early.note(offset, offset + bytes.len() as u64);
        Ok(())
    }

    /// Gives `hash` the bytes that wait from `offset` on, as far as they are there, and says where they end.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn take(&mut self, early: &mut Early, offset: u64, mut hash: impl FnMut(&[u8])) -> Result<u64> {
        let mut at = offset;
        loop {
            if let Some(piece) = early.held.remove(&at) {
                self.held_bytes -= piece.len() + PIECE_BYTES;
                hash(&piece);
                at += piece.len() as u64;
            } else if let Some(end) = early.aside.remove(&at) {
                let part = early.part.unwrap_or_default();
                self.read(part + at, part + end, &mut hash).map_err(|source| failed(Doing::Read, source))?;
                at = end;
            } else {
                return Ok(at);
            }
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.aside {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all_at(bytes, at)
    }

    fn read(&self, mut at: u64, end: u64, hash: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = &self.aside else { return Ok(()) };
        let mut buffer = vec![0; READ_BYTES.min(end - at) as usize];
        while at < end {
            let wanted = (end - at).min(READ_BYTES) as usize;
            file.read_exact_at(&mut buffer[..wanted], at)?;
            hash(&buffer[..wanted]);
            at += wanted as u64;
        }
        Ok(())
    }
}

impl Early {
    /// Notes that the bytes from `start` to `end` are on the disk.
    fn note(&mut self, mut start: u64, mut end: u64) {
        if let Some((&before, _)) = self.aside.range(..start).next_back().filter(|(_, stop)| **stop == start) {
            start = before;
        }
        if let Some(behind) = self.aside.remove(&end) {
            end = behind;
        }
        self.aside.insert(start, end);
    }
}

fn failed(doing: Doing, source: io::Error) -> Error {
    Error::Io { doing, path: std::env::temp_dir(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 1 << 20;

    /// The content of a file of so many pieces.
    fn content(pieces: usize) -> Vec<u8> {
        let mut content = vec![0; pieces * PIECE];
        for (number, piece) in content.chunks_mut(PIECE).enumerate() {
            piece.fill(number as u8);
            piece[0] = 0xff;
        }
        content
    }

    /// Puts the pieces of two files of `pieces` pieces each in this order and takes them back, with what was on the disk.
    #[track_caller]
    fn check(pieces: usize, order: impl Iterator<Item = usize>, most_stretches: usize) {
        let (content, mut shelf) = (content(pieces), Shelf::default());
        let mut files = [Early::default(), Early::default()];
        let mut stretches = 0;
        for piece in order {
            for early in &mut files {
                let offset = piece * PIECE;
                shelf.put(early, content.len() as u64, offset as u64, &content[offset..offset + PIECE]).unwrap();
                stretches = stretches.max(early.aside.len());
                assert!(shelf.held_bytes <= HELD_BYTES, "{} bytes", shelf.held_bytes);
            }
        }
        assert!(stretches <= most_stretches, "{stretches} stretches");
        for early in &mut files {
            let mut taken = Vec::new();
            assert_eq!(shelf.take(early, 0, |bytes| taken.extend_from_slice(bytes)).unwrap(), content.len() as u64);
            assert!(taken == content, "other bytes came back");
        }
        assert_eq!(shelf.held_bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_in_memory_and_comes_back_as_it_was() {
        check(8, (0..8).rev(), 0);
        check(40, (0..40).rev(), 1);
        check(40, 0..40, 1);
        // Every other piece, and then those between.
        check(40, (0..40).step_by(2).chain((1..40).step_by(2)), 20);
    }

    #[test]
    fn nothing_is_given_before_its_turn() {
        let (mut shelf, mut early) = (Shelf::default(), Early::default());
        shelf.put(&mut early, 10, 4, b"efg").unwrap();
        assert_eq!(shelf.take(&mut early, 0, |bytes| panic!("{bytes:?}")).unwrap(), 0);
        let mut taken = Vec::new();
        assert_eq!(shelf.take(&mut early, 4, |bytes| taken.extend_from_slice(bytes)).unwrap(), 7);
        assert_eq!(taken, b"efg");
    }

    #[test]
    fn no_number_of_short_pieces_is_held() {
        let (mut shelf, mut early) = (Shelf::default(), Early::default());
        let pieces = HELD_BYTES / PIECE_BYTES + 10;
        for at in (0..pieces as u64).rev() {
            shelf.put(&mut early, pieces as u64, at, b"x").unwrap();
        }
        assert!(early.held.len() < pieces && early.aside.len() == 1, "{} held", early.held.len());
        let mut count = 0;
        assert_eq!(shelf.take(&mut early, 0, |bytes| count += bytes.len()).unwrap(), pieces as u64);
        assert_eq!(count, pieces);
    }
}
