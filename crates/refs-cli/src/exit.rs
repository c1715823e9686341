//! Errors as a person meets them: the chain, a hint, an exit code.

use std::{
    error::Error as _,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use refs_client::{DestinationFault, Error, LocationFault, SourceFault, manifest_file::Faults};
use refs_registry::ErrorKind;
use refs_url::ParseErrorKind;
use serde::Serialize;

use crate::{
    args::Format,
    commands::Failure,
    output::{escape, to_json},
};

const OTHER: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const UNAUTHORIZED: u8 = 4;
const DENIED: u8 = 5;
const RATE_LIMITED: u8 = 6;
const UNREACHABLE: u8 = 7;
const INTEGRITY: u8 = 8;
const LIMIT: u8 = 9;
const UNSUPPORTED: u8 = 10;
const CONFLICT: u8 = 11;

/// Tells of `failure` on stderr and gives the code to exit with.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    let code = code(failure);
    if !failure.is_broken_pipe() {
        // When stderr is closed, too, the exit code is all that can be told.
        drop(tell(failure, code, format));
    }
    ExitCode::from(code)
}

/// Tells of a command line that cannot be read, with the hint of the value that is wrong; prints the help or the version
/// if that is what was asked for.
pub(crate) fn unread(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return ExitCode::from(if error.print().is_ok() { 0 } else { OTHER });
    }
    let value = error.source().and_then(|source| source.downcast_ref::<Error>());
    // When stderr is closed, the exit code is all that can be told.
    drop(tell_unread(error, value.and_then(client_hint)));
    ExitCode::from(USAGE)
}

fn tell_unread(error: &clap::Error, hint: Option<String>) -> io::Result<()> {
    if asks_for_json(std::env::args_os()) {
        let message = error.render().to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end().to_owned();
        let told = Told { schema_version: 1, error: Fields { message, exit: USAGE, hint } };
        return to_json(io::stderr().lock(), &told);
    }
    error.print()?;
    hint.map_or(Ok(()), |hint| writeln!(io::stderr(), "\nhint: {}", escape(&hint)))
}

/// Whether a command line asks for JSON, which may be all that can be understood of it.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--format=json")
        || args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

fn tell(failure: &Failure, code: u8, format: Format) -> io::Result<()> {
    let chain = chain(failure);
    let hint = hint(failure);
    let mut stderr = io::stderr().lock();
    match format {
        Format::Text => {
            match faults(failure) {
                Some((path, faults)) => {
                    writeln!(stderr, "error: {}", escape(&failure.to_string()))?;
                    let path = path.display().to_string();
                    faults.0.iter().try_for_each(|fault| writeln!(stderr, "{}", escape(&format!("{path}:{fault}"))))?;
                }
                None => writeln!(stderr, "error: {}", escape(&chain.join(": ")))?,
            }
            match hint {
                Some(hint) => writeln!(stderr, "\nhint: {}", escape(&hint)),
                None => Ok(()),
            }
        }
        Format::Json => {
            let told = Told { schema_version: 1, error: Fields { message: chain.join(": "), exit: code, hint } };
            to_json(&mut stderr, &told)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    schema_version: u32,
    error: Fields,
}

#[derive(Serialize)]
struct Fields {
    message: String,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// All that is wrong with a manifest file, which deserves a line each.
fn faults(failure: &Failure) -> Option<(&Path, &Faults)> {
    match failure {
        Failure::Client(Error::ManifestFile { path, source }) => Some((path, source)),
        _ => None,
    }
}

/// The messages of the error and of its causes, each once.
fn chain(failure: &Failure) -> Vec<String> {
    let mut messages: Vec<String> = vec![failure.to_string()];
    let mut cause = failure.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if messages.last().is_none_or(|last| !last.contains(&message)) {
            messages.push(message);
        }
        cause = error.source();
    }
    messages
}

fn code(failure: &Failure) -> u8 {
    match failure {
        Failure::Client(error) => client_code(error),
        Failure::Registry(error) => registry_code(error),
        Failure::Credentials(_) | Failure::Usage(_) => USAGE,
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::InvalidInput => USAGE,
        Failure::Stdout(_)
        | Failure::Write { .. }
        | Failure::Runtime(_)
        | Failure::Serve { .. }
        | Failure::Root { .. } => OTHER,
    }
}

fn client_code(error: &Error) -> u8 {
    match error {
        Error::Reference(_)
        | Error::Location { .. }
        | Error::InvalidGlob { .. }
        | Error::InvalidRange { .. }
        | Error::RangeOutside { .. }
        | Error::ManifestFile { .. } => USAGE,
        Error::Source {
            fault:
                SourceFault::Missing
                | SourceFault::NotDirectory
                | SourceFault::BadExclusion(_)
                | SourceFault::ManifestNotFile
                | SourceFault::BadManifestName,
            ..
        } => USAGE,
        Error::Source { fault: SourceFault::EscapingLink(_) | SourceFault::SpecialFile(_), .. } => LIMIT,
        Error::NoMatch { .. }
        | Error::FileNotFound { .. }
        | Error::NotFile { .. }
        | Error::ManifestNotFound { .. }
        | Error::PlatformNotFound { .. } => NOT_FOUND,
        Error::Registry(error) => registry_code(error),
        Error::Estargz { source, .. } => estargz_code(source),
        Error::Corrupt { .. } | Error::FileDigest { .. } => INTEGRITY,
        Error::UnsupportedLayer { .. } => UNSUPPORTED,
        Error::IndexTooDeep { .. }
        | Error::UnsafePath { .. }
        | Error::UnsafeLink { .. }
        | Error::SpecialFile { .. }
        | Error::PathConflict { .. }
        | Error::FileTooLarge { .. }
        | Error::TotalTooLarge { .. }
        | Error::TooManyEntries { .. } => LIMIT,
        Error::Destination { .. } => CONFLICT,
        _ => OTHER,
    }
}

fn estargz_code(error: &refs_estargz::Error) -> u8 {
    use refs_estargz::Error as Estargz;
    match error {
        Estargz::NotEstargz | Estargz::ExternalToc | Estargz::DigestAlgorithm { .. } => UNSUPPORTED,
        Estargz::TocLimit { .. } | Estargz::Path { .. } | Estargz::Link { .. } => LIMIT,
        _ => INTEGRITY,
    }
}

fn registry_code(error: &refs_registry::Error) -> u8 {
    match error {
        refs_registry::Error::TooLarge { .. } => return LIMIT,
        // A layout can only be begun where nothing else is.
        refs_registry::Error::Io { source, .. } if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
            return CONFLICT;
        }
        _ => {}
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotCached => NOT_FOUND,
        ErrorKind::Unauthorized => UNAUTHORIZED,
        ErrorKind::Denied => DENIED,
        ErrorKind::RateLimited => RATE_LIMITED,
        ErrorKind::Unreachable | ErrorKind::Timeout => UNREACHABLE,
        ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt => INTEGRITY,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Conflict | ErrorKind::Busy => CONFLICT,
        ErrorKind::Settings => USAGE,
        _ => OTHER,
    }
}

/// What to do next, where that is not plain from the message.
fn hint(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Client(error) => client_hint(error),
        Failure::Registry(error) => registry_hint(error),
        Failure::Credentials(fault) => fault.hint(),
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            Some("stop what listens there, or take a free port with `--listen 127.0.0.1:0`".to_owned())
        }
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
            Some("name an address and a port, such as `--listen 127.0.0.1:5000`".to_owned())
        }
        _ => None,
    }
}

fn client_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::Reference(error) if error.kind() == ParseErrorKind::MissingRegistry => {
            format!("put the registry's host first; on Docker Hub this is `docker://{}`", error.input())
        }
        Error::Reference(error) => error.hint()?,
        Error::Location { fault: LocationFault::NoTarget, input } => format!("add a tag, such as `{input}:latest`"),
        Error::Location { fault: LocationFault::DigestAsTarget, .. } => {
            "push to a tag; the digest is printed".to_owned()
        }
        Error::InvalidGlob { .. } => "`*` stops at `/`, `**` does not; quote the pattern for the shell".to_owned(),
        Error::InvalidRange { .. } => {
            "bytes are counted from 0: `0-99` are the first hundred, `100-` the others, `-100` the last hundred"
                .to_owned()
        }
        Error::NoMatch { .. } => "`refs ls` shows the paths; `*` stops at `/`, `**/` does not".to_owned(),
        Error::FileNotFound { nearest: Some(nearest), .. } => format!("there is `{nearest}`"),
        Error::FileNotFound { nearest: None, .. } => "`refs ls` shows the paths".to_owned(),
        Error::PlatformNotFound { .. } => "choose one of these with `--platform`".to_owned(),
        Error::FileTooLarge { .. } => "allow more with `--max-file-size BYTES`, 0 for any".to_owned(),
        Error::TotalTooLarge { .. } => "allow more with `--max-total-size BYTES`, 0 for any".to_owned(),
        Error::TooManyEntries { .. } => "allow more with `--max-files N`, 0 for any".to_owned(),
        Error::Destination {
            fault: DestinationFault::NotEmpty | DestinationFault::Exists | DestinationFault::Taken,
            ..
        } => "name another destination, or replace this one with `--force`".to_owned(),
        Error::Destination { fault: DestinationFault::NoName | DestinationFault::MountPoint, .. } => {
            "name a new directory in it".to_owned()
        }
        Error::Destination { fault: DestinationFault::InSource, .. } => {
            "name a file outside of it: in it, it would be packed the next time".to_owned()
        }
        Error::Destination { .. } => "name another destination".to_owned(),
        Error::Source { fault: SourceFault::EscapingLink(_) | SourceFault::SpecialFile(_), .. } => {
            "leave it out with `--exclude PATTERN`".to_owned()
        }
        Error::Registry(error) => registry_hint(error)?,
        Error::Estargz { .. } | Error::FileDigest { .. } if client_code(error) == INTEGRITY => {
            "the layer is not what its manifest says; do not trust it, push it again or ask its owner".to_owned()
        }
        _ => return None,
    })
}

fn registry_hint(error: &refs_registry::Error) -> Option<String> {
    use refs_registry::{Error as Registry, error::Wanted};
    Some(match error {
        Registry::NotFound { wanted: Wanted::Layout, .. } => {
            "`refs push DIR ocidir://PATH:TAG` begins a layout".to_owned()
        }
        Registry::NotFound { wanted: Wanted::Manifest(_), at } if at.to_string().starts_with("ocidir://") => {
            format!("`refs tags {at}` lists what is there")
        }
        Registry::NotFound { wanted: Wanted::Manifest(_), at } => {
            format!("`refs tags {at}` lists what is there; a private repository looks like this, too, without a login")
        }
        Registry::NotFound { .. } => {
            "check the name; a private repository looks like this, too, without a login".to_owned()
        }
        Registry::Unauthorized { host, tried, .. } if tried.is_empty() => format!("log in with `refs login {host}`"),
        Registry::Unauthorized { host, .. } => format!("check the password, and log in with `refs login {host}`"),
        Registry::Denied { host, .. } => {
            format!("the credentials for {host} do not allow this: ask its owner for access")
        }
        Registry::RateLimited { .. } => "wait, or log in: most registries allow more to those they know".to_owned(),
        Registry::Unreachable { host, .. } if host.is_loopback() => format!("check that a registry listens on {host}"),
        Registry::Unreachable { host, source } if is_tls(source.as_ref()) => format!(
            "check the certificate; for a registry without TLS there is `--plain-http {host}`, for one of your own CA \
             `SSL_CERT_FILE`"
        ),
        Registry::Unreachable { .. } => "check the name of the registry, and the network".to_owned(),
        Registry::Digest { .. } | Registry::Size { .. } => {
            "the bytes are not what their digest says; nothing was kept of them: try again, then ask the owner"
                .to_owned()
        }
        Registry::Full { .. } => "make space and run it again".to_owned(),
        Registry::Busy { .. } => "wait for the other process, or stop it".to_owned(),
        _ => return None,
    })
}

/// Whether TLS is what failed.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.into_iter().any(|error| {
        let message = error.to_string();
        message.contains("certificate") || message.contains("InvalidContentType")
    })
}
