//! The root file system that the layers of an image show together.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use refs_estargz::{Entry, Kind};

use super::{
    attributes::{Attributes, mode},
    budget::Budget,
    confine::{check_file_target, check_path},
    file::{FileWriter, Finish, Unfinished, check_finished},
    root::{Cursor, Root},
};
use crate::{Result, layer::Shown};

/// The files whose content is to come, by the index of their layer and of their entry in it.
pub(crate) type Wanted = BTreeMap<usize, HashMap<usize, Entry>>;

/// Writes a root file system below a root, for a user who need not be the system's.
///
/// All belongs to the caller; another owner than root is written down in an extended attribute. Modes are the image's, all
/// twelve bits, and so are times. Devices, which only the system's root can make, become empty files.
///
/// After an error what is below the root is of no use.
///
/// # Security
/// Nothing is made, changed or removed outside of the root. Symbolic links point wherever the image says: they are made when
/// all files are written, and never followed.
#[derive(Debug)]
pub(crate) struct Rootfs {
    root: Arc<Root>,
    budget: Arc<Budget>,
    unfinished: Unfinished,
    attributes: Arc<Attributes>,
    /// A directory before what is in it.
    directories: Vec<Entry>,
    symlinks: Vec<Entry>,
    /// Further names: each, and the one that is there.
    names: Vec<(String, String)>,
    written: Written,
}

/// What there is of a root file system.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Regular files.
    pub(crate) files: u64,
    /// Directories, but for the root.
    pub(crate) directories: u64,
    /// Symbolic links, and further names.
    pub(crate) links: u64,
    /// Named pipes.
    pub(crate) pipes: u64,
    /// Empty files in the place of devices.
    pub(crate) placeholders: u64,
    /// Extended attributes that could not be set.
    pub(crate) unset_xattrs: u64,
    /// Bytes in files.
    pub(crate) bytes: u64,
}

impl Rootfs {
    /// Makes all that has no content, below an empty root, and tells what content is to come.
    ///
    /// # Errors
    /// A limit; `UnsafePath`, `UnsafeLink`, `PathConflict`, `Io`.
    pub(crate) fn start(root: &Arc<Root>, budget: &Arc<Budget>, shown: Vec<Shown>) -> Result<(Self, Wanted)> {
        let (mut plan, mut attributes) = (Plan::default(), Attributes::default());
        for shown in shown {
            check_path(&shown.entry.path)?;
            match shown.origin {
                Some(_) => budget.entry()?,
                None => budget.implied()?,
            }
            budget.declared(&shown.entry.path, shown.entry.size())?;
            attributes.note(&shown.entry.path, shown.nanos);
            plan.add(shown)?;
        }
        let Plan { wanted, directories, symlinks, names, special, written } = plan;
        let (root, budget, unfinished) = (Arc::clone(root), Arc::clone(budget), Unfinished::default());
        let attributes = Arc::new(attributes);
        let rootfs = Self { root, budget, unfinished, attributes, directories, symlinks, names, written };
        rootfs.make(&special)?;
        Ok((rootfs, wanted))
    }

    /// A hand for one thread, for the content that is to come.
    pub(crate) fn hand(&self) -> FileWriter {
        let finish = Finish::Image(Arc::clone(&self.attributes));
        FileWriter::new(Arc::clone(&self.root), Arc::clone(&self.budget), Arc::clone(&self.unfinished), finish)
    }

    /// Makes links, and gives directories what the image says of them. The root gets what `top` says, but for its mode, without
    /// which it could not be moved; the time 0 if nothing is said.
    ///
    /// # Errors
    /// `Io`, `PathConflict`; `Worker` when content is missing.
    pub(crate) fn finish(self, top: Option<(Entry, u32)>) -> Result<Written> {
        check_finished(&self.unfinished)?;
        let mut cursor = Cursor::new(Arc::clone(&self.root));
        for link in &self.symlinks {
            let Kind::Symlink { target } = &link.kind else { continue };
            cursor.symlink(&link.path, target, &self.attributes.times(link))?;
            self.attributes.leave(link);
        }
        for (name, there) in &self.names {
            cursor.further_name(name, there)?;
        }
        for directory in self.directories.iter().rev() {
            cursor.complete(directory, &self.attributes, self.root.masked(FILLABLE))?;
        }
        let (top, nanos) = top.unwrap_or_else(|| (nameless_root(), 0));
        let mut of_root = Attributes::default();
        of_root.note(&top.path, nanos);
        cursor.complete(&top, &of_root, mode(&top))?;
        let unset_xattrs = self.attributes.unset() + of_root.unset();
        Ok(Written { unset_xattrs, bytes: self.budget.bytes(), ..self.written })
    }

    fn make(&self, special: &[Entry]) -> Result<()> {
        let mut cursor = Cursor::new(Arc::clone(&self.root));
        for directory in &self.directories {
            cursor.create_directory(&directory.path, FILLABLE)?;
        }
        for entry in special {
            match entry.kind {
                Kind::Fifo => cursor.fifo(entry, &self.attributes)?,
                _ => cursor.placeholder(entry, &self.attributes)?,
            }
        }
        Ok(())
    }
}

/// What the owner needs in a directory while it is filled.
const FILLABLE: u32 = 0o700;

/// What is shown, by what is to be done with it.
#[derive(Default)]
struct Plan {
    wanted: Wanted,
    directories: Vec<Entry>,
    symlinks: Vec<Entry>,
    names: Vec<(String, String)>,
    special: Vec<Entry>,
    written: Written,
}

impl Plan {
    fn add(&mut self, shown: Shown) -> Result<()> {
        let Shown { mut entry, origin, .. } = shown;
        // The digest of the layer vouches for its content.
        entry.digest = None;
        match &entry.kind {
            Kind::Directory => {
                self.written.directories += 1;
                self.directories.push(entry);
            }
            Kind::File { .. } => {
                self.written.files += 1;
                if let Some(origin) = origin {
                    self.wanted.entry(origin.layer).or_default().insert(origin.index, entry);
                }
            }
            Kind::Symlink { .. } => {
                self.written.links += 1;
                self.symlinks.push(entry);
            }
            Kind::Hardlink { target } => {
                check_file_target(&entry.path, target)?;
                self.written.links += 1;
                self.names.push((entry.path, target.clone()));
            }
            Kind::Fifo => {
                self.written.pipes += 1;
                self.special.push(entry);
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                self.written.placeholders += 1;
                self.special.push(entry);
            }
        }
        Ok(())
    }
}

fn nameless_root() -> Entry {
    let (path, kind, xattrs) = (String::new(), Kind::Directory, BTreeMap::new());
    Entry { path, kind, mode: 0o755, mtime: 0, uid: 0, gid: 0, xattrs, digest: None }
}
