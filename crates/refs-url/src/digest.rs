//! The name of bytes by their hash.

use std::sync::Arc;

use crate::{
    Tag,
    error::{Fault, ParseErrorKind},
};

/// The digest of some bytes, `algorithm:encoded`, which names them wherever they are stored.
///
/// Any algorithm the [image specification's grammar][spec] allows is accepted, as descriptors may name ones that are
/// not registered; those that are must have exactly their number of lower-case hexadecimal digits. A clone is cheap.
///
/// [spec]: https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub(crate) Arc<str>);

checked_text!(
    Digest,
    check,
    "`InvalidDigest`, at the first byte that is wrong; else `DigestLength`, for a registered algorithm."
);

/// The hash function of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256: what nearly everyone writes.
    Sha256,
    /// SHA-384: not registered, but met in old references.
    Sha384,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with 256 bits.
    Blake3,
    /// One that is not registered; [`Digest::algorithm_str`] has its name.
    Other,
}

impl Digest {
    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::named(self.algorithm_str())
    }

    /// The text before the colon.
    pub fn algorithm_str(&self) -> &str {
        self.halves().0
    }

    /// The text after the colon.
    pub fn encoded(&self) -> &str {
        self.halves().1
    }

    /// The tag under which a registry without the referrers API lists what refers to this digest: the algorithm cut to
    /// 32 bytes, `-`, the encoded part cut to 64, and `-` for each byte a tag can't have.
    ///
    /// See [Distribution specification, "Referrers tag schema"][spec].
    ///
    /// [spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
    pub fn referrers_tag(&self) -> Tag {
        let (algorithm, encoded) = self.halves();
        let tag = format!("{algorithm:.32}-{encoded:.64}");
        Tag(tag.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')), "-").into())
    }

    #[expect(clippy::expect_used, reason = "every constructor makes sure of the colon")]
    fn halves(&self) -> (&str, &str) {
        self.0.split_once(':').expect("a digest has a colon")
    }
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            "blake3" => Self::Blake3,
            _ => Self::Other,
        }
    }

    /// How many hexadecimal digits a digest has.
    pub(crate) fn digits(self) -> Option<usize> {
        match self {
            Self::Sha256 | Self::Blake3 => Some(64),
            Self::Sha384 => Some(96),
            Self::Sha512 => Some(128),
            Self::Other => None,
        }
    }
}

const SHA256: &str = "sha256:";

/// What follows `algorithm:` in a text that starts so with an algorithm a reference may use.
pub(crate) fn after_known_algorithm(text: &str) -> Option<&str> {
    const KNOWN: [&str; 4] = [SHA256, "sha384:", "sha512:", "blake3:"];
    KNOWN.iter().find_map(|known| text.strip_prefix(known))
}

/// Checks a digest as descriptors have them.
fn check(digest: &str) -> Result<(), Fault> {
    let (algorithm, encoded_start) = check_algorithm(digest)?;
    check_encoded(algorithm, &digest[encoded_start..]).map_err(|fault| fault.after(encoded_start))
}

/// Checks a digest as references have them: the algorithm must be one that is known.
pub(crate) fn check_known(digest: &str) -> Result<(), Fault> {
    // What nearly all are needs no look at its grammar.
    let algorithm = match digest.starts_with(SHA256) {
        true => (Algorithm::Sha256, SHA256.len()),
        false => check_algorithm(digest)?,
    };
    match algorithm {
        (Algorithm::Other, _) => Err(Fault::new(ParseErrorKind::UnsupportedAlgorithm, 0)),
        (algorithm, start) => check_encoded(algorithm, &digest[start..]).map_err(|fault| fault.after(start)),
    }
}

/// Checks the algorithm's grammar up to the colon, and says where the encoded part starts after it.
fn check_algorithm(digest: &str) -> Result<(Algorithm, usize), Fault> {
    let mut after_alnum = false;
    for (offset, byte) in digest.bytes().enumerate() {
        after_alnum = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'+' | b'.' | b'_' | b'-' if after_alnum => false,
            b':' if after_alnum => return Ok((Algorithm::named(&digest[..offset]), offset + 1)),
            _ => return Err(Fault::new(ParseErrorKind::InvalidDigest, offset)),
        };
    }
    Err(Fault::new(ParseErrorKind::InvalidDigest, digest.len()))
}

fn check_encoded(algorithm: Algorithm, encoded: &str) -> Result<(), Fault> {
    let Some(digits) = algorithm.digits() else {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-');
        return match encoded.bytes().position(|byte| !is_legal(byte)) {
            None if !encoded.is_empty() => Ok(()),
            wrong => Err(Fault::new(ParseErrorKind::InvalidDigest, wrong.unwrap_or(0))),
        };
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // Without an early way out the compiler looks at many bytes at once.
    if !encoded.bytes().fold(true, |all, byte| all & is_digit(byte)) {
        let wrong = encoded.bytes().take_while(|byte| is_digit(*byte)).count();
        return Err(Fault::new(ParseErrorKind::InvalidDigest, wrong));
    }
    match encoded.len() {
        len if len == digits => Ok(()),
        len => Err(Fault::new(ParseErrorKind::DigestLength, len.min(digits))),
    }
}
