//! Lists the files of an artifact.

use refs_estargz::Entry;
use refs_registry::{Descriptor, Platform};

use crate::{
    Error, ManifestName, Result, Trust,
    artifact::Artifact,
    layer::{Access, Contents},
    select::Selection,
};

/// How to read an artifact.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Globs that choose paths; all when there are none. See [`PullOptions`](crate::PullOptions) for their grammar.
    pub patterns: Vec<String>,
    /// Which image of an index; Linux on this machine's processor when `None`.
    pub platform: Option<Platform>,
    /// Whether a table of contents that nothing vouches for may be read.
    pub trust: Trust,
    /// What the manifest file is called, which comes along with every selection.
    pub manifest_file: ManifestName,
}

/// The files of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The image's manifest.
    pub descriptor: Descriptor,
    /// Files, directories and links, sorted by path.
    pub entries: Vec<Entry>,
    /// What it took to find them.
    pub access: Access,
}

/// Lists what `selection`, made of the patterns of `options`, chooses.
pub(crate) async fn list(
    artifact: &Artifact,
    contents: &Contents,
    selection: &Selection,
    options: &ReadOptions,
) -> Result<Listing> {
    let mut entries = contents.entries().await?;
    entries.retain(|entry| selection.contains(entry));
    if entries.is_empty() && !options.patterns.is_empty() {
        return Err(Error::NoMatch { at: artifact.at.clone(), patterns: options.patterns.clone() });
    }
    Ok(Listing { descriptor: artifact.manifest.descriptor.clone(), entries, access: contents.access() })
}
