//! What holds for every text.

use proptest::prelude::*;
use refs_url::{Detector, Digest, Host, Parts, Reference, RepoName, Tag, Target, has_explicit_tag, is_oci_ref};

/// A legal strict reference, part by part.
fn reference() -> impl Strategy<Value = String> {
    let label = "[A-Za-z0-9]([A-Za-z0-9-]{0,6}[A-Za-z0-9])?";
    let domain = regex(&format!(r"{label}(\.{label}){{1,3}}"));
    let port = || (1..=u16::MAX).prop_map(|port| format!(":{port}"));
    let any_port = prop_oneof![Just(String::new()), port()];
    let ipv6 = any::<std::net::Ipv6Addr>()
        .prop_filter("no dotted tail", |ip| !ip.to_string().contains('.'))
        .prop_map(|ip| format!("[{ip}]"));
    let host = prop_oneof![
        (prop_oneof![domain, ipv6, Just("localhost".to_owned())], any_port).prop_map(|(name, port)| name + &port),
        (label, port()).prop_map(|(name, port)| name + &port),
    ];
    let component = r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}";
    let tag = prop_oneof![Just(String::new()), ":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"];
    let digest = prop_oneof![Just(String::new()), "@(sha256|blake3):[0-9a-f]{64}", "@sha512:[0-9a-f]{128}"];
    (host, regex(&format!("{component}(/{component}){{0,3}}")), tag, digest)
        .prop_map(|(host, repository, tag, digest)| format!("{host}/{repository}{tag}{digest}"))
}

fn regex(pattern: &str) -> impl Strategy<Value = String> + use<> {
    prop::string::string_regex(pattern).unwrap_or_else(|error| panic!("{error}"))
}

/// Texts close to the grammar: legal ones, and ones made of the bytes that matter to it.
fn text() -> impl Strategy<Value = String> {
    let near = prop::collection::vec(
        prop_oneof![
            r"[a-zA-Z0-9:@/._\[\]%+\\ \n-]",
            Just("sha256:".to_owned()),
            Just("localhost".to_owned()),
            Just("oci://".to_owned()),
            Just("docker.io/".to_owned()),
            Just("\u{fc}".to_owned()),
        ],
        0..24,
    );
    prop_oneof![
        reference(),
        near.prop_map(|pieces| pieces.concat()),
        any::<String>(),
        (reference(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(mut text, at, c)| {
            text.insert(at.index(text.len() + 1), c);
            text
        }),
    ]
}

proptest! {
    #[test]
    fn every_legal_text_is_parsed_and_given_back(text in reference()) {
        let reference = Reference::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(reference.to_string(), text);
    }

    #[test]
    fn whatever_strict_parsing_accepts_it_gives_back(text in text()) {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn canonical_text_is_its_own_canonical_text(text in text()) {
        if let Ok(reference) = Reference::parse_familiar(&text) {
            prop_assert_eq!(Reference::parse_familiar(&reference.to_string()), Ok(reference));
        }
    }

    #[test]
    fn what_is_strictly_right_is_familiar(text in text()) {
        if let Ok(reference) = Reference::parse(&text) {
            // The one exception: `library/` in front makes the name too long.
            let (host, name) = (reference.host().as_str(), reference.repository().as_str());
            let is_too_long = matches!(host, "docker.io" | "index.docker.io") && name.len() > 247 && !name.contains('/');
            prop_assert_eq!(Reference::parse_familiar(&text).is_err(), is_too_long);
        }
    }

    #[test]
    fn the_parts_are_the_values(text in text()) {
        if let Ok(parts) = Parts::parse_familiar(&text) {
            let reference = parts.to_reference();
            prop_assert_eq!(reference.to_string(), parts.to_string());
            prop_assert_eq!(Host::parse(parts.host()), Ok(reference.host().clone()));
            prop_assert_eq!(RepoName::parse(reference.repository().as_str()), Ok(reference.repository().clone()));
            prop_assert_eq!(parts.tag().map(Tag::parse).transpose(), Ok(reference.tag().cloned()));
            prop_assert_eq!(parts.digest().map(Digest::parse).transpose(), Ok(reference.digest().cloned()));
        }
    }

    #[test]
    fn what_parses_with_a_target_of_its_own_is_detected(text in text()) {
        if let Ok(reference) = Reference::parse(&text)
            && reference.target().is_some()
        {
            prop_assert!(is_oci_ref(&text));
            prop_assert!(has_explicit_tag(&text));
            let url = format!("oci://{text}");
            prop_assert!(is_oci_ref(&url));
        }
    }

    #[test]
    fn no_text_panics_and_every_error_points_into_its_text(text in text()) {
        let errors = [
            Reference::parse(&text).err(),
            Reference::parse_familiar(&text).err(),
            Reference::parse_familiar(&format!("oci://{text}")).err(),
            Host::parse(&text).err(),
            RepoName::parse(&text).err(),
            Tag::parse(&text).err(),
            Digest::parse(&text).err(),
            text.parse::<Target>().err(),
            Detector::with_patterns([&text]).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(error.input().is_char_boundary(error.offset()), "{error:?}");
            prop_assert!(error.to_string().bytes().all(|byte| matches!(byte, b' '..=b'~')), "{error}");
            prop_assert!(error.hint().is_none_or(|hint| hint.bytes().all(|byte| matches!(byte, b' '..=b'~'))));
        }
        is_oci_ref(&text);
        has_explicit_tag(&text);
    }

    #[test]
    fn a_password_is_never_printed(text in reference(), scheme in "(oci://|https://)?", password in "[!-~]{0,4}SECRET[!-~]{0,4}") {
        let error = Reference::parse(&format!("{scheme}user:{password}@{text}")).unwrap_err();
        prop_assert!(!error.to_string().contains("SECRET"), "{error}");
        prop_assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        prop_assert!(error.hint().is_none_or(|hint| !hint.contains("SECRET")), "{:?}", error.hint());
    }

    #[test]
    fn a_referrers_tag_is_a_tag(digest in r"[a-z0-9]{1,20}([+._-][a-z0-9]{1,20}){0,3}:[a-zA-Z0-9=_-]{1,100}") {
        if let Ok(digest) = Digest::parse(&digest) {
            let tag = digest.referrers_tag();
            prop_assert_eq!(Tag::parse(tag.as_str()), Ok(tag));
        }
    }
}

/// Many times the same few bytes: were each looked at once for every other, this would take hours.
#[test]
fn a_long_text_costs_no_more_than_its_length() {
    for head in ["", "a.b/c", "a.b/c:", "a.b/c@", "a.b/c@sha256:", "oci://", "["] {
        for piece in
            ["@", "/", ":", ".", "a", "A", "://", "@/", "/@", ":@", "sha256:", "@sha256:", "a.b/", "+", "_", "\u{fc}"]
        {
            let text = head.to_owned() + &piece.repeat((1 << 16) / piece.len());
            for error in [Reference::parse(&text).err(), Reference::parse_familiar(&text).err()].into_iter().flatten() {
                assert!(error.to_string().len() < 8192);
                assert!(error.hint().is_none_or(|hint| hint.len() < 8192), "{head}{piece}");
            }
            is_oci_ref(&text);
        }
    }
}
