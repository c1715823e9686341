//! A cache in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Debug},
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, Error, ErrorKind, Part, Result, Resume, Source, Verify,
    error::{Detail, Wanted},
};
use refs_url::{Digest, Tag};

use super::{
    Memory,
    flights::Flights,
    recency::{Item, Recency},
};
use crate::{
    file::blocking,
    flight::Flight,
    record::TagRecord,
    store::{Checked, Fill, Origin, Store, not_cached, wrong_size},
};

/// A [`Store`] in memory, whose tasks wait for each other when they want the same content. A clone is cheap and shows the same
/// content.
#[derive(Clone)]
pub struct MemoryStore {
    content: Memory,
    notes: Arc<Mutex<Notes>>,
    flights: Arc<Flights>,
    max_bytes: u64,
}

#[derive(Default)]
struct Notes {
    tags: BTreeMap<(Origin, Tag), TagRecord>,
    members: BTreeSet<(Origin, Digest)>,
    pins: BTreeSet<Digest>,
    parts: BTreeMap<(Origin, Digest), Vec<KeptPart>>,
    seek_indexes: BTreeMap<Digest, Bytes>,
    recency: Recency,
}

/// Bytes of content that is not here as a whole.
struct KeptPart {
    range: Range<u64>,
    total: u64,
    bytes: Bytes,
}

/// Bytes on their way in.
struct MemoryFill {
    store: MemoryStore,
    origin: Origin,
    digest: Digest,
    what: Filled,
    size: u64,
    bytes: BytesMut,
    flight: Option<Flight>,
}

enum Filled {
    Whole,
    Part { range: Range<u64>, total: u64 },
}

impl MemoryStore {
    /// A store with nothing in it, without bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(u64::MAX)
    }

    /// A store with nothing in it that keeps so many bytes of content, parts of content and seek indexes: what nobody has read
    /// for the longest time goes first. What is pinned stays beyond that; marks and records of tags are not counted.
    #[must_use]
    pub fn bounded(max_bytes: u64) -> Self {
        Self { content: Memory::new(), notes: Arc::default(), flights: Arc::default(), max_bytes }
    }

    fn begin(&self, origin: &Origin, digest: &Digest, size: u64, what: Filled) -> Box<dyn Fill> {
        let (store, origin, digest) = (self.clone(), origin.clone(), digest.clone());
        Box::new(MemoryFill { store, origin, digest, what, size, bytes: BytesMut::new(), flight: None })
    }

    /// Removes what is too much by now.
    fn evict(&self, notes: &mut Notes) {
        let Notes { parts, pins, seek_indexes, recency, .. } = notes;
        let stays = |item: &Item| matches!(item, Item::Content(digest) if pins.contains(digest));
        for item in recency.evict(self.max_bytes, stays) {
            match item {
                Item::Content(digest) => drop(self.content.write(|contents| contents.blobs.remove(&digest))),
                Item::Parts(origin, digest) => drop(parts.remove(&(origin, digest))),
                Item::SeekIndex(digest) => drop(seek_indexes.remove(&digest)),
            }
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Notes {
    /// Bytes `range` of content that is not here as a whole, where a part from `origin` has them.
    fn part(&mut self, origin: &Origin, digest: &Digest, range: &Range<u64>) -> Option<Part> {
        self.recency.touch(&Item::Content(digest.clone()));
        let has_all = |part: &&KeptPart| part.range.start <= range.start && range.end <= part.range.end;
        let kept = self.parts.get(&(origin.clone(), digest.clone()))?.iter().find(has_all)?;
        let start = (range.start - kept.range.start) as usize;
        let bytes = kept.bytes.slice(start..start + range.end.saturating_sub(range.start) as usize);
        self.recency.touch(&Item::Parts(origin.clone(), digest.clone()));
        Some(Part { range: range.clone(), total: kept.total, stream: stream::iter([Ok(bytes)]).boxed() })
    }

    /// Forgets the parts of content that had another size than `total`, as all of them had then; says whether there were any.
    fn drop_other_parts(&mut self, origin: &Origin, digest: &Digest, total: u64) -> bool {
        let of = (origin.clone(), digest.clone());
        let is_other = self.parts.get(&of).is_some_and(|parts| parts.iter().any(|part| part.total != total));
        if is_other {
            self.parts.remove(&of);
            self.recency.remove(&Item::Parts(of.0, of.1));
        }
        is_other
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.content.stat_blob(digest).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.notes().recency.touch(&Item::Content(digest.clone()));
        self.content.blob(digest, from).await.map_err(not_cached)
    }

    async fn part(&self, origin: &Origin, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let part = self.notes().part(origin, digest, &range);
        match part {
            Some(part) => Ok(part),
            None => self.content.blob_part(digest, range).await.map_err(not_cached),
        }
    }

    async fn flight(&self, digest: &Digest) -> Result<Option<Flight>> {
        Ok(self.flights.take(digest).await)
    }

    async fn fill(&self, origin: &Origin, digest: &Digest, size: u64) -> Result<Option<Box<dyn Fill>>> {
        Ok((size <= self.max_bytes).then(|| self.begin(origin, digest, size, Filled::Whole)))
    }

    async fn fill_part(
        &self,
        origin: &Origin,
        digest: &Digest,
        range: Range<u64>,
        total: u64,
    ) -> Result<Option<Box<dyn Fill>>> {
        let size = range.end.saturating_sub(range.start);
        Ok((size <= self.max_bytes).then(|| self.begin(origin, digest, size, Filled::Part { range, total })))
    }

    async fn drop_other_parts(&self, origin: &Origin, digest: &Digest, total: u64) -> Result<bool> {
        Ok(self.notes().drop_other_parts(origin, digest, total))
    }

    async fn keep_seek_index(&self, digest: &Digest, index: Bytes) -> Result<()> {
        let (mut notes, item) = (self.notes(), Item::SeekIndex(digest.clone()));
        notes.recency.remove(&item);
        notes.recency.add(item, index.len() as u64);
        notes.seek_indexes.insert(digest.clone(), index);
        self.evict(&mut notes);
        Ok(())
    }

    async fn seek_index(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let mut notes = self.notes();
        notes.recency.touch(&Item::SeekIndex(digest.clone()));
        Ok(notes.seek_indexes.get(digest).cloned())
    }

    async fn remove(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        let wanted = Wanted::Blob(digest.clone());
        // Held until the content is gone, so that nobody pins it in between.
        let mut notes = self.notes();
        if notes.pins.contains(digest) {
            return Err(Error::Conflict { wanted, at: "memory".into(), detail: Detail::new("it is pinned") });
        }
        notes.recency.remove(&Item::Parts(origin.clone(), digest.clone()));
        notes.recency.remove(&Item::SeekIndex(digest.clone()));
        notes.recency.remove(&Item::Content(digest.clone()));
        let had_parts = notes.parts.remove(&(origin.clone(), digest.clone())).is_some();
        let had_index = notes.seek_indexes.remove(digest).is_some();
        match self.content.write(|contents| contents.blobs.remove(digest)) {
            Some(_) => Ok(()),
            None if had_parts || had_index => Ok(()),
            None => Err(Error::NotCached { wanted, of: None, lost: None }),
        }
    }

    async fn quarantine(&self, origin: &Origin, digest: &Digest) -> Result<Checked> {
        let content = self.content.clone();
        let wanted = digest.clone();
        if !blocking(Path::new("memory"), move || is_sound(&content, &wanted)).await? {
            return match self.remove(origin, digest).await {
                Err(error) if error.kind() != ErrorKind::NotCached => Err(error),
                _gone => Ok(Checked::Gone),
            };
        }
        let mut notes = self.notes();
        notes.recency.remove(&Item::Parts(origin.clone(), digest.clone()));
        notes.recency.remove(&Item::SeekIndex(digest.clone()));
        let had_parts = notes.parts.remove(&(origin.clone(), digest.clone())).is_some();
        let had_index = notes.seek_indexes.remove(digest).is_some();
        Ok(if had_parts || had_index { Checked::Cleared } else { Checked::Sound })
    }

    async fn record(&self, origin: &Origin, tag: &Tag, record: &TagRecord) -> Result<()> {
        self.notes().tags.insert((origin.clone(), tag.clone()), record.clone());
        Ok(())
    }

    async fn recorded(&self, origin: &Origin, tag: &Tag) -> Result<Option<TagRecord>> {
        Ok(self.notes().tags.get(&(origin.clone(), tag.clone())).cloned())
    }

    async fn forget(&self, origin: &Origin, tag: &Tag) -> Result<()> {
        self.notes().tags.remove(&(origin.clone(), tag.clone()));
        Ok(())
    }

    async fn recorded_tags(&self, origin: &Origin) -> Result<Vec<Tag>> {
        let notes = self.notes();
        Ok(notes.tags.keys().filter(|(of, _)| of == origin).map(|(_, tag)| tag.clone()).collect())
    }

    async fn add_member(&self, origin: &Origin, digest: &Digest) -> Result<()> {
        self.notes().members.insert((origin.clone(), digest.clone()));
        Ok(())
    }

    async fn members(&self, origin: &Origin, most: usize) -> Result<Vec<Digest>> {
        let notes = self.notes();
        let known = notes.members.iter().filter(|(of, _)| of == origin);
        Ok(known.take(most).map(|(_, digest)| digest.clone()).collect())
    }

    async fn is_member(&self, origin: &Origin, digest: &Digest) -> Result<bool> {
        Ok(self.notes().members.contains(&(origin.clone(), digest.clone())))
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        self.notes().pins.insert(digest.clone());
        Ok(())
    }

    async fn unpin(&self, digest: &Digest) -> Result<()> {
        self.notes().pins.remove(digest);
        Ok(())
    }
}

/// Whether all of the content is there, undamaged.
fn is_sound(content: &Memory, digest: &Digest) -> Result<bool> {
    let Some(bytes) = content.write(|contents| contents.blobs.get(digest).cloned()) else { return Ok(false) };
    let mut verify = Verify::new(digest, bytes.len() as u64, Resume::START)?;
    Ok(verify.update(&bytes).and_then(|()| verify.finish()).is_ok())
}

#[async_trait]
impl Fill for MemoryFill {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&chunk);
        if let Some(flight) = &self.flight {
            flight.note(self.bytes.len() as u64);
        }
        match self.bytes.len() as u64 {
            actual if actual > self.size => Err(wrong_size(&self.digest, self.size, actual)),
            _ => Ok(()),
        }
    }

    fn hold(&mut self, flight: Flight) {
        self.flight = Some(flight);
    }

    async fn commit(&mut self) -> Result<()> {
        let Self { store, origin, digest, what, size, bytes, flight } = self;
        if bytes.len() as u64 != *size {
            return Err(wrong_size(digest, *size, bytes.len() as u64));
        }
        let (bytes, of) = (std::mem::take(bytes).freeze(), (origin.clone(), digest.clone()));
        let mut notes = store.notes();
        match what {
            Filled::Whole => {
                notes.recency.remove(&Item::Parts(origin.clone(), digest.clone()));
                notes.recency.remove(&Item::Content(digest.clone()));
                notes.recency.add(Item::Content(digest.clone()), *size);
                notes.parts.remove(&of);
                store.content.write(|contents| contents.blobs.insert(of.1, bytes));
            }
            Filled::Part { range, total } => {
                notes.drop_other_parts(origin, digest, *total);
                let part = KeptPart { range: range.clone(), total: *total, bytes };
                notes.recency.add(Item::Parts(origin.clone(), digest.clone()), *size);
                notes.parts.entry(of).or_default().push(part);
            }
        }
        store.evict(&mut notes);
        drop(notes);
        *flight = None;
        Ok(())
    }
}
