//! A tree that layers change: what is at which path, and which layer put it there.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use refs_estargz::{Entry, Kind, path_order};

use super::{Origin, Shown};
use crate::{Error, Result, layer::path};

/// So many links are followed on the way to a directory.
const MAX_LINKS: u32 = 255;
/// So many components of paths are looked up one by one, and so many paths below deleted ones, for all entries together:
/// most are where their paths say, and are deleted once.
const MAX_STEPS: u64 = 1 << 24;
/// Behind links a path may be longer than any that a layer may use; a tree may not be.
const MAX_PATH_BYTES: usize = 4096;
const MAX_DEPTH: usize = 128;

/// The tree as the layers so far make it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// By path, in which nothing is a link. What is above a path is a directory, and here as well.
    nodes: BTreeMap<String, Node>,
    layer: usize,
    steps: u64,
    implied: Implied,
    is_bent: bool,
}

/// Directories that no entry names, as far as they were ever made.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Implied {
    pub(super) directories: u64,
    pub(super) path_bytes: u64,
}

/// What has a place in the tree, or several.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Its path does not count: it is the one that it was put at.
    pub(super) entry: Entry,
    pub(super) nanos: u32,
    pub(super) origin: Origin,
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
    Directory(Box<Inode>),
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

impl Tree {
    /// The layer that makes the changes from now on.
    pub(super) fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// How much of the tree no entry names.
    pub(super) fn implied(&self) -> Implied {
        self.implied
    }

    /// Whether all was put where its path says, and nothing but a directory where something was; and whether no name was given
    /// to what is no file.
    pub(super) fn is_straight(&self) -> bool {
        !self.is_bent
    }

    /// Puts what is no hard link at a path, in the place of what is there. A directory keeps what is in it.
    ///
    /// # Errors
    /// `UnsafePath` when links on the way lead in circles, or too deep.
    pub(super) fn put(&mut self, path: &str, inode: Inode) -> Result<()> {
        let path = self.place(path)?;
        if !inode.entry.is_directory() {
            self.remove(&path);
            self.insert(path, What::Other { inode: Arc::new(inode), name: Name::First });
            return Ok(());
        }
        match self.nodes.get_mut(&path) {
            Some(node) if node.is_directory() => node.what = What::Directory(Box::new(inode)),
            _ => self.insert(path.clone(), What::Directory(Box::new(inode))),
        }
        self.touch(&path);
        Ok(())
    }

    /// Gives what is at `target` a further name; says whether there is anything.
    ///
    /// # Errors
    /// `UnsafeLink` for a name of a directory, or of itself; `UnsafePath` as in [`put`](Self::put).
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<bool> {
        let refuse = |reason| Err(Error::UnsafeLink { path: path.to_owned(), target: target.to_owned(), reason });
        let file = self.resolved(target)?;
        let inode = match self.nodes.get(&file).map(|node| &node.what) {
            None => return Ok(false),
            Some(What::Other { inode, .. }) => Arc::clone(inode),
            Some(What::Directory(_) | What::Implied) => return refuse("it names a directory"),
        };
        let path = self.place(path)?;
        if path == file {
            return refuse("it names itself");
        }
        self.is_bent |= !inode.entry.is_file();
        self.remove(&path);
        self.insert(path, What::Other { inode, name: Name::Further });
        Ok(true)
    }

    /// Removes what the layers below have at a name in a directory. What this layer has put there stays, in whatever order
    /// it does both.
    ///
    /// # Errors
    /// `UnsafePath` as in [`put`](Self::put), and when the same is hidden over and over.
    pub(super) fn hide(&mut self, directory: &str, name: &str) -> Result<()> {
        let path = join(&self.directory(directory)?, name);
        let layer = self.layer;
        let Some(node) = self.nodes.get_mut(&path) else { return Ok(()) };
        if node.touched < layer {
            self.remove(&path);
            return Ok(());
        }
        node.forget_below(layer);
        self.hide_below(&path)
    }

    /// Removes what the layers below have in a directory, as [`hide`](Self::hide) does.
    ///
    /// # Errors
    /// As [`hide`](Self::hide).
    pub(super) fn hide_all(&mut self, directory: &str) -> Result<()> {
        let directory = self.directory(directory)?;
        self.hide_below(&directory)
    }

    /// All that is there, in the order of a walk through the sorted tree: a directory before what is in it.
    pub(super) fn into_shown(self) -> Vec<Shown> {
        let names = self.names();
        let mut shown: Vec<Shown> = self.nodes.into_iter().map(|(path, node)| node.shown(path, &names)).collect();
        shown.sort_unstable_by(|left, right| path_order(&left.entry.path, &right.entry.path));
        shown
    }

    /// Of what has several names the one that the others lead to.
    fn names(&self) -> HashMap<Origin, String> {
        let mut names = HashMap::new();
        for (path, node) in &self.nodes {
            let What::Other { inode, name } = &node.what else { continue };
            if Arc::strong_count(inode) > 1 && (*name == Name::First || !names.contains_key(&inode.origin)) {
                names.insert(inode.origin, path.clone());
            }
        }
        names
    }

    fn hide_below(&mut self, directory: &str) -> Result<()> {
        let layer = self.layer;
        let mut hidden = Vec::new();
        for (path, node) in self.nodes.range_mut(below(directory)) {
            self.steps += 1;
            if node.touched < layer { hidden.push(path.clone()) } else { node.forget_below(layer) }
        }
        if self.steps > MAX_STEPS {
            let path = directory.to_owned();
            return Err(Error::UnsafePath { path, reason: "what is in it is deleted over and over" });
        }
        for path in hidden {
            self.nodes.remove(&path);
        }
        Ok(())
    }

    /// Where an entry of this path belongs, in a directory that is there from now on.
    fn place(&mut self, path: &str) -> Result<String> {
        let place = self.resolved(path)?;
        if place.len() > MAX_PATH_BYTES || place.matches('/').count() >= MAX_DEPTH {
            return Err(Error::UnsafePath { path: path.to_owned(), reason: "it leads too deep" });
        }
        self.make_directories(split(&place).0);
        Ok(place)
    }

    /// Where a path leads when links are followed on the way to its last part.
    fn resolved(&mut self, path: &str) -> Result<String> {
        let (directory, name) = split(path);
        let resolved = join(&self.directory(directory)?, name);
        self.is_bent |= resolved != path;
        Ok(resolved)
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
        let at_and_above = std::iter::once(path).filter(|path| !path.is_empty()).chain(path::parents(path));
        let missing: Vec<&str> =
            at_and_above.take_while(|path| !self.nodes.get(*path).is_some_and(Node::is_directory)).collect();
        for directory in missing.into_iter().rev() {
            self.implied.directories += 1;
            self.implied.path_bytes += directory.len() as u64;
            self.insert(directory.to_owned(), What::Implied);
        }
    }

    fn insert(&mut self, path: String, what: What) {
        self.touch(split(&path).0);
        self.is_bent |= self.nodes.insert(path, Node { what, touched: self.layer }).is_some();
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
        let Some(removed) = self.nodes.remove(path) else { return };
        self.is_bent = true;
        if removed.is_directory() {
            let gone: Vec<String> = self.nodes.range(below(path)).map(|(path, _)| path.clone()).collect();
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

    /// What layers below `layer` say of a directory that it deletes, and has put something into, does not count.
    fn forget_below(&mut self, layer: usize) {
        if let What::Directory(inode) = &self.what
            && inode.origin.layer < layer
        {
            self.what = What::Implied;
        }
    }

    fn shown(self, path: String, names: &HashMap<Origin, String>) -> Shown {
        let (inode, name) = match self.what {
            What::Implied => return implied(path),
            What::Directory(inode) => (*inode, None),
            What::Other { inode, .. } => {
                let name = names.get(&inode.origin).filter(|name| **name != path);
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
fn below(directory: &str) -> (Bound<String>, Bound<String>) {
    match directory {
        "" => (Bound::Unbounded, Bound::Unbounded),
        _ => (Bound::Included(format!("{directory}/")), Bound::Excluded(format!("{directory}0"))),
    }
}
