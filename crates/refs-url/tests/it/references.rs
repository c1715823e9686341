//! References built, changed and compared.

use std::collections::HashSet;

use refs_url::{Digest, Host, ParseError, Reference, RepoName, Tag, Target};

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
