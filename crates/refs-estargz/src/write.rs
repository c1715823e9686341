//! Writes a layer: one tar archive, one gzip file, and one eStargz blob.
//!
//! # Where members start
//!
//! The archive is cut into segments, each deflated for itself to a gzip member, and the blob is the members one after the
//! other, then the table of contents, then the footer. A segment starts
//!
//! - at the start of the archive, which is the header of the landmark,
//! - at the content of each file that is not empty, and again every [`WriteOptions::chunk_bytes`] of it,
//! - after [`RUN_BYTES`] of headers without content between them, at the end of the entry that reaches them,
//! - at the header of the table of contents.
//!
//! So the padding behind a file and the headers of what follows are in the member of its last chunk, as in the layers of
//! the reference implementation. A member of their own would buy nothing: the table of contents does not say where a
//! member ends, so every reader takes it to reach to the next content, headers included; and each would cost 20 bytes
//! and a deflate block, a tenth of a layer of small files. Independence costs nothing either, as headers are cheap
//! to make: whoever walks the files in order has all bytes of a segment in hand before any of it is deflated. The bound on
//! a run of headers keeps a segment small whatever the entries are.
//!
//! All of this depends on the entries, their content and the options alone.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use refs_url::{Digest, Hasher};

use crate::{
    ActualSize, Error, FieldFault, Footer, Kind, Limits, Result, TAIL_ANNOTATION, TOC_DIGEST_ANNOTATION, TocPart,
    UNCOMPRESSED_SIZE_ANNOTATION,
    emit::Emitter,
    gzip::Deflater,
    header, path,
    segment::{ChunkOf, Segment, SegmentChunk},
    time,
    tree::Tree,
    wire::{self, WireEntry, WireToc},
};

/// How to write a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// Compression level, from 0 to 9. Default: 6.
    pub level: u32,
    /// How many bytes of a file one member has at most. Default: 1 MiB.
    pub chunk_bytes: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { level: 6, chunk_bytes: 1 << 20 }
    }
}

/// An entry to write. Owner and group are always 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The path, in the form of [`Entry::path`](crate::Entry::path).
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions: the low twelve bits; others are dropped.
    pub mode: u32,
    /// Modification time, in seconds since 1970.
    pub mtime: i64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The digest of the blob.
    pub digest: Digest,
    /// How many bytes the blob has.
    pub size: u64,
    /// The digest of the tar archive in it, for the image's configuration.
    pub diff_id: Digest,
    /// The digest of the table of contents, for [`TOC_DIGEST_ANNOTATION`].
    pub toc_digest: Digest,
    /// How many bytes the tar archive has, for [`UNCOMPRESSED_SIZE_ANNOTATION`].
    pub uncompressed_size: u64,
    /// How many bytes at the end hold hot files, table and footer, for [`TAIL_ANNOTATION`].
    pub tail_bytes: u64,
    /// How many entries were appended.
    pub entries: u64,
}

impl Built {
    /// The annotations to put on the layer's descriptor, so that readers can verify the table of contents and find it at
    /// once.
    pub fn annotations(&self) -> [(&'static str, String); 3] {
        [
            (TOC_DIGEST_ANNOTATION, self.toc_digest.to_string()),
            (UNCOMPRESSED_SIZE_ANNOTATION, self.uncompressed_size.to_string()),
            (TAIL_ANNOTATION, self.tail_bytes.to_string()),
        ]
    }
}

/// Writes a layer to `W`, entry by entry, in the order in which they are appended.
///
/// The same entries in the same order with the same options give the same bytes. Order them by
/// [`path_order`](crate::path_order), so that each directory is one run of the blob, and put the files that are wanted
/// first last, after [`Writer::begin_hot`].
#[derive(Debug)]
pub struct Writer<W: Write> {
    chunk_bytes: usize,
    limits: Limits,
    tree: Tree,
    toc: Vec<WireEntry<'static>>,
    entries: u64,
    segment: Segment,
    deflater: Deflater,
    /// The member that was deflated last; kept for its capacity.
    member: Vec<u8>,
    emitter: Emitter<W>,
    hot: Hot,
    progress: Progress,
}

/// Where the files lie that are wanted first.
#[derive(Debug, Clone, Copy)]
enum Hot {
    /// There are none.
    Absent,
    /// They start with this element of the table.
    From { element: usize },
    /// The member of the first of them that has content starts here.
    At { offset: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Whole,
    /// An error came in the middle of an entry.
    Torn,
}

/// After so many bytes of headers without content between them a new member starts.
const RUN_BYTES: usize = 64 << 10;

impl<W: Write> Writer<W> {
    /// A writer of a layer without entries; the landmark that lazy readers look for is in it.
    ///
    /// # Errors
    ///
    /// [`Error::Level`], [`Error::ChunkBytes`], and [`Error::Write`].
    pub fn new(output: W, options: &WriteOptions) -> Result<Self> {
        let limits = Limits::default();
        if options.level > 9 {
            return Err(Error::Level { level: options.level });
        }
        if options.chunk_bytes == 0 || options.chunk_bytes as u64 > limits.chunk {
            return Err(Error::ChunkBytes { chunk_bytes: options.chunk_bytes, limit: limits.chunk });
        }
        let mut writer = Self {
            chunk_bytes: options.chunk_bytes,
            limits,
            tree: Tree::default(),
            toc: Vec::new(),
            entries: 0,
            segment: Segment::default(),
            deflater: Deflater::new(options.level),
            member: Vec::new(),
            emitter: Emitter::new(output),
            hot: Hot::Absent,
            progress: Progress::Whole,
        };
        let kind = Kind::File { size: path::LANDMARK_CONTENT.len() as u64 };
        let landmark = NewEntry { path: path::NO_PREFETCH_LANDMARK.to_owned(), kind, mode: 0o644, mtime: 0 };
        writer.write_entry(&landmark, &mut &path::LANDMARK_CONTENT[..])?;
        Ok(writer)
    }

    /// Appends an entry. `content` is read to its end if the entry is a file, and not at all otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], [`Error::Link`], [`Error::Field`], [`Error::Duplicate`], [`Error::NotDirectory`] and
    /// [`Error::TocLimit`] when the entry can't be in the layer: it is as if it had not been appended.
    ///
    /// [`Error::Content`], [`Error::SizeChanged`] and [`Error::Write`] leave the blob torn: all that comes after is
    /// [`Error::Abandoned`].
    pub fn append(&mut self, entry: &NewEntry, content: &mut dyn Read) -> Result<()> {
        self.check_whole()?;
        self.check_entry(entry)?;
        self.tree.add(entry)?;
        self.progress = Progress::Torn;
        self.write_entry(entry, content)?;
        self.progress = Progress::Whole;
        self.entries += 1;
        Ok(())
    }

    /// Says that the entries from here on are those wanted first: [`Built::tail_bytes`] will reach back to them. The last
    /// call counts.
    pub fn begin_hot(&mut self) {
        self.hot = Hot::From { element: self.toc.len() };
    }

    /// Writes the table of contents and the footer, and flushes the output.
    ///
    /// # Errors
    ///
    /// [`Error::TocLimit`] when the table is too large to be read again; [`Error::Write`]; [`Error::Abandoned`].
    pub fn finish(mut self) -> Result<Built> {
        self.check_whole()?;
        self.cut()?;
        let json = self.toc_json()?;
        let toc_offset = self.emitter.offset();
        self.write_toc(&json)?;
        let hot_offset = match self.hot {
            Hot::At { offset } => offset,
            Hot::Absent | Hot::From { .. } => toc_offset,
        };
        self.emitter.emit(&[], &Footer::encode(toc_offset))?;
        let emitted = self.emitter.finish()?;
        Ok(Built {
            digest: emitted.digest,
            size: emitted.bytes,
            diff_id: emitted.tar_digest,
            toc_digest: Digest::sha256(&json),
            uncompressed_size: emitted.tar_bytes,
            tail_bytes: emitted.bytes - hot_offset,
            entries: self.entries,
        })
    }

    fn check_whole(&self) -> Result<()> {
        match self.progress {
            Progress::Whole => Ok(()),
            Progress::Torn => Err(Error::Abandoned),
        }
    }

    fn check_entry(&self, entry: &NewEntry) -> Result<()> {
        path::check_new(&entry.path, &self.limits)?;
        let fault = |fault| Err(Error::Field { path: entry.path.clone(), fault });
        match &entry.kind {
            Kind::Symlink { target } | Kind::Hardlink { target } => {
                path::check_target(&entry.path, target, &self.limits)?;
            }
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }
                if *major.max(minor) > header::DEVICE_MAX =>
            {
                return fault(FieldFault::Device);
            }
            _ => {}
        }
        if !time::WRITABLE.contains(&entry.mtime) {
            return fault(FieldFault::Mtime);
        }
        let size = if let Kind::File { size } = entry.kind { size } else { 0 };
        let elements = size.div_ceil(self.chunk_bytes as u64).max(1);
        if elements.saturating_add(self.toc.len() as u64) > self.limits.entries as u64 {
            return Err(Error::TocLimit { part: TocPart::Entries, limit: self.limits.entries as u64 });
        }
        Ok(())
    }

    fn write_entry(&mut self, entry: &NewEntry, content: &mut dyn Read) -> Result<()> {
        header::append(self.segment.tar(), entry);
        self.toc.push(WireEntry::of(entry));
        if let Kind::File { size } = entry.kind {
            self.write_content(entry, size, content)?;
            check_end(entry, size, content)?;
        }
        if self.segment.run_bytes() > RUN_BYTES {
            self.cut()?;
        }
        Ok(())
    }

    /// Reads the content, and starts a segment for each chunk of it.
    fn write_content(&mut self, entry: &NewEntry, size: u64, content: &mut dyn Read) -> Result<()> {
        let first = self.toc.len() - 1;
        let is_one_chunk = size <= self.chunk_bytes as u64;
        let mut whole = Hasher::sha256();
        for offset in (0..size).step_by(self.chunk_bytes) {
            self.cut()?;
            if offset > 0 {
                self.toc.push(WireEntry::chunk_of(entry, offset));
            }
            let bytes = (size - offset).min(self.chunk_bytes as u64);
            let chunk = SegmentChunk {
                element: self.toc.len() - 1,
                of: if is_one_chunk { ChunkOf::File } else { ChunkOf::Part },
            };
            let read = self.segment.read_chunk(chunk, bytes, content).map_err(|fault| fault.of(entry, size, offset))?;
            if !is_one_chunk {
                whole.update(read);
            }
            if offset + bytes < size {
                self.toc[chunk.element].chunk_size = bytes;
            }
        }
        // The digest of a file that is one chunk is computed with that of the chunk.
        if size == 0 || !is_one_chunk {
            self.toc[first].digest = whole.finish().to_string().into();
        }
        header::pad(self.segment.tar(), size);
        Ok(())
    }

    /// Makes a member of the segment, and starts another.
    fn cut(&mut self) -> Result<()> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let deflated = self.segment.deflate(&mut self.deflater, &mut self.member);
        if let Some((chunk, digest)) = deflated.map_err(|source| Error::Write { source: Arc::new(source) })? {
            self.record(chunk, &digest);
        }
        self.emitter.emit(self.segment.raw(), &self.member)?;
        self.segment.clear();
        Ok(())
    }

    /// Notes in the table where the chunk is that the next member starts with.
    fn record(&mut self, chunk: SegmentChunk, digest: &Digest) {
        let (offset, element) = (self.emitter.offset(), &mut self.toc[chunk.element]);
        element.offset = offset;
        element.chunk_digest = digest.to_string().into();
        if chunk.of == ChunkOf::File {
            element.digest = digest.to_string().into();
        }
        if matches!(self.hot, Hot::From { element } if chunk.element >= element) {
            self.hot = Hot::At { offset };
        }
    }

    fn toc_json(&self) -> Result<Vec<u8>> {
        let toc = WireToc { version: wire::VERSION, entries: &self.toc };
        let json = serde_json::to_vec(&toc).map_err(|source| Error::Json { source: Arc::new(source) })?;
        if json.len() as u64 > self.limits.toc_inflated {
            Err(Error::TocLimit { part: TocPart::Inflated, limit: self.limits.toc_inflated })
        } else {
            Ok(json)
        }
    }

    /// Writes the member of the table, which also ends the archive.
    fn write_toc(&mut self, json: &[u8]) -> Result<()> {
        let size = json.len() as u64;
        let entry = NewEntry { path: path::TOC_NAME.to_owned(), kind: Kind::File { size }, mode: 0o644, mtime: 0 };
        header::append(self.segment.tar(), &entry);
        self.segment.tar().extend_from_slice(json);
        header::pad(self.segment.tar(), size);
        header::end(self.segment.tar());
        self.cut()?;
        if self.member.len() as u64 > self.limits.toc_compressed {
            Err(Error::TocLimit { part: TocPart::Compressed, limit: self.limits.toc_compressed })
        } else {
            Ok(())
        }
    }
}

/// Makes sure that no content follows the declared size.
fn check_end(entry: &NewEntry, declared: u64, content: &mut dyn Read) -> Result<()> {
    match content.take(1).read_to_end(&mut Vec::new()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::SizeChanged { path: entry.path.clone(), declared, actual: ActualSize::GoesOn }),
        Err(source) => Err(Error::Content { path: entry.path.clone(), source: Arc::new(source) }),
    }
}
