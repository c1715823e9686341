//! What is, and what is still to be, at each path below a root: decided without touching the file system.

use std::collections::BTreeMap;

use refs_estargz::{Entry, Kind};

use super::confine::{check_file_target, check_path, check_target, split};
use crate::{Error, Result};

/// The mode of a directory that no entry names.
const IMPLIED_MODE: u32 = 0o755;
/// What the owner needs in a directory while it is filled.
const FILLABLE: u32 = 0o700;
/// How many names may lead, one to the other, to a file.
const NAMES_TO_A_FILE: usize = 40;

/// The tree as the entries so far make it. Links are not on the disk yet, so nothing is ever written through one.
#[derive(Debug, Default)]
pub(super) struct Plan {
    nodes: BTreeMap<String, Node>,
    /// The names for files that this layer adds.
    names: Vec<String>,
    layer: u32,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory, on the disk with a mode in which it can be filled.
    Directory {
        /// The permissions it is to have.
        mode: u32,
        /// The permissions it was made with.
        made: u32,
        /// The modification time in seconds, if an entry gives it.
        mtime: Option<i64>,
    },
    /// A file, on the disk once its bytes have come.
    File,
    /// A further name of a file, on the disk.
    Name,
    /// A further name of a file, to be made when the layer is complete.
    PlannedName {
        /// The path of the file.
        target: String,
    },
    /// A symbolic link, to be made when everything else is.
    Symlink {
        /// Where it points.
        target: String,
        /// The modification time in seconds.
        mtime: i64,
    },
}

#[derive(Debug)]
struct Node {
    place: Place,
    /// The layer that last had something to say about it.
    layer: u32,
}

/// What is to be done on the disk before the content of an entry can be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether what an earlier layer wrote at the path is to be removed.
    pub(super) replaces: Replaces,
    /// The directories to make, outermost first, with their permissions.
    pub(super) directories: Vec<(String, u32)>,
    /// How many of them no entry names.
    pub(super) implied: usize,
}

/// What is at the path of a new entry.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaces {
    /// Nothing on the disk.
    #[default]
    Nothing,
    /// A file, or a directory and all below it.
    Earlier,
}

impl Plan {
    /// Starts a layer, whose entries may replace those of the layers before it.
    pub(super) fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// `UnsafePath`, `UnsafeLink`, `SpecialFile`, `PathConflict`. The plan is then of no more use.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<Step> {
        let path = &entry.path;
        check_path(path)?;
        let place = place(entry)?;
        let mut step = Step::default();
        self.reach(split(path).0, &mut step)?;
        if self.merge(path, &place)? {
            return Ok(step);
        }
        step.replaces = self.make_way(path);
        match &place {
            Place::Directory { made, .. } => step.directories.push((path.clone(), *made)),
            Place::PlannedName { .. } => self.names.push(path.clone()),
            _ => {}
        }
        self.nodes.insert(path.clone(), Node { place, layer: self.layer });
        Ok(step)
    }

    /// The names for files that the layer adds, each with the path of a file that is on the disk; to be called when the
    /// layer is complete, and to be made then.
    ///
    /// # Errors
    /// `UnsafeLink` for a name of something that is no file of this artifact.
    pub(super) fn take_names(&mut self) -> Result<Vec<(String, String)>> {
        let names = std::mem::take(&mut self.names);
        let linked: Result<Vec<_>> =
            names.into_iter().map(|name| self.file_of(&name).map(|file| (name, file))).collect();
        let linked = linked?;
        for (name, _) in &linked {
            self.nodes.insert(name.clone(), Node { place: Place::Name, layer: self.layer });
        }
        Ok(linked)
    }

    /// What is at a path.
    pub(super) fn at(&self, path: &str) -> Option<&Place> {
        self.nodes.get(path).map(|node| &node.place)
    }

    /// The path and the target of the symbolic link at a path.
    pub(super) fn symlink(&self, path: &str) -> Option<(&str, &str)> {
        match self.nodes.get_key_value(path)? {
            (path, Node { place: Place::Symlink { target, .. }, .. }) => Some((path, target)),
            _ => None,
        }
    }

    /// Every path and what is there, so that a directory comes after all that is in it.
    pub(super) fn deepest_first(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.nodes.iter().rev().map(|(path, node)| (path.as_str(), &node.place))
    }

    /// Every path and what is there, so that a directory comes before all that is in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), &node.place))
    }

    /// Makes sure that there is a directory at `path`, and that this layer is known to have something in it.
    fn reach(&mut self, path: &str, step: &mut Step) -> Result<()> {
        let mut end = path.len();
        let mut missing = Vec::new();
        while end > 0 {
            let directory = &path[..end];
            match self.nodes.get_mut(directory) {
                Some(Node { place: Place::Directory { .. }, layer }) if *layer == self.layer => break,
                Some(Node { place: Place::Directory { .. }, layer }) => *layer = self.layer,
                Some(_) => return Err(Error::PathConflict { path: directory.to_owned() }),
                None => missing.push(directory),
            }
            end = split(directory).0.len();
        }
        for directory in missing.into_iter().rev() {
            let place = Place::Directory { mode: IMPLIED_MODE, made: IMPLIED_MODE, mtime: None };
            self.nodes.insert(directory.to_owned(), Node { place, layer: self.layer });
            step.directories.push((directory.to_owned(), IMPLIED_MODE));
            step.implied += 1;
        }
        Ok(())
    }

    /// Whether `new` is a directory that is there already; it then gives it its mode and time.
    fn merge(&mut self, path: &str, new: &Place) -> Result<bool> {
        let Some(node) = self.nodes.get_mut(path) else { return Ok(false) };
        match (&mut node.place, new) {
            (Place::Directory { mode, mtime, .. }, Place::Directory { mode: new_mode, mtime: new_mtime, .. }) => {
                (*mode, *mtime) = (*new_mode, *new_mtime);
                node.layer = self.layer;
                Ok(true)
            }
            _ if node.layer == self.layer => Err(Error::PathConflict { path: path.to_owned() }),
            _ => Ok(false),
        }
    }

    /// Forgets what an earlier layer has at `path`, and below it.
    fn make_way(&mut self, path: &str) -> Replaces {
        match self.nodes.remove(path) {
            None => Replaces::Nothing,
            Some(Node { place: Place::Symlink { .. } | Place::PlannedName { .. }, .. }) => Replaces::Nothing,
            Some(Node { place: Place::File | Place::Name, .. }) => Replaces::Earlier,
            Some(Node { place: Place::Directory { .. }, .. }) => {
                // `0` is the character after `/`.
                let below: Vec<_> =
                    self.nodes.range(format!("{path}/")..format!("{path}0")).map(|(path, _)| path.clone()).collect();
                for path in below {
                    self.nodes.remove(&path);
                }
                Replaces::Earlier
            }
        }
    }

    fn file_of(&self, name: &str) -> Result<String> {
        let mut path = name;
        for _ in 0..NAMES_TO_A_FILE {
            match self.at(path) {
                Some(Place::PlannedName { target }) => path = target,
                Some(Place::File | Place::Name) => return Ok(path.to_owned()),
                _ => break,
            }
        }
        let target = match self.at(name) {
            Some(Place::PlannedName { target }) => target.clone(),
            _ => path.to_owned(),
        };
        Err(Error::UnsafeLink { path: name.to_owned(), target, reason: "the target is no file that comes with it" })
    }
}

fn place(entry: &Entry) -> Result<Place> {
    let path = &entry.path;
    let special = |kind| Err(Error::SpecialFile { path: path.clone(), kind });
    match &entry.kind {
        Kind::Directory => {
            let mode = entry.mode & 0o777;
            Ok(Place::Directory { mode, made: mode | FILLABLE, mtime: Some(entry.mtime) })
        }
        Kind::File { .. } => Ok(Place::File),
        Kind::Symlink { target } => {
            check_target(path, target)?;
            Ok(Place::Symlink { target: target.clone(), mtime: entry.mtime })
        }
        Kind::Hardlink { target } => {
            check_file_target(path, target)?;
            Ok(Place::PlannedName { target: target.clone() })
        }
        Kind::CharDevice { .. } => special("character device"),
        Kind::BlockDevice { .. } => special("block device"),
        Kind::Fifo => special("named pipe"),
    }
}
