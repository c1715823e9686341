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
    for path in ["/", "/v1/", "/v2x", "/v2/x", "/v2/blobs/$DIGEST", "/v2/tags/list", "/v2/o/r/tags", "/v2/o/r/tags/x"] {
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
