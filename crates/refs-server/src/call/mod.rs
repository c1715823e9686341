//! From a method, a path and a query to what is asked for.

use std::{borrow::Cow, fmt};

use http::{Method, StatusCode};
use refs_registry::{Filter, MediaType};
use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::{Code, Refusal};

/// A request of the distribution spec, its parts parsed
/// ([endpoints](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Is this a registry? (end-1)
    Ping,
    /// The names of the repositories.
    Catalog(Page),
    /// Something that leaves the repository as it is.
    Read(RepoName, Read),
    /// Something that changes the repository, or is part of a change.
    Write(RepoName, Write),
}

/// What can be read from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A manifest (end-3).
    Manifest(Target),
    /// Whether a manifest is there, and what it is (end-3).
    ManifestHead(Target),
    /// A blob, or a part of it (end-2).
    Blob(Digest),
    /// Whether a blob is there, and how large (end-2).
    BlobHead(Digest),
    /// The tags (end-8a, end-8b).
    Tags(Page),
    /// The manifests that refer to this one (end-12a, end-12b).
    Referrers(Digest, Filter),
}

/// What can be changed in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a manifest (end-7), under more tags than the one in its path if `tags` has some.
    Manifest {
        /// The tag, or the digest, in the path.
        target: Target,
        /// The tags of the query, at most ten.
        tags: Vec<Tag>,
    },
    /// Removes a tag or a manifest (end-9).
    DeleteManifest(Target),
    /// Removes a blob (end-10).
    DeleteBlob(Digest),
    /// Begins an upload (end-4a, end-4b, end-11).
    Upload(Start),
    /// Adds bytes to an upload (end-5).
    Append(UploadId),
    /// Ends an upload, perhaps with its last bytes (end-6).
    Finish(UploadId, Digest),
    /// How far an upload has come (end-13).
    Progress(UploadId),
    /// Gives an upload up (end-14).
    Cancel(UploadId),
}

/// How an upload begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With nothing; bytes follow in further requests.
    Empty,
    /// With all its bytes, which have this digest.
    Whole(Digest),
    /// With the wish to take the blob from elsewhere on this server.
    Mount {
        /// The blob.
        digest: Digest,
        /// The repository that has it; where it is absent, the server may look around.
        from: Option<RepoName>,
    },
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many entries.
    pub n: Option<usize>,
    /// Those after this one.
    pub last: Option<String>,
}

/// The name of an upload session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub(crate) u128);

impl UploadId {
    /// Reads what `Display` writes, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Call {
    /// The call that `method` on `path` with `query` (empty when there is none) makes.
    ///
    /// # Errors
    /// The refusal to answer with: 404 for a path that is none of the spec's, 405 for a method it doesn't have, 400 for a
    /// name, tag, digest or number that is malformed.
    pub fn parse(method: &Method, path: &str, query: &str) -> Result<Self, Refusal> {
        let path = decode(path);
        let query = Query::new(query);
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return only_read(method, || Ok(Self::Ping)),
            Some(rest) => rest.strip_prefix('/').ok_or_else(Refusal::no_such_page)?,
            None => return Err(Refusal::no_such_page()),
        };
        if rest == "_catalog" {
            return only_read(method, || Ok(Self::Catalog(query.page()?)));
        }
        // A name may have components called `manifests` or `blobs`, so the end of the path decides, never its start.
        let (front, last) = rest.rsplit_once('/').ok_or_else(Refusal::no_such_page)?;
        let (name, noun) = front.rsplit_once('/').ok_or_else(Refusal::no_such_page)?;
        match (noun, last) {
            ("manifests", target) => manifest(method, name, target, &query),
            ("blobs", "uploads") => start(method, name, &query),
            ("uploads", id) if name.ends_with("/blobs") => upload(method, &name[..name.len() - 6], id, &query),
            ("blobs", digest) => blob(method, name, digest),
            ("tags", "list") => {
                let name = repository(name)?;
                only_read(method, || Ok(Self::Read(name, Read::Tags(query.page()?))))
            }
            ("referrers", subject) => referrers(method, name, subject, &query),
            _ => Err(Refusal::no_such_page()),
        }
    }
}

/// The registry that a client means the name to be of, where it says so: clients of mirrors do, in `ns`.
pub(crate) fn namespace(query: &str) -> Result<Option<Host>, Refusal> {
    let named = Query::new(query).first("ns").filter(|text| !text.is_empty());
    let host = named.map(|text| Host::parse(&text)).transpose();
    host.map_err(|error| bad(Code::NameInvalid, error.to_string()))
}

fn manifest(method: &Method, name: &str, target: &str, query: &Query<'_>) -> Result<Call, Refusal> {
    let name = repository(name)?;
    let target = if target.contains(':') { Target::Digest(digest(target)?) } else { Target::Tag(tag(target)?) };
    Ok(match *method {
        Method::GET => Call::Read(name, Read::Manifest(target)),
        Method::HEAD => Call::Read(name, Read::ManifestHead(target)),
        Method::PUT => Call::Write(name, Write::Manifest { target, tags: query.tags()? }),
        Method::DELETE => Call::Write(name, Write::DeleteManifest(target)),
        _ => return Err(no_such_method()),
    })
}

fn blob(method: &Method, name: &str, text: &str) -> Result<Call, Refusal> {
    let (name, digest) = (repository(name)?, digest(text)?);
    Ok(match *method {
        Method::GET => Call::Read(name, Read::Blob(digest)),
        Method::HEAD => Call::Read(name, Read::BlobHead(digest)),
        Method::DELETE => Call::Write(name, Write::DeleteBlob(digest)),
        _ => return Err(no_such_method()),
    })
}

fn start(method: &Method, name: &str, query: &Query<'_>) -> Result<Call, Refusal> {
    let name = repository(name)?;
    if method != Method::POST {
        return Err(no_such_method());
    }
    let start = match (query.first("mount"), query.first("digest")) {
        (Some(mount), _) => {
            let from = query.first("from").map(|from| repository(&from)).transpose()?;
            Start::Mount { digest: digest(&mount)?, from }
        }
        (None, Some(whole)) => Start::Whole(digest(&whole)?),
        (None, None) => Start::Empty,
    };
    Ok(Call::Write(name, Write::Upload(start)))
}

fn upload(method: &Method, name: &str, id: &str, query: &Query<'_>) -> Result<Call, Refusal> {
    // Clients write the path of a new upload with a slash at its end.
    if id.is_empty() {
        return start(method, name, query);
    }
    let name = repository(name)?;
    let id = UploadId::parse(id).ok_or_else(Refusal::no_such_upload)?;
    let write = match *method {
        Method::PATCH => Write::Append(id),
        Method::GET => Write::Progress(id),
        Method::DELETE => Write::Cancel(id),
        Method::PUT => match query.first("digest") {
            Some(text) => Write::Finish(id, digest(&text)?),
            None => return Err(bad(Code::DigestInvalid, "the digest of the upload is missing")),
        },
        _ => return Err(no_such_method()),
    };
    Ok(Call::Write(name, write))
}

fn referrers(method: &Method, name: &str, subject: &str, query: &Query<'_>) -> Result<Call, Refusal> {
    let (name, subject) = (repository(name)?, digest(subject)?);
    let artifact_type = query.first("artifactType").filter(|text| !text.is_empty());
    let filter = Filter { artifact_type: artifact_type.map(|text| MediaType::new(&text)) };
    only_read(method, || Ok(Call::Read(name, Read::Referrers(subject, filter))))
}

fn only_read(method: &Method, call: impl FnOnce() -> Result<Call, Refusal>) -> Result<Call, Refusal> {
    if method == Method::GET || method == Method::HEAD { call() } else { Err(no_such_method()) }
}

fn repository(text: &str) -> Result<RepoName, Refusal> {
    RepoName::parse(text).map_err(|error| bad(Code::NameInvalid, error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).map_err(|error| bad(Code::DigestInvalid, error.to_string()))
}

fn tag(text: &str) -> Result<Tag, Refusal> {
    Tag::parse(text).map_err(|error| bad(Code::TagInvalid, error.to_string()))
}

fn bad(code: Code, message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

fn no_such_method() -> Refusal {
    Refusal::unsupported("this path does not have that method")
}

struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn new(query: &'a str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_ref())
    }

    fn first(&self, key: &str) -> Option<String> {
        self.all(key).next().map(str::to_owned)
    }

    fn page(&self) -> Result<Page, Refusal> {
        let number = |text: &str| {
            let parsed = text.parse();
            parsed.map_err(|error| bad(Code::PaginationNumberInvalid, format!("`n` is no number: {error}")))
        };
        let n = self.all("n").next().map(number).transpose()?;
        Ok(Page { n, last: self.first("last").filter(|last| !last.is_empty()) })
    }

    fn tags(&self) -> Result<Vec<Tag>, Refusal> {
        const MOST: usize = 10;
        let tags: Vec<_> = self.all("tag").map(tag).collect::<Result<_, _>>()?;
        if tags.len() > MOST {
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, Code::TagInvalid, "more than ten tags at once"));
        }
        Ok(tags)
    }
}

/// Undoes percent-encoding. A `+` stays one, as media types have it and nothing in this API has a space; what is no
/// encoding, or no UTF-8, stays as it is and fails at the grammar it is meant for.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        decoded.push(code.map_or(*byte, |(high, low)| high << 4 | low));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
