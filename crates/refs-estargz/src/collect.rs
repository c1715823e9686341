//! From what the table of contents says, element by element, to checked entries and chunks.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use refs_url::Hasher;

use crate::{
    Error, Limits, PathFault, Result, TocPart,
    arena::TextAt,
    chunks::{Chunks, Part},
    error::{ChunkFault, FieldFault},
    path,
    record::{Attributes, Interner, NONE, Record, Records, What},
    time,
    wire::{WireEntry, WireKind},
};

/// What a table of contents says, in its order.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// The user's entries.
    pub(crate) records: Records,
    /// The paths of the format's own files, of which the places are all that matters.
    pub(crate) hidden: Vec<TextAt>,
    /// They refer to records by index; from [`FIRST_HIDDEN`] on, to hidden files.
    pub(crate) chunks: Chunks,
}

impl Collected {
    /// The path of what a chunk is of.
    pub(crate) fn path_of(&self, entry: u32) -> &str {
        match entry.checked_sub(FIRST_HIDDEN) {
            Some(hidden) => &self.records.texts[self.hidden[hidden as usize]],
            None => self.records.path(entry as usize),
        }
    }
}

/// The index that the first hidden file has as the entry of a chunk.
pub(crate) const FIRST_HIDDEN: u32 = 1 << 31;

/// Takes the elements in the order of the table, where the chunks of a file follow it.
#[derive(Debug)]
pub(crate) struct Collector<'l> {
    limits: &'l Limits,
    payload_bytes: u64,
    elements: usize,
    collected: Collected,
    interner: Interner,
    /// The path of the entry that was added last.
    last: Option<TextAt>,
    /// The file that was met last, while more chunks of it may follow.
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    entry: u32,
    size: u64,
    sha256: Option<[u8; 32]>,
    /// How many of its bytes the chunks so far have.
    covered: u64,
}

/// Of so many entries, chunks included, each has an index that is not one of a hidden file.
const MOST_ELEMENTS: usize = FIRST_HIDDEN as usize;

impl<'l> Collector<'l> {
    pub(crate) fn new(limits: &'l Limits, payload_bytes: u64) -> Self {
        let (collected, interner) = (Collected::default(), Interner::default());
        Self { limits, payload_bytes, elements: 0, collected, interner, last: None, open: None }
    }

    pub(crate) fn add(&mut self, wire: &WireEntry<'_>) -> Result<()> {
        self.elements += 1;
        let limit = self.limits.entries.min(MOST_ELEMENTS);
        if self.elements > limit {
            return Err(Error::TocLimit { part: TocPart::Entries, limit: limit as u64 });
        }
        if wire.kind == WireKind::Chunk {
            return self.add_chunk(wire);
        }
        self.close()?;
        let record = self.record(wire)?;
        let content = match &record.what {
            What::File { size, sha256, .. } => Some((*size, *sha256)),
            _ => None,
        };
        let entry = self.keep(record);
        match content {
            Some((0, Some(sha256))) if sha256 != Hasher::sha256_hash(&[]) => Err(self.chunk_fault(ChunkFault::Digest)),
            None | Some((0, _)) => Ok(()),
            Some((size, sha256)) => {
                self.open = Some(OpenFile { entry, size, sha256, covered: 0 });
                self.add_chunk(wire)
            }
        }
    }

    /// Everything that was added.
    pub(crate) fn finish(mut self) -> Result<Collected> {
        self.close()?;
        self.collected.records.attributes = self.interner.finish();
        Ok(self.collected)
    }

    /// Keeps an entry, and says which number its chunks know it by.
    fn keep(&mut self, record: Record) -> u32 {
        let Collected { records, hidden, .. } = &mut self.collected;
        self.last = Some(record.path);
        if is_hidden(&records.texts[record.path]) {
            hidden.push(record.path);
            return FIRST_HIDDEN + (hidden.len() - 1) as u32;
        }
        records.rows.push(record);
        (records.len() - 1) as u32
    }

    /// No more chunks of the open file follow.
    fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some(file) if file.covered != file.size => Err(self.chunk_fault(ChunkFault::Sum)),
            _ => Ok(()),
        }
    }

    /// Adds the chunk that `wire` describes to the open file.
    fn add_chunk(&mut self, wire: &WireEntry<'_>) -> Result<()> {
        let Some(file) = &self.open else { return Err(self.chunk_fault(ChunkFault::Orphan)) };
        let part = self.part(file, wire).map_err(|fault| self.chunk_fault(fault))?;
        let (entry, covered) = (file.entry, part.file_end());
        let is_hidden = entry >= FIRST_HIDDEN;
        let is_all =
            !is_hidden && part.bytes == file.size && part.inner_offset == 0 && file.sha256 == Some(part.sha256);
        self.collected.chunks.push(entry, wire.offset, (!is_all).then_some(part));
        if let Some(file) = &mut self.open {
            file.covered = covered;
        }
        Ok(())
    }

    fn part(&self, file: &OpenFile, wire: &WireEntry<'_>) -> Result<Part, ChunkFault> {
        let left = file.size - file.covered;
        // The last chunk of a file may leave its size out.
        let bytes = if wire.chunk_size == 0 { left } else { wire.chunk_size };
        match () {
            () if wire.chunk_offset != file.covered => return Err(ChunkFault::Hole),
            () if left == 0 || bytes > left => return Err(ChunkFault::Sum),
            () if bytes > self.limits.chunk => return Err(ChunkFault::Large),
            () if wire.inner_offset > self.limits.inner_offset => return Err(ChunkFault::Inner),
            () if wire.offset >= self.payload_bytes => return Err(ChunkFault::Offset),
            () => {}
        }
        // Only the element of the file itself says the digest of all of it.
        let whole = file.sha256.filter(|_| bytes == file.size && wire.kind == WireKind::Reg);
        let sha256 = chunk_digest(wire, whole)?;
        Ok(Part { file_offset: file.covered, bytes, inner_offset: wire.inner_offset, sha256 })
    }

    fn record(&mut self, wire: &WireEntry<'_>) -> Result<Record> {
        let path = path::normal_path(&wire.name, self.limits)?;
        let fault = |fault| Error::Field { path: path.clone(), fault };
        let what = self.what(wire, &path)?;
        if path.is_empty() && !matches!(what, What::Directory) {
            return Err(Error::Path { path, fault: PathFault::Empty });
        }
        let mtime = match &*wire.mtime {
            "" => 0,
            text => time::parse(text).ok_or_else(|| fault(FieldFault::Mtime))?,
        };
        let owner = |id: i64| u32::try_from(id).ok().ok_or_else(|| fault(FieldFault::Owner));
        let attributes = Attributes {
            mode: (wire.mode & 0o7777) as u32,
            uid: owner(wire.uid)?,
            gid: owner(wire.gid)?,
            xattrs: self.xattrs(wire).map_err(fault)?,
        };
        let attributes = self.interner.number(attributes);
        Ok(Record { path: self.collected.records.texts.push(&path)?, mtime, attributes, what })
    }

    fn what(&mut self, wire: &WireEntry<'_>, path: &str) -> Result<What> {
        let (major, minor) = (wire.dev_major, wire.dev_minor);
        Ok(match wire.kind {
            WireKind::Dir => What::Directory,
            WireKind::Reg | WireKind::Chunk => {
                let sha256 = file_digest(wire).map_err(|fault| Error::Field { path: path.to_owned(), fault })?;
                What::File { size: wire.size, sha256, chunk: NONE }
            }
            WireKind::Symlink => {
                path::check_target(path, &wire.link_name, self.limits)?;
                What::Symlink { target: self.collected.records.texts.push(&wire.link_name)? }
            }
            WireKind::Hardlink => {
                path::check_target(path, &wire.link_name, self.limits)?;
                let target = path::normal_path(&wire.link_name, self.limits)?;
                What::Unresolved { target: self.collected.records.texts.push(&target)? }
            }
            WireKind::Char => What::CharDevice { major, minor },
            WireKind::Block => What::BlockDevice { major, minor },
            WireKind::Fifo => What::Fifo,
        })
    }

    fn xattrs(&self, wire: &WireEntry<'_>) -> Result<BTreeMap<String, Vec<u8>>, FieldFault> {
        let mut xattrs = BTreeMap::new();
        let mut bytes = 0;
        for (name, encoded) in wire.xattrs.iter().flatten() {
            let value = BASE64_STANDARD.decode(encoded).ok().ok_or(FieldFault::Xattr)?;
            bytes += name.len() + value.len();
            if bytes > self.limits.xattrs {
                return Err(FieldFault::LargeXattrs);
            }
            xattrs.insert(name.clone(), value);
        }
        Ok(xattrs)
    }

    /// Something is wrong with the content of the entry that was added last.
    fn chunk_fault(&self, fault: ChunkFault) -> Error {
        let path = self.last.map_or("", |last| &self.collected.records.texts[last]);
        Error::Chunk { path: path.to_owned(), fault }
    }
}

/// Whether an entry is none of the user's: the format's own, or the root.
fn is_hidden(entry_path: &str) -> bool {
    entry_path.is_empty() || path::is_format_file(entry_path)
}

/// The digest of a chunk, for which that of its file may stand in where the file is this one chunk.
fn chunk_digest(wire: &WireEntry<'_>, whole: Option<[u8; 32]>) -> Result<[u8; 32], ChunkFault> {
    match (&*wire.chunk_digest, whole) {
        ("", None) => Err(ChunkFault::NoDigest),
        ("", Some(whole)) => Ok(whole),
        (text, Some(whole)) if *text == *wire.digest => Ok(whole),
        (text, whole) => {
            let own = sha256(text).ok_or(ChunkFault::NoDigest)?;
            if whole.is_some_and(|whole| whole != own) { Err(ChunkFault::Digest) } else { Ok(own) }
        }
    }
}

fn file_digest(wire: &WireEntry<'_>) -> Result<Option<[u8; 32]>, FieldFault> {
    match &*wire.digest {
        "" => Ok(None),
        text => sha256(text).map(Some).ok_or(FieldFault::Digest),
    }
}

/// The hash in the text of a sha256 digest.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    // Without an early way out, this takes half the time.
    let mut all = 0;
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    (all & NO_DIGIT == 0).then_some(hash)
}

/// The values of digits as digests have them, in lower case.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};
const NO_DIGIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use refs_url::Digest;

    use super::*;

    proptest! {
        #[test]
        fn sha256_is_what_digests_say(text in prop_oneof!["sha(256|512):[0-9a-f]{62,66}", "sha256:[0-9a-fA-G]{64}", "\\PC{0,9}"]) {
            prop_assert_eq!(sha256(&text), Digest::parse(&text).ok().and_then(|digest| digest.to_sha256()));
        }
    }
}
