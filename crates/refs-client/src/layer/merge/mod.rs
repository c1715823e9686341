//! What layers that lie on each other show together.
//!
//! Entries are applied from the lowest layer up, as
//! [the image specification](https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets) has it.
//! Where it is silent, what runtimes do counts, as umoci does: the directory of a path is looked up through symbolic links,
//! with the root of the image as the root, and what is in the way of a directory makes way.

mod tree;

use std::mem;

use refs_estargz::{Entry, Kind};
use refs_registry::Descriptor;

use self::tree::{Implied, Inode, Tree};
use super::path::{self, Whiteout};
use crate::{Error, Result, error::LayerLimit};

/// All layers of an artifact have at most so many entries together.
pub(super) const MAX_ENTRIES: u64 = 1 << 20;
/// Their paths, link targets and attributes have at most so many bytes.
pub(super) const MAX_TEXT_BYTES: u64 = 64 << 20;
/// So many hard links may lead, one to the other, to a file that comes after all of them.
const MAX_CHAIN: u32 = 40;

/// An entry, as its layer has it.
#[derive(Debug, Clone)]
pub(crate) struct Met {
    /// The entry; the empty path is the root's.
    pub(crate) entry: Entry,
    /// What its modification time has beyond whole seconds.
    pub(crate) nanos: u32,
    /// How many entries its layer has before it, in the order in which the layer is read.
    pub(crate) index: usize,
}

/// Where the content of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// The index of the layer, the lowest being 0.
    pub(crate) layer: usize,
    /// [`Met::index`].
    pub(crate) index: usize,
}

/// Something that is there when all layers are applied.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Its path, and what is there. A further name of what another path names is a hard link to that path.
    pub(crate) entry: Entry,
    /// [`Met::nanos`].
    pub(crate) nanos: u32,
    /// Where it comes from; `None` for a directory that no entry names.
    pub(crate) origin: Option<Origin>,
}

/// The layers that were applied so far.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    tree: Tree,
    root: Option<Inode>,
    layer: usize,
    /// Hard links of this layer whose files have not come yet.
    waiting: Vec<Entry>,
    entries: u64,
    text_bytes: u64,
}

impl Merge {
    /// Applies the next entry of the current layer.
    ///
    /// # Errors
    /// `UnsafePath` for a whiteout that names nothing, and for links that lead in circles or too deep; `UnsafeLink` for a
    /// hard link that can't be; `TooManyEntries`; `LayerLimit` when there is more text about files than memory should
    /// hold.
    pub(crate) fn add(&mut self, layer: &Descriptor, met: Met) -> Result<()> {
        self.entries += 1;
        self.text_bytes += text_bytes(&met.entry);
        if !path::is_format_file(&met.entry.path) {
            self.apply(met)?;
        }
        self.check_size(layer)
    }

    /// As [`add`](Self::add), for an entry that deletes nothing, whatever its name is.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn add_file(&mut self, layer: &Descriptor, met: Met) -> Result<()> {
        self.entries += 1;
        self.text_bytes += text_bytes(&met.entry);
        self.put(met)?;
        self.check_size(layer)
    }

    /// Turns to the layer above.
    ///
    /// # Errors
    /// `UnsafeLink` for a hard link of this layer to what is not there.
    pub(crate) fn next_layer(&mut self) -> Result<()> {
        for _ in 0..MAX_CHAIN {
            for link in mem::take(&mut self.waiting) {
                self.link(link)?;
            }
        }
        if let Some(link) = self.waiting.pop() {
            let Entry { path, kind, .. } = link;
            let target = target(&kind).to_owned();
            return Err(Error::UnsafeLink { path, target, reason: "it names no file of this image" });
        }
        self.layer += 1;
        self.tree.next_layer();
        Ok(())
    }

    /// Whether all entries so far are where their names say, and none is in the way of another.
    pub(crate) fn is_straight(&self) -> bool {
        self.tree.is_straight()
    }

    /// What is said of the root directory, if anything is.
    pub(crate) fn root(&self) -> Option<(&Entry, u32)> {
        self.root.as_ref().map(|inode| (&inode.entry, inode.nanos))
    }

    /// All that is there, in the order of a walk through the sorted tree: a directory before what is in it.
    pub(crate) fn into_shown(self) -> Vec<Shown> {
        self.tree.into_shown()
    }

    fn apply(&mut self, met: Met) -> Result<()> {
        match path::whiteout(&met.entry.path)? {
            Whiteout::None => self.put(met),
            Whiteout::Of { directory, name } => self.tree.hide(directory, name),
            Whiteout::OfAll { directory } => self.tree.hide_all(directory),
            Whiteout::Meaningless => Ok(()),
        }
    }

    fn put(&mut self, met: Met) -> Result<()> {
        let Met { mut entry, nanos, index } = met;
        if matches!(entry.kind, Kind::Hardlink { .. }) {
            return self.link(entry);
        }
        let path = mem::take(&mut entry.path);
        let inode = Inode { entry, nanos, origin: Origin { layer: self.layer, index } };
        if path.is_empty() {
            self.root = Some(inode);
            return Ok(());
        }
        self.tree.put(&path, inode)
    }

    /// Gives a file a further name, now or when it has come.
    fn link(&mut self, link: Entry) -> Result<()> {
        if !self.tree.link(&link.path, target(&link.kind))? {
            self.waiting.push(link);
        }
        Ok(())
    }

    /// Directories that are only implied cost as much as any others.
    fn check_size(&self, layer: &Descriptor) -> Result<()> {
        let Implied { directories, path_bytes } = self.tree.implied();
        let count = self.entries + directories;
        if count > MAX_ENTRIES {
            return Err(Error::TooManyEntries { count, limit: MAX_ENTRIES });
        }
        if self.text_bytes + path_bytes > MAX_TEXT_BYTES {
            return Err(too_much_text(layer));
        }
        Ok(())
    }
}

/// The error for the layer with which there is more text about files than memory should hold.
pub(super) fn too_much_text(layer: &Descriptor) -> Error {
    Error::LayerLimit { layer: layer.digest.clone(), limit: LayerLimit::TextBytes(MAX_TEXT_BYTES) }
}

/// How many bytes the texts of an entry have.
pub(super) fn text_bytes(entry: &Entry) -> u64 {
    // Of short attributes, what holds them takes more memory than they do.
    const EACH: usize = 160;
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| EACH + name.len() + value.len()).sum();
    (entry.path.len() + target(&entry.kind).len() + xattrs) as u64
}

fn target(kind: &Kind) -> &str {
    match kind {
        Kind::Symlink { target } | Kind::Hardlink { target } => target,
        _ => "",
    }
}
