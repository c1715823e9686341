//! From what the table of contents says, element by element, to checked entries and chunks.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use refs_url::Digest;

use crate::{
    Entry, Error, Kind, Limits, Result,
    chunks::Chunk,
    error::{ChunkFault, FieldFault},
    path, time,
    wire::{WireEntry, WireKind},
};

/// Takes the elements in the order of the table, where the chunks of a file follow it.
#[derive(Debug)]
pub(crate) struct Collector<'l> {
    limits: &'l Limits,
    payload_bytes: u64,
    entries: Vec<Entry>,
    chunks: Vec<Chunk>,
    /// The file that was met last, while more chunks of it may follow.
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    entry: usize,
    size: u64,
    /// How many of its bytes the chunks so far have.
    covered: u64,
}

impl<'l> Collector<'l> {
    pub(crate) fn new(limits: &'l Limits, payload_bytes: u64) -> Self {
        Self { limits, payload_bytes, entries: Vec::new(), chunks: Vec::new(), open: None }
    }

    pub(crate) fn add(&mut self, wire: &WireEntry<'_>) -> Result<()> {
        if wire.kind == WireKind::Chunk {
            return self.add_chunk(wire, None);
        }
        self.close()?;
        let entry = self.entry(wire)?;
        let (size, digest) = (entry.size(), entry.digest.as_ref().and_then(Digest::to_sha256));
        let is_file = entry.is_file();
        self.entries.push(entry);
        if size > 0 {
            self.open = Some(OpenFile { entry: self.entries.len() - 1, size, covered: 0 });
            self.add_chunk(wire, digest)?;
        } else if is_file && digest.is_some() && digest != Digest::sha256(&[]).to_sha256() {
            return Err(self.chunk_fault(ChunkFault::Digest));
        }
        Ok(())
    }

    /// Everything that was added: entries in the order of the table, chunks that refer to them by index.
    pub(crate) fn finish(mut self) -> Result<(Vec<Entry>, Vec<Chunk>)> {
        self.close()?;
        Ok((self.entries, self.chunks))
    }

    /// No more chunks of the open file follow.
    fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some(file) if file.covered != file.size => Err(self.chunk_fault(ChunkFault::Sum)),
            _ => Ok(()),
        }
    }

    /// Adds the chunk that `wire` describes to the open file; `whole` is the digest of that file, if `wire` is the
    /// element that says it.
    fn add_chunk(&mut self, wire: &WireEntry<'_>, whole: Option<[u8; 32]>) -> Result<()> {
        let chunk = self.chunk(wire, whole).map_err(|fault| self.chunk_fault(fault))?;
        if let Some(file) = &mut self.open {
            file.covered = chunk.file_end();
        }
        self.chunks.push(chunk);
        Ok(())
    }

    fn chunk(&self, wire: &WireEntry<'_>, whole: Option<[u8; 32]>) -> Result<Chunk, ChunkFault> {
        let file = self.open.as_ref().ok_or(ChunkFault::Orphan)?;
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
        Ok(Chunk {
            entry: file.entry,
            file_offset: file.covered,
            bytes,
            // Where a member ends is known when all of them are.
            member: wire.offset..wire.offset,
            inner_offset: wire.inner_offset,
            sha256: chunk_digest(wire, whole.filter(|_| bytes == file.size))?,
        })
    }

    fn entry(&self, wire: &WireEntry<'_>) -> Result<Entry> {
        let path = path::normal_path(&wire.name, self.limits)?;
        let fault = |fault| Error::Field { path: path.clone(), fault };
        let kind = self.kind(wire, &path)?;
        if path.is_empty() && kind != Kind::Directory {
            return Err(Error::Path { path, fault: crate::PathFault::Empty });
        }
        let mtime = match &*wire.mtime {
            "" => 0,
            text => time::parse(text).ok_or_else(|| fault(FieldFault::Mtime))?,
        };
        let owner = |id: i64| u32::try_from(id).ok().ok_or_else(|| fault(FieldFault::Owner));
        Ok(Entry {
            mode: (wire.mode & 0o7777) as u32,
            mtime,
            uid: owner(wire.uid)?,
            gid: owner(wire.gid)?,
            xattrs: self.xattrs(wire).map_err(fault)?,
            digest: file_digest(wire).map_err(fault)?,
            kind,
            path,
        })
    }

    fn kind(&self, wire: &WireEntry<'_>, path: &str) -> Result<Kind> {
        let (major, minor) = (wire.dev_major, wire.dev_minor);
        Ok(match wire.kind {
            WireKind::Dir => Kind::Directory,
            WireKind::Reg | WireKind::Chunk => Kind::File { size: wire.size },
            WireKind::Symlink => {
                path::check_target(path, &wire.link_name, self.limits)?;
                Kind::Symlink { target: wire.link_name.clone().into_owned() }
            }
            WireKind::Hardlink => {
                path::check_target(path, &wire.link_name, self.limits)?;
                Kind::Hardlink { target: path::normal_path(&wire.link_name, self.limits)? }
            }
            WireKind::Char => Kind::CharDevice { major, minor },
            WireKind::Block => Kind::BlockDevice { major, minor },
            WireKind::Fifo => Kind::Fifo,
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
        Error::Chunk { path: self.entries.last().map_or_else(String::new, |entry| entry.path.clone()), fault }
    }
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

fn file_digest(wire: &WireEntry<'_>) -> Result<Option<Digest>, FieldFault> {
    match (wire.kind, &*wire.digest) {
        (WireKind::Reg, text) if !text.is_empty() => {
            let digest = Digest::parse(text).ok().ok_or(FieldFault::Digest)?;
            digest.to_sha256().map(|_| Some(digest)).ok_or(FieldFault::Digest)
        }
        _ => Ok(None),
    }
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    Digest::parse(text).ok()?.to_sha256()
}
