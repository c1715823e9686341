//! Hashing, bounding and checking what passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_url::{Digest, Hasher};

use crate::{ByteStream, Error, Result, Resume, error::Wanted};

/// The check of one blob: takes in its bytes, and says at the end whether they were the right ones.
#[derive(Debug, Clone)]
pub struct Verify {
    expected: Digest,
    size: u64,
    seen: u64,
    hasher: Hasher,
}

impl Verify {
    /// The check of a blob of `size` bytes whose bytes before `from` have been hashed already.
    ///
    /// # Errors
    /// `Unsupported` when this build cannot compute the digest's algorithm.
    pub fn new(expected: &Digest, size: u64, from: Resume) -> Result<Self> {
        let hasher = from.hasher.or_else(|| Hasher::for_digest(expected)).ok_or_else(|| Error::Unsupported {
            wanted: Wanted::Algorithm(expected.clone()),
            at: "this build".into(),
        })?;
        Ok(Self { expected: expected.clone(), size, seen: from.offset, hasher })
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// `Size` as soon as there are more than promised.
    pub fn update(&mut self, chunk: &[u8]) -> Result<()> {
        self.seen += chunk.len() as u64;
        if self.seen > self.size {
            return Err(self.wrong_size());
        }
        self.hasher.update(chunk);
        Ok(())
    }

    /// The bytes taken in so far, those before the start of this check included.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Where a later read could go on: all bytes so far, hashed.
    #[must_use]
    pub fn resume(&self) -> Resume {
        Resume::at(self.seen, self.hasher.clone())
    }

    /// The verdict, after the last byte.
    ///
    /// # Errors
    /// `Size` when bytes are missing, `Digest` when they are the wrong ones.
    pub fn finish(self) -> Result<()> {
        if self.seen != self.size {
            return Err(self.wrong_size());
        }
        let actual = self.hasher.finish();
        if actual != self.expected {
            return Err(Error::Digest { wanted: Wanted::Blob(self.expected), actual });
        }
        Ok(())
    }

    fn wrong_size(&self) -> Error {
        Error::Size { wanted: Wanted::Blob(self.expected.clone()), expected: self.size, actual: self.seen }
    }
}

/// The check of one blob for all whom its bytes pass: who sees them first has them hashed, who comes next finds them known.
/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<Verify>>);

impl Shared {
    pub(crate) fn new(verify: Verify) -> Self {
        Self(Arc::new(Mutex::new(verify)))
    }

    /// Takes in `chunk`, which begins at `at`, as far as it is new.
    pub(crate) fn take_in(&self, at: u64, chunk: &[u8]) -> Result<()> {
        let mut verify = self.lock();
        let known = usize::try_from(verify.seen().saturating_sub(at)).unwrap_or(usize::MAX);
        verify.update(chunk.get(known..).unwrap_or_default())
    }

    /// The verdict on the bytes so far.
    pub(crate) fn verdict(&self) -> Result<()> {
        self.snapshot().finish()
    }

    /// The check as it stands, by itself.
    pub(crate) fn snapshot(&self) -> Verify {
        self.lock().clone()
    }

    /// Whether it is about `size` bytes of `digest`, and no byte has been taken in.
    pub(crate) fn is_fresh(&self, digest: &Digest, size: u64) -> bool {
        let verify = self.lock();
        verify.seen() == 0 && verify.size == size && verify.expected == *digest
    }

    fn lock(&self) -> MutexGuard<'_, Verify> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `stream`, which ends with an error unless its bytes pass `verify`.
#[must_use]
pub fn verified(stream: ByteStream, verify: Verify) -> ByteStream {
    futures_util::stream::try_unfold(Some((stream, verify)), |state| async move {
        let Some((mut stream, mut verify)) = state else { return Ok(None) };
        match stream.next().await {
            Some(chunk) => {
                let chunk: Bytes = chunk?;
                verify.update(&chunk)?;
                Ok(Some((chunk, Some((stream, verify)))))
            }
            None => verify.finish().map(|()| None),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(content: &[u8]) -> Shared {
        Shared::new(Verify::new(&Digest::sha256(content), content.len() as u64, Resume::START).unwrap())
    }

    #[track_caller]
    fn check(steps: &[(u64, &str)], is_right: bool) {
        let shared = shared(b"abcdef");
        let taken = steps.iter().try_for_each(|(at, chunk)| shared.take_in(*at, chunk.as_bytes()));
        assert_eq!(taken.and_then(|()| shared.verdict()).is_ok(), is_right, "{steps:?}");
    }

    #[test]
    fn what_is_known_is_not_taken_in_again() {
        check(&[(0, "abcdef")], true);
        check(&[(0, "abc"), (0, "abc"), (3, "def"), (3, "def")], true);
        check(&[(0, "abc"), (1, "bcd"), (2, "cdef")], true);
        check(&[(0, "abc"), (0, "xyz"), (3, "def")], true);
    }

    #[test]
    fn what_is_wrong_missing_or_too_much_is_found() {
        check(&[(0, "abcdeX")], false);
        check(&[(0, "abc")], false);
        check(&[(0, "abc"), (4, "ef")], false);
        check(&[(0, "abcdefg")], false);
        check(&[(0, "abcdef"), (6, "g")], false);
    }

    #[test]
    fn a_check_is_fresh_until_it_has_seen_a_byte() {
        let shared = shared(b"abc");
        let digest = Digest::sha256(b"abc");
        assert!(shared.is_fresh(&digest, 3));
        assert!(!shared.is_fresh(&digest, 4) && !shared.is_fresh(&Digest::sha256(b""), 3));
        shared.take_in(0, b"a").unwrap();
        assert!(!shared.is_fresh(&digest, 3));
    }
}
