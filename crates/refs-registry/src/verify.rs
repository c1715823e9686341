//! Hashing, bounding and checking what passes.

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
        let hasher = from
            .hasher
            .or_else(|| Hasher::for_digest(expected))
            .ok_or_else(|| Error::unsupported(Wanted::Algorithm(expected.clone()), "this build"))?;
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

    /// The same check, for bytes that are read again from `from` on.
    pub(crate) fn from(&self, from: u64, hasher: Hasher) -> Self {
        Self { expected: self.expected.clone(), size: self.size, seen: from, hasher }
    }

    /// Whether it is about `size` bytes of `digest`.
    pub(crate) fn is_of(&self, digest: &Digest, size: u64) -> bool {
        self.size == size && self.expected == *digest
    }

    /// The hash of the bytes so far, to go on with.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// What the bytes so far hash to.
    pub(crate) fn so_far(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// What is wrong when these bytes, not yet all of the blob, were others before.
    pub(crate) fn changed(&self) -> Error {
        Error::Digest { wanted: Wanted::BlobPart(self.expected.clone()), actual: self.so_far() }
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
