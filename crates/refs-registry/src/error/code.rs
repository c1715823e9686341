//! The codes of errors on the wire.

use std::fmt;

/// What an error is called on the wire
/// ([error codes](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes), and the few that
/// registries add to them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// No such blob.
    BlobUnknown,
    /// The upload can't go on like this.
    BlobUploadInvalid,
    /// No such upload session.
    BlobUploadUnknown,
    /// The access is denied.
    Denied,
    /// The digest is malformed, or another than that of the bytes.
    DigestInvalid,
    /// The manifest refers to something that is not there.
    ManifestBlobUnknown,
    /// The manifest is no manifest.
    ManifestInvalid,
    /// No such manifest.
    ManifestUnknown,
    /// The repository's name breaks the grammar.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// The `n` of a list is no number.
    PaginationNumberInvalid,
    /// The range is malformed, or not the one that has to come next.
    RangeInvalid,
    /// More or fewer bytes than announced, or too many.
    SizeInvalid,
    /// The tag breaks the grammar.
    TagInvalid,
    /// Too many requests.
    TooManyRequests,
    /// Credentials are needed.
    Unauthorized,
    /// The server does not do that.
    Unsupported,
    /// Anything else.
    Unknown,
}

impl Code {
    const ALL: [Self; 18] = [
        Self::BlobUnknown,
        Self::BlobUploadInvalid,
        Self::BlobUploadUnknown,
        Self::Denied,
        Self::DigestInvalid,
        Self::ManifestBlobUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnknown,
        Self::NameInvalid,
        Self::NameUnknown,
        Self::PaginationNumberInvalid,
        Self::RangeInvalid,
        Self::SizeInvalid,
        Self::TagInvalid,
        Self::TooManyRequests,
        Self::Unauthorized,
        Self::Unsupported,
        Self::Unknown,
    ];

    /// The code that is written so; `None` for one that some registry has made up.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The code as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for code in Code::ALL {
            assert_eq!(Code::parse(&code.to_string()), Some(code));
        }
        for text in ["", "denied", "DENIED ", "QUOTA_EXCEEDED"] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }
}
