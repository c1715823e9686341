//! What layers that lie on each other show together.
//!
//! Entries are applied from the lowest layer up, as
//! [the image specification](https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets) has it.
//! Where it is silent, what runtimes do counts, as umoci does: the directory of a path is looked up through symbolic links,
//! with the root of the image as the root, and what is in the way of a directory makes way.

use std::{collections::BTreeMap, sync::Arc};

use refs_estargz::{Entry, Kind, path_order};
use refs_registry::Descriptor;

use super::{
    archive::unsupported,
    path::{self, Whiteout},
};
use crate::{Error, Result};

/// All layers of an artifact have at most so many entries together.
const MAX_ENTRIES: u64 = 1 << 20;
/// Their paths, link targets and attributes have at most so many bytes.
const MAX_TEXT_BYTES: u64 = 64 << 20;
/// So many links are followed on the way to a directory.
const MAX_LINKS: u32 = 255;
/// So many components of paths are looked up one by one, for all entries together: most are where their paths say.
const MAX_STEPS: u64 = 1 << 24;
/// So many hard links may lead, one to the other, to a file that comes after all of them.
const MAX_CHAIN: u32 = 40;
const MAX_PATH_BYTES: usize = 4096;

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

/// The tree as the layers so far make it.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    /// By path, in which nothing is a link. What is above a path is a directory, and here as well.
    nodes: BTreeMap<String, Node>,
    root: Option<Inode>,
    layer: usize,
    /// Hard links of this layer whose files have not come yet.
    waiting: Vec<Entry>,
    entries: u64,
    text_bytes: u64,
    steps: u64,
}

#[derive(Debug)]
struct Node {
    what: What,
    /// The layer that last put something at the path or below it.
    touched: usize,
}

#[derive(Debug)]
enum What {
    /// A directory that no entry names.
    Implied,
    Directory(Inode),
    Other {
        inode: Arc<Inode>,
        name: Name,
    },
}

/// How an inode came by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// It is the one that the inode was made with.
    First,
    /// It was given by a hard link.
    Further,
}

#[derive(Debug, Clone)]
struct Inode {
    entry: Entry,
    nanos: u32,
    origin: Origin,
}

impl Merge {
    /// Applies the next entry of the current layer.
    ///
    /// # Errors
    /// `UnsafePath` for a root that is no directory, and for a whiteout that names nothing; `UnsafeLink` for links that
    /// lead in circles; `TooManyEntries`; `UnsupportedLayer` when there is more text about files than memory should hold.
    pub(crate) fn add(&mut self, layer: &Descriptor, met: Met) -> Result<()> {
        self.count(layer, &met.entry)?;
        if path::is_format_file(&met.entry.path) {
            return Ok(());
        }
        match path::whiteout(&met.entry.path)? {
            Whiteout::None => self.put(met),
            Whiteout::Of { directory, name } => self.hide(directory, name),
            Whiteout::OfAll { directory } => self.hide_all(directory),
            Whiteout::Meaningless => Ok(()),
        }
    }

    /// Turns to the layer above.
    ///
    /// # Errors
    /// `UnsafeLink` for a hard link of this layer to what is not there.
    pub(crate) fn next_layer(&mut self) -> Result<()> {
        for _ in 0..MAX_CHAIN {
            for link in std::mem::take(&mut self.waiting) {
                if !self.link(&link)? {
                    self.waiting.push(link);
                }
            }
        }
        if let Some(link) = self.waiting.first() {
            return Err(unsafe_link(link, "it names no file of this image"));
        }
        self.layer += 1;
        Ok(())
    }

    /// What is said of the root directory, if anything is.
    pub(crate) fn root(&self) -> Option<(&Entry, u32)> {
        self.root.as_ref().map(|inode| (&inode.entry, inode.nanos))
    }

    /// All that is there, in the order of a walk through the sorted tree: a directory before what is in it.
    pub(crate) fn into_shown(self) -> Vec<Shown> {
        let mut first: BTreeMap<Origin, String> = BTreeMap::new();
        for (path, node) in &self.nodes {
            let What::Other { inode, name } = &node.what else { continue };
            if *name == Name::First || !first.contains_key(&inode.origin) {
                first.insert(inode.origin, path.clone());
            }
        }
        let mut shown: Vec<Shown> = self.nodes.into_iter().map(|(path, node)| node.shown(path, &first)).collect();
        shown.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
        shown
    }

    fn count(&mut self, layer: &Descriptor, entry: &Entry) -> Result<()> {
        self.entries += 1;
        self.text_bytes += text_bytes(entry);
        if self.entries > MAX_ENTRIES {
            return Err(Error::TooManyEntries { count: self.entries, limit: MAX_ENTRIES });
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(unsupported(layer, "its paths and attributes have more than 64 MiB"));
        }
        Ok(())
    }

    fn put(&mut self, met: Met) -> Result<()> {
        let Met { entry, nanos, index } = met;
        let origin = Origin { layer: self.layer, index };
        if entry.path.is_empty() {
            self.root = Some(Inode { entry, nanos, origin });
            return Ok(());
        }
        if let Kind::Hardlink { .. } = entry.kind {
            if !self.link(&entry)? {
                self.waiting.push(entry);
            }
            return Ok(());
        }
        let path = self.place(&entry.path)?;
        let is_directory = entry.is_directory();
        let inode = Inode { entry, nanos, origin };
        if !is_directory {
            self.remove(&path);
            self.insert(path, What::Other { inode: Arc::new(inode), name: Name::First });
            return Ok(());
        }
        match self.nodes.get_mut(&path) {
            Some(node) if node.is_directory() => node.what = What::Directory(inode),
            _ => self.insert(path.clone(), What::Directory(inode)),
        }
        self.touch(&path);
        Ok(())
    }

    /// Gives what is at the target of a hard link a further name; says whether there is anything.
    fn link(&mut self, link: &Entry) -> Result<bool> {
        let Kind::Hardlink { target } = &link.kind else { return Ok(false) };
        let file = self.resolved(target)?;
        let inode = match self.nodes.get(&file).map(|node| &node.what) {
            None => return Ok(false),
            Some(What::Other { inode, .. }) => Arc::clone(inode),
            Some(What::Directory(_) | What::Implied) => return Err(unsafe_link(link, "it names a directory")),
        };
        let path = self.place(&link.path)?;
        if path == file {
            return Err(unsafe_link(link, "it names itself"));
        }
        self.remove(&path);
        self.insert(path, What::Other { inode, name: Name::Further });
        Ok(true)
    }

    /// Removes what the layers below have at a path, as far as this layer has not put it there.
    fn hide(&mut self, directory: &str, name: &str) -> Result<()> {
        let path = join(&self.directory(directory)?, name);
        let Some(node) = self.nodes.get(&path) else { return Ok(()) };
        if node.touched < self.layer {
            self.remove(&path);
        } else {
            self.hide_below(&path);
        }
        Ok(())
    }

    /// Removes what the layers below have in a directory.
    fn hide_all(&mut self, directory: &str) -> Result<()> {
        let directory = self.directory(directory)?;
        self.hide_below(&directory);
        Ok(())
    }

    fn hide_below(&mut self, directory: &str) {
        let layer = self.layer;
        if directory.is_empty() {
            self.nodes.retain(|_, node| node.touched == layer);
            return;
        }
        let (from, to) = below(directory);
        let hidden = self.nodes.range(from..to).filter(|(_, node)| node.touched < layer);
        let hidden: Vec<String> = hidden.map(|(path, _)| path.clone()).collect();
        for path in hidden {
            self.nodes.remove(&path);
        }
    }

    /// Where an entry of this path belongs, in a directory that is there from now on.
    fn place(&mut self, path: &str) -> Result<String> {
        let (directory, name) = split(path);
        let directory = self.directory(directory)?;
        self.make_directories(&directory);
        Ok(join(&directory, name))
    }

    /// Where a path leads when links are followed on the way to its last part.
    fn resolved(&mut self, path: &str) -> Result<String> {
        let (directory, name) = split(path);
        Ok(join(&self.directory(directory)?, name))
    }

    /// Where the directory of this path is, through links. There need not be anything.
    fn directory(&mut self, path: &str) -> Result<String> {
        if path.is_empty() || self.nodes.get(path).is_some_and(Node::is_directory) {
            return Ok(path.to_owned());
        }
        let (mut reached, mut links) = (String::new(), 0);
        let mut left: Vec<&str> = path.rsplit('/').collect();
        while let Some(part) = left.pop() {
            self.steps += 1;
            if links > MAX_LINKS || self.steps > MAX_STEPS || reached.len() > MAX_PATH_BYTES {
                return Err(Error::UnsafePath { path: path.to_owned(), reason: "it leads through too many links" });
            }
            let directory_bytes = reached.len();
            match part {
                "" | "." => continue,
                // The root is its own parent.
                ".." => reached.truncate(reached.rfind('/').unwrap_or(0)),
                _ => descend(&mut reached, part),
            }
            if let Some(target) = self.nodes.get(&reached).and_then(Node::target) {
                links += 1;
                reached.truncate(if target.starts_with('/') { 0 } else { directory_bytes });
                left.extend(target.rsplit('/'));
            }
        }
        Ok(reached)
    }

    /// Makes sure that there are directories on the way to and at `path`, whatever else was there.
    fn make_directories(&mut self, path: &str) {
        if path.is_empty() || self.nodes.get(path).is_some_and(Node::is_directory) {
            return;
        }
        let mut missing = vec![path];
        missing
            .extend(path::parents(path).take_while(|parent| !self.nodes.get(*parent).is_some_and(Node::is_directory)));
        for directory in missing.into_iter().rev() {
            self.insert(directory.to_owned(), What::Implied);
        }
    }

    fn insert(&mut self, path: String, what: What) {
        self.touch(path::parents(&path).next().unwrap_or_default());
        self.nodes.insert(path, Node { what, touched: self.layer });
    }

    /// Notes that this layer has put something at a path: the path and what is above it are not to be hidden by it.
    fn touch(&mut self, path: &str) {
        let layer = self.layer;
        for path in std::iter::once(path).chain(path::parents(path)) {
            match self.nodes.get_mut(path) {
                Some(node) if node.touched < layer => node.touched = layer,
                _ => return,
            }
        }
    }

    /// Removes what is at a path and all below it.
    fn remove(&mut self, path: &str) {
        if self.nodes.remove(path).is_some_and(|node| node.is_directory()) {
            let (from, to) = below(path);
            let gone: Vec<String> = self.nodes.range(from..to).map(|(path, _)| path.clone()).collect();
            for path in gone {
                self.nodes.remove(&path);
            }
        }
    }
}

impl Node {
    const fn is_directory(&self) -> bool {
        matches!(self.what, What::Implied | What::Directory(_))
    }

    /// Where it leads, if it is a symbolic link.
    fn target(&self) -> Option<&str> {
        match &self.what {
            What::Other { inode, .. } => match &inode.entry.kind {
                Kind::Symlink { target } => Some(target),
                _ => None,
            },
            _ => None,
        }
    }

    fn shown(self, path: String, first: &BTreeMap<Origin, String>) -> Shown {
        let (inode, name) = match self.what {
            What::Implied => return implied(path),
            What::Directory(inode) => (inode, None),
            What::Other { inode, .. } => {
                let name = first.get(&inode.origin).filter(|name| **name != path);
                (Arc::unwrap_or_clone(inode), name)
            }
        };
        let Inode { entry, nanos, origin } = inode;
        let kind = name.map_or(entry.kind, |name| Kind::Hardlink { target: name.clone() });
        Shown { entry: Entry { path, kind, ..entry }, nanos, origin: Some(origin) }
    }
}

fn implied(path: String) -> Shown {
    let (kind, xattrs) = (Kind::Directory, BTreeMap::new());
    let entry = Entry { path, kind, mode: 0o755, mtime: 0, uid: 0, gid: 0, xattrs, digest: None };
    Shown { entry, nanos: 0, origin: None }
}

fn unsafe_link(link: &Entry, reason: &'static str) -> Error {
    let target = match &link.kind {
        Kind::Symlink { target } | Kind::Hardlink { target } => target.clone(),
        _ => String::new(),
    };
    Error::UnsafeLink { path: link.path.clone(), target, reason }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(directory: &str, name: &str) -> String {
    let mut path = directory.to_owned();
    descend(&mut path, name);
    path
}

fn descend(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
}

/// All paths below a directory: `0` is the character after `/`.
fn below(directory: &str) -> (String, String) {
    (format!("{directory}/"), format!("{directory}0"))
}

fn text_bytes(entry: &Entry) -> u64 {
    let target = match &entry.kind {
        Kind::Symlink { target } | Kind::Hardlink { target } => target.len(),
        _ => 0,
    };
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    (entry.path.len() + target + xattrs) as u64
}
