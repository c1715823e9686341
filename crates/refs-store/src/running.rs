//! The digest of an upload, computed as its bytes come in.

use refs_registry::{Error, Result, error::Wanted};
use refs_url::{Algorithm, Digest, Hasher};

use crate::admission::unknown_algorithm;

/// Counts and hashes bytes before it is known which digest they will be named by. Nearly always it is a sha256, so that
/// is what runs along; for any other the bytes are read again at the end.
#[derive(Debug)]
pub(crate) struct Running {
    /// None where somebody else hashes the bytes.
    hasher: Option<Hasher>,
    bytes: u64,
}

impl Default for Running {
    fn default() -> Self {
        Self { hasher: Some(Hasher::sha256()), bytes: 0 }
    }
}

impl Running {
    /// Counts only.
    pub(crate) const fn counting() -> Self {
        Self::counting_from(0)
    }

    /// Counts on, after so many bytes.
    pub(crate) const fn counting_from(bytes: u64) -> Self {
        Self { hasher: None, bytes }
    }

    pub(crate) fn update(&mut self, chunk: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
        self.bytes += chunk.len() as u64;
    }

    /// How many bytes were taken in.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of what was taken in, where that is hashed here.
    pub(crate) fn hasher(&self) -> Option<Hasher> {
        self.hasher.clone()
    }

    /// Makes sure that the bytes are those of `digest`; `rehash` hashes all of them anew.
    pub(crate) fn check(&self, digest: &Digest, rehash: impl FnOnce(Hasher) -> Result<Digest>) -> Result<()> {
        let actual = match (digest.algorithm(), &self.hasher) {
            (Algorithm::Sha256, Some(hasher)) => hasher.clone().finish(),
            (other, _) => rehash(Hasher::new(other).ok_or_else(|| unknown_algorithm(digest))?)?,
        };
        if actual != *digest {
            return Err(Error::Digest { wanted: Wanted::Blob(digest.clone()), actual });
        }
        Ok(())
    }
}
