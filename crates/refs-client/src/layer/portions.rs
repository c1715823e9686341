//! What is to be handed over of layers that lie on each other.

use std::collections::{BTreeMap, HashMap};

use refs_estargz::{Entry, Kind, path_order};

use super::merge::{Origin, Shown};
use crate::select::Selection;

/// What is shown and selected, by what it takes to hand it over.
#[derive(Debug, Default)]
pub(super) struct Portions {
    /// What has no content of its own to come: directories, symbolic links, pipes.
    pub(super) entries: Vec<Entry>,
    /// By layer the files whose content comes from there, each by its index in the layer, as the entry that it is to be.
    pub(super) files: BTreeMap<usize, BTreeMap<usize, Entry>>,
    /// Further names of these files, as hard links to them.
    pub(super) names: Vec<Entry>,
}

impl Portions {
    /// What `selection` means of what is `shown`, which is ordered by path.
    pub(super) fn of(shown: &[Shown], selection: &Selection) -> Self {
        let mut portions = Self::default();
        // Of the files that are not selected by the name that the others lead to, the name that they get.
        let mut renamed = HashMap::new();
        for Shown { entry, origin, .. } in shown {
            if let Some(origin) = origin
                && selection.contains(entry)
            {
                portions.add(shown, selection, entry, *origin, &mut renamed);
            }
        }
        portions
    }

    fn add<'s>(
        &mut self,
        shown: &[Shown],
        selection: &Selection,
        entry: &'s Entry,
        origin: Origin,
        renamed: &mut HashMap<Origin, &'s str>,
    ) {
        let Kind::Hardlink { target } = &entry.kind else { return self.put(entry.clone(), origin) };
        let Some(file) = find(shown, target).map(|found| &found.entry) else { return };
        if !file.is_file() {
            // A symbolic link or a pipe is as good as the one that it is another name of.
            return self.put(Entry { kind: file.kind.clone(), ..entry.clone() }, origin);
        }
        let first = if selection.contains(file) { Some(&file.path) } else { None };
        match first.map(String::as_str).or_else(|| renamed.get(&origin).copied()) {
            Some(first) => {
                self.names.push(Entry { kind: Kind::Hardlink { target: first.to_owned() }, ..entry.clone() })
            }
            None => {
                renamed.insert(origin, &entry.path);
                self.put(Entry { kind: file.kind.clone(), ..entry.clone() }, origin);
            }
        }
    }

    fn put(&mut self, entry: Entry, origin: Origin) {
        if entry.is_file() {
            self.files.entry(origin.layer).or_default().insert(origin.index, entry);
        } else {
            self.entries.push(entry);
        }
    }
}

/// What is shown at a path; `shown` is ordered by path.
pub(super) fn find<'s>(shown: &'s [Shown], path: &str) -> Option<&'s Shown> {
    let index = shown.binary_search_by(|shown| path_order(&shown.entry.path, path)).ok()?;
    shown.get(index)
}
