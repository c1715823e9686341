//! Keys, and the marks (HMAC-SHA-256) that only who has the key can make.

use std::{fmt, io};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A key to sign with. It never shows itself, and its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

/// Too few bytes for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least 32 bytes, and this one has {0}")]
pub struct ShortKey(pub usize);

/// What a key makes of a text.
pub(super) type Mark = [u8; 32];

impl Key {
    /// The fewest bytes of a key.
    pub const MIN_BYTES: usize = 32;

    /// A key that nobody else has: what it signs counts until the process ends.
    ///
    /// # Errors
    /// The machine's, when it has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; Self::MIN_BYTES]);
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key that is these bytes, all of them: several servers that have it take each other's tokens.
    ///
    /// # Errors
    /// When there are fewer than [`MIN_BYTES`](Self::MIN_BYTES).
    ///
    /// # Security
    /// The bytes have to be random. Nothing here can tell.
    pub fn new(bytes: &[u8]) -> Result<Self, ShortKey> {
        if bytes.len() < Self::MIN_BYTES {
            Err(ShortKey(bytes.len()))
        } else {
            Ok(Self(Zeroizing::new(bytes.to_vec())))
        }
    }

    /// The mark of `parts`, for a `purpose` that no other mark has.
    pub(super) fn mark(&self, purpose: &str, parts: &[&[u8]]) -> Mark {
        self.over(purpose, parts).finalize().into_bytes().into()
    }

    /// Whether `mark` is the mark of `parts`; how long the answer takes tells nothing of it.
    pub(super) fn has_marked(&self, purpose: &str, parts: &[&[u8]], mark: &[u8]) -> bool {
        self.over(purpose, parts).verify_slice(mark).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC is made for keys of any length")]
    fn over(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        for part in [purpose.as_bytes()].iter().chain(parts) {
            // So that no two lists of parts are the same bytes.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
