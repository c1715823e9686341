//! Which paths of an artifact are meant.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use refs_estargz::Entry;

use crate::{Error, Result};

/// A choice of paths.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// All of them.
    All,
    /// Those that match a pattern.
    Some(Matching),
}

/// Paths that match any of several globs.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    globs: GlobSet,
    /// A path that comes along whatever the globs say.
    along: Option<&'static str>,
}

impl Selection {
    /// The paths that match any of `patterns`; all when there are none. `*` stops at `/`, `**` does not; a trailing `/`
    /// means all below; a leading `./` or `/` means nothing.
    ///
    /// # Errors
    /// `InvalidGlob`.
    pub(crate) fn new(patterns: &[String]) -> Result<Self> {
        if patterns.is_empty() {
            return Ok(Self::All);
        }
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let invalid = |source| Error::InvalidGlob { pattern: pattern.clone(), source };
            let glob = GlobBuilder::new(&normalised(pattern)).literal_separator(true).build().map_err(invalid)?;
            globs.add(glob);
        }
        let globs = globs.build().map_err(|source| Error::InvalidGlob { pattern: patterns.join(", "), source })?;
        Ok(Self::Some(Matching { globs, along: None }))
    }

    /// The same paths, and `path` with them.
    pub(crate) fn along_with(mut self, path: &'static str) -> Self {
        if let Self::Some(matching) = &mut self {
            matching.along = Some(path);
        }
        self
    }

    /// Whether `entry` is meant.
    pub(crate) fn contains(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Some(matching) => matching.along == Some(entry.path.as_str()) || self.names(entry),
        }
    }

    /// Whether `entry` is meant by a pattern, and not just comes along.
    pub(crate) fn names(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Some(matching) => matching.globs.is_match(&entry.path),
        }
    }
}

fn normalised(pattern: &str) -> String {
    let mut rest = pattern;
    while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix('/')) {
        rest = shorter;
    }
    if rest.is_empty() || rest.ends_with('/') { format!("{rest}**") } else { rest.to_owned() }
}
