//! Which error each wrong text gives, where, and with which hint.

use refs_url::{
    Host, ParseError,
    ParseErrorKind::{self, *},
    Parts, Reference, RepoName, Tag,
};

type Row = (&'static str, ParseErrorKind, usize, Option<&'static str>);

#[track_caller]
fn check<T: std::fmt::Debug>(parse: fn(&str) -> Result<T, ParseError>, rows: &[Row]) {
    for &(input, kind, offset, hint) in rows {
        let Err(error) = parse(input) else { panic!("`{input}` parses") };
        let found = (error.kind(), error.offset(), error.hint());
        assert_eq!(found, (kind, offset, hint.map(String::from)), "`{input}`");
        assert_eq!(error.input(), input);
    }
}

const HEX: &str = "f61bc6f7d7ace34abb460e7e660324f52ebf16085da3acfbdd01daa71ecb3f0c";
const CREDENTIALS: Option<&str> = Some("leave out what stands before the `@`: credentials are not part of a reference");
const NO_SCHEME: Option<&str> = Some("write the registry's host and the repository alone, as in `ghcr.io/org/app`");
const LOWER_HEX: Option<&str> = Some("a digest is written in lower case");

#[test]
fn strict_errors_name_the_part_the_byte_and_the_way_out() {
    check(
        Reference::parse,
        &[
            ("", Empty, 0, None),
            (
                "debian",
                MissingRegistry,
                0,
                Some("put the registry's host first; on Docker Hub this is `docker.io/library/debian`"),
            ),
            (
                "debian:12",
                MissingRegistry,
                0,
                Some("put the registry's host first; on Docker Hub this is `docker.io/library/debian`"),
            ),
            ("a/x", MissingRegistry, 0, Some("put the registry's host first; on Docker Hub this is `docker.io/a/x`")),
            ("Team/app", MissingRegistry, 0, Some("put the registry's host first, as in `ghcr.io/org/app`")),
            ("ghcr.io", MissingRegistry, 0, Some("name a repository after the host, as in `ghcr.io/app`")),
            (
                "localhost:5000",
                MissingRegistry,
                0,
                Some("name a repository after the host, as in `localhost:5000/app`"),
            ),
            ("[::1]:5000", MissingRegistry, 0, Some("name a repository after the host, as in `[::1]:5000/app`")),
            ("oci://a.b/c", UnexpectedScheme, 0, Some("without a scheme this is `a.b/c`")),
            ("docker://debian:12", UnexpectedScheme, 0, Some("without a scheme this is `docker.io/library/debian:12`")),
            ("https://a.b/c", UnexpectedScheme, 0, Some("drop `https://`; plain HTTP is an option of the client")),
            ("git+https://a.b/c", UnexpectedScheme, 0, NO_SCHEME),
            (
                "bad_host.dev/app",
                InvalidHost,
                3,
                Some("a host can't have a `_`: give the registry an alias without one"),
            ),
            ("a..b/c", InvalidHost, 2, None),
            ("a.-b/c", InvalidHost, 2, None),
            ("a-.b/c", InvalidHost, 2, None),
            ("a.b-/c", InvalidHost, 4, None),
            ("acme./c", InvalidHost, 5, None),
            ("[1::2::3]/c", InvalidHost, 1, None),
            ("[::1/c", InvalidHost, 4, None),
            ("[::1]x/c", InvalidHost, 5, None),
            ("[::ffff:1.2.3.4]/c", InvalidHost, 9, None),
            ("[fe80::1%25eth0]/c", InvalidHost, 8, None),
            ("b\u{fc}cher.de/c", InvalidHost, 1, None),
            ("a.b:/c", InvalidPort, 4, None),
            ("a.b:http/c", InvalidPort, 4, None),
            ("a.b:80:90/c", InvalidPort, 6, None),
            ("a.b:0/c", InvalidPort, 4, None),
            ("a.b:080/c", InvalidPort, 4, None),
            ("a.b:65536/c", InvalidPort, 4, None),
            ("[::1]::5/c", InvalidPort, 6, None),
            ("fc00::2:5000/c", InvalidPort, 5, Some("put the IPv6 address in brackets: `[fc00::2:5000]`")),
            ("a.b/", EmptyRepository, 4, None),
            ("a.b/:v1", EmptyRepository, 4, None),
            ("a.b/C", UppercaseRepository, 4, Some("did you mean `a.b/c`?")),
            ("a.b/Org/App:V1", UppercaseRepository, 4, Some("did you mean `a.b/org/app:V1`?")),
            ("a.b/Org//App", UppercaseRepository, 4, None),
            ("a.b//c", InvalidRepository, 4, None),
            ("a.b/c/", InvalidRepository, 6, None),
            ("a.b/c___d", InvalidRepository, 7, None),
            ("a.b/c%2Fd", InvalidRepository, 5, None),
            ("a.b/c:", InvalidTag, 6, None),
            ("a.b/c:-x", InvalidTag, 6, None),
            ("a.b/c:x y", InvalidTag, 7, None),
            ("a.b/c:1.0+build.7", InvalidTag, 9, Some("did you mean `a.b/c:1.0_build.7`?")),
            ("a.b/c:v1:w", InvalidTag, 8, None),
            ("a.b/c:sha256:abc", InvalidTag, 12, Some("a digest follows an `@`")),
            ("a.b/c:v1:sha256:abc", InvalidTag, 8, Some("a digest follows an `@`")),
            ("a.b/c@", InvalidDigest, 6, None),
            ("a.b/c@bad", InvalidDigest, 9, None),
            ("a.b/c@:abc", InvalidDigest, 6, None),
            ("a.b/c@SHA256:abc", InvalidDigest, 6, LOWER_HEX),
            ("a.b/c@sha256:ABC", InvalidDigest, 13, LOWER_HEX),
            ("a.b/c@sha256:g", InvalidDigest, 13, None),
            ("a.b/c@md5:d41d8", UnsupportedAlgorithm, 6, None),
            (
                "a.b/c@sha256:",
                DigestLength,
                13,
                Some("a sha256 digest has 64 digits, and can't be abbreviated; this one has 0"),
            ),
            (
                "a.b/c@sha512:abc",
                DigestLength,
                16,
                Some("a sha512 digest has 128 digits, and can't be abbreviated; this one has 3"),
            ),
        ],
    );
}

#[test]
fn familiar_errors_count_from_the_start_of_the_input() {
    check(
        Reference::parse_familiar,
        &[
            ("oci://", Empty, 6, None),
            ("oci://localhost", MissingRegistry, 6, Some("name a repository after the host, as in `localhost/app`")),
            (
                "oci://team/app",
                MissingRegistry,
                6,
                Some("put the registry's host first; on Docker Hub this is `docker.io/team/app`"),
            ),
            ("oci://a.b/C", UppercaseRepository, 10, Some("did you mean `oci://a.b/c`?")),
            ("docker://a.b:x/c", InvalidPort, 13, None),
            ("oci://oci://a.b/c", UnexpectedScheme, 6, Some("without a scheme this is `a.b/c`")),
            ("OCI://a.b/c", UnexpectedScheme, 0, NO_SCHEME),
            ("Upper:tag", UppercaseRepository, 0, Some("did you mean `upper:tag`?")),
            (":v1", EmptyRepository, 0, None),
            ("debian:1+2", InvalidTag, 8, Some("did you mean `debian:1_2`?")),
            (
                HEX,
                LooksLikeImageId,
                0,
                Some("use the image's name: only the machine that holds an image knows it by its id"),
            ),
            ("/a", InvalidRepository, 0, None),
        ],
    );
}

#[test]
fn a_part_too_long_is_reported_at_its_first_byte_too_many() {
    #[track_caller]
    fn check(parsed: Result<Parts<'_>, ParseError>, kind: ParseErrorKind, offset: usize) {
        assert_eq!(parsed.map(|_| ()).map_err(|error| (error.kind(), error.offset())), Err((kind, offset)));
    }
    let long = "x".repeat(256);
    check(Parts::parse(&format!("a.b/{long}")), RepositoryTooLong, 4 + 255);
    check(Parts::parse(&format!("a.b/c:{long}")), TagTooLong, 6 + 128);
    check(Parts::parse(&format!("{long}.b/c")), InvalidHost, 255);
    check(Parts::parse_familiar(&format!("docker://{}", &long[..248])), RepositoryTooLong, 9 + 247);
    check(Parts::parse(&format!("a.b/c@sha256:{HEX}00")), DigestLength, 13 + 64);
    check(Parts::parse(&format!("a.b/c@sha256:{}", &HEX[1..])), DigestLength, 13 + 63);
}

#[test]
fn a_part_parsed_alone_counts_from_its_own_start() {
    check(Host::parse, &[("", InvalidHost, 0, None), ("a/b", InvalidHost, 1, None), ("a:x", InvalidPort, 2, None)]);
    check(
        RepoName::parse,
        &[("", EmptyRepository, 0, None), ("a/B", UppercaseRepository, 2, Some("did you mean `a/b`?"))],
    );
    check(Tag::parse, &[("", InvalidTag, 0, None), ("1.0+b", InvalidTag, 3, Some("did you mean `1.0_b`?"))]);
}

/// Texts written to reach a file, a header or a terminal.
#[test]
fn hostile_texts_are_refused_where_they_turn_hostile() {
    check(
        Reference::parse,
        &[
            ("ghcr.io/org/repo@sha256:../../etc/passwd", InvalidDigest, 24, None),
            ("ghcr.io/org/repo:../x", InvalidTag, 17, None),
            ("registry.example/a/../b", InvalidRepository, 19, None),
            ("registry.example/a/./b", InvalidRepository, 19, None),
            ("user:pw@ghcr.io/org/repo:t", InvalidHost, 7, CREDENTIALS),
            ("a.b/c:t%0d%0aX: y", InvalidTag, 7, None),
            ("a.b/c:t\r\nX: y", InvalidTag, 7, None),
            ("a.b/c\0", InvalidRepository, 5, None),
            ("a.b/c\td", InvalidRepository, 5, None),
            ("a.b/c\u{202e}d", InvalidRepository, 5, None),
            ("a.b\u{ff0f}c/d", InvalidHost, 3, None),
        ],
    );
    check(
        Reference::parse_familiar,
        &[
            ("oci://user:pw@ghcr.io/org/repo", InvalidHost, 13, CREDENTIALS),
            ("git@github.com:org/repo", InvalidHost, 3, CREDENTIALS),
            ("a//b", InvalidRepository, 2, None),
            ("a/../b", InvalidRepository, 2, None),
            ("a/./b", InvalidRepository, 2, None),
            ("registry.example/Org/Repo", UppercaseRepository, 17, Some("did you mean `registry.example/org/repo`?")),
            ("repo:tag@md5:d41d8cd98f00b204e9800998ecf8427e", UnsupportedAlgorithm, 9, None),
        ],
    );
}

#[track_caller]
fn check_message(input: &str, expect: &str) {
    let Err(error) = Reference::parse_familiar(input) else { panic!("`{input}` parses") };
    assert_eq!(error.to_string(), expect);
    let (_, shown) = expect.split_once('`').unwrap_or_default();
    assert!(format!("{error:?}").contains(shown.trim_end_matches('`')), "Debug shows what Display shows: {error:?}");
}

#[test]
fn messages_name_the_part_and_quote_the_input() {
    check_message("", "reference is empty");
    check_message("oci://debian", "registry is missing at byte 6 of `oci://debian`");
    check_message("https://a.b/c", "reference has a scheme in `https://a.b/c`");
    check_message("a.b/c@bad", "digest is invalid at byte 9 of `a.b/c@bad`");
    check_message(
        "a.b/c@md5:d41d8",
        "digest algorithm is not sha256, sha384, sha512 or blake3 at byte 6 of `a.b/c@md5:d41d8`",
    );
    check_message(
        &format!("a.b/{}", "x".repeat(600)),
        &format!("repository is longer than 255 bytes at byte 259 of `a.b/{}...`", "x".repeat(508)),
    );
}

#[test]
fn messages_keep_credentials_to_themselves() {
    check_message("user:pw@a.b/c", "registry host is invalid at byte 7 of `***@a.b/c`");
    check_message("oci://user:pw@a.b/c", "registry host is invalid at byte 13 of `oci://***@a.b/c`");
    check_message("https://user:p@w/d@a.b/c", "reference has a scheme in `https://***@a.b/c`");
    check_message("user:sha256@sha256:5/c", "digest is invalid at byte 20 of `***@sha256:5/c`");
    check_message("token@a.b/c", "registry host is invalid at byte 5 of `***@a.b/c`");
    check_message("user:pw@a.b", "digest is invalid at byte 11 of `***@a.b`");
    check_message("a.b/C@sha256:../d", "repository must be lower case at byte 4 of `a.b/C@sha256:../d`");
}

#[test]
fn messages_are_safe_for_a_terminal() {
    check_message("a.b/c\u{1b}[2J\r\n", r"repository is invalid at byte 5 of `a.b/c\u{1b}[2J\r\n`");
    check_message("a.b/c\u{202e}\0 d", r"repository is invalid at byte 5 of `a.b/c\u{202e}\u{0} d`");
    check_message("b\u{fc}cher.de/c", r"registry host is invalid at byte 1 of `b\u{fc}cher.de/c`");
}
