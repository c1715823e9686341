//! `--mirror PREFIX=URL`

use std::{fmt, time::Duration};

use refs_registry::hosts::Security;
use refs_server::Route;
use refs_store::Freshness;
use refs_url::{Host, ParseError, RepoName};

/// A registry that is mirrored, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrored {
    pub(crate) route: Route,
    /// `None` where the URL does not say.
    pub(crate) security: Option<Security>,
}

/// What is said of a login in a URL.
const LOGIN: &str = "a URL has no login: that of a mirror is the `username` and `password` of a `[[mirror]]` in \
                     `--server-config`, or that of `refs login`";

/// Reads `PREFIX=URL`. What is wrong is not repeated: a password may be in the URL, and where that has no prefix, its beginning
/// is what stands before the `=`.
pub(crate) fn parse(text: &str) -> Result<Mirrored, String> {
    let expected = || {
        "expected PREFIX=URL, such as hub=https://docker.io or mirrors/org=https://ghcr.io/org; the PREFIX may be empty"
            .to_owned()
    };
    let (prefix, url) = text.split_once('=').ok_or_else(expected)?;
    let prefix = name(prefix).map_err(|error| format!("the PREFIX cannot be one: {}", error.kind()))?;
    let Mirrored { route, security } = parse_url(url).ok_or_else(|| match url.split_once("://") {
        Some((scheme, _)) if !matches!(scheme, "https" | "http") => "a URL begins with https:// or http://".to_owned(),
        _ if authority(url).contains('@') => LOGIN.to_owned(),
        _ => expected(),
    })?;
    Ok(Mirrored { route: Route { prefix, ..route }, security })
}

/// The host of a URL, with what stands around it.
fn authority(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    place.split('/').next().unwrap_or_default()
}

/// Reads a URL alone.
pub(crate) fn parse_url(url: &str) -> Option<Mirrored> {
    let (security, place) = match url.split_once("://") {
        Some(("https", place)) => (Some(Security::Tls), place),
        Some(("http", place)) => (Some(Security::Plain), place),
        Some(_) => return None,
        None => (None, url),
    };
    let (host, beneath) = place.split_once('/').unwrap_or((place, ""));
    let host = Host::parse(host).ok()?;
    let beneath = name(beneath.trim_end_matches('/')).ok()?;
    Some(Mirrored { route: Route { beneath, ..Route::new(host) }, security })
}

/// How far a tag is believed that is believed for `time`: for none at all, the registry is asked each time.
pub(crate) const fn believed_for(time: Duration) -> Freshness {
    if time.is_zero() { Freshness::Revalidate } else { Freshness::Within(time) }
}

/// A name that may be missing.
fn name(text: &str) -> Result<Option<RepoName>, ParseError> {
    (!text.is_empty()).then(|| RepoName::parse(text)).transpose()
}

impl fmt::Display for Mirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, security } = self;
        route.prefix.iter().try_for_each(|prefix| write!(f, "{prefix}"))?;
        f.write_str("=")?;
        match security {
            Some(Security::Plain) => f.write_str("http://")?,
            Some(Security::Tls) => f.write_str("https://")?,
            None => {}
        }
        write!(f, "{}", route.host)?;
        route.beneath.iter().try_for_each(|beneath| write!(f, "/{beneath}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, &str, &str, Option<Security>)>) {
        let read = parse(text).ok();
        let shown = read.as_ref().map(|Mirrored { route, security }| {
            let text = |name: &Option<RepoName>| name.as_ref().map_or("", RepoName::as_str).to_owned();
            (text(&route.prefix), route.host.to_string(), text(&route.beneath), *security)
        });
        let expect = expect.map(|(prefix, host, beneath, security)| {
            (prefix.to_owned(), host.to_owned(), beneath.to_owned(), security)
        });
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn a_mirror_has_a_prefix_and_a_url() {
        use Security::{Plain, Tls};
        check("hub=https://docker.io", Some(("hub", "docker.io", "", Some(Tls))));
        check("a/b=http://127.0.0.1:5000/", Some(("a/b", "127.0.0.1:5000", "", Some(Plain))));
        check("org=https://ghcr.io/org/deep", Some(("org", "ghcr.io", "org/deep", Some(Tls))));
        check("=ghcr.io", Some(("", "ghcr.io", "", None)));
        for text in [
            "",
            "hub",
            "hub=",
            "https://docker.io",
            "Hub=https://docker.io",
            "a//b=https://x.test",
            "../a=https://x.test",
            "hub=ftp://x.test",
            "hub=https://user:password@x.test",
            "hub=https://x.test/UPPER",
            "hub=https://x.test?q",
        ] {
            check(text, None);
        }
        for text in ["hub=https://user:hunter2@x.test", "https://user:hunter2=@x.test", "user:Hunter2=@x.test"] {
            assert!(!parse(text).unwrap_err().to_lowercase().contains("hunter2"), "{text}");
        }
        assert_eq!(parse("hub=https://user:hunter2@x.test").unwrap_err(), LOGIN);
        assert_ne!(parse("hub=https://docker.io/lib@sha256:aa").unwrap_err(), LOGIN);
        assert_eq!(parse("hub=ftp://user:hunter2@x.test").unwrap_err(), "a URL begins with https:// or http://");
        assert_eq!(parse("Hub=https://x.test").unwrap_err(), "the PREFIX cannot be one: repository must be lower case");
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        for text in ["hub=https://docker.io", "=ghcr.io", "a/b=http://127.0.0.1:5000/org"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }
}
