//! Errors as a person meets them: the chain, a hint, an exit code.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use refs_client::{Error, SourceFault, manifest_file::Faults};
use refs_registry::{ErrorKind, error::Fault as WireFault};
use serde::Serialize;

use crate::{
    args::Format,
    commands::{Failure, rm},
    hint::hint,
    output::{escape, to_json},
};

pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_FOUND: u8 = 3;
pub(crate) const UNAUTHORIZED: u8 = 4;
pub(crate) const DENIED: u8 = 5;
const RATE_LIMITED: u8 = 6;
pub(crate) const UNREACHABLE: u8 = 7;
pub(crate) const INTEGRITY: u8 = 8;
pub(crate) const LIMIT: u8 = 9;
pub(crate) const UNSUPPORTED: u8 = 10;
pub(crate) const CONFLICT: u8 = 11;

/// What each code means, for the manual.
pub(crate) const CODES: [(u8, &str); 15] = [
    (0, "done"),
    (OTHER, "anything that is not below, a full disk and a closed pipe included; of refs diff: the two differ"),
    (USAGE, "the command line, a reference, a pattern, a constraint or .sow-ref.yaml is wrong"),
    (NOT_FOUND, "not found: repository, tag, blob, file, platform, version, no match, not in the cache while offline"),
    (UNAUTHORIZED, "credentials are missing or refused"),
    (DENIED, "access is denied"),
    (RATE_LIMITED, "too many requests, after all retries"),
    (UNREACHABLE, "unreachable, TLS, timeout, server error after all retries"),
    (INTEGRITY, "integrity: a digest, a size or a table of contents does not hold"),
    (LIMIT, "a limit is exceeded, or a path or link is not safe"),
    (UNSUPPORTED, "not supported by the registry or the layer"),
    (CONFLICT, "something is in the way at the destination"),
    (129, "ended by SIGHUP, cleaned up"),
    (130, "ended by SIGINT, cleaned up"),
    (143, "ended by SIGTERM, cleaned up"),
];

/// Tells of `failure` on stderr and gives the code to exit with.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    let (failure, code) = match failure {
        // 1 says that two artifacts differ.
        Failure::Comparing(failure) => (failure.as_ref(), code(failure).max(USAGE)),
        failure => (failure, code(failure)),
    };
    if matches!(failure, Failure::Different) {
        return ExitCode::from(code);
    }
    if !failure.is_broken_pipe() {
        // When stderr is closed, too, the exit code is all that can be told.
        drop(tell(failure, code, format));
    }
    ExitCode::from(code)
}

fn tell(failure: &Failure, code: u8, format: Format) -> io::Result<()> {
    let chain = chain(failure);
    let hint = hint(failure);
    match format {
        Format::Text => {
            let mut stderr = io::stderr().lock();
            match faults(failure) {
                Some((path, faults)) => {
                    writeln!(stderr, "error: {}", escape(&failure.to_string()))?;
                    let path = path.display().to_string();
                    for fault in &faults.0 {
                        writeln!(stderr, "{}", escape(&format!("{path}{}", fault.behind_name())))?;
                    }
                }
                None => writeln!(stderr, "error: {}", escape(&chain.join(": ")))?,
            }
            match hint {
                Some(hint) => writeln!(stderr, "\nhint: {}", escape(&hint)),
                None => Ok(()),
            }
        }
        Format::Json => tell_json(chain.join(": "), code, hint),
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

/// Writes an error to stderr as JSON.
pub(crate) fn tell_json(message: String, exit: u8, hint: Option<String>) -> io::Result<()> {
    to_json(io::stderr().lock(), &Told { schema_version: 1, error: Fields { message, exit, hint } })
}

/// All that is wrong with a manifest file, which deserves a line each.
fn faults(failure: &Failure) -> Option<(&Path, &Faults)> {
    match failure {
        Failure::Client(Error::ManifestFile { path, source }) => Some((path, source)),
        _ => None,
    }
}

/// The messages of an error and of its causes, each once.
pub(crate) fn chain(failure: &(dyn std::error::Error + 'static)) -> Vec<String> {
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
        Failure::Api(fault) => fault.code(),
        Failure::Deleting(fault) => deleting_code(fault),
        Failure::Credentials(_) | Failure::Usage(_) | Failure::PackToStdout => USAGE,
        Failure::Deadline(_) => UNREACHABLE,
        Failure::Damaged => INTEGRITY,
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::InvalidInput => USAGE,
        Failure::Comparing(failure) => code(failure),
        Failure::Stdout(_)
        | Failure::Different
        | Failure::Write { .. }
        | Failure::Runtime(_)
        | Failure::Serve { .. }
        | Failure::Root { .. } => OTHER,
    }
}

fn deleting_code(fault: &rm::Fault) -> u8 {
    match fault {
        rm::Fault::Ambiguous { .. } | rm::Fault::NobodyToAsk { .. } => USAGE,
        rm::Fault::TagStays { source, .. } => registry_code(source),
        rm::Fault::Declined | rm::Fault::Question(_) => OTHER,
    }
}

pub(crate) fn client_code(error: &Error) -> u8 {
    match error {
        Error::Reference(_)
        | Error::Location { .. }
        | Error::InvalidGlob { .. }
        | Error::InvalidRange { .. }
        | Error::RangeOutside { .. }
        | Error::TagViolates { .. }
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
        | Error::PlatformNotFound { .. }
        | Error::PlatformUnknown { .. }
        | Error::NoImage { .. }
        | Error::NoMatchingVersion { .. }
        | Error::NoVersions { .. } => NOT_FOUND,
        Error::Registry(error) => registry_code(error),
        Error::Copy { source, .. } => registry_code(source),
        Error::OtherDigest { .. } | Error::TagMoved { .. } => CONFLICT,
        Error::GraphTooLarge { .. } => LIMIT,
        Error::Estargz { source, .. } => estargz_code(source),
        Error::Corrupt { .. } | Error::FileDigest { .. } | Error::DiffId { .. } => INTEGRITY,
        Error::UnsupportedLayer { .. } | Error::NotArchive { .. } | Error::Config { .. } => UNSUPPORTED,
        Error::IndexTooDeep { .. }
        | Error::IndexTooWide { .. }
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
        refs_registry::Error::Protocol { fault: WireFault::WrongDigest(_), .. } => return INTEGRITY,
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
