//! Where bytes go that are on their way onto the disk, and what becomes of them there.

use std::{fs, io, path::PathBuf, sync::Arc};

use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;

use super::{
    home, notes,
    partials::{self, Left, Remains},
    parts,
};
use crate::{
    evict::Bound,
    file::is_absent,
    ingest::{BLOB_MODE, Ingest},
    layout::Folder,
};

/// Where bytes go, and what is promised of them.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) folder: Arc<Folder>,
    pub(super) bound: Bound,
    pub(super) digest: Digest,
    /// How many bytes there will be.
    pub(super) size: u64,
    /// What the file will be called.
    pub(super) name: PathBuf,
    /// What nobody needs once the file is there.
    pub(super) obsolete: Obsolete,
    pub(super) place: Place,
    pub(super) remains: Remains,
}

/// What goes when a file has come.
#[derive(Debug)]
pub(super) enum Obsolete {
    Nothing,
    /// All in the folder.
    All(PathBuf),
    /// The parts in the folder of content that had another size.
    PartsUnlessOf {
        folder: PathBuf,
        total: u64,
    },
}

/// Where bytes are before all of them are there.
#[derive(Debug)]
pub(super) enum Place {
    /// In a file that goes when the fill is broken off.
    Anonymous,
    /// In this file, which stays then; if another fills that one, as before.
    Partial(PathBuf),
    /// In this file, after those that it has.
    Left(Box<Ingest>),
}

impl Order {
    /// The file to write, and whether it stays when the fill is broken off.
    pub(super) fn open(&mut self) -> Result<(Ingest, bool)> {
        home::renew(self.folder.root())?;
        let begun = match std::mem::replace(&mut self.place, Place::Anonymous) {
            Place::Left(ingest) => Some(*ingest),
            Place::Partial(path) => partials::begin(self.folder.root(), &path, self.bound, &self.remains)?,
            Place::Anonymous => None,
        };
        match begun {
            Some(ingest) => Ok((ingest, true)),
            None => Ok((Ingest::begin_hashed(&self.folder.ingest())?, false)),
        }
    }

    pub(super) fn show(&self, ingest: Ingest) -> Result<()> {
        if !ingest.is_there() {
            tracing::debug!(digest = %self.digest, "it was removed while it came in");
            return Ok(());
        }
        notes::show(&ingest, &self.name, BLOB_MODE)?;
        // No reader can hold it before.
        drop(ingest);
        self.remains.forget(&self.digest);
        let dropped = self.drop_obsolete();
        // It is there, whatever else is.
        self.bound.added(self.folder.root(), &self.name, self.size)?;
        dropped
    }

    pub(super) fn leave(&self, ingest: Ingest) -> Result<()> {
        let bytes = ingest.bytes();
        if bytes == 0 || !ingest.is_there() {
            ingest.discard();
            return Ok(());
        }
        let made_room = partials::make_room(self.folder.root(), self.bound);
        self.remains.add(Left { digest: self.digest.clone(), bytes, total: self.size });
        let path = ingest.path().to_owned();
        drop(ingest);
        self.bound.added(self.folder.root(), &path, bytes)?;
        made_room
    }

    fn drop_obsolete(&self) -> Result<()> {
        match &self.obsolete {
            Obsolete::Nothing => Ok(()),
            Obsolete::All(folder) => match fs::remove_dir_all(folder) {
                Ok(()) => Ok(()),
                // What has come since then need not go.
                Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                Err(error) => Err(Error::io(Doing::Remove, folder, error)),
            },
            // Whichever of two comes last finds the other: they never stay together.
            Obsolete::PartsUnlessOf { folder, total } => parts::drop_others(folder, *total).map(drop),
        }
    }
}
