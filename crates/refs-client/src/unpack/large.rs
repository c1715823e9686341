//! A file whose content comes in pieces, from several threads and in any order.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use refs_estargz::Entry;
use refs_url::{Digest, Hasher};

use super::budget::Budget;
use crate::{Error, Result};

/// How much is read back at a time to be hashed.
const READ_BYTES: u64 = 256 << 10;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct LargeFile {
    file: File,
    path: String,
    size: u64,
    expected: Option<Digest>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was produced, for the budget, before it is written.
    bytes: u64,
    /// How many bytes are in the file.
    written: u64,
    /// The pieces that are in the file and not hashed: where each starts and ends.
    unhashed: BTreeMap<u64, u64>,
    /// How many bytes, from the first on, are hashed.
    hashed: u64,
    /// `None` while a thread is hashing, and once the digest is known.
    hasher: Option<Hasher>,
}

impl LargeFile {
    pub(super) fn new(file: File, entry: &Entry) -> Self {
        let expected = entry.digest.clone();
        let state = State {
            bytes: 0,
            written: 0,
            unhashed: BTreeMap::new(),
            hashed: 0,
            hasher: expected.as_ref().and_then(Hasher::for_digest),
        };
        Self { file, path: entry.path.clone(), size: entry.size(), expected, state: state.into() }
    }

    /// Writes a piece, once it is counted, and says whether the file is complete by that, which it is for one of the
    /// pieces only. The content of a complete file has the digest that its entry says.
    ///
    /// The hash goes through the file in order, by the hand of whichever thread has just added what it waited for.
    ///
    /// # Errors
    /// `FileTooLarge`, `TotalTooLarge`; what `failed` makes of a call that failed; `FileDigest`; `Worker` for a piece that is
    /// beyond the size of the entry.
    pub(super) fn write(
        &self,
        offset: u64,
        bytes: &[u8],
        budget: &Budget,
        failed: impl Fn(io::Error) -> Error,
    ) -> Result<bool> {
        budget.produced(&self.path, &mut self.lock().bytes, bytes.len() as u64)?;
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= self.size).ok_or(Error::Worker)?;
        self.file.write_all_at(bytes, offset).map_err(&failed)?;
        let mut state = self.lock();
        state.written += bytes.len() as u64;
        state.unhashed.insert(offset, end);
        match &self.expected {
            None => Ok(state.written == self.size),
            Some(expected) => self.hash(state, expected, (offset, bytes)).map_err(|fault| match fault {
                Fault::Read(error) => failed(error),
                Fault::Digest(actual) => {
                    Error::FileDigest { path: self.path.clone(), expected: expected.clone(), actual }
                }
            }),
        }
    }

    /// Hashes on as far as the file is written without a gap, unless another thread is at it; whether that was to its end.
    fn hash<'l>(
        &'l self,
        mut state: MutexGuard<'l, State>,
        expected: &Digest,
        own: (u64, &[u8]),
    ) -> Result<bool, Fault> {
        loop {
            let start = state.hashed;
            let Some(end) = state.unhashed.get(&start).copied() else { return Ok(false) };
            let Some(mut hasher) = state.hasher.take() else { return Ok(false) };
            state.unhashed.remove(&start);
            drop(state);
            if start == own.0 {
                hasher.update(own.1);
            } else {
                self.read_back(start, end, &mut hasher).map_err(Fault::Read)?;
            }
            state = self.lock();
            state.hashed = end;
            if end == self.size {
                let actual = hasher.finish();
                return if actual == *expected { Ok(true) } else { Err(Fault::Digest(actual)) };
            }
            state.hasher = Some(hasher);
        }
    }

    fn read_back(&self, start: u64, end: u64, hasher: &mut Hasher) -> io::Result<()> {
        let mut buffer = vec![0; (end - start).min(READ_BYTES) as usize];
        let mut at = start;
        while at < end {
            let length = (end - at).min(READ_BYTES) as usize;
            self.file.read_exact_at(&mut buffer[..length], at)?;
            hasher.update(&buffer[..length]);
            at += length as u64;
        }
        Ok(())
    }

    /// The file, of which there may be a part.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a file could not be checked.
enum Fault {
    Read(io::Error),
    Digest(Digest),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use refs_estargz::Kind;

    use super::*;
    use crate::Limits;

    fn entry(size: u64, digest: Option<Digest>) -> Entry {
        let kind = Kind::File { size };
        Entry { path: "f".into(), kind, mode: 0o644, mtime: 7, uid: 0, gid: 0, xattrs: BTreeMap::new(), digest }
    }

    /// Writes `pieces` of `content`, each from its start to its end, and says how often the file was complete.
    fn write(large: &LargeFile, content: &[u8], pieces: &[(usize, usize)]) -> Result<usize> {
        let budget = Budget::new(Limits::default());
        let io = |source| Error::Io { doing: refs_registry::error::Doing::Write, path: "f".into(), source };
        let write = |&(start, end): &(usize, usize)| large.write(start as u64, &content[start..end], &budget, io);
        pieces.iter().map(write).try_fold(0, |complete, is_complete| Ok(complete + usize::from(is_complete?)))
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_make_the_file_once(
            content in prop::collection::vec(any::<u8>(), 1..200),
            cuts in prop::collection::btree_set(0..200_usize, 0..8),
            shuffle in any::<u64>(),
            is_digest_given in any::<bool>(),
        ) {
            let bounds: Vec<usize> =
                std::iter::once(0).chain(cuts).filter(|&cut| cut < content.len()).chain([content.len()]).collect();
            let mut pieces: Vec<_> = bounds.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| a < b).collect();
            pieces.sort_by_key(|(start, _)| (*start as u64 + 1).wrapping_mul(shuffle | 1));
            let digest = is_digest_given.then(|| Digest::sha256(&content));
            let large = LargeFile::new(tempfile::tempfile().unwrap(), &entry(content.len() as u64, digest));
            prop_assert_eq!(write(&large, &content, &pieces).unwrap(), 1);
            let mut written = vec![0; content.len()];
            large.file.read_exact_at(&mut written, 0).unwrap();
            prop_assert_eq!(written, content);
        }
    }

    #[test]
    fn lie_10_right_chunks_that_make_a_wrong_file_are_refused() {
        let large = LargeFile::new(tempfile::tempfile().unwrap(), &entry(4, Some(Digest::sha256(b"abcX"))));
        let error = write(&large, b"abcd", &[(2, 4), (0, 2)]).unwrap_err();
        assert!(matches!(error, Error::FileDigest { .. }), "{error:?}");
    }
}
