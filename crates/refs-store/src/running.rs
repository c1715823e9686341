//! The digest of an upload, computed as its bytes come in.

use refs_registry::{Error, Result, error::Wanted};
use refs_url::{Algorithm, Digest, Hasher};

use crate::admission::unknown_algorithm;

/// Counts and hashes bytes before it is known which digest they will be named by. Nearly always it is a sha256, so that
/// is what runs along; for any other the bytes are read again at the end.
#[derive(Debug)]
pub(crate) struct Running {
    hasher: Hasher,
    bytes: u64,
}

impl Default for Running {
    fn default() -> Self {
        Self { hasher: Hasher::sha256(), bytes: 0 }
    }
}

impl Running {
    pub(crate) fn update(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    /// How many bytes were taken in.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes sure that the bytes are those of `digest`; `rehash` hashes all of them anew.
    pub(crate) fn check(&self, digest: &Digest, rehash: impl FnOnce(Hasher) -> Result<Digest>) -> Result<()> {
        let actual = match digest.algorithm() {
            Algorithm::Sha256 => self.hasher.clone().finish(),
            other => rehash(Hasher::new(other).ok_or_else(|| unknown_algorithm(digest))?)?,
        };
        if actual != *digest {
            return Err(Error::Digest { wanted: Wanted::Blob(digest.clone()), actual });
        }
        Ok(())
    }
}
