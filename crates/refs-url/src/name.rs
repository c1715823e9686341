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
    let bytes = name.as_bytes();
    let mut end = 0;
    loop {
        let start = end;
        end += run(&bytes[end..], |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
        if end == start {
            return Err(not_alphanumeric(bytes, end));
        }
        end += match bytes[end..] {
            [] if name.len() > RepoName::MAX_LEN => {
                return Err(Fault::new(ParseErrorKind::RepositoryTooLong, RepoName::MAX_LEN));
            }
            [] => return Ok(()),
            [b'_', b'_', ..] => 2,
            [b'/' | b'.' | b'_', ..] => 1,
            [b'-', ..] => run(&bytes[end..], |byte| byte == b'-'),
            _ => return Err(not_alphanumeric(bytes, end)),
        };
    }
}

/// How many bytes at the start are such.
fn run(bytes: &[u8], is_such: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !is_such(*byte)).unwrap_or(bytes.len())
}

fn not_alphanumeric(bytes: &[u8], offset: usize) -> Fault {
    match bytes.get(offset) {
        Some(b'A'..=b'Z') => Fault::new(ParseErrorKind::UppercaseRepository, offset),
        _ => Fault::new(ParseErrorKind::InvalidRepository, offset),
    }
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
