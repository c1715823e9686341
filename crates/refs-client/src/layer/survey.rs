//! What there is in an artifact, and one file of it on the way.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use refs_estargz::{Entry, path_order};
use refs_registry::{Descriptor, error::Doing};
use tempfile::SpooledTempFile;

use super::{archive::Archive, deliver::check_below, union::Union};
use crate::{Error, Result};

/// A file larger than this waits on the disk, not in memory, until its layer is verified.
const SPOOL_MEMORY_BYTES: usize = 1 << 20;

/// An entry, and the index of its layer.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) layer: usize,
}

/// All entries as far as layers were looked at, from the top down.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) found: Vec<Found>,
    /// The content of the file that was to be captured, if it came by.
    pub(crate) captured: Option<Spool>,
    capture: Option<Capture>,
    union: Union,
}

/// A file whose content to keep if it comes by while an archive is listed, so that it need not be read again.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) path: String,
    pub(crate) max_bytes: u64,
}

impl Survey {
    pub(crate) fn new(layers: usize, capture: Option<Capture>) -> Self {
        Self { found: Vec::new(), captured: None, capture, union: Union::of(layers) }
    }

    /// Adds entries that are known already.
    pub(crate) fn with(
        mut self,
        at: usize,
        layer: &Descriptor,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self> {
        for entry in entries {
            if self.union.admit(layer, &entry)? {
                self.found.push(Found { entry, layer: at });
            }
        }
        Ok(self)
    }

    /// Adds the entries of `archive`, which must be below `root`.
    pub(crate) fn with_archive(
        mut self,
        at: usize,
        layer: &Descriptor,
        mut archive: Archive,
        root: &str,
    ) -> Result<Self> {
        while let Some(entry) = archive.next_entry()? {
            check_below(&entry.path, root)?;
            if self.add(at, layer, &entry)? && self.captures(&entry) {
                let mut spool = Spool::new(at, &entry.path);
                archive.content(|bytes| spool.take(bytes))?;
                self.captured = Some(spool);
            }
        }
        archive.finish()?;
        Ok(self)
    }

    /// Turns to the layer below.
    pub(crate) fn descend(&mut self) {
        self.union.descend();
    }

    /// The entries in the order of a walk through the sorted tree, of each path the last one.
    pub(crate) fn sorted(mut self) -> Self {
        self.found.reverse();
        self.found.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
        self.found.dedup_by(|later, kept| later.entry.path == kept.entry.path);
        self
    }

    fn add(&mut self, at: usize, layer: &Descriptor, entry: &Entry) -> Result<bool> {
        let is_shown = self.union.admit(layer, entry)?;
        if is_shown {
            self.found.push(Found { entry: entry.clone(), layer: at });
        }
        Ok(is_shown)
    }

    fn captures(&self, entry: &Entry) -> bool {
        let is_wanted = |capture: &Capture| capture.path == entry.path && entry.size() <= capture.max_bytes;
        entry.is_file() && self.capture.as_ref().is_some_and(is_wanted)
    }
}

/// The content of one file, kept until all of its layer is verified.
#[derive(Debug)]
pub(crate) struct Spool {
    layer: usize,
    path: String,
    content: SpooledTempFile,
}

impl Spool {
    pub(crate) fn new(layer: usize, path: &str) -> Self {
        Self { layer, path: path.to_owned(), content: SpooledTempFile::new(SPOOL_MEMORY_BYTES) }
    }

    pub(crate) fn is_of(&self, layer: usize, path: &str) -> bool {
        self.layer == layer && self.path == path
    }

    /// Appends to the content.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.content.write_all(bytes).map_err(|source| spool_error(Doing::Write, source))
    }

    /// Writes the bytes `part` of the content to `output`.
    pub(crate) fn copy_to<W: Write>(mut self, part: Range<u64>, mut output: W) -> Result<W> {
        self.content.seek(SeekFrom::Start(part.start)).map_err(|source| spool_error(Doing::Read, source))?;
        let mut wanted = self.content.take(part.end - part.start);
        let copied = io::copy(&mut wanted, &mut output).and_then(|_| output.flush());
        copied.map_err(|source| output_error(&self.path, source))?;
        Ok(output)
    }
}

fn spool_error(doing: Doing, source: io::Error) -> Error {
    Error::Io { doing, path: std::env::temp_dir(), source }
}

pub(crate) fn output_error(path: &str, source: io::Error) -> Error {
    Error::Output { path: path.to_owned(), source }
}
