//! Lists the files of an artifact.

use refs_estargz::Entry;
use refs_registry::{Descriptor, Platform};

use crate::{
    Error, ManifestName, Result, Trust,
    artifact::Artifact,
    layer::{Access, Contents, Listed},
    select::Selection,
};

/// How to read an artifact.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Globs that choose paths; all when there are none. See [`PullOptions`](crate::PullOptions) for their grammar.
    pub patterns: Vec<String>,
    /// Which image of an index; Linux on this machine's processor when `None`. What runs there suits, too, such as
    /// `linux/arm/v7` for `linux/arm64`: of several what suits best, as containerd chooses. An image that is in no index is
    /// taken as it is when this is `None`, and else by the platform that a layout lists it with, or by what its config says,
    /// which is read for that: one request more. A config that can't be read is an error then; what names no platform suits.
    /// So do artifacts, whose config is not looked at: what has another config than an image's, an artifact type, or was
    /// pushed by this library.
    pub platform: Option<Platform>,
    /// Whether a table of contents that nothing vouches for may be read.
    pub trust: Trust,
    /// What the manifest file is called, which comes along with every selection.
    pub manifest_file: ManifestName,
}

/// The files of an artifact.
///
/// Where they come from one table of contents, it keeps that, and makes an entry when one is asked for.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The index that the image was found through, the outermost; `None` when there is none.
    pub index: Option<Descriptor>,
    /// The image's manifest.
    pub descriptor: Descriptor,
    /// What it took to find them.
    pub access: Access,
    listed: Listed,
}

impl Listing {
    /// Files, directories and links, sorted by path: a directory comes before what is in it, and that before all else.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + DoubleEndedIterator + '_ {
        self.listed.entries()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at an index below [`len`](Listing::len), in the order of [`entries`](Listing::entries).
    ///
    /// # Panics
    /// When there are not so many entries.
    #[must_use]
    pub fn entry_at(&self, index: usize) -> Entry {
        self.listed.entry_at(index)
    }

    /// The path of the entry at an index, which costs less than the entry.
    ///
    /// # Panics
    /// When there are not so many entries.
    #[must_use]
    pub fn path_at(&self, index: usize) -> &str {
        self.listed.path_at(index)
    }
}

/// Lists what `selection`, made of the patterns of `options`, chooses.
pub(crate) async fn list(
    artifact: &Artifact,
    contents: &Contents,
    selection: &Selection,
    options: &ReadOptions,
) -> Result<Listing> {
    let listed = contents.list(selection).await?;
    if listed.len() == 0 && !options.patterns.is_empty() {
        return Err(Error::NoMatch { at: artifact.at.clone(), patterns: options.patterns.clone() });
    }
    let (index, descriptor) = (artifact.index.clone(), artifact.manifest.descriptor.clone());
    Ok(Listing { index, descriptor, access: contents.access(), listed })
}
