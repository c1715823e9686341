//! Searches an old tree for the chunks of files.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use refs_estargz::{Entry, FileChunk};
use refs_url::Digest;

use super::{delta::Found, ranges::Indexed};
use crate::{
    Error, Result,
    older::Older,
    receive::Hand,
    unpack::{OldFile, OldTree},
};

/// Longer chunks are fetched: each thread holds one in memory.
const LONGEST_CHUNK_BYTES: u64 = 64 << 20;
/// The tree is searched for files under other names where this much would have to be fetched: less is as well fetched with one
/// small request as looked for in all directories.
const WORTH_SEARCHING_BYTES: u64 = 16 << 10;
/// For each file that is not found under its name, so many of its size are read.
const TRIES: usize = 4;
/// A file that has none of the first chunks is given up.
const FIRST_CHUNKS: usize = 2;

/// A search for the content of files of a layer.
pub(super) struct Search<'s> {
    pub(super) archive: &'s Indexed,
    pub(super) tree: Option<&'s OldTree>,
    /// The files that are known by other entries than their own.
    pub(super) known: &'s BTreeMap<usize, Entry>,
    pub(super) older: &'s Older,
    /// Ends the search when nobody has it any more.
    pub(super) waited_for: &'s Weak<()>,
}

/// Files of one size whose content was not found under their names, and what may be it.
struct Alike {
    files: Vec<usize>,
    /// Paths in the old tree, the likeliest first.
    candidates: Vec<String>,
}

/// By where they start and their digest: the chunks that are looked for, and the files that they are of.
type Sought = HashMap<(u64, Digest), Vec<(usize, FileChunk)>>;

impl Search<'_> {
    /// Hands over what the tree has of `files`, and gives its chunks.
    ///
    /// # Errors
    /// Those of the hands; `Worker` when nobody waits any more.
    pub(super) fn run<H: Hand>(&self, files: &[usize], hands: &mut [H]) -> Result<Found> {
        let Some(tree) = self.tree else { return Ok(Found::new()) };
        let mut found = self.each(files, hands, |&file, hand, buffer| self.under_its_name(tree, file, hand, buffer))?;
        let lacking: Vec<usize> =
            files.iter().copied().filter(|&file| self.sought(file, &found).next().is_some()).collect();
        let bytes =
            |&file: &usize| self.sought(file, &found).map(|chunk| chunk.range.end - chunk.range.start).sum::<u64>();
        if lacking.iter().map(bytes).sum::<u64>() >= WORTH_SEARCHING_BYTES {
            let alike = self.alike(tree, &lacking);
            let elsewhere = self
                .each(&alike, hands, |alike, hand, buffer| self.under_other_names(tree, alike, &found, hand, buffer))?;
            found.extend(elsewhere);
        }
        Ok(found)
    }

    /// The chunks of a file that would have to be fetched.
    pub(super) fn sought(&self, file: usize, found: &Found) -> impl Iterator<Item = FileChunk> {
        let is_sought = |chunk: &FileChunk| {
            let is_at_hand = chunk.range.start >= self.archive.held_from() || found.contains(&chunk.id);
            chunk.bytes > 0 && chunk.bytes <= LONGEST_CHUNK_BYTES && !is_at_hand
        };
        self.archive.toc().chunks_of(file).filter(is_sought)
    }

    /// What the old file at the same path has of a file.
    fn under_its_name<H: Hand>(
        &self,
        tree: &OldTree,
        file: usize,
        hand: &mut H,
        buffer: &mut Vec<u8>,
    ) -> Result<Found> {
        let (entry, mut found) = (self.entry(file), Found::new());
        let Some(old) = tree.file(&entry.path) else { return Ok(found) };
        for chunk in self.sought(file, &Found::new()) {
            // A file of one chunk whose size has changed is another: there is no need to hash it.
            let may_be = chunk.bytes < entry.size() || old.size == chunk.bytes;
            if may_be && read(&old, &chunk, buffer) == Some(chunk.digest) {
                self.give(&entry, chunk.offset, buffer, hand)?;
                found.insert(chunk.id);
            }
        }
        Ok(found)
    }

    /// Old files of the sizes of those that are `lacking`.
    fn alike(&self, tree: &OldTree, lacking: &[usize]) -> Vec<Alike> {
        let mut sizes: HashMap<u64, Alike> = HashMap::new();
        let mut names = BTreeSet::new();
        for &file in lacking {
            let entry = self.entry(file);
            names.insert(name_of(&entry.path).to_owned());
            let new = || Alike { files: Vec::new(), candidates: Vec::new() };
            sizes.entry(entry.size()).or_insert_with(new).files.push(file);
        }
        for (path, size) in tree.files(|size| sizes.contains_key(&size)) {
            if let Some(alike) = sizes.get_mut(&size) {
                alike.candidates.push(path);
            }
        }
        let mut alike: Vec<Alike> = sizes.into_values().filter(|alike| !alike.candidates.is_empty()).collect();
        for Alike { files, candidates } in &mut alike {
            // One of the same name was moved, most likely; one that is wanted under its own name may be what it was.
            let is_wanted = |path: &str| self.archive.toc().index_of(path).is_some();
            candidates.sort_by_cached_key(|path| (!names.contains(name_of(path)), is_wanted(path), path.clone()));
            candidates.truncate(files.len().saturating_mul(TRIES));
        }
        alike
    }

    /// What old files of the same size have of files.
    fn under_other_names<H: Hand>(
        &self,
        tree: &OldTree,
        alike: &Alike,
        found: &Found,
        hand: &mut H,
        buffer: &mut Vec<u8>,
    ) -> Result<Found> {
        let (mut sought, mut elsewhere) = (Sought::new(), Found::new());
        let mut parts = BTreeSet::new();
        for &file in &alike.files {
            for chunk in self.sought(file, found) {
                parts.insert((chunk.offset, chunk.bytes));
                sought.entry((chunk.offset, chunk.digest.clone())).or_default().push((file, chunk));
            }
        }
        for path in &alike.candidates {
            if sought.is_empty() {
                break;
            }
            self.check_waited_for()?;
            let Some(old) = tree.file(path) else { continue };
            let mut missed = 0;
            for &(offset, bytes) in &parts {
                if missed == FIRST_CHUNKS {
                    break;
                }
                let Some(wanting) =
                    digest_of(&old, offset, bytes, buffer).and_then(|digest| sought.remove(&(offset, digest)))
                else {
                    missed += 1;
                    continue;
                };
                missed = 0;
                for (file, chunk) in wanting {
                    self.give(&self.entry(file), chunk.offset, buffer, hand)?;
                    elsewhere.insert(chunk.id);
                }
            }
        }
        Ok(elsewhere)
    }

    fn give(&self, entry: &Entry, offset: u64, bytes: &[u8], hand: &mut impl Hand) -> Result<()> {
        hand.piece(entry, offset, bytes)?;
        self.older.add_from_tree(bytes.len() as u64);
        Ok(())
    }

    pub(super) fn entry(&self, file: usize) -> Cow<'_, Entry> {
        match self.known.get(&file) {
            Some(entry) => Cow::Borrowed(entry),
            None => Cow::Owned(self.archive.toc().entry_at(file)),
        }
    }

    pub(super) fn check_waited_for(&self) -> Result<()> {
        if self.waited_for.strong_count() == 0 { Err(Error::Worker) } else { Ok(()) }
    }

    /// Does `work` on each of `items`, in as many threads as there are hands.
    fn each<T: Sync, H: Hand>(
        &self,
        items: &[T],
        hands: &mut [H],
        work: impl Fn(&T, &mut H, &mut Vec<u8>) -> Result<Found> + Sync,
    ) -> Result<Found> {
        let next = AtomicUsize::new(0);
        let work = |hand: &mut H| {
            let (mut found, mut buffer) = (Found::new(), Vec::new());
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.check_waited_for()?;
                found.extend(work(item, hand, &mut buffer)?);
            }
            Ok(found)
        };
        let work = &work;
        thread::scope(|scope| {
            let mut hands = hands.iter_mut();
            // One of them is this thread: others that can't be had make it slower only.
            let own = hands.next();
            let spawn = |hand| thread::Builder::new().spawn_scoped(scope, move || work(hand)).ok();
            let workers: Vec<_> = hands.filter_map(spawn).collect();
            let mut found = own.map_or(Err(Error::Worker), work)?;
            for worker in workers {
                found.extend(worker.join().unwrap_or(Err(Error::Worker))?);
            }
            Ok(found)
        })
    }
}

/// The digest of what a file has in the place of a chunk, whose bytes are in `buffer` then.
fn read(old: &OldFile, chunk: &FileChunk, buffer: &mut Vec<u8>) -> Option<Digest> {
    digest_of(old, chunk.offset, chunk.bytes, buffer)
}

fn digest_of(old: &OldFile, offset: u64, bytes: u64, buffer: &mut Vec<u8>) -> Option<Digest> {
    old.read(offset, bytes, buffer).then(|| Digest::sha256(buffer))
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
