//! The codes that the program exits with, and what ends with which.

use std::io;

use refs_client::{ArchiveFault, Error, SourceFault};
use refs_registry::{
    ErrorKind,
    error::{ConfigFault, Fault as WireFault, ManifestFault},
};

use crate::commands::{Failure, rm};

pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_FOUND: u8 = 3;
pub(crate) const UNAUTHORIZED: u8 = 4;
pub(crate) const DENIED: u8 = 5;
pub(crate) const RATE_LIMITED: u8 = 6;
pub(crate) const UNREACHABLE: u8 = 7;
pub(crate) const INTEGRITY: u8 = 8;
pub(crate) const LIMIT: u8 = 9;
pub(crate) const UNSUPPORTED: u8 = 10;
pub(crate) const CONFLICT: u8 = 11;

/// What each code means, for the manual.
pub(crate) const CODES: [(u8, &str); 16] = [
    (0, "done"),
    (OTHER, "anything that is not below, a full disk and a closed pipe included; of refs diff: the two differ"),
    (USAGE, "the command line, a reference, a pattern, a constraint, a file of settings or .sow-ref.yaml is wrong"),
    (NOT_FOUND, "not found: repository, tag, blob, file, platform, version, no match, not in the cache while offline"),
    (UNAUTHORIZED, "credentials are missing or refused"),
    (DENIED, "access is denied"),
    (RATE_LIMITED, "too many requests, after all retries"),
    (UNREACHABLE, "unreachable, TLS, timeout, server error after all retries"),
    (
        INTEGRITY,
        "integrity: a digest, a size, a manifest, a config or a table of contents does not hold; the cache is corrupt",
    ),
    (LIMIT, "a limit is exceeded, or a path or link is not safe"),
    (UNSUPPORTED, "not supported by the registry or the layer"),
    (CONFLICT, "something is in the way at the destination, or a tag leads to another digest than was named"),
    (129, "ended by SIGHUP, cleaned up"),
    (130, "ended by SIGINT, cleaned up"),
    (131, "ended by SIGQUIT, cleaned up, without a core"),
    (143, "ended by SIGTERM, cleaned up"),
];

/// What the program exits with after `failure`.
pub(crate) fn code(failure: &Failure) -> u8 {
    match failure {
        Failure::Client(error) | Failure::Offline(error) | Failure::Fetch { source: error, .. } => client_code(error),
        Failure::Registry(error) | Failure::Cache(error) => registry_code(error),
        Failure::Api(fault) => fault.code(),
        Failure::Deleting(fault) => deleting_code(fault),
        Failure::Credentials(_)
        | Failure::Usage(_)
        | Failure::PackToStdout
        | Failure::ServerConfig(_)
        | Failure::Entry(_)
        | Failure::Routes(_) => USAGE,
        #[cfg(feature = "bucket")]
        Failure::Bucket(_) => USAGE,
        Failure::Deadline(_) => UNREACHABLE,
        Failure::Damaged => INTEGRITY,
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::InvalidInput => USAGE,
        Failure::Comparing(failure) | Failure::Told(failure) | Failure::Kept(failure) => code(failure),
        Failure::Hinted { failure, .. } => code(failure),
        Failure::Stdout(_)
        | Failure::Different
        | Failure::Write { .. }
        | Failure::Runtime(_)
        | Failure::Serve { .. }
        | Failure::AccessLog(_)
        | Failure::Root { .. } => OTHER,
    }
}

/// Whether the same command may end otherwise when it is run again, now or after something around it was put right: not one
/// that was refused for what the artifact is, or for what was asked.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    let wire = match failure {
        Failure::Comparing(failure) | Failure::Told(failure) | Failure::Kept(failure) => return may_pass(failure),
        Failure::Hinted { failure, .. } => return may_pass(failure),
        Failure::Fetch { source: error, .. } | Failure::Client(error) => error.registry(),
        Failure::Registry(error) | Failure::Cache(error) => Some(error),
        _ => None,
    };
    match code(failure) {
        OTHER | UNAUTHORIZED | DENIED | RATE_LIMITED | UNREACHABLE => true,
        INTEGRITY | CONFLICT => wire.is_some_and(|error| {
            matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt | ErrorKind::Busy)
        }),
        _ => false,
    }
}

fn deleting_code(fault: &rm::Fault) -> u8 {
    match fault {
        rm::Fault::Ambiguous { .. } | rm::Fault::NobodyToAsk { .. } => USAGE,
        rm::Fault::TagStays { source, .. } => registry_code(source),
        rm::Fault::Elsewhere { source, .. } => registry_code(source),
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
        Error::Corrupt {
            fault: ArchiveFault::ExtensionTooLarge { .. } | ArchiveFault::TooMuchPadding { .. }, ..
        } => LIMIT,
        Error::Corrupt { fault: ArchiveFault::NoDigestInTable(_), .. } => UNSUPPORTED,
        Error::Corrupt { .. } | Error::FileDigest { .. } | Error::DiffId { .. } => INTEGRITY,
        // An artifact that is no image has done nothing wrong.
        Error::Config { fault: ConfigFault::MediaType { .. } | ConfigFault::RootFsType { .. }, .. }
        | Error::UnsupportedLayer { .. }
        | Error::NotArchive { .. } => UNSUPPORTED,
        Error::Config { .. } => INTEGRITY,
        Error::LayerLimit { .. }
        | Error::IndexTooDeep { .. }
        | Error::IndexTooWide { .. }
        | Error::UnsafePath { .. }
        | Error::UnsafeLink { .. }
        | Error::SpecialFile { .. }
        | Error::PathConflict { .. }
        | Error::FileTooLarge { .. }
        | Error::TotalTooLarge { .. }
        | Error::TooManyEntries { .. } => LIMIT,
        Error::Pack { source: refs_estargz::Error::Path { .. } | refs_estargz::Error::Link { .. }, .. } => LIMIT,
        Error::Destination { .. } => CONFLICT,
        Error::NoStore { .. } => USAGE,
        // `Pack`, `Source`, `Io`, `Output` and `Worker`: this machine's affair.
        _ => OTHER,
    }
}

fn estargz_code(error: &refs_estargz::Error) -> u8 {
    use refs_estargz::{ChunkFault, Error as Estargz, FieldFault};
    match error {
        Estargz::ExternalToc | Estargz::TocType { .. } | Estargz::Version { .. } | Estargz::DigestAlgorithm { .. } => {
            UNSUPPORTED
        }
        Estargz::TocLimit { .. }
        | Estargz::Path { .. }
        | Estargz::Link { .. }
        | Estargz::Field { fault: FieldFault::LargeXattrs, .. }
        | Estargz::Chunk { fault: ChunkFault::Large, .. } => LIMIT,
        Estargz::NotFound { .. } | Estargz::NotFile { .. } => NOT_FOUND,
        // `NotEstargz` as well: a layer whose manifest names no table is streamed when it has no footer.
        _ => INTEGRITY,
    }
}

fn registry_code(error: &refs_registry::Error) -> u8 {
    match error {
        refs_registry::Error::TooLarge { .. } => return LIMIT,
        refs_registry::Error::Manifest { fault: ManifestFault::Unknown(_), .. } => return UNSUPPORTED,
        refs_registry::Error::Protocol { fault: WireFault::WrongDigest(_), .. }
        | refs_registry::Error::Manifest { .. } => return INTEGRITY,
        // A layout can only be begun where nothing else is.
        refs_registry::Error::Io { source, .. } if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
            return CONFLICT;
        }
        _ => {}
    }
    kind_code(error.kind())
}

const fn kind_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound | ErrorKind::NotCached => NOT_FOUND,
        ErrorKind::Unauthorized => UNAUTHORIZED,
        ErrorKind::Denied => DENIED,
        ErrorKind::RateLimited => RATE_LIMITED,
        ErrorKind::Unreachable | ErrorKind::Timeout => UNREACHABLE,
        ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt => INTEGRITY,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Conflict | ErrorKind::Busy => CONFLICT,
        ErrorKind::Settings => USAGE,
        // `Protocol`, `Io` and `Full`.
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests;
