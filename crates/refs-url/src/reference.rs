//! The name of a thing in a registry.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use crate::{Digest, Host, ParseError, Parts, RepoName, Tag, Target};

/// A registry host, a repository there, and possibly a tag, a digest, or both: `ghcr.io/org/app:v1@sha256:…`.
///
/// With both, the digest addresses and the tag is a label. `Display` gives the canonical text. Whether the tag was
/// assumed ([`Reference::tag_is_default`]) makes no difference to equality, order or hash.
#[derive(Debug, Clone)]
pub struct Reference {
    pub(crate) host: Host,
    pub(crate) repository: RepoName,
    pub(crate) tag: Option<Tag>,
    pub(crate) tag_is_default: bool,
    pub(crate) digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference that says everything: an explicit host comes first and nothing is assumed or rewritten, so
    /// that the text of the result is the input.
    ///
    /// A host is explicit when it contains a `.` or a port, is an IPv6 address in brackets, or is `localhost`.
    ///
    /// # Errors
    ///
    /// [`MissingRegistry`](crate::ParseErrorKind::MissingRegistry) for a short name such as `debian`,
    /// [`UnexpectedScheme`](crate::ParseErrorKind::UnexpectedScheme) for any scheme, and the kind of the first part
    /// that breaks the grammar.
    pub fn parse(input: &str) -> Result<Self, ParseError> {
        Parts::parse(input).map(|parts| parts.to_reference())
    }

    /// Parses a reference as `docker pull` reads it, and fills in what it leaves out.
    ///
    /// One `oci://` or `docker://` in front is dropped. A text without a host is a name on `docker.io` (after `oci://`:
    /// an error), where a name of one component is in `library/`; `index.docker.io` becomes `docker.io`. With neither
    /// tag nor digest the tag is `latest`.
    ///
    /// # Errors
    ///
    /// [`LooksLikeImageId`](crate::ParseErrorKind::LooksLikeImageId) for 64 hexadecimal digits,
    /// [`UnexpectedScheme`](crate::ParseErrorKind::UnexpectedScheme) for another scheme,
    /// [`MissingRegistry`](crate::ParseErrorKind::MissingRegistry) for a short name after `oci://`, and the kind of the
    /// first part that breaks the grammar.
    ///
    /// # Deviation
    ///
    /// From `ParseNormalizedNamed` of distribution/reference: the two schemes; an address in brackets must be an IPv6
    /// address; blake3 is accepted, and no digest depends on which hashes are linked; a host with `_` is an error.
    pub fn parse_familiar(input: &str) -> Result<Self, ParseError> {
        Parts::parse_familiar(input).map(|parts| parts.to_reference())
    }

    /// The repository as a whole: no tag, no digest.
    pub fn new(host: Host, repository: RepoName) -> Self {
        Self { host, repository, tag: None, tag_is_default: false, digest: None }
    }

    /// The registry's host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// The tag, written or assumed.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether the tag is `latest` only because a familiar reference named neither tag nor digest.
    pub fn tag_is_default(&self) -> bool {
        self.tag_is_default
    }

    /// Whether a tag or a digest was given, and not only assumed: whether this names one manifest, and not the repository.
    pub fn has_explicit_tag(&self) -> bool {
        self.digest.is_some() || self.tag.is_some() && !self.tag_is_default
    }

    /// What addresses the manifest: the digest, else the tag, else nothing.
    pub fn target(&self) -> Option<Target> {
        let digest = self.digest.clone().map(Target::Digest);
        digest.or_else(|| self.tag.clone().map(Target::Tag))
    }

    /// The same with this tag; a digest stays.
    #[must_use]
    pub fn with_tag(self, tag: Tag) -> Self {
        Self { tag: Some(tag), tag_is_default: false, ..self }
    }

    /// The same with this digest; a tag stays.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// The same without a tag.
    #[must_use]
    pub fn without_tag(self) -> Self {
        Self { tag: None, tag_is_default: false, ..self }
    }

    /// The same without a digest.
    #[must_use]
    pub fn without_digest(self) -> Self {
        Self { digest: None, ..self }
    }

    /// The repository as a whole: the same without tag and digest.
    #[must_use]
    pub fn repository_ref(&self) -> Self {
        Self::new(self.host.clone(), self.repository.clone())
    }

    fn key(&self) -> (&Host, &RepoName, Option<&Tag>, Option<&Digest>) {
        (&self.host, &self.repository, self.tag.as_ref(), self.digest.as_ref())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The strict grammar: [`Reference::parse`].
impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(input: &str) -> Result<Self, ParseError> {
        Self::parse(input)
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Reference {}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

serde_as_text!(Reference);
