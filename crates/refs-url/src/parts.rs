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
    /// All is written out.
    Strict,
    /// A scheme is dropped, and what is left out is filled in as docker does.
    Familiar,
    /// What follows `oci://`: the host is written out, as in every URL, so that a typo does not become a name on
    /// Docker Hub; the rest is familiar.
    Url,
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

    /// Whether a tag or a digest was written, and not only assumed.
    pub fn has_explicit_tag(&self) -> bool {
        self.digest.is_some() || self.tag.is_some() && !self.tag_is_default
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

    /// Looks at each byte a fixed number of times: once for each kind of delimiter, then once in its part's grammar.
    pub(crate) fn scan(input: &'a str, mode: Mode) -> Result<Self, Fault> {
        let (start, mode) = match mode {
            Mode::Familiar => after_prefix(input),
            Mode::Strict | Mode::Url => (0, mode),
        };
        take_apart(&input[start..], mode).map_err(|fault| fault.after(start))
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
    let colon = text.find(':')?;
    is_scheme(text, colon).then_some(colon + "://".len())
}

/// Where a familiar reference starts after its one scheme, if it has one, and how to read it from there.
fn after_prefix(input: &str) -> (usize, Mode) {
    const PREFIXES: [(&str, Mode); 2] = [("oci://", Mode::Url), ("docker://", Mode::Familiar)];
    let found = PREFIXES.into_iter().find(|(prefix, _)| input.starts_with(prefix));
    found.map_or((0, Mode::Familiar), |(prefix, mode)| (prefix.len(), mode))
}

/// Takes apart a text without a scheme. None of `@`, `/` and `:` is legal in a part to the right of the place where it
/// divides, so cutting at the first of each is exact, and a surplus one is that part's own error.
fn take_apart(text: &str, mode: Mode) -> Result<Parts<'_>, Fault> {
    let marks = Marks::of(text);
    if let Some(kind) = other_text(text, &marks, mode) {
        return Err(Fault::new(kind, 0));
    }
    let (path, digest) = cut(text, marks.at);
    if digest.is_some_and(|digest| marks.slash.is_none() && is_after_userinfo(digest)) {
        return Err(Fault::new(ParseErrorKind::InvalidHost, path.len()));
    }
    let (host, name_start, colon) = match marks.slash {
        Some(len) if is_explicit(&path[..len], &marks, mode) => (Some(&path[..len]), len + 1, marks.colon_after_slash),
        _ if mode == Mode::Familiar => (None, 0, marks.colon.or(marks.colon_after_slash)),
        _ => return Err(Fault::new(ParseErrorKind::MissingRegistry, 0)),
    };
    let (name, tag) = cut(&path[name_start..], colon.map(|colon| colon - name_start));
    host.map_or(Ok(()), host::check)?;
    name::check_repository(name).map_err(|fault| fault.after(name_start))?;
    tag.map_or(Ok(()), name::check_tag).map_err(|fault| fault.after(name_start + name.len() + 1))?;
    digest.map_or(Ok(()), check_known).map_err(|fault| fault.after(path.len() + 1))?;
    let host = host.unwrap_or(DOCKER_HUB);
    let parts = Parts { host, namespace: "", name, tag, tag_is_default: false, digest };
    match mode {
        Mode::Strict => Ok(parts),
        Mode::Familiar | Mode::Url => completed(parts).map_err(|fault| fault.after(name_start)),
    }
}

/// Where the delimiters of a reference stand, all up to the first `@`.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    slash: Option<usize>,
    /// The first before any slash.
    colon: Option<usize>,
    colon_after_slash: Option<usize>,
    at: Option<usize>,
}

impl Marks {
    /// One pass, which ends before a digest.
    fn of(text: &str) -> Self {
        let mut marks = Self::default();
        for (offset, byte) in text.bytes().enumerate() {
            match byte {
                b'/' if marks.slash.is_none() => marks.slash = Some(offset),
                b':' => {
                    let colon = if marks.slash.is_none() { &mut marks.colon } else { &mut marks.colon_after_slash };
                    colon.get_or_insert(offset);
                }
                b'@' => {
                    marks.at = Some(offset);
                    break;
                }
                _ => {}
            }
        }
        marks
    }
}

/// Fills in what a familiar reference leaves out; a fault counts from the start of the name.
fn completed(mut parts: Parts<'_>) -> Result<Parts<'_>, Fault> {
    if parts.host == "index.docker.io" {
        parts.host = DOCKER_HUB;
    }
    if parts.host == DOCKER_HUB && !parts.name.contains('/') {
        parts.namespace = LIBRARY;
    }
    let name_max = RepoName::MAX_LEN - parts.namespace.len();
    if parts.name.len() > name_max {
        return Err(Fault::new(ParseErrorKind::RepositoryTooLong, name_max));
    }
    if parts.tag.is_none() && parts.digest.is_none() {
        (parts.tag, parts.tag_is_default) = (Some(LATEST), true);
    }
    Ok(parts)
}

pub(crate) const DOCKER_HUB: &str = "docker.io";
const LIBRARY: &str = "library/";

/// Why a text as a whole is something other than a reference.
fn other_text(text: &str, marks: &Marks, mode: Mode) -> Option<ParseErrorKind> {
    let is_id = || text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match mode {
        _ if text.is_empty() => Some(ParseErrorKind::Empty),
        _ if marks.colon.is_some_and(|colon| is_scheme(text, colon)) => Some(ParseErrorKind::UnexpectedScheme),
        Mode::Familiar | Mode::Url if is_id() => Some(ParseErrorKind::LooksLikeImageId),
        _ => None,
    }
}

/// Whether what stands before the first `colon` is a scheme.
fn is_scheme(text: &str, colon: usize) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
    text[colon..].starts_with("://") && text[..colon].bytes().all(is_legal)
}

/// What stands before and after the ASCII byte at `delimiter`.
fn cut(text: &str, delimiter: Option<usize>) -> (&str, Option<&str>) {
    match delimiter {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Whether what follows an `@` shows that credentials stand before it, instead of a name before a digest.
fn is_after_userinfo(after: &str) -> bool {
    after.contains('/') && after_known_algorithm(after).is_none()
}

/// Whether a first component is a host and not the start of a repository.
fn is_explicit(component: &str, marks: &Marks, mode: Mode) -> bool {
    let has_capital = || component.bytes().any(|byte| byte.is_ascii_uppercase());
    marks.colon.is_some()
        || component.bytes().any(|byte| byte == b'.')
        || component == "localhost"
        || component.starts_with('[')
        || mode == Mode::Familiar && has_capital()
}
