//! What errors speak of: the thing, the place, the request, and what was wrong.

use std::{fmt, sync::Arc};

use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::error::Code;

/// The thing an error is about, in the words of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// A repository.
    Repository(RepoName),
    /// An image layout on disk.
    Layout,
    /// A layer that is a file on disk.
    LayerFile,
    /// The manifest at a tag or a digest.
    Manifest(Target),
    /// A blob.
    Blob(Digest),
    /// A part of a blob.
    BlobPart(Digest),
    /// An upload session.
    Upload,
    /// A tag.
    Tag(Tag),
    /// The list of tags.
    Tags,
    /// The list of repositories.
    Repositories,
    /// The list of referrers of a manifest.
    Referrers(Digest),
    /// A token of the registry's token service.
    Token,
    /// Reading a body again, from its middle.
    Resume,
    /// Deleting something.
    Delete,
    /// A host.
    Host(Host),
    /// The answer to a request of the caller's own.
    Answer,
    /// A digest algorithm that this build cannot compute.
    Algorithm(Digest),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => write!(f, "repository `{name}`"),
            Self::Layout => f.write_str("image layout"),
            Self::LayerFile => f.write_str("file"),
            Self::Manifest(target) => write!(f, "manifest `{target}`"),
            Self::Blob(digest) => write!(f, "blob `{digest}`"),
            Self::BlobPart(digest) => write!(f, "a part of blob `{digest}`"),
            Self::Upload => f.write_str("the upload session"),
            Self::Tag(tag) => write!(f, "tag `{tag}`"),
            Self::Tags => f.write_str("the list of tags"),
            Self::Repositories => f.write_str("the list of repositories"),
            Self::Referrers(digest) => write!(f, "the list of referrers of `{digest}`"),
            Self::Token => f.write_str("the token"),
            Self::Resume => f.write_str("reading again from the middle"),
            Self::Delete => f.write_str("deleting"),
            Self::Host(host) => write!(f, "host `{host}`"),
            Self::Answer => f.write_str("the answer"),
            Self::Algorithm(digest) => write!(f, "the algorithm of digest `{digest}`"),
        }
    }
}

/// Where something was looked for, as a person would write it: `ghcr.io/org/repo`, a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    text: Arc<str>,
    keeper: Keeper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Registry,
    Layout,
    Other,
}

impl Place {
    /// A registry, or a repository in one.
    #[must_use]
    pub fn registry(text: &str) -> Self {
        Self { text: text.into(), keeper: Keeper::Registry }
    }

    /// An image layout on disk that a user can name.
    #[must_use]
    pub fn layout(text: &str) -> Self {
        Self { text: text.into(), keeper: Keeper::Layout }
    }

    /// Whether it is a registry, or in one.
    #[must_use]
    pub const fn is_registry(&self) -> bool {
        matches!(self.keeper, Keeper::Registry)
    }

    /// Whether it is an image layout on disk.
    #[must_use]
    pub const fn is_layout(&self) -> bool {
        matches!(self.keeper, Keeper::Layout)
    }
}

/// A place that is neither a registry nor a layout.
impl<T: AsRef<str>> From<T> for Place {
    fn from(text: T) -> Self {
        Self { text: Arc::from(text.as_ref()), keeper: Keeper::Other }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A request in an error or a log: the method and the URL without its query, which may hold a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    text: Arc<str>,
    to: Asked,
}

/// Whom a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Registry,
    TokenService,
}

impl RequestLine {
    /// `method` on `url`, without userinfo, query and fragment, and with the first 1,024 characters of the path: a registry
    /// can send clients on to one that is as long as a header may be.
    #[must_use]
    pub fn new(method: &http::Method, url: &url::Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path: String = url.path().chars().take(1024).collect();
        let text = format!("{method} {}://{host}{port}{path}", url.scheme()).into();
        Self { text, to: Asked::Registry }
    }

    /// The same of a request for a token.
    pub(crate) fn asking_token_service(self) -> Self {
        Self { to: Asked::TokenService, ..self }
    }

    /// Whether it asks the token service that a registry names, and not the registry itself.
    #[must_use]
    pub const fn is_to_token_service(&self) -> bool {
        matches!(self.to, Asked::TokenService)
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

/// What the other side said about its refusal; nothing when it said nothing. Control characters are escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail(Option<Arc<Said>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    words: String,
    codes: Vec<Code>,
}

impl Detail {
    /// The words of the other side, escaped and cut at 512 characters.
    #[must_use]
    pub fn new(words: &str) -> Self {
        Self::said(words, Vec::new())
    }

    /// The same, and the codes among them.
    pub(crate) fn said(words: &str, codes: Vec<Code>) -> Self {
        let words = words.trim();
        if words.is_empty() {
            return Self(None);
        }
        let words = words
            .chars()
            .take(512)
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect();
        Self(Some(Arc::new(Said { words, codes })))
    }

    /// The [codes](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes) of the errors told of,
    /// but for those that are the registry's own.
    #[must_use]
    pub fn codes(&self) -> &[Code] {
        self.0.as_ref().map_or(&[], |said| &said.codes)
    }

    /// The same words, with `secret` struck out.
    pub(crate) fn without(&self, secret: &str) -> Self {
        match &self.0 {
            Some(said) if !secret.is_empty() => {
                Self(Some(Arc::new(Said { words: said.words.replace(secret, "***"), codes: said.codes.clone() })))
            }
            _ => self.clone(),
        }
    }

    /// The words, if there are any.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.0.as_ref().map(|said| said.words.as_str())
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

/// How an answer broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A header that the answer needs is absent.
    #[error("header `{0}` is missing")]
    MissingHeader(&'static str),
    /// A header has a value that can't be.
    #[error("header `{name}` has the value `{value}`")]
    BadHeader {
        /// The header.
        name: &'static str,
        /// Its value, escaped.
        value: String,
    },
    /// The body is not what its place in the protocol asks for.
    #[error("the body is not {0}")]
    BadBody(&'static str),
    /// It is a page for people, as of a proxy that wants a login, or of maintenance: it is not the registry that has
    /// answered.
    #[error("the body is a page for a browser")]
    Page,
    /// More redirects than any registry needs.
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    /// A redirect that would lose security.
    #[error("a redirect to `{to}` is not followed: {reason}")]
    UnsafeRedirect {
        /// The origin it leads to, or the URL if that has none.
        to: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name, of a host that the registry leads to, has addresses in a private network only.
    #[error("`{0}`, where the registry leads to, is in a private network")]
    PrivateAddress(String),
    /// The token service is somewhere that credentials must not go.
    #[error("the token service `{0}` is not trusted with credentials for this registry")]
    UntrustedRealm(String),
    /// An upload was answered before all of it was sent.
    #[error("the answer came before the body had ended")]
    EarlyAnswer,
    /// A listing that never ends.
    #[error("the listing repeats or exceeds its bounds")]
    EndlessListing,
    /// A digest that the registry reports and that is not the content's.
    #[error("the registry reports the digest `{0}` for other content")]
    WrongDigest(String),
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFault {
    /// The JSON is not a manifest.
    #[error("{0}")]
    Json(Arc<str>),
    /// It has both `layers` and `manifests`, so two readers may disagree on what it is (CVE-2021-41190).
    #[error("it has the fields of an image and of an index")]
    Ambiguous,
    /// Its media type, in the answer or in the body, is another than the one it has to have.
    #[error("it says to be `{found}` where `{expected}` was announced")]
    MediaType {
        /// The announced type.
        expected: String,
        /// The type in the body.
        found: String,
    },
    /// A format that this library does not read.
    #[error("manifests of type `{0}` are not read")]
    Unknown(String),
}

/// What is wrong with the config of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFault {
    /// It is no JSON, or other JSON than that of a config.
    #[error("{0}")]
    Json(Arc<str>),
    /// A field holds another kind of value than it must.
    #[error("`{field}` is {found}, and must be {expected}")]
    Field {
        /// The field, with those that it is in, as in `config.Env`.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is, or what is in it.
        found: &'static str,
    },
    /// The manifest points to something that is no config of an image.
    #[error("it is of type `{found}`, and must be of Docker's or the image spec's for configs")]
    MediaType {
        /// The type that the manifest gives it.
        found: String,
    },
    /// The root file system is made of something else than layers.
    #[error("`rootfs.type` is `{found}`, and must be `layers`")]
    RootFsType {
        /// What it says; empty when it says nothing.
        found: String,
    },
    /// It does not say of each layer what it is before compression.
    #[error("`rootfs.diff_ids` has {diff_ids} for the {layers} of the manifest's layers")]
    DiffIds {
        /// How many it has.
        diff_ids: usize,
        /// How many layers the manifest has.
        layers: usize,
    },
}

/// An operation on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Making a file or a folder.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Making written bytes durable.
    Sync,
    /// Giving the file its name.
    Rename,
    /// Removing.
    Remove,
    /// Taking a lock.
    Lock,
    /// Listing a folder.
    List,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
            Self::List => "list",
        })
    }
}
