//! What layers that lie on each other show together. They are looked at from the top down, so that nothing is handed
//! over that a layer above replaces.

use std::collections::HashMap;

use refs_estargz::{Entry, Kind};
use refs_registry::Descriptor;

use super::{archive::unsupported, path};
use crate::{Error, Result};

/// All layers of an artifact have at most so many entries together.
const MAX_ENTRIES: u64 = 1 << 20;
/// Their paths, link targets and attributes have at most so many bytes.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// What the layers above hold, and what this one has shown so far.
#[derive(Debug)]
pub(crate) struct Union {
    depth: Depth,
    above: HashMap<String, Above>,
    here: Vec<(String, Above)>,
    entries: u64,
    text_bytes: u64,
}

/// Whether there is more than one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Single,
    Several,
}

/// What is at a path in the layers above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    Directory,
    /// Something lies below the path, so it is a directory, of which nothing else is said.
    Implied,
    Other,
}

impl Union {
    pub(crate) fn of(layers: usize) -> Self {
        let depth = if layers > 1 { Depth::Several } else { Depth::Single };
        Self { depth, above: HashMap::new(), here: Vec::new(), entries: 0, text_bytes: 0 }
    }

    /// Whether `entry` of `layer` is to be seen.
    ///
    /// # Errors
    /// `UnsupportedLayer` for a whiteout: what it hides below is not worked out.
    pub(crate) fn shows(&self, layer: &Descriptor, entry: &Entry) -> Result<bool> {
        if path::is_format_file(&entry.path) {
            return Ok(false);
        }
        if self.depth == Depth::Single {
            return Ok(true);
        }
        if path::is_whiteout(&entry.path) {
            return Err(unsupported(layer, "it deletes files of the layers below, which is not worked out"));
        }
        let is_below_other = path::parents(&entry.path).any(|parent| self.above.get(parent) == Some(&Above::Other));
        Ok(!is_below_other
            && match self.above.get(&entry.path) {
                None => true,
                Some(Above::Implied) => entry.is_directory(),
                Some(Above::Directory | Above::Other) => false,
            })
    }

    /// As [`shows`](Union::shows), and keeps in mind that the layer has `entry`.
    ///
    /// # Errors
    /// Also `TooManyEntries`, and `UnsupportedLayer` when there is more text about files than memory should hold.
    pub(crate) fn admit(&mut self, layer: &Descriptor, entry: &Entry) -> Result<bool> {
        self.entries += 1;
        self.text_bytes += text_bytes(entry);
        if self.entries > MAX_ENTRIES {
            return Err(Error::TooManyEntries { count: self.entries, limit: MAX_ENTRIES });
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(unsupported(layer, "its paths and attributes have more than 64 MiB"));
        }
        let is_shown = self.shows(layer, entry)?;
        // A file that is itself hidden by a directory still hides what the layers below have in a directory of its name.
        if self.depth == Depth::Several && (is_shown || !entry.is_directory()) {
            let kind = if entry.is_directory() { Above::Directory } else { Above::Other };
            self.here.push((entry.path.clone(), kind));
        }
        Ok(is_shown)
    }

    /// Turns to the layer below.
    pub(crate) fn descend(&mut self) {
        for (path, kind) in std::mem::take(&mut self.here) {
            for parent in path::parents(&path) {
                self.above.entry(parent.to_owned()).or_insert(Above::Implied);
            }
            self.above.insert(path, kind);
        }
    }
}

fn text_bytes(entry: &Entry) -> u64 {
    let target = match &entry.kind {
        Kind::Symlink { target } | Kind::Hardlink { target } => target.len(),
        _ => 0,
    };
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    (entry.path.len() + target + xattrs) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use refs_registry::MediaType;

    use super::*;

    type Tree = BTreeMap<String, Kind>;

    fn entry(path: &str, kind: &Kind) -> Entry {
        let (path, kind, xattrs) = (path.to_owned(), kind.clone(), BTreeMap::new());
        Entry { path, kind, mode: 0o644, mtime: 0, uid: 0, gid: 0, xattrs, digest: None }
    }

    /// What is there when the layers are unpacked one over the other: paths, and the layer of each.
    fn unpacked(layers: &[Tree]) -> BTreeMap<String, usize> {
        let mut all: BTreeMap<String, (usize, Kind)> = BTreeMap::new();
        for (at, layer) in layers.iter().enumerate() {
            for (path, kind) in layer {
                let below = format!("{path}/");
                all.retain(|other, (_, there)| {
                    let is_replaced = other.starts_with(&below) && *kind != Kind::Directory;
                    let is_in_the_way = path.starts_with(&format!("{other}/")) && *there != Kind::Directory;
                    !is_replaced && !is_in_the_way
                });
                all.insert(path.clone(), (at, kind.clone()));
            }
        }
        all.into_iter().map(|(path, (at, _))| (path, at)).collect()
    }

    fn shown(layers: &[Tree]) -> BTreeMap<String, usize> {
        let layer = Descriptor::of(MediaType::OCI_LAYER, b"");
        let mut union = Union::of(layers.len());
        let mut all = BTreeMap::new();
        for (at, tree) in layers.iter().enumerate().rev() {
            for entry in tree.iter().map(|(path, kind)| entry(path, kind)) {
                if union.admit(&layer, &entry).unwrap() {
                    all.insert(entry.path, at);
                }
            }
            union.descend();
        }
        all
    }

    /// A tree in which nothing lies below a file.
    fn tree() -> impl Strategy<Value = Tree> {
        let kind = prop_oneof![Just(Kind::Directory), Just(Kind::File { size: 0 })];
        prop::collection::btree_map("[ab](/[ab]){0,2}", kind, 0..6).prop_map(|mut tree| {
            let kinds = tree.clone();
            let is_file = |path: &str| matches!(kinds.get(path), Some(Kind::File { .. }));
            tree.retain(|path, _| !path::parents(path).any(is_file));
            tree
        })
    }

    proptest! {
        #[test]
        fn from_the_top_down_is_seen_what_unpacking_from_below_leaves(layers in prop::collection::vec(tree(), 1..4)) {
            prop_assert_eq!(shown(&layers), unpacked(&layers));
        }
    }

    #[test]
    fn entries_are_counted_over_all_layers() {
        let layer = Descriptor::of(MediaType::OCI_LAYER, b"");
        let mut union = Union { entries: MAX_ENTRIES - 1, ..Union::of(1) };
        let file = entry("a", &Kind::Fifo);
        union.admit(&layer, &file).unwrap();
        assert!(matches!(union.admit(&layer, &file), Err(Error::TooManyEntries { .. })));
        let mut union = Union { text_bytes: MAX_TEXT_BYTES, ..Union::of(1) };
        assert!(matches!(union.admit(&layer, &file), Err(Error::UnsupportedLayer { .. })));
    }
}
