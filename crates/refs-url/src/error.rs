//! Why a text is not a reference, a digest or a name.

use std::{borrow::Cow, fmt, ops::Range};

#[cfg(feature = "semver")]
use crate::version::Constraint;
use crate::{RepoName, Tag, digest::after_known_algorithm, parts::scheme_len};

/// A text that breaks the grammar: which part, where, and often how to mend it.
///
/// # Security
///
/// `Display` and `Debug` replace credentials in front of an `@` by `***` and escape control and non-ASCII characters,
/// so that an error can be logged. [`ParseError::input`] is the raw text and promises neither.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}", Place(self))]
pub struct ParseError {
    input: Box<str>,
    offset: usize,
    kind: ParseErrorKind,
}

/// The part of a text that is wrong, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is no text at all, or none after the scheme.
    #[error("reference is empty")]
    Empty,
    /// No registry host comes first, and this way of parsing does not assume one.
    #[error("registry is missing")]
    MissingRegistry,
    /// The text begins with a scheme such as `https://`.
    #[error("reference has a scheme")]
    UnexpectedScheme,
    /// The host is neither a domain name, an IPv4 address, nor an IPv6 address in brackets.
    #[error("registry host is invalid")]
    InvalidHost,
    /// The port is not a number from 1 to 65535 without leading zeros.
    #[error("registry port is not a number from 1 to 65535")]
    InvalidPort,
    /// Nothing stands where the repository should be.
    #[error("repository is empty")]
    EmptyRepository,
    /// The repository contains an upper-case letter.
    #[error("repository must be lower case")]
    UppercaseRepository,
    /// The repository contains another byte that may not stand where it stands.
    #[error("repository is invalid")]
    InvalidRepository,
    /// The repository is longer than [`RepoName::MAX_LEN`] bytes.
    #[error("repository is longer than {} bytes", RepoName::MAX_LEN)]
    RepositoryTooLong,
    /// The tag is empty, or contains a byte that may not stand where it stands.
    #[error("tag is invalid")]
    InvalidTag,
    /// The tag is longer than [`Tag::MAX_LEN`] bytes.
    #[error("tag is longer than {} bytes", Tag::MAX_LEN)]
    TagTooLong,
    /// The digest is not `algorithm:encoded`, or its encoded part is not lower-case hexadecimal.
    #[error("digest is invalid")]
    InvalidDigest,
    /// The algorithm of a digest in a reference is not sha256, sha384, sha512 or blake3.
    #[error("digest algorithm is not sha256, sha384, sha512 or blake3")]
    UnsupportedAlgorithm,
    /// The digest has too few or too many digits for its algorithm.
    #[error("digest has the wrong number of digits for its algorithm")]
    DigestLength,
    /// The text is 64 hexadecimal digits: the id of a local image, not a name.
    #[error("reference is an image id, not a name")]
    LooksLikeImageId,
    /// The constraint is longer than [`Constraint::MAX_LEN`] bytes.
    #[cfg(feature = "semver")]
    #[error("constraint is longer than {} bytes", Constraint::MAX_LEN)]
    ConstraintTooLong,
    /// The constraint has more than [`Constraint::MAX_COMPARATORS`] comparators.
    #[cfg(feature = "semver")]
    #[error("constraint has more than {} comparators", Constraint::MAX_COMPARATORS)]
    TooManyComparators,
    /// No version stands where the constraint has to have one.
    #[cfg(feature = "semver")]
    #[error("constraint expects a version")]
    ExpectedVersion,
    /// Neither a number nor a wildcard follows a dot in the constraint.
    #[cfg(feature = "semver")]
    #[error("constraint expects a number or `*`")]
    ExpectedNumber,
    /// Something follows a version in the constraint that divides it from nothing.
    #[cfg(feature = "semver")]
    #[error("constraint expects a space, a comma or `||`")]
    ExpectedSeparator,
    /// A number in the constraint is larger than [`u64::MAX`].
    #[cfg(feature = "semver")]
    #[error("number in the constraint is larger than {}", u64::MAX)]
    NumberTooBig,
    /// An identifier in a prerelease is empty, or is a number that begins with a zero.
    #[cfg(feature = "semver")]
    #[error("prerelease in the constraint is invalid")]
    InvalidPrerelease,
    /// An identifier in build metadata is empty.
    #[cfg(feature = "semver")]
    #[error("build metadata in the constraint is invalid")]
    InvalidBuild,
}

/// A [`ParseErrorKind`] at a byte, before anyone asked for the input to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ParseErrorKind,
    pub(crate) offset: usize,
}

impl Fault {
    pub(crate) fn new(kind: ParseErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// The same fault, seen from a text in which this one starts at `base`.
    pub(crate) fn after(self, base: usize) -> Self {
        Self { offset: self.offset + base, ..self }
    }
}

impl ParseError {
    pub(crate) fn new(input: &str, fault: Fault) -> Self {
        Self { input: input.into(), offset: fault.offset, kind: fault.kind }
    }

    /// The part that is wrong, and how.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Where it is wrong, in bytes from the start of the input; its length when something is missing at the end.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The text that was parsed, raw: it may contain credentials and terminal escapes.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// What to write instead, as half a sentence, when there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        crate::hint::hint(&self.input, self.kind, self.offset)
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParseError")
            .field("kind", &self.kind)
            .field("offset", &self.offset)
            .field("input", &format_args!("`{}`", Printable(&self.input)))
            .finish()
    }
}

/// Where the error is, when there is any text to be in.
struct Place<'a>(&'a ParseError);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.offset, Printable(&self.0.input)) {
            (_, Printable("")) => Ok(()),
            (0, input) => write!(f, " in `{input}`"),
            (offset, input) => write!(f, " at byte {offset} of `{input}`"),
        }
    }
}

/// A text made safe to show: credentials replaced, everything that is not printable ASCII escaped, the end cut.
struct Printable<'a>(&'a str);

impl Printable<'_> {
    const MAX_CHARS: usize = 512;
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match credentials(self.0) {
            Some(range) => {
                write_escaped(f, &self.0[..range.start])?;
                f.write_str("***")?;
                &self.0[range.end..]
            }
            None => self.0,
        };
        write_escaped(f, shown)
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for (count, c) in text.chars().enumerate() {
        match c {
            _ if count == Printable::MAX_CHARS => return f.write_str("..."),
            ' '..='~' => write!(f, "{c}")?,
            _ => write!(f, "{}", c.escape_default())?,
        }
    }
    Ok(())
}

/// `text` with `***` in the place of what could be credentials in front of an `@`, so that it can be shown. Nothing is
/// escaped.
///
/// # Security
///
/// This knows credentials by where they stand: `user:password@`, and a name alone before `@HOST/`. A secret elsewhere in
/// the text stays.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    match credentials(text) {
        Some(range) => Cow::Owned(format!("{}***{}", &text[..range.start], &text[range.end..])),
        None => Cow::Borrowed(text),
    }
}

/// Where `input` holds what could be `user:password`: all between the scheme and the last `@` that starts no digest.
///
/// A password may itself contain `@` and `/`, so an `@` counts unless the text around it can only be a digest's, or there
/// is neither a `:` before it nor a path behind it.
fn credentials(input: &str) -> Option<Range<usize>> {
    let start = scheme_len(input).unwrap_or(0);
    let (first_slash, last_slash) = (input[start..].find('/').map(|i| i + start), input.rfind('/'));
    input.rmatch_indices('@').map(|(at, _)| at).take_while(|at| *at >= start).find_map(|at| {
        let follows_host = first_slash.is_some_and(|slash| slash < at);
        let precedes_path = last_slash.is_some_and(|slash| slash > at);
        let is_digest = after_known_algorithm(&input[at + 1..]).is_some();
        let userinfo = if is_digest { precedes_path && !follows_host } else { precedes_path || !follows_host };
        let has_password = input[start..at].contains(':');
        (userinfo && (has_password || precedes_path)).then_some(start..at)
    })
}
