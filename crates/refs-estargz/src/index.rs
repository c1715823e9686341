//! A table of contents whose every claim has been checked, as far as the table alone can tell.

use std::{ops::Range, sync::Arc};

use refs_url::Digest;

use crate::{
    Entry, Error, Kind, Limits, LinkFault, Result, TocPart,
    chunks::Chunk,
    collect::Collector,
    entry::path_order,
    error::ChunkFault,
    path,
    toc::{self, Expected},
    wire::{self, Entries},
};

/// The checked table of contents of a layer.
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
    payload_bytes: u64,
    /// Ordered by path.
    entries: Vec<Entry>,
    /// For each entry, where its content is.
    contents: Vec<Option<Content>>,
    /// Ordered by place in the blob; those of one file follow each other.
    pub(crate) chunks: Vec<Chunk>,
}

/// Where an entry's content is.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The file that has it: the entry itself, or the target of the hard link.
    pub(crate) file: usize,
    /// Its place in [`Toc::chunks`].
    pub(crate) chunks: Range<usize>,
}

/// Links to links are followed so often; the format itself never makes more than one step necessary.
const LINK_STEPS: usize = 40;

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
        let (json, digest) = toc::json(toc_tar_gz, expected, limits)?;
        Self::from_json(&json, digest, toc_offset, limits)
    }

    fn from_json(json: &[u8], digest: Digest, payload_bytes: u64, limits: &Limits) -> Result<Self> {
        let parsed = wire::parse(json, limits.entries).map_err(|source| Error::Json { source: Arc::new(source) })?;
        if parsed.version != wire::VERSION {
            return Err(Error::Version { version: parsed.version });
        }
        let Entries::Within(wire_entries) = parsed.entries else {
            return Err(Error::TocLimit { part: TocPart::Entries, limit: limits.entries as u64 });
        };
        let mut collector = Collector::new(limits, payload_bytes);
        for entry in &wire_entries {
            collector.add(entry)?;
        }
        let (entries, chunks) = collector.finish()?;
        Self::new(digest, payload_bytes, entries, chunks, limits)
    }

    /// Orders and ties together what was collected in the order of the table.
    fn new(
        digest: Digest,
        payload_bytes: u64,
        unordered: Vec<Entry>,
        mut chunks: Vec<Chunk>,
        limits: &Limits,
    ) -> Result<Self> {
        order_chunks(&mut chunks, &unordered, payload_bytes)?;
        let (mut entries, places) = order_entries(unordered);
        for chunk in &mut chunks {
            chunk.entry = places[chunk.entry].unwrap_or(HIDDEN);
        }
        check_tree(&entries)?;
        let mut contents = file_contents(&entries, &chunks);
        resolve_hardlinks(&mut entries, &mut contents, limits)?;
        Ok(Self { digest, payload_bytes, entries, contents, chunks })
    }

    /// All entries, ordered by [`path_order`]. Directories that no entry names, though others lie below them, are not
    /// made up.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at a path in the form of [`Entry::path`].
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.index_of(path).map(|index| &self.entries[index])
    }

    /// The index among [`Toc::entries`] of the entry at a path.
    pub fn index_of(&self, path: &str) -> Option<usize> {
        find(&self.entries, path)
    }

    /// The indexes of the entries below a directory, which follow each other; the directory itself is not among them.
    pub fn below(&self, directory: &str) -> Range<usize> {
        let is_below = |entry: &Entry| entry.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let start = self.entries.partition_point(|entry| path_order(&entry.path, directory).is_le());
        let count = self.entries[start..].partition_point(is_below);
        start..start + count
    }

    /// The file whose content the entry has: itself, or the one that a hard link names. `None` when it has no content.
    pub fn file_of(&self, index: usize) -> Option<usize> {
        self.content(index).map(|content| content.file)
    }

    /// The digest of the table itself.
    pub fn toc_digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes of the blob come before the table: where it starts.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    pub(crate) fn content(&self, index: usize) -> Option<&Content> {
        self.contents.get(index)?.as_ref()
    }
}

/// The entry of a chunk that belongs to a landmark.
const HIDDEN: usize = usize::MAX;

fn find(entries: &[Entry], path: &str) -> Option<usize> {
    entries.binary_search_by(|entry| path_order(&entry.path, path)).ok()
}

/// Orders chunks by their place in the blob, checks that they can lie so, and finds where each member ends.
fn order_chunks(chunks: &mut [Chunk], entries: &[Entry], payload_bytes: u64) -> Result<()> {
    chunks.sort_by_key(|chunk| (chunk.member.start, chunk.inner_offset));
    let fault = |chunk: &Chunk, fault| Error::Chunk { path: entries[chunk.entry].path.clone(), fault };
    for pair in chunks.windows(2) {
        let [before, chunk] = pair else { continue };
        if before.member.start == chunk.member.start && before.inner_end() > chunk.inner_offset {
            return Err(fault(chunk, ChunkFault::Overlap));
        }
        let continues = before.entry == chunk.entry && before.file_end() == chunk.file_offset;
        if chunk.file_offset != 0 && !continues {
            return Err(fault(chunk, ChunkFault::Order));
        }
    }
    if let Some(first) = chunks.first().filter(|first| first.file_offset != 0) {
        return Err(fault(first, ChunkFault::Order));
    }
    let (mut end, mut start) = (payload_bytes, payload_bytes);
    for chunk in chunks.iter_mut().rev() {
        if chunk.member.start != start {
            (end, start) = (start, chunk.member.start);
        }
        chunk.member.end = end;
    }
    Ok(())
}

/// Orders entries by path, leaves out those that are none of the user's, and says where each has gone.
fn order_entries(unordered: Vec<Entry>) -> (Vec<Entry>, Vec<Option<usize>>) {
    let mut places = vec![None; unordered.len()];
    let mut kept: Vec<(usize, Entry)> =
        unordered.into_iter().enumerate().filter(|(_, entry)| !is_hidden(&entry.path)).collect();
    kept.sort_by(|(_, left), (_, right)| path_order(&left.path, &right.path));
    for (place, (index, _)) in kept.iter().enumerate() {
        places[*index] = Some(place);
    }
    (kept.into_iter().map(|(_, entry)| entry).collect(), places)
}

fn is_hidden(entry_path: &str) -> bool {
    entry_path.is_empty() || path::is_format_file(entry_path)
}

/// Checks ordered entries for two with one path, and for those below something that is no directory: these would follow
/// it at once.
fn check_tree(entries: &[Entry]) -> Result<()> {
    for pair in entries.windows(2) {
        let [upper, next] = pair else { continue };
        match next.path.strip_prefix(upper.path.as_str()) {
            Some("") => return Err(Error::Duplicate { path: next.path.clone() }),
            Some(rest) if rest.starts_with('/') && !upper.is_directory() => {
                return Err(Error::NotDirectory { path: upper.path.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}

fn file_contents(entries: &[Entry], chunks: &[Chunk]) -> Vec<Option<Content>> {
    let content_of = |(file, entry): (usize, &Entry)| entry.is_file().then_some(Content { file, chunks: 0..0 });
    let mut contents: Vec<Option<Content>> = entries.iter().enumerate().map(content_of).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let Some(Some(content)) = contents.get_mut(chunk.entry) else { continue };
        if chunk.file_offset == 0 {
            content.chunks.start = index;
        }
        content.chunks.end = index + 1;
    }
    contents
}

/// Gives each hard link the content of the file at the end of its chain, and that file as its target.
///
/// A link by way of another has a longer target than the table spelt out for it. Those count as if it had, so that many
/// short links to one short link to a long path don't fill all memory.
fn resolve_hardlinks(entries: &mut [Entry], contents: &mut [Option<Content>], limits: &Limits) -> Result<()> {
    let mut added_bytes = 0;
    for index in 0..entries.len() {
        let Kind::Hardlink { target } = &entries[index].kind else { continue };
        let mut passed = vec![index];
        let file = follow(entries, contents, target, &mut passed).map_err(|fault| Error::Link {
            path: entries[index].path.clone(),
            target: target.clone(),
            fault,
        })?;
        // The links on the way are resolved, too: each is followed once, and not again for every link that leads to it.
        for link in passed {
            contents[link] = contents[file].clone();
        }
        let path = &entries[file].path;
        if path != target {
            added_bytes += path.len() as u64;
            if added_bytes > limits.toc_inflated {
                return Err(Error::TocLimit { part: TocPart::Inflated, limit: limits.toc_inflated });
            }
            entries[index].kind = Kind::Hardlink { target: path.clone() };
        }
    }
    Ok(())
}

/// The file at the end of the chain that goes on at `target`; the links on the way there are added to `passed`.
fn follow(
    entries: &[Entry],
    contents: &[Option<Content>],
    target: &str,
    passed: &mut Vec<usize>,
) -> Result<usize, LinkFault> {
    let mut target = target;
    for _ in 0..LINK_STEPS {
        let index = find(entries, target).ok_or(LinkFault::Missing)?;
        match (&contents[index], &entries[index].kind) {
            (Some(content), _) => return Ok(content.file),
            (None, Kind::Hardlink { target: next }) => target = next,
            (None, _) => return Err(LinkFault::NotFile),
        }
        passed.push(index);
    }
    Err(LinkFault::Circle)
}
