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
//! All of this depends on the entries, their content and the options alone. Threads get segments in batches, and the
//! members are put into the blob in order, so that neither the number of threads nor their speed shows in a byte.

use std::{
    io::{self, Read, Write},
    mem,
    num::NonZeroUsize,
    sync::Arc,
};

use refs_url::{Digest, Hasher};

use crate::{
    ActualSize, Built, Error, FieldFault, Footer, Kind, Limits, Result, TocPart,
    batch::{Batch, Behind},
    emit::{Emitter, write_error},
    gzip::{Deflater, LongMember},
    header,
    parallel::{InOrder, Lost},
    path,
    table::{FirstChunk, Table},
    text::Text,
    time,
    tree::Tree,
};

/// How to write a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// Compression level, from 0 to 9. Default: 6.
    pub level: u32,
    /// How many bytes of a file one member has at most. Default: 1 MiB.
    pub chunk_bytes: usize,
    /// How many threads deflate and hash content; the bytes of the layer do not depend on it. With one, the thread that
    /// appends does so itself and no other is started. With more, as many are started, and the thread that appends only
    /// reads content and writes the output. Up to `threads` + 5 times `chunk_bytes` and 256 KiB are then on their way,
    /// both deflated and not, so that memory is bounded whatever the files are. Default: 1.
    pub threads: NonZeroUsize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { level: 6, chunk_bytes: 1 << 20, threads: NonZeroUsize::MIN }
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

/// Writes a layer to `W`, entry by entry, in the order in which they are appended.
///
/// The same entries in the same order with the same options give the same bytes. Order them by
/// [`path_order`](crate::path_order), so that each directory is one run of the blob, and put the files that are wanted
/// first last, after [`Writer::begin_hot`].
///
/// Dropped before [`finish`](Self::finish), it stops its threads and leaves what was written without a table of contents.
#[derive(Debug)]
pub struct Writer<W: Write> {
    level: u32,
    chunk_bytes: usize,
    limits: Limits,
    tree: Tree,
    table: Table,
    entries: u64,
    /// What is not given out yet.
    batch: Batch,
    deflaters: InOrder<Batch, io::Result<Batch>>,
    /// Batches that have come back, for their room.
    spare: Vec<Batch>,
    emitter: Emitter<W>,
    chunks: ChunkCounts,
    hot: Hot,
    progress: Progress,
}

/// How many chunks were read, and how many of them are in the blob.
#[derive(Debug, Default)]
struct ChunkCounts {
    read: u64,
    placed: u64,
}

/// Where the files lie that are wanted first.
#[derive(Debug, Clone, Copy)]
enum Hot {
    /// There are none.
    Absent,
    /// They start with this chunk.
    From { chunk: u64 },
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
/// From so many bytes on a batch is worth giving out.
const BATCH_BYTES: usize = 128 << 10;

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
        let level = options.level;
        let deflaters = InOrder::new(options.threads.get(), || {
            let mut deflater = Deflater::new(level);
            Box::new(move |mut batch: Batch| batch.deflate(&mut deflater).map(|()| batch))
        });
        let mut writer = Self {
            level,
            chunk_bytes: options.chunk_bytes,
            limits,
            tree: Tree::default(),
            table: Table::new()?,
            entries: 0,
            batch: Batch::with_room(options.chunk_bytes),
            deflaters,
            spare: Vec::new(),
            emitter: Emitter::new(output),
            chunks: ChunkCounts::default(),
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
        self.hot = Hot::From { chunk: self.chunks.read };
    }

    /// Writes the table of contents and the footer, and flushes the output.
    ///
    /// # Errors
    ///
    /// [`Error::TocLimit`] when the table is too large to be read again; [`Error::Write`]; [`Error::Abandoned`].
    pub fn finish(mut self) -> Result<Built> {
        self.check_whole()?;
        self.batch.cut();
        self.give_out()?;
        while self.emit_oldest()? {}
        let text = mem::replace(&mut self.table, Table::new()?).finish()?;
        if text.bytes() > self.limits.toc_inflated {
            return Err(Error::TocLimit { part: TocPart::Inflated, limit: self.limits.toc_inflated });
        }
        let toc_offset = self.emitter.offset();
        let toc_digest = self.write_toc(text)?;
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
            toc_digest,
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
        if elements.saturating_add(self.table.elements()) > self.limits.entries as u64 {
            return Err(Error::TocLimit { part: TocPart::Entries, limit: self.limits.entries as u64 });
        }
        Ok(())
    }

    fn write_entry(&mut self, entry: &NewEntry, content: &mut dyn Read) -> Result<()> {
        header::append(self.batch.tar(), entry);
        match entry.kind {
            Kind::File { size: 0 } => {
                self.table.push_file(entry, FirstChunk::Absent)?;
                check_end(entry, content)?;
            }
            Kind::File { size } => self.write_content(entry, size, content)?,
            _ => self.table.push(entry)?,
        }
        if self.batch.run_bytes() > RUN_BYTES {
            self.cut()?;
        }
        Ok(())
    }

    /// Reads the content, and starts a segment for each chunk of it.
    fn write_content(&mut self, entry: &NewEntry, size: u64, content: &mut dyn Read) -> Result<()> {
        let chunk_bytes = self.chunk_bytes as u64;
        let is_one_chunk = size <= chunk_bytes;
        self.table.push_file(entry, if is_one_chunk { FirstChunk::Whole } else { FirstChunk::Part(chunk_bytes) })?;
        let mut whole = Hasher::sha256();
        for offset in (0..size).step_by(self.chunk_bytes) {
            self.cut()?;
            let bytes = (size - offset).min(chunk_bytes);
            let (behind, stated) = if offset + bytes < size { (Behind::More, bytes) } else { (Behind::Nothing, 0) };
            if offset > 0 {
                self.table.push_chunk(offset, stated)?;
            }
            let read = self.batch.read_chunk(bytes, behind, content).map_err(|fault| fault.of(entry, size, offset))?;
            self.chunks.read += 1;
            if !is_one_chunk {
                whole.update(read);
            }
        }
        if !is_one_chunk {
            self.table.set_digest(whole.finish())?;
        }
        header::pad(self.batch.tar(), size);
        Ok(())
    }

    /// Starts another segment, in another batch when this one is worth giving out.
    fn cut(&mut self) -> Result<()> {
        self.batch.cut();
        if self.batch.raw().len() < BATCH_BYTES {
            return Ok(());
        }
        self.give_out()?;
        while self.deflaters.pending() > self.deflaters.capacity() {
            self.emit_oldest()?;
        }
        Ok(())
    }

    fn give_out(&mut self) -> Result<()> {
        let next = self.spare.pop().unwrap_or_else(|| Batch::with_room(self.chunk_bytes));
        let batch = mem::replace(&mut self.batch, next);
        self.deflaters.give(batch).map_err(|Lost| Error::Worker)
    }

    /// Puts the members of the oldest batch into the blob, if there is one.
    fn emit_oldest(&mut self) -> Result<bool> {
        let Some(deflated) = self.deflaters.take() else { return Ok(false) };
        let batch = deflated.map_err(|Lost| Error::Worker)?.map_err(write_error)?;
        let mut offset = self.emitter.offset();
        let (bytes, members) = batch.members();
        for member in members {
            if let Some(digest) = &member.chunk {
                if matches!(self.hot, Hot::From { chunk } if self.chunks.placed >= chunk) {
                    self.hot = Hot::At { offset };
                }
                self.chunks.placed += 1;
                self.table.place(offset, digest.clone())?;
            }
            offset += member.bytes as u64;
        }
        self.emitter.emit(batch.raw(), bytes)?;
        self.spare.push(batch.cleared());
        Ok(true)
    }

    /// Writes the member of the table, which also ends the archive, and gives the table's digest.
    fn write_toc(&mut self, text: Text) -> Result<Digest> {
        let size = text.bytes();
        let entry = NewEntry { path: path::TOC_NAME.to_owned(), kind: Kind::File { size }, mode: 0o644, mtime: 0 };
        let (mut head, mut end) = (Vec::new(), Vec::new());
        header::append(&mut head, &entry);
        header::pad(&mut end, size);
        header::end(&mut end);
        let raw_bytes = head.len() as u64 + size + end.len() as u64;
        let (digest, text) = text.finish()?;
        let (toc_offset, limit) = (self.emitter.offset(), self.limits.toc_compressed);
        let mut member = LongMember::new(self.level, head.as_slice().chain(text).chain(end.as_slice()), raw_bytes);
        while let Some((raw, deflated)) = member.next().map_err(write_error)? {
            self.emitter.emit(raw, deflated)?;
            if self.emitter.offset() - toc_offset > limit {
                return Err(Error::TocLimit { part: TocPart::Compressed, limit });
            }
        }
        Ok(digest)
    }
}

/// Makes sure that an empty file is one.
fn check_end(entry: &NewEntry, content: &mut dyn Read) -> Result<()> {
    let path = || entry.path.clone();
    match content.take(1).read_to_end(&mut Vec::new()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::SizeChanged { path: path(), declared: 0, actual: ActualSize::GoesOn }),
        Err(source) => Err(Error::Content { path: path(), source: Arc::new(source) }),
    }
}
