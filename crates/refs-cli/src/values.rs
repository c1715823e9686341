//! How the values of options are read.

use refs_registry::{MediaType, Method, Platform};
use refs_url::Host;

use crate::registry_args::ApiPath;

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// A number of bytes: digits, and a unit if there is one.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err("expected a number of bytes, such as 1048576, 1024K, 1M or 1MiB".to_owned()),
    };
    let bytes = number.parse::<u64>().map_err(|error| error.to_string())?;
    bytes.checked_mul(1 << shift).ok_or_else(|| "more bytes than any file has".to_owned())
}

pub(crate) fn media_type(text: &str) -> Result<MediaType, String> {
    MediaType::parse(text).ok_or_else(|| "expected a media type, such as application/vnd.example.docs.v1".to_owned())
}

pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    let expected = "expected OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7, or one of the two, such as \
                    arm64 or windows";
    Platform::parse(text).ok_or_else(|| expected.to_owned())
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
