//! What an error means to whoever has it, each answered here alone.

use super::{Code, Detail, Error, ManifestFault, causes::is_of_tls};

/// What a caller does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Ask for something else.
    NotFound,
    /// Log in.
    Unauthorized,
    /// Ask the owner for access.
    Denied,
    /// Wait.
    RateLimited,
    /// Check the network or the host's name.
    Unreachable,
    /// Try again, or allow more time.
    Timeout,
    /// Report it to the registry's operator.
    Protocol,
    /// Do not trust what was read.
    Digest,
    /// Do not trust what was read.
    Size,
    /// Do without.
    Unsupported,
    /// Change the state first.
    Conflict,
    /// Correct the settings.
    Settings,
    /// Look at the disk.
    Io,
    /// Make space.
    Full,
    /// Repair or drop the store.
    Corrupt,
    /// Go online.
    NotCached,
    /// Wait for the other process.
    Busy,
}

impl Error {
    /// What kind of failure this is, for deciding what to do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::Unreachable { .. } | Self::Cut { .. } => ErrorKind::Unreachable,
            Self::Refused { status: 500..=599, .. } => ErrorKind::Unreachable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            // Nothing is wrong with it.
            Self::Manifest { fault: ManifestFault::Unknown(_), .. } => ErrorKind::Unsupported,
            Self::Refused { .. } | Self::Protocol { .. } | Self::LittleTaken { .. } | Self::Manifest { .. } => {
                ErrorKind::Protocol
            }
            Self::Digest { .. } => ErrorKind::Digest,
            Self::Size { .. } | Self::Sizes { .. } | Self::TooLarge { .. } => ErrorKind::Size,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Settings { .. } => ErrorKind::Settings,
            Self::Io { .. } => ErrorKind::Io,
            Self::Full { .. } => ErrorKind::Full,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::NotCached { .. } => ErrorKind::NotCached,
            Self::Busy { .. } => ErrorKind::Busy,
        }
    }

    /// Whether the same may succeed later, without anybody's doing anything about it. The library has made all the attempts
    /// by then that [`Options::retry`](crate::Options::retry) allows, by this very answer.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Timeout { .. } | Self::Cut { .. } | Self::Busy { .. } => true,
            Self::Unreachable { source, .. } => !is_of_tls(source.as_ref()),
            Self::Refused { status, .. } => may_pass(*status),
            Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::Protocol { .. }
            | Self::LittleTaken { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Sizes { .. }
            | Self::TooLarge { .. }
            | Self::Manifest { .. }
            | Self::Unsupported { .. }
            | Self::Conflict { .. }
            | Self::Settings { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Corrupt { .. }
            | Self::NotCached { .. } => false,
        }
    }

    /// The [code](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes) that the registry gave
    /// for its refusal: the first that is known here. `None` where it gave none, and for `RateLimited` and `Unsupported`,
    /// which say what it would.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        if let Self::NotFound { code, .. } = self {
            return *code;
        }
        self.detail()?.codes().first().copied()
    }

    /// The HTTP status of the registry's refusal: as it came in `Refused`, the usual one where a variant stands for it, such
    /// as 404 for `NotFound`. `None` where no registry has refused anything, and for `Unsupported`, which may be a judgement
    /// of this library's own.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unauthorized { .. } => Some(401),
            Self::Denied { .. } => Some(403),
            Self::RateLimited { .. } => Some(429),
            Self::NotFound { at, .. } if at.is_registry() => Some(404),
            Self::Conflict { at, .. } if at.is_registry() => Some(409),
            _ => None,
        }
    }

    const fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Unauthorized { detail, .. }
            | Self::Denied { detail, .. }
            | Self::Refused { detail, .. }
            | Self::Conflict { detail, .. } => Some(detail),
            _ => None,
        }
    }
}

/// Whether an answer with this status may be another one later.
pub(crate) const fn may_pass(status: u16) -> bool {
    // nginx in front of GHCR gives 499 under load, Cloudflare in front of any registry its own 52x.
    matches!(status, 408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 520..=524)
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use http::Method;
    use refs_url::{Digest, Host};

    use super::*;
    use crate::error::{Doing, Fault, Place, RequestLine, Setting, Wanted};

    fn host() -> Host {
        Host::parse("r.test").unwrap()
    }

    fn at() -> RequestLine {
        RequestLine::new(&Method::GET, &"https://r.test/v2/".parse().unwrap())
    }

    fn refused(status: u16) -> Error {
        Error::Refused { at: at(), status, retry_after: None, detail: Detail::default() }
    }

    type Meaning = (ErrorKind, bool, Option<Code>, Option<u16>);

    #[track_caller]
    fn check(error: &Error, expect: Meaning) {
        let meaning = (error.kind(), error.is_retryable(), error.code(), error.status());
        assert_eq!(meaning, expect, "{error:?}");
    }

    #[test]
    fn each_refusal_of_a_registry_has_its_meaning() {
        let (wanted, registry) = (|| Wanted::Upload, || Place::registry("r.test/a"));
        let said = |code| Detail::said(&format!("{code}: no"), vec![code]);
        for code in [None, Some(Code::ManifestUnknown)] {
            let error = Error::NotFound { wanted: wanted(), at: registry(), code };
            check(&error, (ErrorKind::NotFound, false, code, Some(404)));
        }
        let error = Error::Unauthorized { host: host(), tried: Vec::new(), detail: said(Code::Unauthorized) };
        check(&error, (ErrorKind::Unauthorized, false, Some(Code::Unauthorized), Some(401)));
        let error = Error::Denied { host: host(), at: at(), tried: Vec::new(), detail: said(Code::Denied) };
        check(&error, (ErrorKind::Denied, false, Some(Code::Denied), Some(403)));
        let error = Error::RateLimited { host: host(), retry_after: Some(Duration::from_secs(1)) };
        check(&error, (ErrorKind::RateLimited, true, None, Some(429)));
        let error = Error::Refused { at: at(), status: 400, retry_after: None, detail: said(Code::DigestInvalid) };
        check(&error, (ErrorKind::Protocol, false, Some(Code::DigestInvalid), Some(400)));
        check(&refused(400), (ErrorKind::Protocol, false, None, Some(400)));
        check(&refused(500), (ErrorKind::Unreachable, true, None, Some(500)));
        let error = Error::Refused {
            at: at(),
            status: 503,
            retry_after: Some(Duration::from_secs(9)),
            detail: Detail::new("down for repairs"),
        };
        check(&error, (ErrorKind::Unreachable, true, None, Some(503)));
        assert!(error.to_string().ends_with("was answered with 503, asking to wait 9 s: down for repairs"), "{error}");
        check(&refused(505), (ErrorKind::Unreachable, false, None, Some(505)));
        let error = Error::Conflict { wanted: wanted(), at: registry(), detail: said(Code::TagInvalid) };
        check(&error, (ErrorKind::Conflict, false, Some(Code::TagInvalid), Some(409)));
        check(&Error::unsupported(wanted(), registry()), (ErrorKind::Unsupported, false, None, None));
    }

    #[test]
    fn what_no_registry_has_refused_has_no_code_and_no_status() {
        let check = |error: Error, kind, is_retryable| check(&error, (kind, is_retryable, None, None));
        let wanted = || Wanted::Blob(Digest::sha256(b""));
        let cause = || Arc::new(io::Error::other("cause"));
        let digest = Digest::sha256(b"x");
        check(
            Error::NotFound { wanted: wanted(), at: Place::layout("ocidir:///a"), code: None },
            ErrorKind::NotFound,
            false,
        );
        check(Error::Unreachable { host: host(), source: cause() }, ErrorKind::Unreachable, true);
        check(Error::Timeout { at: at(), after: Duration::from_secs(1) }, ErrorKind::Timeout, true);
        check(Error::Protocol { at: at(), fault: Fault::EarlyAnswer }, ErrorKind::Protocol, false);
        check(Error::LittleTaken { at: at(), sent: 9, taken: 1 }, ErrorKind::Protocol, false);
        check(Error::Cut { at: at(), received: 7, source: cause() }, ErrorKind::Unreachable, true);
        check(Error::Digest { wanted: wanted(), actual: digest }, ErrorKind::Digest, false);
        check(Error::Size { wanted: wanted(), expected: 1, actual: 2 }, ErrorKind::Size, false);
        check(Error::Sizes { wanted: wanted(), smaller: 1, larger: 2 }, ErrorKind::Size, false);
        check(Error::TooLarge { wanted: wanted(), limit: 1 }, ErrorKind::Size, false);
        let manifest = |fault| Error::Manifest { wanted: wanted(), fault };
        check(manifest(ManifestFault::Ambiguous), ErrorKind::Protocol, false);
        check(manifest(ManifestFault::Unknown("x".to_owned())), ErrorKind::Unsupported, false);
        check(Error::unsupported(wanted(), "this build"), ErrorKind::Unsupported, false);
        let conflict = Error::Conflict { wanted: wanted(), at: "memory".into(), detail: Detail::new("it is pinned") };
        check(conflict, ErrorKind::Conflict, false);
        check(Error::Settings { what: Setting::Client("a file"), source: cause() }, ErrorKind::Settings, false);
        check(Error::Io { doing: Doing::Read, path: "a".into(), source: cause() }, ErrorKind::Io, false);
        check(Error::Full { doing: Doing::Write, path: "a".into() }, ErrorKind::Full, false);
        check(Error::Corrupt { path: "a".into(), fault: "short".to_owned() }, ErrorKind::Corrupt, false);
        check(Error::NotCached { wanted: wanted(), of: None, lost: None }, ErrorKind::NotCached, false);
        check(Error::Busy { path: "a".into() }, ErrorKind::Busy, true);
    }

    #[test]
    fn statuses_that_pass_are_retryable_and_others_are_not() {
        for status in 100..600 {
            let passes = matches!(status, 408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 520..=524);
            assert_eq!(refused(status).is_retryable(), passes, "{status}");
        }
    }
}
