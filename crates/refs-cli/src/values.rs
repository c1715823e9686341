//! How the values of options are read.

use std::{num::NonZeroUsize, str::FromStr};

use refs_registry::{MediaType, Method, Platform};
use refs_url::{Host, version::Constraint};

use crate::registry_args::ApiPath;
pub(crate) use crate::size::parse as size;

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Which versions will do. What is wrong is told with its place, counted in characters from 1.
pub(crate) fn constraint(text: &str) -> Result<Constraint, String> {
    Constraint::parse(text).map_err(|error| {
        let before = text.get(..error.offset()).unwrap_or(text);
        format!("{} at column {}", error.kind(), before.chars().count() + 1)
    })
}

/// A number of things.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_of_rusts_words| "expected a whole number, such as 20".to_owned())
}

/// A number of things, one at least.
pub(crate) fn some(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_of_rusts_words| "expected a whole number from 1 on, such as 8".to_owned())
}

/// How hard to compress.
pub(crate) fn level(text: &str) -> Result<u32, String> {
    let level = text.parse().ok().filter(|level| (0..=9).contains(level));
    level.ok_or_else(|| "expected a number from 0 to 9, such as 6".to_owned())
}

pub(crate) fn media_type(text: &str) -> Result<MediaType, String> {
    MediaType::parse(text).ok_or_else(|| "expected a media type, such as application/vnd.example.docs.v1".to_owned())
}

pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    let expected = "expected OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7, or one of the two, such as \
                    arm64 or windows";
    Platform::parse(text).ok_or_else(|| expected.to_owned())
}

/// A platform behind a flag that can be given several times.
pub(crate) fn each_platform(text: &str) -> Result<Platform, NotOnePlatform> {
    platform(text).map_err(|expected| NotOnePlatform { expected, text: text.to_owned() })
}

/// What is not the name of one platform.
#[derive(Debug, thiserror::Error)]
#[error("{expected}")]
pub(crate) struct NotOnePlatform {
    expected: String,
    text: String,
}

impl NotOnePlatform {
    /// How to name several.
    pub(crate) fn hint(&self) -> Option<String> {
        let named: Vec<_> = self.text.split(',').map(|name| Platform::parse(name.trim())).collect();
        let flags = match named.iter().map(Option::as_ref).collect::<Option<Vec<&Platform>>>() {
            Some(named) => named.iter().map(|platform| format!("--platform {platform}")).collect::<Vec<_>>().join(" "),
            None => "--platform linux/amd64 --platform linux/arm64".to_owned(),
        };
        (named.len() > 1).then(|| format!("give the flag once for each platform: `{flags}`"))
    }
}

pub(crate) fn method(text: &str) -> Result<Method, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return Err("expected GET, HEAD, POST, PUT, PATCH or DELETE".to_owned()),
    })
}

/// A host with a path behind it. What is wrong with a host is not repeated, as a password may be in it.
pub(crate) fn api_path(text: &str) -> Result<ApiPath, String> {
    let expected = || "expected HOST/PATH without a scheme, such as ghcr.io/v2/org/handbook/tags/list".to_owned();
    let slash = text.find('/').ok_or_else(expected)?;
    // A lone word is the beginning of a repository's name, and must not be dialled as a host.
    let is_host = |host: &Host| host.as_str().contains(['.', ':']) || host.is_loopback();
    let host = Host::parse(&text[..slash]).ok().filter(is_host).ok_or_else(expected)?;
    Ok(ApiPath { host, path: text[slash..].to_owned() })
}

pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.trim().to_owned())),
        _ => Err("expected NAME: VALUE".to_owned()),
    }
}
