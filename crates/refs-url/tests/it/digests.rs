//! Digests as descriptors have them.

use refs_url::{Algorithm, Digest, ParseErrorKind, Tag, Target};

const SHA256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[track_caller]
fn check(text: &str, algorithm: Algorithm, name: &str, encoded: &str) {
    let Ok(digest) = Digest::parse(text) else { panic!("`{text}` is not parsed") };
    assert_eq!((digest.algorithm(), digest.algorithm_str(), digest.encoded()), (algorithm, name, encoded));
    assert_eq!(digest.to_string(), text);
}

#[test]
fn a_digest_is_an_algorithm_and_its_encoding() {
    check(SHA256, Algorithm::Sha256, "sha256", &SHA256[7..]);
    let hex = "0".repeat(128);
    check(&format!("sha512:{hex}"), Algorithm::Sha512, "sha512", &hex);
    check(&format!("sha384:{}", &hex[..96]), Algorithm::Sha384, "sha384", &hex[..96]);
    check(&format!("blake3:{}", &hex[..64]), Algorithm::Blake3, "blake3", &hex[..64]);
}

#[test]
fn an_unregistered_algorithm_is_accepted_outside_references() {
    let encoded = "LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564=";
    check(&format!("sha256+b64u:{encoded}"), Algorithm::Other, "sha256+b64u", encoded);
    check("multihash+base58:QmRZxt2b1FVZPNqd8", Algorithm::Other, "multihash+base58", "QmRZxt2b1FVZPNqd8");
    check("a.b_c-d+e:F", Algorithm::Other, "a.b_c-d+e", "F");
}

#[track_caller]
fn check_wrong(text: &str, kind: ParseErrorKind, offset: usize) {
    assert_eq!(Digest::parse(text).map_err(|error| (error.kind(), error.offset())), Err((kind, offset)), "`{text}`");
}

#[test]
fn what_breaks_the_grammar_is_reported_at_its_byte() {
    use ParseErrorKind::*;
    check_wrong("", InvalidDigest, 0);
    check_wrong(":", InvalidDigest, 0);
    check_wrong("sha256", InvalidDigest, 6);
    check_wrong("sha256+:00", InvalidDigest, 7);
    check_wrong("a++b:00", InvalidDigest, 2);
    check_wrong("Sha256:00", InvalidDigest, 0);
    check_wrong("other:", InvalidDigest, 6);
    check_wrong("other:a/b", InvalidDigest, 7);
    check_wrong("other:a:b", InvalidDigest, 7);
    check_wrong("sha256:0A", InvalidDigest, 8);
    check_wrong("sha256:", DigestLength, 7);
    check_wrong(&SHA256[..70], DigestLength, 70);
    check_wrong(&format!("{SHA256}0"), DigestLength, 71);
}

#[track_caller]
fn check_referrers_tag(digest: &str, tag: &str) {
    assert_eq!(Digest::parse(digest).map(|digest| digest.referrers_tag()), Tag::parse(tag));
}

/// The first three are the examples of the distribution specification.
#[test]
fn the_referrers_tag_fits_any_digest() {
    let hex = "a".repeat(128);
    check_referrers_tag(&format!("sha256:{}", &hex[..64]), &format!("sha256-{}", &hex[..64]));
    check_referrers_tag(&format!("sha512:{hex}"), &format!("sha512-{}", &hex[..64]));
    check_referrers_tag(
        "test+algorithm+using+algorithm+separators+and+lots+of+characters+to+excercise+the+regex:alsoSome=In=The=Encoded=Section=To=Exercise=All=Of=The=Rules=Including=Length",
        "test-algorithm-using-algorithm-s-alsoSome-In-The-Encoded-Section-To-Exercise-All-Of-The-Rules-Inc",
    );
    check_referrers_tag("a:_-=", "a-_--");
}

#[test]
fn a_target_with_a_colon_is_a_digest() {
    assert_eq!(SHA256.parse(), Digest::parse(SHA256).map(Target::Digest));
    assert_eq!("v1".parse(), Tag::parse("v1").map(Target::Tag));
    assert!("V1:x".parse::<Target>().is_err_and(|error| error.kind() == ParseErrorKind::InvalidDigest));
    assert!("-".parse::<Target>().is_err_and(|error| error.kind() == ParseErrorKind::InvalidTag));
    assert_eq!(Target::from(Tag::latest()).to_string(), "latest");
}
