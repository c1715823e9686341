//! From a method, a path and a query to what is asked for.

use std::{borrow::Cow, fmt};

use http::{Method, StatusCode};
use refs_registry::{Filter, MediaType};
use refs_url::{Digest, RepoName, Tag, Target};

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
    let id = upload_id(id).ok_or_else(Refusal::no_such_upload)?;
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

fn upload_id(text: &str) -> Option<UploadId> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok().map(UploadId)).flatten()
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn call(line: &str) -> Result<Call, Refusal> {
        let line = line.replace("$DIGEST", DIGEST).replace("$ID", ID);
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Call::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, query)
    }

    #[track_caller]
    fn check(line: &str, expect: Call) {
        assert_eq!(call(line), Ok(expect), "{line}");
    }

    #[track_caller]
    fn refused(line: &str, status: u16, code: Code) {
        let refusal = call(line).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.code), (status, code), "{line}");
    }

    fn name(text: &str) -> RepoName {
        RepoName::parse(text).unwrap()
    }

    fn digest() -> Digest {
        Digest::parse(DIGEST).unwrap()
    }

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    fn read(read: Read) -> Call {
        Call::Read(name("o/r"), read)
    }

    fn write(write: Write) -> Call {
        Call::Write(name("o/r"), write)
    }

    fn id() -> UploadId {
        UploadId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
    }

    fn page(n: Option<usize>, last: Option<&str>) -> Page {
        Page { n, last: last.map(str::to_owned) }
    }

    #[test]
    fn every_endpoint_of_the_spec_is_a_call() {
        let v1 = || Target::Tag(tag("v1"));
        check("GET /v2/", Call::Ping);
        check("GET /v2", Call::Ping);
        check("GET /v2/o/r/blobs/$DIGEST", read(Read::Blob(digest())));
        check("HEAD /v2/o/r/blobs/$DIGEST", read(Read::BlobHead(digest())));
        check("GET /v2/o/r/manifests/v1", read(Read::Manifest(v1())));
        check("HEAD /v2/o/r/manifests/$DIGEST", read(Read::ManifestHead(digest().into())));
        check("POST /v2/o/r/blobs/uploads/", write(Write::Upload(Start::Empty)));
        check("POST /v2/o/r/blobs/uploads", write(Write::Upload(Start::Empty)));
        check("POST /v2/o/r/blobs/uploads/?digest=$DIGEST", write(Write::Upload(Start::Whole(digest()))));
        check("PATCH /v2/o/r/blobs/uploads/$ID", write(Write::Append(id())));
        check("PUT /v2/o/r/blobs/uploads/$ID?digest=$DIGEST", write(Write::Finish(id(), digest())));
        check("PUT /v2/o/r/manifests/v1", write(Write::Manifest { target: v1(), tags: vec![] }));
        let tags = vec![tag("a"), tag("b")];
        check("PUT /v2/o/r/manifests/$DIGEST?tag=a&tag=b", write(Write::Manifest { target: digest().into(), tags }));
        check("GET /v2/o/r/tags/list", read(Read::Tags(Page::default())));
        check("GET /v2/o/r/tags/list?n=5&last=v1", read(Read::Tags(page(Some(5), Some("v1")))));
        check("DELETE /v2/o/r/manifests/v1", write(Write::DeleteManifest(v1())));
        check("DELETE /v2/o/r/blobs/$DIGEST", write(Write::DeleteBlob(digest())));
        let mount = |from| write(Write::Upload(Start::Mount { digest: digest(), from }));
        check("POST /v2/o/r/blobs/uploads/?mount=$DIGEST&from=a/b", mount(Some(name("a/b"))));
        check("POST /v2/o/r/blobs/uploads/?mount=$DIGEST", mount(None));
        check("GET /v2/o/r/referrers/$DIGEST", read(Read::Referrers(digest(), Filter::default())));
        check("GET /v2/o/r/blobs/uploads/$ID", write(Write::Progress(id())));
        check("DELETE /v2/o/r/blobs/uploads/$ID", write(Write::Cancel(id())));
        check("GET /v2/_catalog?n=0&last=a/b", Call::Catalog(page(Some(0), Some("a/b"))));
    }

    #[test]
    fn names_may_have_the_words_of_paths() {
        let list = |text| Call::Read(name(text), Read::Tags(Page::default()));
        check("GET /v2/a/blobs/uploads/tags/list", list("a/blobs/uploads"));
        check("GET /v2/tags/list/tags/list", list("tags/list"));
        check("GET /v2/manifests/manifests/v1", Call::Read(name("manifests"), Read::Manifest(tag("v1").into())));
        check("GET /v2/a/blobs/uploads/blobs/$DIGEST", Call::Read(name("a/blobs/uploads"), Read::Blob(digest())));
        check("POST /v2/blobs/blobs/uploads/", Call::Write(name("blobs"), Write::Upload(Start::Empty)));
    }

    #[test]
    fn percent_encoding_is_undone_and_a_plus_is_a_plus() {
        let escaped = DIGEST.replace(':', "%3A");
        check(&format!("GET /v2/o%2Fr/blobs/{escaped}"), read(Read::Blob(digest())));
        let sbom = Filter { artifact_type: Some(MediaType::new("application/x+json")) };
        for query in ["application/x+json", "application%2Fx%2Bjson", "application%2fx%2bjson"] {
            let line = format!("GET /v2/o/r/referrers/$DIGEST?artifactType={query}");
            check(&line, read(Read::Referrers(digest(), sbom.clone())));
        }
        refused("GET /v2/o/r/manifests/%zz", 400, Code::TagInvalid);
        refused("GET /v2/o/r/manifests/%", 400, Code::TagInvalid);
        refused("GET /v2/o/r/manifests/%ff", 400, Code::TagInvalid);
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_code() {
        refused("GET /v2/O/r/tags/list", 400, Code::NameInvalid);
        refused("GET /v2/o//r/tags/list", 400, Code::NameInvalid);
        refused("GET /v2/../etc/passwd/tags/list", 400, Code::NameInvalid);
        refused("GET /v2/o%00r/tags/list", 400, Code::NameInvalid);
        refused("GET /v2/o/r/blobs/sha256:asd", 400, Code::DigestInvalid);
        refused("GET /v2/o/r/blobs/v1", 400, Code::DigestInvalid);
        refused("GET /v2/o/r/manifests/sha256:asd", 400, Code::DigestInvalid);
        refused("GET /v2/o/r/manifests/-v1", 400, Code::TagInvalid);
        refused("GET /v2/o/r/referrers/v1", 400, Code::DigestInvalid);
        refused("GET /v2/o/r/tags/list?n=x", 400, Code::PaginationNumberInvalid);
        refused("GET /v2/o/r/tags/list?n=-1", 400, Code::PaginationNumberInvalid);
        refused("POST /v2/o/r/blobs/uploads/?digest=x", 400, Code::DigestInvalid);
        refused("POST /v2/o/r/blobs/uploads/?mount=x&from=a/b", 400, Code::DigestInvalid);
        refused("POST /v2/o/r/blobs/uploads/?mount=$DIGEST&from=A", 400, Code::NameInvalid);
        refused("PUT /v2/o/r/blobs/uploads/$ID", 400, Code::DigestInvalid);
        refused("PUT /v2/o/r/manifests/v1?tag=.", 400, Code::TagInvalid);
        refused(&format!("PUT /v2/o/r/manifests/v1?{}", "tag=a&".repeat(11)), 414, Code::TagInvalid);
        refused("PATCH /v2/o/r/blobs/uploads/none", 404, Code::BlobUploadUnknown);
        refused("PATCH /v2/o/r/blobs/uploads/+123456789abcdef0123456789abcdef", 404, Code::BlobUploadUnknown);
    }

    #[test]
    fn other_paths_are_nothing_and_other_methods_unsupported() {
        for path in
            ["/", "/v1/", "/v2x", "/v2/x", "/v2/blobs/$DIGEST", "/v2/tags/list", "/v2/o/r/tags", "/v2/o/r/tags/x"]
        {
            refused(&format!("GET {path}"), 404, Code::Unknown);
        }
        for line in [
            "POST /v2/",
            "PUT /v2/_catalog",
            "POST /v2/o/r/tags/list",
            "FOO /v2/o/r/blobs/$DIGEST",
            "POST /v2/o/r/manifests/v1",
            "GET /v2/o/r/blobs/uploads/",
            "POST /v2/o/r/blobs/uploads/$ID",
            "DELETE /v2/o/r/referrers/$DIGEST",
        ] {
            refused(line, 405, Code::Unsupported);
        }
    }

    proptest! {
        #[test]
        fn no_path_is_too_strange(method in "GET|HEAD|PUT|POST|PATCH|DELETE", path in "(/v2)?(/(%[0-9a-f]{0,2}|[a-z:_]{0,9}|blobs|uploads|manifests|tags|list))*", query: String) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            drop(Call::parse(&method, &path, &query));
        }

        #[test]
        fn a_name_and_a_tag_come_out_as_they_went_in(
            repository in "[a-z0-9]{1,4}(/(blobs|uploads|manifests|tags|list|[a-z0-9]{1,4})){0,4}",
            version in "[A-Za-z0-9_][A-Za-z0-9._-]{0,9}",
        ) {
            let expect = Call::Read(name(&repository), Read::Manifest(tag(&version).into()));
            prop_assert_eq!(call(&format!("GET /v2/{repository}/manifests/{version}")), Ok(expect));
        }
    }
}
