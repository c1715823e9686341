//! References built, changed and compared.

use std::collections::HashSet;

use refs_url::{Digest, Host, ParseError, Parts, Reference, RepoName, Tag, Target};

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn app() -> Result<Reference, ParseError> {
    Ok(Reference::new(Host::parse("a.b")?, RepoName::parse("app")?))
}

#[test]
fn tag_and_digest_come_and_go_one_by_one() -> Result<(), ParseError> {
    let both = app()?.with_tag(Tag::parse("v1")?).with_digest(Digest::parse(DIGEST)?);
    assert_eq!(both, Reference::parse(&format!("a.b/app:v1@{DIGEST}"))?);
    assert_eq!(both.clone().without_tag().to_string(), format!("a.b/app@{DIGEST}"));
    assert_eq!(both.clone().without_digest().to_string(), "a.b/app:v1");
    assert_eq!(both.repository_ref(), app()?);
    Ok(())
}

#[test]
fn the_digest_addresses_before_the_tag() -> Result<(), ParseError> {
    let tagged = app()?.with_tag(Tag::parse("v1")?);
    let digest = Digest::parse(DIGEST)?;
    assert_eq!(app()?.target(), None);
    assert_eq!(tagged.target(), Some(Target::Tag(Tag::parse("v1")?)));
    assert_eq!(tagged.with_digest(digest.clone()).target(), Some(Target::Digest(digest)));
    Ok(())
}

#[test]
fn an_assumed_tag_equals_a_written_one() -> Result<(), ParseError> {
    let (assumed, written) = (Reference::parse_familiar("a.b/app")?, Reference::parse("a.b/app:latest")?);
    assert!(assumed.tag_is_default() && !written.tag_is_default());
    assert_eq!(assumed, written);
    assert_eq!(HashSet::from([assumed.clone(), written]).len(), 1);
    assert!(!assumed.clone().without_tag().tag_is_default());
    assert!(!assumed.with_tag(Tag::latest()).tag_is_default());
    Ok(())
}

#[test]
fn references_sort_by_host_repository_tag_digest() -> Result<(), ParseError> {
    let sorted = ["a.b/c", "a.b/c:v1", "a.b/c:v2", "a.b/d", "b.a/a"];
    let mut references = sorted.iter().rev().map(|text| text.parse()).collect::<Result<Vec<Reference>, _>>()?;
    references.sort();
    assert_eq!(references.iter().map(ToString::to_string).collect::<Vec<_>>(), sorted);
    Ok(())
}

/// Registry, repository, tag and digest of `text`, in which `HEX` stands for a digest's digits.
#[track_caller]
fn check_parts(text: &str, registry: &str, repository: &str, tag: Option<&str>, digest: Option<&str>) {
    let fill = |text: &str| text.replace("HEX", &"5f".repeat(32));
    let text = fill(text);
    let parsed = Reference::parse(text.strip_prefix("oci://").unwrap_or(&text));
    let Ok(reference) = parsed else { panic!("`{text}`: {parsed:?}") };
    let found_digest = reference.digest().map(ToString::to_string);
    assert_eq!(reference.host().to_string(), registry, "`{text}`");
    assert_eq!(reference.repository().as_str(), repository, "`{text}`");
    assert_eq!(reference.tag().map(ToString::to_string).as_deref(), tag, "`{text}`");
    assert_eq!(found_digest, digest.map(fill), "`{text}`");
}

#[test]
fn references_come_apart() {
    check_parts("ghcr.io/org/repo:v1.0.0", "ghcr.io", "org/repo", Some("v1.0.0"), None);
    check_parts("oci://ghcr.io/org/repo:tag", "ghcr.io", "org/repo", Some("tag"), None);
    check_parts("docker.io/library/nginx:latest", "docker.io", "library/nginx", Some("latest"), None);
    check_parts("registry.io/repo@sha256:HEX", "registry.io", "repo", None, Some("sha256:HEX"));
    check_parts("localhost:5000/myrepo:latest", "localhost:5000", "myrepo", Some("latest"), None);
    check_parts("host:5000/a/b", "host:5000", "a/b", None, None);
    check_parts("[::1]:5000/a:b", "[::1]:5000", "a", Some("b"), None);
    check_parts("a.b/c:t@sha256:HEX", "a.b", "c", Some("t"), Some("sha256:HEX"));
    check_parts("a.b/a__b:1", "a.b", "a__b", Some("1"), None);
}

#[track_caller]
fn check_familiar(text: &str, canonical: &str) {
    let fill = |text: &str| text.replace("HEX", &"5f".repeat(32));
    let parsed = Reference::parse_familiar(&fill(text)).map(|reference| reference.to_string());
    assert_eq!(parsed, Ok(fill(canonical)));
}

#[test]
fn short_names_are_those_of_docker_hub() {
    check_familiar("docker.io/library/alpine:latest", "docker.io/library/alpine:latest");
    check_familiar("ghcr.io/myorg/myapp:v1.0.0", "ghcr.io/myorg/myapp:v1.0.0");
    check_familiar("alpine", "docker.io/library/alpine:latest");
    check_familiar("alpine:3.18", "docker.io/library/alpine:3.18");
    check_familiar("nginx:alpine", "docker.io/library/nginx:alpine");
    check_familiar("docker.io/nginx", "docker.io/library/nginx:latest");
    check_familiar("index.docker.io/nginx", "docker.io/library/nginx:latest");
    check_familiar("alpine@sha256:HEX", "docker.io/library/alpine@sha256:HEX");
}

#[test]
fn what_is_no_reference_is_an_error_and_never_a_panic() {
    let long = format!("a.b/{}", "x".repeat(256));
    for text in
        ["", "invalid::", "has spaces", "UPPERCASE", "a.b/a//b", "a.b/-a", "a.b/a___b", "a.b/c@sha256:abcd", &long]
    {
        assert!(Reference::parse_familiar(text).is_err(), "`{text}`");
    }
    for text in ["oci://", "oci:///path", "a.b/c:"] {
        assert!(Reference::parse(text).is_err(), "`{text}`");
    }
}

#[test]
fn tag_or_digest_that_was_written_is_explicit() {
    let rows = [
        ("ghcr.io/o/r".to_owned(), false),
        ("ghcr.io/o/r:v1".to_owned(), true),
        ("ghcr.io/o/r:latest".to_owned(), true),
        (format!("ghcr.io/o/r@{DIGEST}"), true),
        (format!("ghcr.io/o/r:v1@{DIGEST}"), true),
        ("127.0.0.1:5000/a".to_owned(), false),
    ];
    for (text, expect) in &rows {
        for reference in [Reference::parse(text).unwrap(), Reference::parse_familiar(text).unwrap()] {
            assert_eq!(reference.has_explicit_tag(), *expect, "{text}");
        }
        assert_eq!(Parts::parse_familiar(text).unwrap().has_explicit_tag(), *expect, "{text}");
    }
    let reference = Reference::parse_familiar("debian").unwrap();
    assert!(reference.with_tag("v1".parse().unwrap()).has_explicit_tag());
}
