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

    /// Counts an entry, and keeps in mind where it is.
    ///
    /// # Errors
    /// `TooManyEntries`, and `UnsupportedLayer` when there is more text about files than memory should hold.
    pub(crate) fn add(&mut self, layer: &Descriptor, entry: &Entry) -> Result<()> {
        self.entries += 1;
        self.text_bytes += text_bytes(entry);
        if self.entries > MAX_ENTRIES {
            return Err(Error::TooManyEntries { count: self.entries, limit: MAX_ENTRIES });
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(unsupported(layer, "its paths and attributes have more than 64 MiB"));
        }
        if self.depth == Depth::Several {
            let kind = if entry.is_directory() { Above::Directory } else { Above::Other };
            self.here.push((entry.path.clone(), kind));
        }
        Ok(())
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
