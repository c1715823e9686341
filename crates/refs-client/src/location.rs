//! Where an artifact is: the one place where `ocidir://` and `file://` are read.

use std::{
    fmt,
    path::{self, PathBuf},
    str::FromStr,
};

use refs_url::{Digest, Host, ParseError, Reference, RepoName, Tag, Target, redacted};

use crate::{Error, Result, error::LocationFault};

/// The transports of skopeo that are written as no reference is.
const TRANSPORTS: [&str; 6] = ["containers-storage", "dir", "docker-archive", "docker-daemon", "oci", "oci-archive"];

/// Where an artifact, or a repository of artifacts, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a repository of a registry.
    Registry(Reference),
    /// In an OCI image layout on disk: `ocidir://PATH[:TAG][@DIGEST]`, or `ocidir://PATH:HOST/REPO[:TAG][@DIGEST]` for what is
    /// listed by whole references, as a store lists images. Which of both it is shows when it is opened, to read or to write:
    /// where the path is not that of a layout, and begins with one and a colon, the rest is a name in that one.
    Layout {
        /// The directory of the layout, with the name behind it.
        path: PathBuf,
        /// The tag in it.
        tag: Option<Tag>,
        /// The digest of what is in it.
        digest: Option<Digest>,
    },
    /// A layer by itself, in a file on disk: `file://PATH`. Any tar archive, gzip or not, eStargz or not.
    File(PathBuf),
}

impl Location {
    /// Reads `HOST/REPO[:TAG][@DIGEST]`, the same behind `oci://`, `docker://NAME` with Docker's short names,
    /// `ocidir://PATH[:TAG][@DIGEST]`, or `file://PATH`.
    ///
    /// # Errors
    /// `Reference` for a bad reference, a short name without `docker://` included: a typo must not reach Docker Hub.
    /// `Location` for a bad path or target, and for what skopeo reads and this does not.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("ocidir://") {
            return layout(text, rest);
        }
        if let Some(path) = text.strip_prefix("file://") {
            return non_empty(text, path).map(Self::File);
        }
        let reference = match text.strip_prefix("oci://") {
            Some(rest) => Reference::parse(rest)?,
            None if text.starts_with("docker://") => Reference::parse_familiar(text)?,
            None => Reference::parse(text).map_err(|error| transport(text).unwrap_or_else(|| error.into()))?,
        };
        Ok(Self::Registry(reference))
    }

    /// The layout at `path` as a whole: no tag, no digest.
    #[must_use]
    pub fn layout(path: impl Into<PathBuf>) -> Self {
        Self::Layout { path: path.into(), tag: None, digest: None }
    }

    /// The tag or digest that is named. The digest, when both are.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let digest = self.digest().cloned().map(Target::Digest);
        digest.or_else(|| self.tag().cloned().map(Target::Tag))
    }

    /// The host and repository of a registry.
    ///
    /// # Errors
    /// `Location` for places on this machine.
    pub fn registry(&self) -> Result<(&Host, &RepoName)> {
        match self {
            Self::Registry(reference) => Ok((reference.host(), reference.repository())),
            Self::Layout { .. } | Self::File(_) => Err(self.fault(LocationFault::NotRegistry)),
        }
    }

    /// The last component of the repository's name: what a pull names its directory, unasked. None for what is on disk,
    /// whose own name is taken by itself.
    #[must_use]
    pub fn short_name(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => reference.repository().as_str().rsplit('/').next(),
            Self::Layout { .. } | Self::File(_) => None,
        }
    }

    /// The same repository, at `digest`, without a tag. A file has but one artifact, and stays as it is.
    #[must_use]
    pub fn at_digest(self, digest: Digest) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.without_tag().with_digest(digest)),
            Self::Layout { path, .. } => Self::Layout { path, tag: None, digest: Some(digest) },
            Self::File(_) => self,
        }
    }

    /// The same repository, at `tag`, without a digest. A file has no tags, and stays as it is.
    #[must_use]
    pub fn at_tag(self, tag: Tag) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.without_digest().with_tag(tag)),
            Self::Layout { path, .. } => Self::Layout { path, tag: Some(tag), digest: None },
            Self::File(_) => self,
        }
    }

    /// The tag that is named, whether or not a digest is, too.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Registry(reference) => reference.tag(),
            Self::Layout { tag, .. } => tag.as_ref(),
            Self::File(_) => None,
        }
    }

    /// The digest that is named, whether or not a tag is, too.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Registry(reference) => reference.digest(),
            Self::Layout { digest, .. } => digest.as_ref(),
            Self::File(_) => None,
        }
    }

    /// The same with this tag; a digest stays. A file has no tags, and stays as it is.
    #[must_use]
    pub fn with_tag(self, tag: Tag) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.with_tag(tag)),
            Self::Layout { path, digest, .. } => Self::Layout { path, tag: Some(tag), digest },
            Self::File(_) => self,
        }
    }

    /// The same with this digest, which it is addressed by; a tag stays. A file has but one artifact, and stays as it is.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.with_digest(digest)),
            Self::Layout { path, tag, .. } => Self::Layout { path, tag, digest: Some(digest) },
            Self::File(_) => self,
        }
    }

    /// The repository as a whole: the same without tag and digest.
    #[must_use]
    pub fn repository(&self) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.repository_ref()),
            Self::Layout { path, .. } => Self::layout(path),
            Self::File(_) => self.clone(),
        }
    }

    pub(crate) fn needs_target(&self) -> Result<Target> {
        self.target().ok_or_else(|| match self {
            Self::File(_) => self.fault(LocationFault::Untagged),
            _ => self.fault(LocationFault::NoTarget),
        })
    }

    pub(crate) fn needs_tag(&self) -> Result<Tag> {
        if let Self::File(_) = self {
            return Err(self.fault(LocationFault::File));
        }
        match self.needs_target()? {
            Target::Tag(tag) => Ok(tag),
            Target::Digest(_) => Err(self.fault(LocationFault::DigestAsTarget)),
        }
    }

    /// The tag or digest of `other`, which must be in the same repository.
    pub(crate) fn sibling(&self, other: &Self) -> Result<Target> {
        let is_beside = match (self, other) {
            (Self::Registry(here), Self::Registry(there)) => {
                (here.host(), here.repository()) == (there.host(), there.repository())
            }
            (Self::Layout { path: here, .. }, Self::Layout { path: there, .. }) => {
                path::absolute(here).ok() == path::absolute(there).ok()
            }
            _ => false,
        };
        if is_beside { other.needs_target() } else { Err(other.fault(LocationFault::OtherRepository)) }
    }

    pub(crate) fn fault(&self, fault: LocationFault) -> Error {
        Error::Location { input: self.to_string(), fault }
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl From<Reference> for Location {
    fn from(reference: Reference) -> Self {
        Self::Registry(reference)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::Layout { path, tag, digest } => {
                write!(f, "ocidir://{}", path.display())?;
                if let Some(tag) = tag {
                    write!(f, ":{tag}")?;
                }
                digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
            }
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

/// That `text`, which is no reference, is written for skopeo.
///
/// # Security
/// The input is told without what may be a password in it.
fn transport(text: &str) -> Option<Error> {
    let (name, rest) = text.split_once(':')?;
    let name = TRANSPORTS.iter().find(|transport| **transport == name).filter(|_| !rest.starts_with("//"))?;
    Some(Error::Location { input: redacted(text).into_owned(), fault: LocationFault::Transport(name) })
}

/// A digest follows the last `@`, a tag the last `:` that has no `/` behind it: so a path may hold both characters, as
/// long as its last component does not.
fn layout(text: &str, rest: &str) -> Result<Location> {
    let bad = |error| Error::Location { input: text.to_owned(), fault: LocationFault::BadTarget(error) };
    let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, digest) = match rest[after_slash..].rfind('@') {
        Some(at) => (&rest[..after_slash + at], Some(&rest[after_slash + at + 1..])),
        None => (rest, None),
    };
    let (path, tag) = match path[after_slash..].rfind(':') {
        Some(colon) => (&path[..after_slash + colon], Some(&path[after_slash + colon + 1..])),
        None => (path, None),
    };
    let tag = tag.map(str::parse).transpose().map_err(bad)?;
    let digest = digest.map(|digest: &str| digest.parse()).transpose().map_err(|error: ParseError| bad(error))?;
    Ok(Location::Layout { path: non_empty(text, path)?, tag, digest })
}

fn non_empty(text: &str, path: &str) -> Result<PathBuf> {
    if path.is_empty() {
        return Err(Error::Location { input: text.to_owned(), fault: LocationFault::NoPath });
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, path: &str, tag: Option<&str>, digest: Option<&str>) {
        let parsed = Location::parse(text).unwrap();
        let (tag, digest) = (tag.map(|tag| tag.parse().unwrap()), digest.map(|digest| digest.parse().unwrap()));
        assert_eq!(parsed, Location::Layout { path: path.into(), tag, digest });
    }

    #[test]
    fn layout_paths_tags_and_digests_are_told_apart() {
        check("ocidir://a", "a", None, None);
        check("ocidir://a:v1", "a", Some("v1"), None);
        check("ocidir:///tmp/a:b/c:v1", "/tmp/a:b/c", Some("v1"), None);
        check("ocidir:///tmp/x@y/c", "/tmp/x@y/c", None, None);
        let digest = format!("sha256:{}", "a".repeat(64));
        check(&format!("ocidir://a@{digest}"), "a", None, Some(&digest));
        check(&format!("ocidir://a:v1@{digest}"), "a", Some("v1"), Some(&digest));
        check(&format!("ocidir://a:ghcr.io/o/r:v1@{digest}"), "a:ghcr.io/o/r", Some("v1"), Some(&digest));
    }

    proptest! {
        #[test]
        fn what_names_a_layout_is_shown_as_it_was_written(
            path in "([a-z@:. -]{0,6}/){0,2}[a-z. -]{1,6}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,8}"),
            digest in proptest::option::of("sha256:[0-9a-f]{64}"),
        ) {
            let with = |mark: &str, part: &Option<String>| {
                part.as_ref().map(|part| format!("{mark}{part}")).unwrap_or_default()
            };
            let text = format!("ocidir://{path}{}{}", with(":", &tag), with("@", &digest));
            let parsed = Location::parse(&text).unwrap();
            prop_assert_eq!(parsed.to_string(), text);
            prop_assert_eq!(parsed.tag().map(ToString::to_string), tag);
            prop_assert_eq!(parsed.digest().map(ToString::to_string), digest);
        }

        #[test]
        fn whatever_is_read_as_a_layout_is_shown_so(text in "ocidir://[a-f0-9@:./ -]{1,24}") {
            if let Ok(parsed) = Location::parse(&text) {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }

    #[test]
    fn all_that_follows_file_is_a_path() {
        let parsed = Location::parse("file://docs:v1@x.tar.gz").unwrap();
        assert_eq!(parsed, Location::File("docs:v1@x.tar.gz".into()));
        assert_eq!(parsed.to_string(), "file://docs:v1@x.tar.gz");
        assert_eq!(Location::parse("file:///a").unwrap(), Location::File("/a".into()));
    }

    #[test]
    fn a_short_name_needs_its_scheme() {
        assert!(matches!(Location::parse("ubuntu"), Err(Error::Reference(_))));
        assert_eq!(Location::parse("docker://ubuntu").unwrap().to_string(), "docker.io/library/ubuntu:latest");
    }

    #[test]
    fn what_skopeo_reads_is_told_by_its_transport() {
        #[track_caller]
        fn check(text: &str, transport: Option<&str>) {
            let found = match Location::parse(text) {
                Err(Error::Location { fault: LocationFault::Transport(name), .. }) => Some(name),
                _ => None,
            };
            assert_eq!(found, transport, "{text}");
        }
        check("oci:layout:v1", Some("oci"));
        check("oci:/var/lib/images", Some("oci"));
        check("oci-archive:image.tar:v1", Some("oci-archive"));
        check("docker-archive:image.tar", Some("docker-archive"));
        check("docker-daemon:ubuntu:24.04", Some("docker-daemon"));
        check("containers-storage:[overlay@/var/lib]ubuntu", Some("containers-storage"));
        check("dir:/tmp/image", Some("dir"));
        check("oci:5000/org/app", None);
        check("oci://ubuntu", None);
        check("dir://tmp", None);
        check("other:a/b", None);
        let error = Location::parse("oci:user:hunter2@ghcr.io/o/r").unwrap_err().to_string();
        assert!(error.contains("begins with `oci:`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_location_without_a_path_is_refused() {
        for text in ["ocidir://", "ocidir://:v1", "file://"] {
            assert!(matches!(Location::parse(text), Err(Error::Location { fault: LocationFault::NoPath, .. })));
        }
    }
}
