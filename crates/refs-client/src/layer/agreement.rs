//! Compares an archive that is read from its start to its end with the layer's table of contents.

use std::collections::BTreeSet;

use refs_estargz::{Entry, Error as EstargzError, Kind, Limits, Toc, TocPart, is_format_file};
use refs_registry::Descriptor;
use refs_url::{Digest, Hasher};

use super::archive::Archive;
use crate::{ArchiveFault, Error, Result};

const TOC_NAME: &str = "stargz.index.json";
/// The table rounds times, and an archive may have fractions of seconds.
const ROUNDED_SECONDS: u64 = 1;

/// What an archive has held so far. Whoever lists the layer reads the table, and whoever pulls all of it the archive:
/// they must find the same.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// The digest that the manifest gives for a table in the archive; `None` for one that is kept beside it.
    expected: Option<Digest>,
    seen: Vec<Seen>,
    table: Option<Vec<u8>>,
}

/// An entry, with the digest of its content if that was handed over, and where its header is.
#[derive(Debug)]
struct Seen {
    entry: Entry,
    offset: u64,
}

impl Agreement {
    pub(crate) fn new(expected: Option<Digest>) -> Self {
        Self { expected, seen: Vec::new(), table: None }
    }

    /// Takes the entry that `archive` is at; of the table, its content.
    ///
    /// # Errors
    /// `Estargz` for a table beyond its limit, and those of the archive.
    pub(crate) fn see(&mut self, entry: &Entry, layer: &Descriptor, archive: &mut Archive) -> Result<()> {
        if entry.path == TOC_NAME && entry.is_file() && self.expected.is_some() {
            self.table = Some(table(entry, layer, archive)?);
        } else if !is_format_file(&entry.path) {
            // Attributes may be written in ways that the table does not know.
            let entry = Entry { xattrs: Default::default(), digest: None, ..entry.clone() };
            self.seen.push(Seen { entry, offset: archive.header_offset() });
        }
        Ok(())
    }

    /// Gives `take` the content of the file that was seen last, which `archive` is at.
    ///
    /// # Errors
    /// Those of `take` and of the archive.
    pub(crate) fn content(&mut self, archive: &mut Archive, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut hasher = Hasher::sha256();
        archive.content(|bytes| {
            hasher.update(bytes);
            take(bytes)
        })?;
        if let Some(Seen { entry, .. }) = self.seen.last_mut() {
            entry.digest = Some(hasher.finish());
        }
        Ok(())
    }

    /// Compares, at the end of `archive`, with the table in it. Where that is not found, the agreement is given back: the
    /// table may be kept elsewhere, or may be hidden from who reads the archive.
    ///
    /// # Errors
    /// As [`compare`](Self::compare); `Estargz` for a table that is not what it must be, or not the one that the manifest
    /// names.
    pub(crate) fn check(mut self, layer: &Descriptor, archive: &mut Archive) -> Result<Option<Self>> {
        if self.table.is_none()
            && self.expected.is_some()
            && let Some(entry) = archive.entry_behind_end()?
            && entry.path == TOC_NAME
        {
            self.see(&entry, layer, archive)?;
        }
        let (Some(table), Some(expected)) = (self.table.take(), &self.expected) else { return Ok(Some(self)) };
        let toc = Toc::parse_json(table, expected, layer.size, &Limits::default())
            .map_err(|source| Error::Estargz { layer: layer.digest.clone(), source })?;
        self.compare(&toc, layer).map(|()| None)
    }

    /// Compares with `toc`, in both directions.
    ///
    /// # Errors
    /// `Corrupt` with the first path of which they differ.
    pub(crate) fn compare(&self, toc: &Toc, layer: &Descriptor) -> Result<()> {
        let corrupt = |fault, offset| Err(Error::Corrupt { layer: layer.digest.clone(), offset, fault });
        let otherwise = |path: &str, offset| corrupt(ArchiveFault::OtherInTable(path.to_owned()), offset);
        for Seen { entry, offset } in &self.seen {
            match told(toc, entry) {
                Told::Same => {}
                Told::Other => return otherwise(&entry.path, *offset),
                Told::NotAll => return corrupt(ArchiveFault::NoDigestInTable(entry.path.clone()), *offset),
            }
        }
        let seen: BTreeSet<&str> = self.seen.iter().map(|seen| seen.entry.path.as_str()).collect();
        match (0..toc.len()).map(|index| toc.path_at(index)).find(|path| !seen.contains(path)) {
            Some(missing) => otherwise(missing, self.seen.last().map_or(0, |last| last.offset)),
            None => Ok(()),
        }
    }
}

/// The content of `entry`, which is the table.
fn table(entry: &Entry, layer: &Descriptor, archive: &mut Archive) -> Result<Vec<u8>> {
    let limit = Limits::default().toc_inflated;
    if entry.size() > limit {
        let source = EstargzError::TocLimit { part: TocPart::Inflated, limit };
        return Err(Error::Estargz { layer: layer.digest.clone(), source });
    }
    let mut table = Vec::new();
    archive.content(|bytes| {
        // Twice the room of a table that is as long as it may be would be too much.
        if table.capacity() - table.len() < bytes.len() {
            table.reserve_exact(bytes.len() + table.len() / 8);
        }
        table.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(table)
}

/// What the table says of a path.
enum Told {
    Same,
    Other,
    /// Of the content the digests of several chunks alone, of which nobody can tell what they are together.
    NotAll,
}

fn told(toc: &Toc, entry: &Entry) -> Told {
    let Some(index) = toc.index_of(&entry.path).filter(|&index| has_attributes(toc, index, entry)) else {
        return Told::Other;
    };
    let Some(found) = entry.digest.as_ref().filter(|_| entry.size() > 0) else { return Told::Same };
    match content_of(toc, index) {
        Some(content) if content == *found => Told::Same,
        Some(_) => Told::Other,
        None => Told::NotAll,
    }
}

/// Whether the table says the same of `entry`, but for its content.
fn has_attributes(toc: &Toc, index: usize, entry: &Entry) -> bool {
    let listed = toc.entry_at(index);
    let is_same_kind = match (&entry.kind, &listed.kind) {
        // The table may name a file by way of another link.
        (Kind::Hardlink { target }, Kind::Hardlink { .. }) => {
            toc.index_of(target).and_then(|target| toc.file_of(target)) == toc.file_of(index)
        }
        (kind, listed) => kind == listed,
    };
    is_same_kind
        && (entry.mode & 0o7777, entry.uid, entry.gid) == (listed.mode, listed.uid, listed.gid)
        && entry.mtime.abs_diff(listed.mtime) <= ROUNDED_SECONDS
}

/// The digest that the table gives of all of a file's content, or of its only chunk.
fn content_of(toc: &Toc, index: usize) -> Option<Digest> {
    toc.entry_at(index).digest.or_else(|| {
        let mut chunks = toc.chunks_of(index);
        let first = chunks.next()?;
        chunks.next().is_none().then_some(first.digest)
    })
}
