//! The names a registry gives to things: repositories and their tags.

use std::sync::Arc;

use crate::error::{Fault, ParseErrorKind};

/// A repository within a registry: `library/debian`, `org/team/app`.
///
/// Components of lower-case letters and digits, divided by one `.`, one or two `_`, or any number of `-`; at most
/// [`RepoName::MAX_LEN`] bytes. ([Distribution specification, "Pulling manifests"][spec].)
///
/// [spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(pub(crate) Arc<str>);

checked_text!(
    RepoName,
    check_repository,
    "`EmptyRepository`; `UppercaseRepository` or `InvalidRepository`, whichever comes first; else `RepositoryTooLong`."
);

impl RepoName {
    /// The most bytes a repository may have; the host is not counted.
    ///
    /// The specification only notes that many clients stop at 255; so do most registries.
    pub const MAX_LEN: usize = 255;
}

/// A tag of a repository: `latest`, `v1.2.3`; at most [`Tag::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub(crate) Arc<str>);

checked_text!(Tag, check_tag, "`InvalidTag`, at the first byte that is wrong; else `TagTooLong`.");

impl Tag {
    /// The most bytes a tag may have.
    pub const MAX_LEN: usize = 128;

    /// `latest`, which a familiar reference means when it names neither tag nor digest.
    pub fn latest() -> Self {
        Self(LATEST.into())
    }
}

pub(crate) const LATEST: &str = "latest";

pub(crate) fn check_repository(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::new(ParseErrorKind::EmptyRepository, 0));
    }
    let mut last = Last::Slash;
    for (offset, byte) in name.bytes().enumerate() {
        last = match (last, byte) {
            (_, b'a'..=b'z' | b'0'..=b'9') => Last::Alnum,
            (Last::Alnum, b'/') => Last::Slash,
            (Last::Alnum, b'.') => Last::Dot,
            (Last::Alnum, b'_') => Last::Underscore,
            (Last::Underscore, b'_') => Last::Underscores,
            (Last::Alnum | Last::Dashes, b'-') => Last::Dashes,
            (_, b'A'..=b'Z') => return Err(Fault::new(ParseErrorKind::UppercaseRepository, offset)),
            _ => return Err(Fault::new(ParseErrorKind::InvalidRepository, offset)),
        };
    }
    match last {
        Last::Alnum if name.len() > RepoName::MAX_LEN => {
            Err(Fault::new(ParseErrorKind::RepositoryTooLong, RepoName::MAX_LEN))
        }
        Last::Alnum => Ok(()),
        _ => Err(Fault::new(ParseErrorKind::InvalidRepository, name.len())),
    }
}

/// What the bytes of a repository so far end in.
#[derive(Clone, Copy)]
enum Last {
    Slash,
    Alnum,
    Dot,
    Underscore,
    Underscores,
    Dashes,
}

pub(crate) fn check_tag(tag: &str) -> Result<(), Fault> {
    let wrong = tag.bytes().enumerate().position(|(offset, byte)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => false,
        b'.' | b'-' => offset == 0,
        _ => true,
    });
    match wrong {
        Some(offset) => Err(Fault::new(ParseErrorKind::InvalidTag, offset)),
        None if tag.is_empty() => Err(Fault::new(ParseErrorKind::InvalidTag, 0)),
        None if tag.len() > Tag::MAX_LEN => Err(Fault::new(ParseErrorKind::TagTooLong, Tag::MAX_LEN)),
        None => Ok(()),
    }
}
