//! The tree that a sequence of entries makes.

use std::sync::Arc;

use refs_estargz::{Entry, Kind};

use super::{
    budget::Budget,
    file::{FileWriter, Finish, Unfinished, check_finished},
    links,
    plan::{Place, Plan, Replaces, Step},
    root::{Cursor, Root, modified},
};
use crate::{Result, receive::Receive};

/// Writes the entries of an artifact below a root.
///
/// Files and directories are the caller's, with the permissions of their entries less the process's mask; setuid, setgid,
/// sticky and extended attributes are dropped. Modification times are kept in whole seconds. Names for files are made when
/// a layer is complete, symbolic links when all are, modes and times of directories at the very end.
///
/// After an error nothing may be added, and what is below the root is of no use.
///
/// # Security
/// Nothing is made, changed or removed outside of the root, and no link in it leads out.
#[derive(Debug)]
pub(crate) struct Unpack {
    plan: Plan,
    cursor: Cursor,
    root: Arc<Root>,
    budget: Arc<Budget>,
    unfinished: Unfinished,
}

/// What an unpack wrote.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Regular files.
    pub(crate) files: u64,
    /// Directories, those included that no entry names.
    pub(crate) directories: u64,
    /// Symbolic links, and further names of files.
    pub(crate) links: u64,
    /// Bytes in files, those included that a later layer replaced.
    pub(crate) bytes: u64,
}

impl Unpack {
    /// Nothing yet, below an empty root.
    pub(crate) fn new(root: &Arc<Root>, budget: &Arc<Budget>) -> Self {
        Self {
            plan: Plan::default(),
            cursor: Cursor::new(root.clone()),
            root: root.clone(),
            budget: budget.clone(),
            unfinished: Unfinished::default(),
        }
    }

    /// Ends a layer: entries of the next may replace what is there, while the same path twice in one layer is an error
    /// unless it is a directory both times.
    ///
    /// # Errors
    /// `UnsafeLink` for a name of something that is no file; `Io`, `PathConflict`, `Worker`.
    pub(crate) fn next_layer(&mut self) -> Result<()> {
        check_finished(&self.unfinished)?;
        for (name, file) in self.plan.take_names()? {
            self.cursor.hardlink(&name, &file)?;
        }
        self.plan.next_layer();
        Ok(())
    }

    /// Makes the links, and gives directories their modes and times.
    ///
    /// # Errors
    /// `UnsafeLink`, `Io`, `PathConflict`; `Worker` when the last file was not ended.
    pub(crate) fn finish(mut self) -> Result<Unpacked> {
        self.next_layer()?;
        links::check(&self.plan)?;
        let mut unpacked = Unpacked { bytes: self.budget.bytes(), ..Unpacked::default() };
        for (path, place) in self.plan.iter() {
            match place {
                Place::Directory { .. } => unpacked.directories += 1,
                Place::File => unpacked.files += 1,
                Place::Name | Place::PlannedName { .. } => unpacked.links += 1,
                Place::Symlink { target, mtime } => {
                    unpacked.links += 1;
                    self.cursor.symlink(path, target, &modified(*mtime))?;
                }
            }
        }
        self.seal()?;
        Ok(unpacked)
    }

    /// Inner directories first: what a directory's own mode forbids is done by then, and nothing changes its time after.
    fn seal(&self) -> Result<()> {
        for (path, place) in self.plan.deepest_first() {
            if let Place::Directory { mode, made, mtime } = place {
                let root = self.cursor.root();
                let last = root.masked(*mode);
                let mode = (last != root.masked(*made)).then_some(last);
                if mode.is_some() || mtime.is_some() {
                    self.cursor.seal_directory(path, mode, *mtime)?;
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &Step, path: &str) -> Result<()> {
        for _ in 0..step.implied {
            self.budget.implied()?;
        }
        if step.replaces == Replaces::Earlier {
            self.cursor.remove(path)?;
        }
        for (directory, mode) in &step.directories {
            self.cursor.create_directory(directory, *mode)?;
        }
        Ok(())
    }
}

impl Receive for Unpack {
    type Hand = FileWriter;

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.budget.entry()?;
        let step = self.plan.add(entry)?;
        if let Kind::File { size } = entry.kind {
            self.budget.declared(&entry.path, size)?;
        }
        self.carry_out(&step, &entry.path)
    }

    fn hand(&self) -> FileWriter {
        FileWriter::new(self.root.clone(), self.budget.clone(), self.unfinished.clone(), Finish::Pulled)
    }
}
