//! Which texts are meant for a registry, beyond the vectors.

use refs_url::{Detector, ParseErrorKind, has_explicit_tag, is_oci_ref};

#[track_caller]
fn check(patterns: &[&str], text: &str, expect: bool) {
    let detected = Detector::with_patterns(patterns).map(|detector| detector.is_oci_ref(text));
    assert_eq!(detected, Ok(expect), "`{text}` with {patterns:?}");
}

#[test]
fn a_detector_knows_the_users_registries_too() {
    let own = ["*.pkg.dev", "mcr.microsoft.com", "Public.ECR.aws"];
    check(&own, "europe-docker.pkg.dev/project/app", true);
    check(&own, "EUROPE-docker.PKG.dev/project/app", true);
    check(&own, "mcr.microsoft.com/dotnet/sdk", true);
    check(&own, "public.ecr.aws/x/y", true);
    check(&own, "ghcr.io/x/y", true);
    check(&own, "pkg.dev/x", false);
    check(&own, "evilpkg.dev/x", false);
    check(&own, "x.mcr.microsoft.com/y", false);
    check(&own, "mcr.microsoft.com", false);
    check(&[], "mcr.microsoft.com/dotnet/sdk", false);
    check(&["*.b"], "\u{e9}.b/x", false);
}

#[test]
fn the_default_detector_is_the_function() {
    for text in ["ghcr.io/a", "a.b/c", "a.b/c:v1", "./x", "", "oci://"] {
        assert_eq!(Detector::default().is_oci_ref(text), is_oci_ref(text), "`{text}`");
    }
}

#[track_caller]
fn check_pattern(pattern: &str, kind: ParseErrorKind, offset: usize) {
    let Err(error) = Detector::with_patterns(["a.b", pattern]) else { panic!("`{pattern}` is a pattern") };
    assert_eq!((error.input(), error.kind(), error.offset()), (pattern, kind, offset));
}

#[test]
fn a_pattern_that_matches_no_host_is_refused() {
    check_pattern("", ParseErrorKind::InvalidHost, 0);
    check_pattern("*", ParseErrorKind::InvalidHost, 0);
    check_pattern("*.", ParseErrorKind::InvalidHost, 2);
    check_pattern("*.*.dev", ParseErrorKind::InvalidHost, 2);
    check_pattern("a.*.dev", ParseErrorKind::InvalidHost, 2);
    check_pattern("*.pkg.dev/x", ParseErrorKind::InvalidHost, 9);
    check_pattern("*.pkg.dev:443", ParseErrorKind::InvalidPort, 10);
}

#[test]
fn a_tag_or_digest_after_the_last_slash_is_explicit() {
    for text in ["a:b", "a/b:c", "a:5/b:c", "a@b", "a:5/b@sha256:c"] {
        assert!(has_explicit_tag(text), "`{text}`");
    }
    for text in ["", "a", "a/b", "a:5/b", "oci://a/b"] {
        assert!(!has_explicit_tag(text), "`{text}`");
    }
}

#[track_caller]
fn check_detected(texts: &[&str], expect: bool) {
    for text in texts {
        let text = text.replace("HEX", &"5f".repeat(32));
        assert_eq!(is_oci_ref(&text), expect, "`{text}`");
    }
}

#[test]
fn references_with_a_scheme_a_known_host_or_a_digest_are_for_a_registry() {
    let texts = [
        "oci://ghcr.io/org/repo:tag",
        "oci://github.com/org/repo",
        "ghcr.io/org/repo:tag",
        "GHCR.IO/org/repo:v1",
        "docker.io/library/nginx:latest",
        "myregistry.azurecr.io/path:v1",
        "123.dkr.ecr.us-east-1.amazonaws.com/r:1",
        // The wildcard for ECR spans every service of its domain.
        "s3.amazonaws.com/bucket/key",
        "gcr.io/p/i:1",
        "localhost:5000/r:1",
        "registry/path@sha256:HEX",
    ];
    check_detected(&texts, true);
}

#[test]
fn paths_and_references_of_other_tools_are_not_for_a_registry() {
    let texts = [
        "",
        "not a url",
        "github.com/org/repo",
        "git+https://github.com/org/repo",
        "git+ssh://git@github.com/org/repo",
        "git@github.com:org/repo",
        "git@host:org/repo@sha256:HEX",
        "https://github.com/org/repo",
        "ftp://x",
        "file:///path/to/dir",
        "/abs/path",
        "/abs@sha256:HEX",
        "./x@sha256:HEX",
        "evilazurecr.io/x",
        "azurecr.io.evil.com/x",
    ];
    check_detected(&texts, false);
}
