//! What to write instead of a text that did not parse.

use std::net::Ipv6Addr;

use crate::{
    Host,
    digest::{Algorithm, after_known_algorithm},
    error::ParseErrorKind,
    name::{check_repository, check_tag},
    parts::{DOCKER_HUB, Mode, Parts, scheme_len},
};

/// Half a sentence for the person who wrote `input`, or none where the error already says it all.
///
/// Whatever is quoted from `input` has passed a grammar, so a hint holds no credentials and no control characters.
pub(crate) fn hint(input: &str, kind: ParseErrorKind, offset: usize) -> Option<String> {
    let (before, rest) = input.split_at_checked(offset)?;
    match kind {
        ParseErrorKind::MissingRegistry => Some(missing_registry(rest)),
        ParseErrorKind::UnexpectedScheme => unexpected_scheme(rest),
        ParseErrorKind::InvalidHost => invalid_host(rest).map(Into::into),
        ParseErrorKind::InvalidPort => bracketed_address(input),
        ParseErrorKind::UppercaseRepository => lower_case_repository(before, rest),
        ParseErrorKind::InvalidTag => invalid_tag(before, rest),
        ParseErrorKind::InvalidDigest if rest.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Some("a digest is written in lower case".into())
        }
        ParseErrorKind::DigestLength => digest_length(before, rest),
        ParseErrorKind::LooksLikeImageId => {
            Some("use the image's name: only the machine that holds an image knows it by its id".into())
        }
        #[cfg(feature = "semver")]
        ParseErrorKind::ExpectedVersion | ParseErrorKind::ExpectedSeparator => comparison(before, rest).map(Into::into),
        _ => None,
    }
}

/// What people write in constraints elsewhere.
#[cfg(feature = "semver")]
fn comparison(before: &str, rest: &str) -> Option<&'static str> {
    match rest.bytes().next()? {
        b'&' => Some("`and` is written as a comma or a space"),
        b'|' => Some("`or` is written `||`"),
        b'=' if before.ends_with('=') => Some("one `=` is enough"),
        b'_' => Some("build metadata follows a `+` here"),
        b'-' => Some(RANGE),
        _ if before.ends_with("- ") => Some(RANGE),
        _ => None,
    }
}

#[cfg(feature = "semver")]
const RANGE: &str = "a range is written `1.2 - 2.3`, with spaces around the `-` and without an operator";

fn missing_registry(name: &str) -> String {
    // `debian:12` could be a host with a port as well, but is not likely to be meant so.
    if Host::parse(name).is_ok_and(|host| host.is_loopback() || host.name().contains(['.', ':'])) {
        return format!("name a repository after the host, as in `{name}/app`");
    }
    match Parts::scan(name, Mode::Familiar) {
        Ok(parts) if parts.host() == DOCKER_HUB => {
            let hub = parts.to_reference().repository_ref();
            format!("put the registry's host first; on Docker Hub this is `{hub}`")
        }
        _ => "put the registry's host first, as in `ghcr.io/org/app`".into(),
    }
}

fn unexpected_scheme(rest: &str) -> Option<String> {
    let scheme = &rest[..scheme_len(rest)?];
    Some(match (scheme, Parts::scan(rest, Mode::Familiar)) {
        ("oci://" | "docker://", Ok(parts)) if parts.tag_is_default() => {
            format!("without a scheme this is `{}`", parts.to_reference().without_tag())
        }
        ("oci://" | "docker://", Ok(parts)) => format!("without a scheme this is `{parts}`"),
        ("http://" | "https://", _) => format!("drop `{scheme}`; plain HTTP is an option of the client"),
        _ => "write the registry's host and the repository alone, as in `ghcr.io/org/app`".into(),
    })
}

fn invalid_host(rest: &str) -> Option<&'static str> {
    match rest.bytes().next()? {
        b'@' => Some("leave out what stands before the `@`: credentials are not part of a reference"),
        b'_' => Some("a host can't have a `_`: give the registry an alias without one"),
        _ => None,
    }
}

fn bracketed_address(input: &str) -> Option<String> {
    let host = input[scheme_len(input).unwrap_or(0)..].split('/').next()?;
    host.parse::<Ipv6Addr>().is_ok().then(|| format!("put the IPv6 address in brackets: `[{host}]`"))
}

/// The repository in lower case, when that is all it takes.
fn lower_case_repository(before: &str, rest: &str) -> Option<String> {
    let (name, after) = rest.split_at(rest.find([':', '@']).unwrap_or(rest.len()));
    did_you_mean(&format!("{before}{}{after}", name.to_ascii_lowercase()))
}

fn invalid_tag(before: &str, rest: &str) -> Option<String> {
    let tag = &before[before.rfind(':').map_or(0, |colon| colon + 1)..];
    let is_digest = after_known_algorithm(&format!("{tag}:")).is_some()
        || rest.strip_prefix(':').is_some_and(|digest| after_known_algorithm(digest).is_some());
    match rest.bytes().next()? {
        b':' if is_digest => Some("a digest follows an `@`".into()),
        // Helm does the same to the build metadata of a version.
        b'+' => {
            let (tag, after) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
            did_you_mean(&format!("{before}{}{after}", tag.replace('+', "_")))
        }
        _ => None,
    }
}

/// How many digits the digest has that ends in `before` and `rest`, and how many it should have.
fn digest_length(before: &str, rest: &str) -> Option<String> {
    let digest = before.rsplit('@').next()?;
    let (algorithm, encoded) = digest.split_once(':')?;
    let (digits, given) = (Algorithm::named(algorithm).digits()?, encoded.len() + rest.len());
    let words = if given < digits { ", and can't be abbreviated" } else { "" };
    Some(format!("a {algorithm} digest has {digits} digits{words}; this one has {given}"))
}

fn did_you_mean(text: &str) -> Option<String> {
    let parses = check_tag(text).is_ok() || check_repository(text).is_ok();
    (parses || Parts::scan(text, Mode::Familiar).is_ok()).then(|| format!("did you mean `{text}`?"))
}
