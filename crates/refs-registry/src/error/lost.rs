//! What has become of what a cache had.

use std::{fmt, path::PathBuf, time::SystemTime};

use refs_url::Digest;

/// Why a cache does not have any more what it had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// It was damaged, and was moved to this path.
    Damaged(PathBuf),
    /// A tag of which the registry has said that it has no such tag.
    Gone {
        /// When it said so.
        seen: SystemTime,
        /// The manifest that the tag led to before, which may be there by its digest.
        was: Digest,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(path) => write!(f, "what it had was damaged, and was moved to `{}`", path.display()),
            Self::Gone { .. } => f.write_str("the registry has said that it has no such tag any more"),
        }
    }
}
