//! A reference taken apart without copying it.

use std::fmt;

use crate::{
    Digest, Host, ParseError, Reference, RepoName, Tag,
    digest::{after_known_algorithm, check_known},
    error::{Fault, ParseErrorKind},
    host,
    name::{self, LATEST},
};

/// The parts of a reference, borrowed from its text; nothing is allocated unless the parse fails.
///
/// Each part has passed its grammar. `Display` gives the canonical text.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    host: &'a str,
    namespace: &'static str,
    name: &'a str,
    tag: Option<&'a str>,
    tag_is_default: bool,
    digest: Option<&'a str>,
}

/// Which texts are references, and what those that leave something out mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Strict,
    Familiar,
}

impl<'a> Parts<'a> {
    /// Takes a strict reference apart; see [`Reference::parse`].
    ///
    /// # Errors
    ///
    /// As [`Reference::parse`].
    pub fn parse(input: &'a str) -> Result<Self, ParseError> {
        Self::scan(input, Mode::Strict).map_err(|fault| ParseError::new(input, fault))
    }

    /// Takes a familiar reference apart and fills in what it leaves out; see [`Reference::parse_familiar`].
    ///
    /// # Errors
    ///
    /// As [`Reference::parse_familiar`].
    pub fn parse_familiar(input: &'a str) -> Result<Self, ParseError> {
        Self::scan(input, Mode::Familiar).map_err(|fault| ParseError::new(input, fault))
    }

    /// The registry's host, port included.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// What goes in front of [`Parts::name`]: `library/` when a familiar reference left it out, else nothing.
    pub fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The repository as it was written; the whole one is [`Parts::namespace`] and then this.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The tag, written or assumed.
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// Whether the tag is `latest` because the text named neither tag nor digest.
    pub fn tag_is_default(&self) -> bool {
        self.tag_is_default
    }

    /// The digest.
    pub fn digest(&self) -> Option<&'a str> {
        self.digest
    }

    /// The same parts as values of their own.
    pub fn to_reference(&self) -> Reference {
        let repository = match self.namespace {
            "" => self.name.into(),
            namespace => format!("{namespace}{}", self.name).into(),
        };
        Reference {
            host: Host(self.host.into()),
            repository: RepoName(repository),
            tag: self.tag.map(|tag| Tag(tag.into())),
            tag_is_default: self.tag_is_default,
            digest: self.digest.map(|digest| Digest(digest.into())),
        }
    }

    /// Looks at each byte a fixed number of times: one split at each delimiter, then one pass over each part.
    pub(crate) fn scan(input: &'a str, mode: Mode) -> Result<Self, Fault> {
        match mode {
            Mode::Strict => scan_at(input, 0, ShortName::Rejected),
            Mode::Familiar => familiar(input),
        }
    }
}

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.host, self.namespace, self.name)?;
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// How many bytes of `text` are a scheme and its `://`.
pub(crate) fn scheme_len(text: &str) -> Option<usize> {
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
    let len = text.bytes().position(|byte| !is_scheme(byte))?;
    text[len..].starts_with("://").then_some(len + "://".len())
}

/// What a text without an explicit host means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShortName {
    Rejected,
    DockerHub,
}

fn familiar(input: &str) -> Result<Parts<'_>, Fault> {
    let (start, short_name) = match scheme_len(input).map(|len| (len, &input[..len])) {
        // A URL names its host: a typo must not turn into a name on Docker Hub.
        Some((len, "oci://")) => (len, ShortName::Rejected),
        Some((len, "docker://")) => (len, ShortName::DockerHub),
        _ => (0, ShortName::DockerHub),
    };
    let rest = &input[start..];
    if rest.len() == 64 && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Fault::new(ParseErrorKind::LooksLikeImageId, start));
    }
    let mut parts = scan_at(input, start, short_name)?;
    if parts.host == "index.docker.io" {
        parts.host = DOCKER_HUB;
    }
    if parts.host == DOCKER_HUB && !parts.name.contains('/') {
        parts.namespace = LIBRARY;
        if parts.name.len() > RepoName::MAX_LEN - LIBRARY.len() {
            let offset = parts.name.as_ptr().addr() - input.as_ptr().addr() + RepoName::MAX_LEN - LIBRARY.len();
            return Err(Fault::new(ParseErrorKind::RepositoryTooLong, offset));
        }
    }
    if parts.tag.is_none() && parts.digest.is_none() {
        (parts.tag, parts.tag_is_default) = (Some(LATEST), true);
    }
    Ok(parts)
}

const DOCKER_HUB: &str = "docker.io";
const LIBRARY: &str = "library/";

/// Takes apart what stands in `input` from `start` on. None of `@`, `/` and `:` is legal in a part to the right of
/// where it divides, so splitting at the first of each is exact and a surplus one is that part's own error.
fn scan_at(input: &str, start: usize, short_name: ShortName) -> Result<Parts<'_>, Fault> {
    let rest = &input[start..];
    if rest.is_empty() {
        return Err(Fault::new(ParseErrorKind::Empty, start));
    }
    if scheme_len(rest).is_some() {
        return Err(Fault::new(ParseErrorKind::UnexpectedScheme, start));
    }
    let (path, digest) = match rest.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (rest, None),
    };
    if digest.is_some_and(|digest| is_after_userinfo(path, digest)) {
        return Err(Fault::new(ParseErrorKind::InvalidHost, start + path.len()));
    }
    let (host, repository_and_tag) = match path.split_once('/') {
        Some((host, name)) if is_explicit(host, short_name) => (Some(host), name),
        _ if short_name == ShortName::Rejected => return Err(Fault::new(ParseErrorKind::MissingRegistry, start)),
        _ => (None, path),
    };
    let (name, tag) = match repository_and_tag.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (repository_and_tag, None),
    };
    let name_start = start + host.map_or(0, |host| host.len() + 1);
    host.map_or(Ok(()), host::check).map_err(|fault| fault.after(start))?;
    name::check_repository(name).map_err(|fault| fault.after(name_start))?;
    tag.map_or(Ok(()), name::check_tag).map_err(|fault| fault.after(name_start + name.len() + 1))?;
    digest.map_or(Ok(()), check_known).map_err(|fault| fault.after(start + path.len() + 1))?;
    Ok(Parts { host: host.unwrap_or(DOCKER_HUB), namespace: "", name, tag, tag_is_default: false, digest })
}

/// Whether an `@` divides credentials from a host, instead of a name from a digest.
fn is_after_userinfo(before: &str, after: &str) -> bool {
    !before.contains('/') && after.contains('/') && after_known_algorithm(after).is_none()
}

/// Whether a first component is a host and not the start of a repository.
fn is_explicit(component: &str, short_name: ShortName) -> bool {
    component == "localhost"
        || component.starts_with('[')
        || component.contains(['.', ':'])
        || short_name == ShortName::DockerHub && component.contains(|c: char| c.is_ascii_uppercase())
}
