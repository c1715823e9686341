//! Why a request is refused: a status, and a code of the spec.

use std::{borrow::Cow, fmt, time::Duration};

use http::{
    HeaderName, StatusCode,
    header::{CONTENT_RANGE, RETRY_AFTER},
};
pub use refs_registry::error::Code;
use refs_registry::{
    Error,
    error::{Fault, Wanted},
};
use refs_url::Digest;

/// A request that is answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}, {code}: {message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code in the answer's JSON.
    pub code: Code,
    /// The message in the answer's JSON. It tells the client nothing that the client may not know.
    pub message: Cow<'static, str>,
    /// Headers that go with the status.
    pub headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    /// A refusal without further headers.
    #[must_use]
    pub fn new(status: StatusCode, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// The same refusal with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn unsupported(message: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
    }

    pub(crate) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::Unknown, "there is nothing at this path")
    }

    pub(crate) fn no_such_upload() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, "the upload is unknown to this server")
    }

    pub(crate) fn not_found(wanted: &Wanted) -> Self {
        let code = match wanted {
            Wanted::Manifest(_) | Wanted::Tag(_) => Code::ManifestUnknown,
            Wanted::Blob(_) | Wanted::BlobPart(_) => Code::BlobUnknown,
            Wanted::Upload => return Self::no_such_upload(),
            _ => Code::NameUnknown,
        };
        Self::new(StatusCode::NOT_FOUND, code, format!("{wanted} is unknown to this server"))
    }

    pub(crate) fn unknown_algorithm(digest: &Digest) -> Self {
        let message = format!("{} digests are not supported", digest.algorithm_str());
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
    }

    pub(crate) fn range_not_in(size: u64) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, "the range is outside of the blob")
            .with(CONTENT_RANGE, format_args!("bytes */{size}"))
    }

    /// What to tell a client whose read failed with `error`. What is wrong with the stored bytes is not its fault.
    pub(crate) fn of_read(error: &Error) -> Self {
        match error {
            Error::Digest { .. } => {
                broken(error, StatusCode::BAD_GATEWAY, "the stored content is damaged").coded(Code::DigestInvalid)
            }
            Error::Size { .. } | Error::TooLarge { .. } | Error::Manifest { .. } => {
                broken(error, StatusCode::BAD_GATEWAY, "the stored content is damaged")
            }
            Error::Protocol { fault: Fault::WrongDigest(_), .. } => Self::of_upstream(error),
            _ => of_either(error),
        }
    }

    /// What to tell a client whose read of what is elsewhere failed with `error`. What is wrong with it is the fault of the
    /// registry there.
    pub(crate) fn of_upstream(error: &Error) -> Self {
        let lies = || {
            let message = "the registry behind this server gives something else than it says";
            broken(error, StatusCode::BAD_GATEWAY, message)
        };
        match error {
            Error::Digest { .. } | Error::Protocol { fault: Fault::WrongDigest(_), .. } => {
                lies().coded(Code::DigestInvalid)
            }
            Error::Size { .. } | Error::Manifest { .. } => lies(),
            Error::TooLarge { .. } => {
                broken(error, StatusCode::BAD_GATEWAY, "the registry behind this server gives more than is read")
            }
            // Those that keep no such list can be read all the same, by what clients keep in its place.
            Error::Unsupported { wanted: Wanted::Referrers(_), .. } => {
                let message = "the registry behind this server has something else in place of a list of referrers";
                broken(error, StatusCode::BAD_GATEWAY, message)
            }
            _ => of_either(error),
        }
    }

    /// What to tell a client whose write failed with `error`. What is wrong with the bytes is its fault.
    pub(crate) fn of_write(error: &Error) -> Self {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match error {
            Error::Digest { actual, .. } => {
                Self::new(BAD, Code::DigestInvalid, format!("the bytes have the digest {actual}"))
            }
            Error::Size { .. } => Self::new(BAD, Code::SizeInvalid, "there are more or fewer bytes than announced"),
            Error::TooLarge { wanted: Wanted::Tags, .. } => {
                let message =
                    "the repository lists as much as it can: delete tags and manifests, or push to another one";
                broken(error, StatusCode::PAYLOAD_TOO_LARGE, message).coded(Code::SizeInvalid)
            }
            Error::TooLarge { limit, .. } => Self::too_large(*limit),
            Error::Manifest { fault, .. } => Self::new(BAD, Code::ManifestInvalid, fault.to_string()),
            _ => of_either(error),
        }
    }

    /// What to tell a client whose manifest could not be stored.
    pub(crate) fn of_manifest(error: &Error) -> Self {
        match error {
            Error::NotFound { wanted: wanted @ (Wanted::Blob(_) | Wanted::Manifest(_)), .. } => Self::new(
                StatusCode::BAD_REQUEST,
                Code::ManifestBlobUnknown,
                format!("the manifest refers to {wanted}, which is not in this repository"),
            ),
            _ => Self::of_write(error),
        }
    }

    fn coded(self, code: Code) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, format!("the limit is {limit} bytes"))
    }
}

fn of_either(error: &Error) -> Refusal {
    match error {
        // What a registry says of it: a tag whose repository it hides is not gone.
        Error::NotFound { wanted, code: Some(code), .. } if *wanted != Wanted::Upload => {
            Refusal::not_found(wanted).coded(*code)
        }
        Error::NotFound { wanted, .. } | Error::NotCached { wanted, .. } => Refusal::not_found(wanted),
        Error::Unauthorized { .. } | Error::Denied { .. } => {
            broken(error, StatusCode::FORBIDDEN, "the registry behind this server denies it").coded(Code::Denied)
        }
        Error::RateLimited { retry_after, .. } => rate_limited(*retry_after),
        Error::Unsupported { wanted, .. } => Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::Unsupported,
            format!("{wanted} is not supported by this server"),
        ),
        Error::Conflict { .. } => Refusal::new(StatusCode::CONFLICT, Code::Denied, "what is stored forbids it"),
        Error::Timeout { .. } => {
            broken(error, StatusCode::GATEWAY_TIMEOUT, "the registry behind this server is silent")
        }
        Error::Refused { status: 503, retry_after: Some(wait), .. } => {
            let message = "the registry behind this server is not available";
            broken(error, StatusCode::SERVICE_UNAVAILABLE, message).with(RETRY_AFTER, wait.as_secs().max(1))
        }
        Error::Unreachable { .. } | Error::Cut { .. } | Error::Refused { .. } | Error::Protocol { .. } => {
            broken(error, StatusCode::BAD_GATEWAY, "the registry behind this server fails")
        }
        Error::Full { .. } => broken(error, StatusCode::INSUFFICIENT_STORAGE, "there is no space left"),
        Error::Busy { .. } => broken(error, StatusCode::SERVICE_UNAVAILABLE, "the store is in use by another process"),
        _ => broken(error, StatusCode::INTERNAL_SERVER_ERROR, "the store failed"),
    }
}

/// A failure that the operator has to hear of, and whose details (paths, hosts) the client must not.
fn broken(error: &Error, status: StatusCode, message: &'static str) -> Refusal {
    tracing::warn!(error = %Chain(error), "{message}");
    Refusal::new(status, Code::Unknown, message)
}

fn rate_limited(retry_after: Option<Duration>) -> Refusal {
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many requests");
    match retry_after {
        Some(wait) => refusal.with(RETRY_AFTER, wait.as_secs().max(1)),
        None => refusal,
    }
}

/// An error with its causes, for the log.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| error.source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_is_full_says_what_to_do() {
        let refusal = Refusal::of_manifest(&Error::TooLarge { wanted: Wanted::Tags, limit: 1 });
        assert_eq!((refusal.status, refusal.code), (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid));
        assert!(refusal.message.contains("delete tags"), "{refusal}");
    }
}
