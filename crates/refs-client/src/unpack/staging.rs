//! The tree that is made beside a destination, and takes its place.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_registry::error::Doing;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawMode},
    io::Errno,
};

use super::{
    old::OldTree,
    remove,
    root::{Root, failure},
    scratch::Scratch,
};
use crate::{Error, Result, beneath::OPENED, error::DestinationFault};

/// What the tree is called in its scratch directory.
const TREE: &str = "tree";

/// What to do with what is at a destination: a directory with something in it, or the file that a file is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and fail.
    #[default]
    Refuse,
    /// Put the new one in its place, and remove it.
    Replace,
}

/// A tree that is made beside its destination and gets its name when it is complete. Until then, and after a failure, what
/// is at the destination is what was there before.
///
/// Dropped without [`publish`](Self::publish) it removes what it made, missing parents of the destination included. What a
/// killed process left is removed by the next one that has the same destination.
#[derive(Debug)]
pub(crate) struct Staging {
    destination: Destination,
    scratch: Scratch,
    /// Dropped after the scratch directory, which is in the innermost of them.
    _parents: Parents,
    root: Arc<Root>,
    /// The mode of the empty directory whose place the tree takes.
    mode: Option<Mode>,
    existing: Existing,
    /// The tree that is there, and not empty.
    old: Option<OldTree>,
}

/// A name in a directory that is held open.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) path: PathBuf,
    pub(super) parent: OwnedFd,
    pub(super) name: OsString,
}

/// Directories that were made for a destination, the innermost first. Dropped, it removes those that have stayed empty.
#[derive(Debug)]
pub(super) struct Parents(Vec<PathBuf>);

/// What is at a destination.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    EmptyDirectory { mode: Mode },
    Directory,
    File,
    Other,
}

impl Staging {
    /// Starts a tree for the destination `path`, which is absent, or a directory: an empty one, unless `existing` says
    /// otherwise. A symbolic link to such a place is followed, once and now. Missing parents are made.
    ///
    /// The tree's directory gets the mode of the empty one whose place it takes, else that of new directories.
    ///
    /// # Errors
    /// `Destination` for something in the way, and for a path like `.` or `/` that has no name to put a directory under;
    /// `Io`.
    pub(crate) fn beside(path: &Path, existing: Existing) -> Result<Self> {
        let (destination, parents) = Destination::find(path)?;
        let found = destination.look()?;
        match (&found, existing) {
            (Found::Nothing | Found::EmptyDirectory { .. }, _) | (Found::Directory, Existing::Replace) => {}
            (Found::Directory, Existing::Refuse) => return Err(destination.fault(DestinationFault::NotEmpty)),
            (Found::File | Found::Other, _) => return Err(destination.fault(DestinationFault::NotDirectory)),
        }
        let scratch = Scratch::make(&destination.parent, &destination.name, &destination.path)?;
        let root = Root::make(scratch.fd(), OsStr::new(TREE), &destination.path)?;
        let (mode, old) = match found {
            Found::EmptyDirectory { mode } => (Some(mode), None),
            Found::Directory => (None, OldTree::open(&destination.parent, &destination.name)),
            _ => (None, None),
        };
        Ok(Self { destination, scratch, _parents: parents, root: Arc::new(root), mode, existing, old })
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// A folder on the tree's file system for files that are of use only until the tree is complete. It is gone then.
    pub(crate) fn aside(&self) -> PathBuf {
        self.destination.folder().join(self.scratch.name())
    }

    /// The tree that this one is to replace, if there is one that can be read.
    pub(crate) fn take_old(&mut self) -> Option<OldTree> {
        self.old.take()
    }

    /// The same, whose directory gets the permissions and further bits of `mode`; where there is none, as an empty directory
    /// whose place it takes, else 755.
    pub(crate) fn with_mode(self, mode: Option<u32>) -> Self {
        let mode = mode.map(|mode| Mode::from_raw_mode((mode & 0o7777) as RawMode)).or(self.mode);
        Self { mode: Some(mode.unwrap_or(Mode::from_raw_mode(0o755))), ..self }
    }

    /// Makes the tree durable, gives it its name, in one step wherever the file system can, and makes the name durable: what
    /// a loss of power leaves is all of it, or what was there before.
    ///
    /// # Errors
    /// `Destination` when something was put there meanwhile, `Io`. The destination is then as it was, unless syncing failed:
    /// then the tree is there, whole, and only its name may not outlast a loss of power.
    pub(crate) fn publish(self) -> Result<()> {
        // A directory that its owner may not write to can't be moved.
        self.set_mode(Mode::RWXU)?;
        let parent = self.destination.parent.as_fd();
        sync_file_system(parent).map_err(|errno| failure(Doing::Sync, &self.destination.path, errno))?;
        match self.rename() {
            Err(Errno::EXIST | Errno::NOTEMPTY) if self.existing == Existing::Replace => self.replace()?,
            other => other.map_err(|errno| self.destination.taken(errno))?,
        }
        if self.mode.is_some_and(|mode| !mode.contains(Mode::RWXU)) {
            self.set_mode(Mode::empty())?;
        }
        let synced = rustix::fs::fsync(&self.destination.parent);
        synced.map_err(|errno| failure(Doing::Sync, &self.destination.path, errno))
    }

    /// Gives the tree's directory its mode, and what is `needed` beside it.
    fn set_mode(&self, needed: Mode) -> Result<()> {
        let Some(mode) = self.mode else { return Ok(()) };
        let set = self.root.directory.open("", OPENED).and_then(|root| rustix::fs::fchmod(root, mode | needed));
        set.map_err(|errno| failure(Doing::Write, &self.destination.path, errno))
    }

    /// A directory takes the place of nothing, or of an empty directory; whatever else is there makes this fail.
    fn rename(&self) -> rustix::io::Result<()> {
        rustix::fs::renameat(self.scratch.fd(), TREE, &self.destination.parent, &self.destination.name)
    }

    /// Swaps the trees; the scratch directory then has the old one, and is removed with it.
    fn replace(&self) -> Result<()> {
        match self.exchange() {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.replace_in_two_steps(),
            other => other.map_err(|errno| self.destination.taken(errno)),
        }
    }

    fn exchange(&self) -> rustix::io::Result<()> {
        let Destination { parent, name, .. } = &self.destination;
        self.move_old(|| exchange(self.scratch.fd(), TREE, parent.as_fd(), name))
    }

    /// Does `step`, which moves the old tree's directory: that, too, must be one that its owner may write to.
    fn move_old(&self, step: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
        match step() {
            Err(Errno::ACCESS) => {
                let (parent, name) = (self.destination.parent.as_fd(), &self.destination.name);
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let old = remove::open(parent, name)?;
                step().inspect_err(|_| {
                    // The first failure is the one to tell.
                    let _ = rustix::fs::fchmod(&old, Mode::from_raw_mode(stat.st_mode));
                })
            }
            other => other,
        }
    }

    /// For file systems that can't swap: for a moment nothing is at the destination.
    pub(super) fn replace_in_two_steps(&self) -> Result<()> {
        const OLD: &str = "old";
        let (scratch, Destination { parent, name, .. }) = (self.scratch.fd(), &self.destination);
        let away = || rustix::fs::renameat(parent, name, scratch, OLD);
        self.move_old(away).map_err(|errno| self.destination.taken(errno))?;
        self.rename().map_err(|errno| match rustix::fs::renameat(scratch, OLD, parent, name) {
            Ok(()) => self.destination.taken(errno),
            Err(lost) => failure(Doing::Rename, &self.destination.path, lost),
        })
    }
}

impl Destination {
    pub(super) fn find(path: &Path) -> Result<(Self, Parents)> {
        // A slash at the end would make a link look like what it points to.
        let path = resolve(path.components().collect())?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            return Err(Error::Destination { path, fault: DestinationFault::NoName });
        };
        let folder = folder_of(&path);
        let parents = Parents::make(folder)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(folder, flags, Mode::empty());
        let parent = parent.map_err(|errno| failure(Doing::Read, folder, errno))?;
        Ok((Self { path, parent, name }, parents))
    }

    pub(super) fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    pub(super) fn look(&self) -> Result<Found> {
        let failed = |errno| failure(Doing::Read, &self.path, errno);
        let stat = match rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            other => other.map_err(failed)?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {}
            FileType::RegularFile => return Ok(Found::File),
            _ => return Ok(Found::Other),
        }
        let directory = rustix::fs::openat(&self.parent, &self.name, OPENED, Mode::empty());
        match directory.and_then(|directory| remove::names(directory.as_fd())) {
            Ok(names) if names.is_empty() => Ok(Found::EmptyDirectory { mode: Mode::from_raw_mode(stat.st_mode) }),
            // One that its owner may not list can be replaced, and nothing shows that it is empty.
            Ok(_) | Err(Errno::ACCESS) => Ok(Found::Directory),
            Err(errno) => Err(failed(errno)),
        }
    }

    pub(super) fn fault(&self, fault: DestinationFault) -> Error {
        Error::Destination { path: self.path.clone(), fault }
    }

    /// The error for a rename that failed: most likely something is there by now.
    pub(super) fn taken(&self, errno: Errno) -> Error {
        match errno {
            Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::NOENT => self.fault(DestinationFault::Taken),
            Errno::BUSY => self.fault(DestinationFault::MountPoint),
            errno => failure(Doing::Rename, &self.path, errno),
        }
    }
}

impl Parents {
    fn make(folder: &Path) -> Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let parents = Self(folder.ancestors().take_while(is_missing).map(Path::to_owned).collect());
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Error::Destination { path: folder.to_owned(), fault: DestinationFault::NotDirectory }
            }
            _ => failure(Doing::Create, folder, error),
        })?;
        Ok(parents)
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        for directory in &self.0 {
            // It is in use, by the tree that has been published or by somebody else: so are those around it.
            if fs::remove_dir(directory).is_err() {
                return;
            }
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Where a symbolic link leads; any other path as it is.
fn resolve(path: PathBuf) -> Result<PathBuf> {
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        return Ok(path);
    }
    fs::canonicalize(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Destination { path, fault: DestinationFault::NotDirectory },
        _ => failure(Doing::Read, &path, error),
    })
}

/// Waits for the disk to have all that was written to the file system that `directory` is on. For a tree of many files that
/// is one wait, where there would be one for each of them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_system(directory: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::fs::syncfs(directory)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_system(_: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(from: BorrowedFd<'_>, tree: &str, to: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(from, tree, to, name, rustix::fs::RenameFlags::EXCHANGE)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: BorrowedFd<'_>, _: &str, _: BorrowedFd<'_>, _: &OsStr) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}
