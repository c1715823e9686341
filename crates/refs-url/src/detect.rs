//! Does a text mean something in a registry, or is it a path, a URL, a git remote?

use crate::{
    ParseError,
    digest::after_known_algorithm,
    host,
    parts::{Mode, Parts},
};

/// Whether `text` is meant as an OCI reference; the built-in registries are known.
///
/// Detection answers intent: `ghcr.io/MyOrg/App` is meant for a registry, and parsing it then says what is wrong. A text
/// without a scheme, a digest, a tag, a port or a known registry (`github.com/org/repo`) could be anything and is not
/// claimed. Nothing is allocated.
pub fn is_oci_ref(text: &str) -> bool {
    is_oci_ref_with(text, &[])
}

/// Whether `text` carries its own tag or digest, without parsing it.
///
/// For text of any kind; on a parsed value ask [`Reference::has_explicit_tag`](crate::Reference::has_explicit_tag).
pub fn has_explicit_tag(text: &str) -> bool {
    text.contains('@') || text.rfind(':') > text.rfind('/')
}

/// Detection with registries of the user's own besides the built-in ones.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    patterns: Box<[Box<str>]>,
}

impl Detector {
    /// Adds `patterns`: a host without its port (`mcr.microsoft.com`), or `*.` and a domain beneath which every host is
    /// meant (`*.pkg.dev`). Capitals make no difference.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`](crate::ParseErrorKind::InvalidHost) or [`InvalidPort`](crate::ParseErrorKind::InvalidPort) for
    /// the first pattern that is neither.
    pub fn with_patterns<I>(patterns: I) -> Result<Self, ParseError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let patterns = patterns.into_iter().map(|pattern| checked_pattern(pattern.as_ref()));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Whether `text` is meant as an OCI reference; as [`is_oci_ref`](crate::is_oci_ref), with this detector's
    /// registries known too.
    pub fn is_oci_ref(&self, text: &str) -> bool {
        is_oci_ref_with(text, &self.patterns)
    }
}

/// The registries known by name, whatever follows.
const KNOWN: [&str; 9] = [
    "ghcr.io",
    "docker.io",
    "registry.hub.docker.com",
    "index.docker.io",
    "quay.io",
    "gcr.io",
    "*.gcr.io",
    "*.azurecr.io",
    "*.amazonaws.com",
];

fn checked_pattern(pattern: &str) -> Result<Box<str>, ParseError> {
    let domain = pattern.strip_prefix("*.").unwrap_or(pattern);
    match host::check_without_port(domain) {
        Ok(()) => Ok(pattern.into()),
        Err(fault) => Err(ParseError::new(pattern, fault.after(pattern.len() - domain.len()))),
    }
}

fn is_oci_ref_with(text: &str, own: &[Box<str>]) -> bool {
    if text.starts_with("oci://") || text.starts_with("docker://") {
        return true;
    }
    if is_other_kind(text) {
        return false;
    }
    if ends_in_digest(text) {
        return true;
    }
    let Some((first, rest)) = text.split_once('/') else { return false };
    if first.is_empty() || rest.is_empty() {
        return false;
    }
    let name = without_port(first);
    if KNOWN.iter().copied().chain(own.iter().map(|own| &**own)).any(|pattern| matches(pattern, name)) {
        return true;
    }
    let Ok(parts) = Parts::scan(text, Mode::Familiar) else { return false };
    first.len() > name.len() || first.starts_with('[') || !parts.tag_is_default()
}

/// Whether this can only be a path, a URL with another scheme, or prose.
fn is_other_kind(text: &str) -> bool {
    let is_strange = |byte: u8| byte <= b' ' || byte >= 0x7f || byte == b'\\';
    // Without an early way out the compiler looks at many bytes at once.
    text.starts_with(['/', '.', '~'])
        || text.bytes().fold(false, |any, byte| any | is_strange(byte))
        || has_scheme(text)
}

/// Whether `://` is anywhere.
fn has_scheme(text: &str) -> bool {
    let bytes = text.as_bytes();
    let [second, third] = [1, 2].map(|skip| bytes.iter().skip(skip));
    let triples = bytes.iter().zip(second).zip(third);
    triples.fold(false, |any, ((a, b), c)| any | ((*a == b':') & (*b == b'/') & (*c == b'/')))
}

/// Whether a digest follows the only `@`; its length is not looked at, as people abbreviate digests when they write. With
/// a second `@` it is a user's name at a git remote.
fn ends_in_digest(text: &str) -> bool {
    let Some((name, digest)) = text.rsplit_once('@') else { return false };
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-');
    !name.is_empty()
        && !name.contains('@')
        && after_known_algorithm(digest).is_some_and(|encoded| {
            !encoded.is_empty() && encoded.bytes().fold(true, |all, byte| all & is_encoded(byte))
        })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    let Some(domain) = pattern.strip_prefix('*') else { return host.eq_ignore_ascii_case(pattern) };
    let Some((labels, end)) = host.len().checked_sub(domain.len()).and_then(|at| host.split_at_checked(at)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && labels.bytes().any(|byte| byte != b'.')
}
