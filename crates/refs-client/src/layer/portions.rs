//! What is to be handed over of layers that lie on each other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use refs_estargz::{Entry, Kind, path_order};

use super::{
    form::Purpose,
    merge::{Origin, Shown},
    survey::Survey,
};
use crate::{Result, select::Selection};

/// Files that are shown and selected, and the names that they are to have.
#[derive(Debug)]
pub(super) struct Portions {
    survey: Arc<Survey>,
    /// Where the content of each file is, and the index of what is shown by its first name.
    files: Vec<(Origin, u32)>,
    /// By index, further names, each with the name that it is to be a hard link to.
    names: Vec<(u32, u32)>,
}

impl Portions {
    /// What `selection` means of what is shown. What has no content of its own to come, as directories and symbolic links,
    /// is given to `take` at once; of an image also directories that no entry names, as nothing need be left in them.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn of(
        survey: Arc<Survey>,
        selection: &Selection,
        purpose: Purpose,
        mut take: impl FnMut(&Entry) -> Result<()>,
    ) -> Result<Self> {
        let (mut files, mut names) = (Vec::new(), Vec::new());
        // Of the files that are not selected by the name that the others lead to, the name that they get.
        let mut renamed = HashMap::new();
        for (at, Shown { entry, origin, .. }) in (0..).zip(&survey.found) {
            if !selection.contains(entry) {
                continue;
            }
            let Some(origin) = *origin else {
                if purpose == Purpose::Image {
                    take(entry)?;
                }
                continue;
            };
            let target = target(&survey.found, entry);
            match target.map(|target| &survey.found[target as usize].entry).unwrap_or(entry) {
                // A symbolic link or a pipe is as good as the one that it is another name of.
                file if !file.is_file() => take(&Entry { kind: file.kind.clone(), ..entry.clone() })?,
                file => match target.filter(|_| selection.contains(file)).or_else(|| renamed.get(&origin).copied()) {
                    Some(first) => names.push((at, first)),
                    None => {
                        if target.is_some() {
                            renamed.insert(origin, at);
                        }
                        files.push((origin, at));
                    }
                },
            }
        }
        files.sort_unstable();
        Ok(Self { survey, files, names })
    }

    /// The files whose content is in a layer, each by its index there, as the entry that it is to be.
    pub(super) fn files(&self, layer: usize) -> BTreeMap<usize, Entry> {
        let start = self.files.partition_point(|(origin, _)| origin.layer < layer);
        let files = self.files[start..].iter().take_while(|(origin, _)| origin.layer == layer);
        files.map(|(origin, at)| (origin.index, self.file(*at))).collect()
    }

    /// Further names of files, as hard links to them.
    pub(super) fn names(&self) -> impl Iterator<Item = Entry> {
        self.names.iter().map(|(at, first)| {
            let target = self.entry(*first).path.clone();
            Entry { kind: Kind::Hardlink { target }, ..self.entry(*at).clone() }
        })
    }

    fn file(&self, at: u32) -> Entry {
        let entry = self.entry(at);
        let file = target(&self.survey.found, entry).map_or(entry, |target| self.entry(target));
        Entry { kind: file.kind.clone(), ..entry.clone() }
    }

    fn entry(&self, at: u32) -> &Entry {
        &self.survey.found[at as usize].entry
    }
}

/// The index of what a hard link names.
fn target(shown: &[Shown], entry: &Entry) -> Option<u32> {
    let Kind::Hardlink { target } = &entry.kind else { return None };
    index_of(shown, target).and_then(|index| u32::try_from(index).ok())
}

/// What is shown at a path; `shown` is ordered by path.
pub(super) fn find<'s>(shown: &'s [Shown], path: &str) -> Option<&'s Shown> {
    index_of(shown, path).map(|index| &shown[index])
}

fn index_of(shown: &[Shown], path: &str) -> Option<usize> {
    shown.binary_search_by(|shown| path_order(&shown.entry.path, path)).ok()
}
