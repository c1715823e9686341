//! What the manifest file is called.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::{Error, error::SourceFault};

/// The name of the manifest file, which lies at the root of an artifact; `.sow-ref.yaml` by default.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManifestName(Cow<'static, str>);

impl ManifestName {
    /// The name unless another one is asked for.
    pub const DEFAULT: Self = Self(Cow::Borrowed(".sow-ref.yaml"));

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ManifestName {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ManifestName {
    type Err = Error;

    /// # Errors
    /// `Source` when it is not the name of a file at the root.
    fn from_str(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) || name.len() > 255 {
            return Err(Error::Source { path: name.into(), fault: SourceFault::BadManifestName });
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_file_lies_at_the_root() {
        assert_eq!("artifact.yaml".parse::<ManifestName>().unwrap().as_str(), "artifact.yaml");
        for name in ["", ".", "..", "a/b", "/a", "a\0", &"a".repeat(256)] {
            let error = name.parse::<ManifestName>().unwrap_err();
            assert!(matches!(error, Error::Source { fault: SourceFault::BadManifestName, .. }), "{name:?}");
        }
    }
}
