//! The repositories that a layout lists, by the names of their tags.

use std::collections::{BTreeMap, BTreeSet};

use refs_registry::{Descriptor, Result, error::Wanted};
use refs_url::Tag;

use super::{folder::Folder, index::LayoutIndex, names::platform_suffix};

/// A repository, as a layout lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRepository {
    /// What stands before the tags, such as `ghcr.io/o/r`; none for what is listed by a tag alone.
    pub name: Option<String>,
    /// Its tags, sorted, each once.
    pub tags: Vec<Tag>,
}

impl Folder {
    pub(super) fn repositories(&self) -> Result<Vec<ListedRepository>> {
        let index = self.index()?;
        if index.is_known() { Ok(repositories(&index)) } else { Err(self.not_found(Wanted::Tags)) }
    }
}

fn repositories(index: &LayoutIndex) -> Vec<ListedRepository> {
    let mut by_name: BTreeMap<Option<String>, BTreeSet<Tag>> = BTreeMap::new();
    for entry in index.entries() {
        if let Some((name, tag)) = index.scope().split(entry) {
            let tags = by_name.entry(name).or_default();
            if !has_platform(&tag, entry) {
                tags.insert(tag);
            }
        }
    }
    let listed = by_name.into_iter().map(|(name, tags)| ListedRepository { name, tags: tags.into_iter().collect() });
    listed.collect()
}

/// Whether a store has put the platform of `entry` behind its tag.
fn has_platform(tag: &Tag, entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_some_and(|platform| tag.as_str().ends_with(&platform_suffix(platform)))
}
