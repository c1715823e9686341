//! Digests computed from bytes.

use sha2::{Digest as _, Sha256, Sha512};

use crate::{Algorithm, Digest};

/// Computes a [`Digest`] from bytes that arrive in pieces; for sha256 and sha512.
///
/// ```
/// use refs_url::{Digest, Hasher};
///
/// let wanted: Digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse()?;
/// let mut hasher = Hasher::for_digest(&wanted).expect("sha256 is computed here");
/// hasher.update(b"a");
/// hasher.update(b"bc");
/// assert_eq!(hasher.finish(), wanted);
/// # Ok::<(), refs_url::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen no bytes yet, or `None` when the algorithm is not one this crate computes.
    pub fn new(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => Some(Self::sha256()),
            Algorithm::Sha512 => Some(Self(State::Sha512(Sha512::new()))),
            Algorithm::Sha384 | Algorithm::Blake3 | Algorithm::Other => None,
        }
    }

    /// A sha256 hasher that has seen no bytes yet.
    pub fn sha256() -> Self {
        Self(State::Sha256(Sha256::new()))
    }

    /// A hasher whose result can be compared with `digest`, or `None` as for [`Hasher::new`].
    pub fn for_digest(digest: &Digest) -> Option<Self> {
        Self::new(digest.algorithm())
    }

    /// The sha256 hash of `bytes`, for those who compare hashes and need no text.
    pub fn sha256_hash(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::from_sha256(state.finalize().into()),
            State::Sha512(state) => digest("sha512:", &state.finalize()),
        }
    }
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(bytes).into())
    }

    /// The digest whose sha256 hash is `hash`.
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        digest("sha256:", &hash)
    }

    /// The hash as raw bytes, when the algorithm is sha256.
    pub fn to_sha256(&self) -> Option<[u8; 32]> {
        if self.algorithm() != Algorithm::Sha256 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(self.encoded().as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Some(hash)
    }
}

/// The digest whose text is `prefix` and `hash` in hexadecimal digits.
fn digest(prefix: &str, hash: &[u8]) -> Digest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; "sha512:".len() + 128];
    let (start, rest) = text.split_at_mut(prefix.len());
    start.copy_from_slice(prefix.as_bytes());
    for (pair, byte) in rest.chunks_exact_mut(2).zip(hash) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    Digest(String::from_utf8_lossy(&text[..prefix.len() + 2 * hash.len()]).into())
}

/// The value of a digit that is known to be lower-case hexadecimal.
fn nibble(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}
