//! What has become of what a cache had.

use std::{fmt, path::PathBuf};

/// Why a cache does not have any more what it had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// It was damaged, and was moved to this path.
    Damaged(PathBuf),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(path) => write!(f, "what it had was damaged, and was moved to `{}`", path.display()),
        }
    }
}
