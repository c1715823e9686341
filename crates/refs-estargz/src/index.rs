//! A table of contents whose every claim has been checked, as far as the table alone can tell.

use std::{ops::Range, sync::Arc};

use refs_url::Digest;

use crate::{
    Entry, Error, Limits, Result,
    arena::{Rows, partition_point, places},
    chunks::{Chunks, Part, Place},
    collect::{Collected, Collector, FIRST_HIDDEN},
    contents::Contents,
    entry::path_order,
    error::ChunkFault,
    footer::{Packing, TocPlace},
    links,
    pieces::Pieces,
    record::{Record, Records, What},
    toc::{self, Expected},
};

/// The checked table of contents of a layer.
///
/// It takes about a hundred bytes of memory an entry, and makes an [`Entry`] when one is asked for. Clones, and the spans of
/// a plan, share them.
///
/// # Security
///
/// What is promised: the table is the one its digest names, entries have normal paths without `..`, none lies below a
/// file, hard links lead to files, and content read through [`Toc::plan`] is what the table says.
///
/// What is not: that the layer's tar stream says the same as the table. Someone who made both can show one set of files
/// to readers of ranges and another to those who unpack the whole. Where symbolic links point is not judged either.
#[derive(Debug, Clone)]
pub struct Toc {
    digest: Digest,
    contents: Arc<Contents>,
}

impl Toc {
    /// Reads and checks the table in `toc_tar_gz`: the bytes of the blob from `toc_offset` up to its footer.
    ///
    /// Landmarks, and the table itself if it is listed, are not among the entries; neither is the root directory.
    ///
    /// # Errors
    ///
    /// - [`Error::TocLimit`], [`Error::Path`], [`Error::Link`], [`Error::Chunk`], [`Error::Field`] when something exceeds
    ///   `limits` or can't be used,
    /// - [`Error::TocInflate`], [`Error::TocTar`], [`Error::Json`], [`Error::Version`] when it is malformed,
    /// - [`Error::TocDigest`] and [`Error::DigestAlgorithm`] when it is not, or can't be shown to be, what was expected;
    ///   this is decided before the JSON is parsed,
    /// - [`Error::Duplicate`], [`Error::NotDirectory`] when its entries contradict each other.
    pub fn parse(toc_tar_gz: &[u8], expected: Expected<'_>, toc_offset: u64, limits: &Limits) -> Result<Self> {
        let place = TocPlace { toc: toc_offset..toc_offset, payload_bytes: toc_offset, packing: Packing::Gzip };
        Self::parse_pieces(toc_tar_gz.into(), expected, &place, limits)
    }

    /// As [`Toc::parse`], for the table of a zstd:chunked layer: `toc_zst` is what is in its skippable frame, and
    /// `payload_bytes` says where that frame starts.
    ///
    /// # Errors
    ///
    /// As [`Toc::parse`].
    pub fn parse_zstd(toc_zst: &[u8], expected: Expected<'_>, payload_bytes: u64, limits: &Limits) -> Result<Self> {
        let place = TocPlace { toc: payload_bytes..payload_bytes, payload_bytes, packing: Packing::Zstd };
        Self::parse_pieces(toc_zst.into(), expected, &place, limits)
    }

    /// As [`Toc::parse`], for a table that was inflated before, as whoever reads the archive from its start to its end
    /// finds it there. It must have this digest.
    ///
    /// # Errors
    ///
    /// As [`Toc::parse`].
    pub fn parse_json(json: Vec<u8>, expected: &Digest, payload_bytes: u64, limits: &Limits) -> Result<Self> {
        let place = TocPlace { toc: payload_bytes..payload_bytes, payload_bytes, packing: Packing::Gzip };
        Self::of(toc::inflated(json, expected, limits)?, &place, limits)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.contents.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, ordered by [`path_order`]. Directories that no entry names, though others lie below them, are not
    /// made up.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.entry_at(index))
    }

    /// The entry at an index below [`Toc::len`], in the order of [`Toc::entries`].
    ///
    /// # Panics
    ///
    /// When there are not so many entries.
    pub fn entry_at(&self, index: usize) -> Entry {
        self.contents.records.entry(index)
    }

    /// The [`Entry::path`] of the entry at an index, which costs less than the entry.
    ///
    /// # Panics
    ///
    /// When there are not so many entries.
    pub fn path_at(&self, index: usize) -> &str {
        self.contents.records.path(index)
    }

    /// The entry at a path in the form of [`Entry::path`].
    pub fn entry(&self, path: &str) -> Option<Entry> {
        self.index_of(path).map(|index| self.entry_at(index))
    }

    /// The index among [`Toc::entries`] of the entry at a path.
    pub fn index_of(&self, path: &str) -> Option<usize> {
        self.contents.records.find(path)
    }

    /// The indexes of the entries below a directory, which follow each other; the directory itself is not among them.
    pub fn below(&self, directory: &str) -> Range<usize> {
        let is_below = |path: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let start = partition_point(0..self.len(), |index| path_order(self.path_at(index), directory).is_le());
        start..partition_point(start..self.len(), |index| is_below(self.path_at(index)))
    }

    /// The file whose content the entry has: itself, or the one that a hard link names. `None` when it has no content.
    pub fn file_of(&self, index: usize) -> Option<usize> {
        if index >= self.len() {
            return None;
        }
        match self.contents.records.rows[index].what {
            What::File { .. } => Some(index),
            What::Hardlink { file } => Some(file as usize),
            _ => None,
        }
    }

    /// The digest of the table itself.
    pub fn toc_digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes of the blob come before the table: where it starts, or the frame around it.
    pub fn payload_bytes(&self) -> u64 {
        self.contents.payload_bytes
    }

    pub(crate) fn contents(&self) -> &Arc<Contents> {
        &self.contents
    }

    /// As [`Toc::parse`], of bytes that are freed as they are read.
    pub(crate) fn parse_pieces(
        toc: Pieces<'_>,
        expected: Expected<'_>,
        place: &TocPlace,
        limits: &Limits,
    ) -> Result<Self> {
        Self::of(toc::json(toc, place.packing, expected, limits)?, place, limits)
    }

    fn of(json: toc::Json<'_>, place: &TocPlace, limits: &Limits) -> Result<Self> {
        let digest = json.digest.clone();
        let mut collector = Collector::new(limits, place.payload_bytes);
        json.entries(|entry| collector.add(entry))?;
        let contents = tied(collector.finish()?, place, limits)?;
        Ok(Self { digest, contents: Arc::new(contents) })
    }
}

/// Orders and ties together what was collected in the order of the table.
fn tied(collected: Collected, place: &TocPlace, limits: &Limits) -> Result<Contents> {
    let mut collected = collected;
    collected.chunks.sort();
    check_chunks(&collected)?;
    let Collected { mut records, mut chunks, .. } = collected;
    order_entries(&mut records, &mut chunks);
    check_tree(&records)?;
    find_content(&mut records.rows, &chunks);
    links::resolve(&mut records, limits)?;
    Ok(Contents { records, chunks, payload_bytes: place.payload_bytes, packing: place.packing })
}

/// Checks that ordered chunks can lie so.
fn check_chunks(collected: &Collected) -> Result<()> {
    let Collected { records, chunks, .. } = collected;
    let fault = |index: usize, fault| {
        let path = collected.path_of(chunks.place(index).entry).to_owned();
        Err(Error::Chunk { path, fault })
    };
    let mut before: Option<(&Place, Part)> = None;
    for index in 0..chunks.len() {
        let (place, chunk) = (chunks.place(index), chunks.part_in(records, index));
        let continues = match &before {
            Some((before, part)) if before.member == place.member && part.inner_end() > chunk.inner_offset => {
                return fault(index, ChunkFault::Overlap);
            }
            Some((before, part)) => before.entry == place.entry && part.file_end() == chunk.file_offset,
            None => false,
        };
        if chunk.file_offset != 0 && !continues {
            return fault(index, ChunkFault::Order);
        }
        before = Some((place, chunk));
    }
    Ok(())
}

/// Orders entries by path.
fn order_entries(records: &mut Records, chunks: &mut Chunks) {
    let in_order = |left: usize, right: usize| path_order(records.path(left), records.path(right));
    if (1..records.len()).all(|index| in_order(index - 1, index).is_le()) {
        return;
    }
    let mut order: Vec<u32> = (0..records.len() as u32).collect();
    order.sort_unstable_by(|left, right| in_order(*left as usize, *right as usize));
    let places = places(&order);
    for place in chunks.places_mut() {
        if let Some(&entry) = places.get(place.entry as usize) {
            place.entry = entry;
        }
    }
    records.rows.rearrange(places);
}

/// Checks ordered entries for two with one path, and for those below something that is no directory: these would follow
/// it at once.
fn check_tree(records: &Records) -> Result<()> {
    for index in 1..records.len() {
        let (upper, next) = (records.path(index - 1), records.path(index));
        match next.strip_prefix(upper) {
            Some("") => return Err(Error::Duplicate { path: next.to_owned() }),
            Some(rest) if rest.starts_with('/') && !matches!(records.rows[index - 1].what, What::Directory) => {
                return Err(Error::NotDirectory { path: upper.to_owned() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tells each file which chunk is its first.
fn find_content(records: &mut Rows<Record>, chunks: &Chunks) {
    for index in 0..chunks.len() {
        let entry = chunks.place(index).entry;
        if entry < FIRST_HIDDEN
            && chunks.part(index).is_none_or(|part| part.file_offset == 0)
            && let What::File { chunk, .. } = &mut records[entry as usize].what
        {
            *chunk = index as u32;
        }
    }
}
