//! Where the content of files lies in the blob.

use std::ops::Range;

use crate::{
    arena::{Rows, partition_point, places},
    record::{NONE, Records, What},
};

/// A piece of a file, and the gzip member that holds it.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The index of the file among the entries.
    pub(crate) entry: usize,
    /// Where it starts in the file.
    pub(crate) file_offset: u64,
    /// How many bytes it has, inflated.
    pub(crate) bytes: u64,
    /// From the start of its member to that of the next, in the blob.
    pub(crate) member: Range<u64>,
    /// Where it starts in the inflated member.
    pub(crate) inner_offset: u64,
    /// The digest of its bytes.
    pub(crate) sha256: [u8; 32],
}

impl Chunk {
    /// Where it ends in the file.
    pub(crate) fn file_end(&self) -> u64 {
        self.file_offset.saturating_add(self.bytes)
    }
}

/// A chunk as a table of contents keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where its member starts in the blob.
    pub(crate) member: u64,
    /// The index of its file among the entries, or another number for one that is not among them.
    pub(crate) entry: u32,
    /// The index of its [`Part`]; [`NONE`] when it is all of its file and starts its member, so that what the file's own
    /// record says is all there is to say.
    part: u32,
}

/// Which part of a file a chunk is, where that is not all of it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) file_offset: u64,
    pub(crate) bytes: u64,
    pub(crate) inner_offset: u64,
    pub(crate) sha256: [u8; 32],
}

impl Part {
    /// All of a file of these bytes.
    fn all(bytes: u64, sha256: [u8; 32]) -> Self {
        Self { file_offset: 0, bytes, inner_offset: 0, sha256 }
    }

    /// Where it ends in the file.
    pub(crate) fn file_end(&self) -> u64 {
        self.file_offset.saturating_add(self.bytes)
    }

    /// Where it ends in the inflated member.
    pub(crate) fn inner_end(&self) -> u64 {
        self.inner_offset.saturating_add(self.bytes)
    }
}

/// All chunks of a layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks {
    places: Rows<Place>,
    parts: Rows<Part>,
}

impl Chunks {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn place(&self, index: usize) -> &Place {
        &self.places[index]
    }

    pub(crate) fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.places.iter_mut()
    }

    /// Which part of its file a chunk is; `None` when it is all of it, from the start of the member.
    pub(crate) fn part(&self, index: usize) -> Option<&Part> {
        match self.places[index].part {
            NONE => None,
            part => Some(&self.parts[part as usize]),
        }
    }

    /// Which part of its file a chunk is; where that is all of it, `records` tell the rest.
    pub(crate) fn part_in(&self, records: &Records, index: usize) -> Part {
        if let Some(part) = self.part(index) {
            return part.clone();
        }
        match records.rows[self.places[index].entry as usize].what {
            What::File { size, sha256: Some(sha256), .. } => Part::all(size, sha256),
            _ => Part::all(0, [0; 32]),
        }
    }

    /// Adds a chunk of `entry`; `part` as [`Chunks::part`] gives it.
    pub(crate) fn push(&mut self, entry: u32, member: u64, part: Option<Part>) {
        let part = match part {
            None => NONE,
            Some(part) => {
                self.parts.push(part);
                (self.parts.len() - 1) as u32
            }
        };
        self.places.push(Place { member, entry, part });
    }

    /// Orders chunks by their place in the blob.
    pub(crate) fn sort(&mut self) {
        let key = |index: usize| (self.places[index].member, self.part(index).map_or(0, |part| part.inner_offset));
        if (1..self.len()).all(|index| key(index - 1) <= key(index)) {
            return;
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|index| key(*index as usize));
        self.places.rearrange(places(&order));
    }

    /// The index behind the chunks that follow `index` and are alike; it is itself the first of these.
    pub(crate) fn end_of(&self, index: usize, is_alike: impl Fn(&Place, &Place) -> bool) -> usize {
        let is_alike = |other: usize| is_alike(&self.places[index], &self.places[other]);
        match index + 1 {
            next if next == self.len() || !is_alike(next) => next,
            next => partition_point(next..self.len(), is_alike),
        }
    }
}
