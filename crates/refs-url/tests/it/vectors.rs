//! The table of references that the grammar was written down in, checked against the reference parsers.

use refs_url::{Parts, Reference, is_oci_ref};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    input: String,
    mode: Mode,
    expect: Option<Expect>,
    #[serde(default)]
    error: bool,
    why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Strict,
    Docker,
    Detect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Detected { oci: bool },
    Parsed(Box<Parsed>),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Parsed {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
    canonical: String,
    #[serde(default)]
    tag_defaulted: bool,
}

impl From<Reference> for Parsed {
    fn from(reference: Reference) -> Self {
        Self {
            registry: reference.host().to_string(),
            repository: reference.repository().to_string(),
            tag: reference.tag().map(ToString::to_string),
            digest: reference.digest().map(ToString::to_string),
            canonical: reference.to_string(),
            tag_defaulted: reference.tag_is_default(),
        }
    }
}

impl From<Parts<'_>> for Parsed {
    fn from(parts: Parts<'_>) -> Self {
        Self {
            registry: parts.host().into(),
            repository: format!("{}{}", parts.namespace(), parts.name()),
            tag: parts.tag().map(Into::into),
            digest: parts.digest().map(Into::into),
            canonical: parts.to_string(),
            tag_defaulted: parts.tag_is_default(),
        }
    }
}

#[track_caller]
fn check(vector: &Vector) {
    let input = vector.input.as_str();
    let (owned, borrowed) = match vector.mode {
        Mode::Detect => {
            let Some(Expect::Detected { oci }) = vector.expect else { panic!("`{input}` expects no answer") };
            return assert_eq!(is_oci_ref(input), oci, "`{input}`: {}", vector.why);
        }
        Mode::Strict => (Reference::parse(input), Parts::parse(input)),
        Mode::Docker => (Reference::parse_familiar(input), Parts::parse_familiar(input)),
    };
    match &vector.expect {
        Some(Expect::Parsed(expect)) => {
            assert_eq!(owned.map(Parsed::from).as_ref(), Ok(&**expect), "`{input}`: {}", vector.why);
            assert_eq!(borrowed.map(Parsed::from).as_ref(), Ok(&**expect), "`{input}`: {}", vector.why);
        }
        _ => {
            assert!(vector.error, "`{input}` expects nothing");
            assert!(owned.is_err(), "`{input}` was parsed as {owned:?}: {}", vector.why);
            assert_eq!(owned.err(), borrowed.err(), "`{input}`");
        }
    }
}

#[test]
fn every_vector_holds() -> Result<(), serde_json::Error> {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/references.json"))?;
    assert_eq!(vectors.len(), 544);
    vectors.iter().for_each(check);
    Ok(())
}
