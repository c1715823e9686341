//! The content of one file on the way: kept until it is known to be good.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use refs_estargz::Entry;
use refs_registry::error::Doing;
use tempfile::SpooledTempFile;

use super::merge::Origin;
use crate::{Error, Result};

/// A file larger than this waits on the disk, not in memory, until its layer is verified.
const SPOOL_MEMORY_BYTES: usize = 1 << 20;

/// A file whose content to keep if it comes by while an archive is listed, so that it need not be read again.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) path: String,
    pub(crate) max_bytes: u64,
}

impl Capture {
    /// Whether `entry` is the file.
    pub(crate) fn means(&self, entry: &Entry) -> bool {
        entry.is_file() && self.path == entry.path && entry.size() <= self.max_bytes
    }
}

/// The content of one file, kept until all of its layer is verified.
#[derive(Debug)]
pub(crate) struct Spool {
    origin: Origin,
    path: String,
    content: SpooledTempFile,
}

impl Spool {
    pub(crate) fn new(origin: Origin, path: &str) -> Self {
        Self { origin, path: path.to_owned(), content: SpooledTempFile::new(SPOOL_MEMORY_BYTES) }
    }

    /// Whether it is the content of the file at `path`, which comes from `origin`.
    pub(crate) fn is_of(&self, origin: Origin, path: &str) -> bool {
        self.origin == origin && self.path == path
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
