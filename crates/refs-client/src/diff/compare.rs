//! Compares two listings, as far as entries tell.

use std::{cmp::Ordering, collections::BTreeMap};

use refs_estargz::{Entry, Kind, path_order};
use refs_url::{Algorithm, Digest};

use crate::{Error, Result, layer::Listed};

/// Whether modification times are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Times {
    /// They are not: files that were packed again have others.
    #[default]
    Ignored,
    /// They are.
    Compared,
}

/// A path at which two artifacts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the new one has it.
    Added(Entry),
    /// Only the old one has it.
    Removed(Entry),
    /// Both have it, and it is not the same.
    Changed {
        /// What it was.
        old: Box<Entry>,
        /// What it is.
        new: Box<Entry>,
        /// What differs; at least one aspect.
        aspects: Vec<Aspect>,
    },
}

/// What may differ between two entries of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aspect {
    /// What it is: a file, a directory, a link, or a device of another number.
    Kind,
    /// The bytes of a file.
    Content,
    /// Permissions.
    Mode,
    /// Where a link leads.
    Target,
    /// The modification time, if times are compared.
    Time,
}

/// A path at which two artifacts differ or may differ.
pub(super) enum Pair {
    Differing(Change),
    /// Files of one size, which nothing tells the digest of or, of both, digests that are not those of their chunks alone;
    /// and what differs beside.
    Undecided {
        old: Entry,
        new: Entry,
        aspects: Vec<Aspect>,
    },
}

/// What may differ between two lists of entries, in their order.
pub(super) fn pairs(old: &Listed, new: &Listed, times: Times) -> Vec<Pair> {
    let (mut left, mut right) = (0, 0);
    let mut pairs = Vec::new();
    loop {
        let order = match (left < old.len(), right < new.len()) {
            (false, false) => return pairs,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => path_order(old.path_at(left), new.path_at(right)),
        };
        match order {
            Ordering::Less => pairs.push(Pair::Differing(Change::Removed(old.entry_at(left)))),
            Ordering::Greater => pairs.push(Pair::Differing(Change::Added(new.entry_at(right)))),
            Ordering::Equal => {
                let has_same_chunks = || old.has_chunks_of(left, new, right);
                pairs.extend(pair(old.entry_at(left), new.entry_at(right), times, has_same_chunks));
            }
        }
        left += usize::from(order.is_le());
        right += usize::from(order.is_ge());
    }
}

/// The digest of a file that can be compared with all others.
pub(super) fn sha256_of(entry: &Entry) -> Option<&Digest> {
    entry.digest.as_ref().filter(|digest| digest.algorithm() == Algorithm::Sha256)
}

impl Change {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Added(entry) | Self::Removed(entry) => &entry.path,
            Self::Changed { new, .. } => &new.path,
        }
    }
}

impl Pair {
    pub(super) fn undecided_old(&self) -> Option<&Entry> {
        match self {
            Self::Undecided { old, .. } => Some(old),
            Self::Differing(_) => None,
        }
    }

    pub(super) fn undecided_new(&self) -> Option<&Entry> {
        match self {
            Self::Undecided { new, .. } => Some(new),
            Self::Differing(_) => None,
        }
    }

    /// What differs, by the digests of the files that had none.
    ///
    /// # Errors
    /// `Worker` when the digest of a file is missing.
    pub(super) fn decided(
        self,
        left: &BTreeMap<String, Digest>,
        right: &BTreeMap<String, Digest>,
    ) -> Result<Option<Change>> {
        let (old, new, mut aspects) = match self {
            Self::Differing(change) => return Ok(Some(change)),
            Self::Undecided { old, new, aspects } => (old, new, aspects),
        };
        let hashed = |entry: &Entry, hashes: &BTreeMap<String, Digest>| {
            sha256_of(entry).or_else(|| hashes.get(&entry.path)).cloned().ok_or(Error::Worker)
        };
        if hashed(&old, left)? != hashed(&new, right)? {
            aspects.insert(0, Aspect::Content);
        }
        Ok((!aspects.is_empty()).then(|| Change::Changed { old: old.into(), new: new.into(), aspects }))
    }
}

fn pair(mut old: Entry, mut new: Entry, times: Times, has_same_chunks: impl FnOnce() -> bool) -> Option<Pair> {
    let mut aspects = Vec::new();
    let mut is_decided = true;
    match (&old.kind, &new.kind) {
        (Kind::File { size: before }, Kind::File { size: after }) => match (sha256_of(&old), sha256_of(&new)) {
            _ if before != after => aspects.push(Aspect::Content),
            (Some(before), Some(after)) if before != after => aspects.push(Aspect::Content),
            (Some(_), Some(_)) if has_same_chunks() => {}
            // Nobody but who reads the chunks is told by a table that contradicts itself.
            (Some(_), Some(_)) => {
                (old.digest, new.digest, is_decided) = (None, None, false);
            }
            _ => is_decided = *before == 0,
        },
        (Kind::Symlink { target: before }, Kind::Symlink { target: after })
        | (Kind::Hardlink { target: before }, Kind::Hardlink { target: after }) => {
            aspects.extend((before != after).then_some(Aspect::Target));
        }
        (before, after) => aspects.extend((before != after).then_some(Aspect::Kind)),
    }
    let is_symlink = matches!((&old.kind, &new.kind), (Kind::Symlink { .. }, Kind::Symlink { .. }));
    // The permissions of a symbolic link mean nothing, and each system writes others.
    aspects.extend((old.mode != new.mode && !is_symlink).then_some(Aspect::Mode));
    aspects.extend((old.mtime != new.mtime && times == Times::Compared).then_some(Aspect::Time));
    match (is_decided, aspects.is_empty()) {
        (false, _) => Some(Pair::Undecided { old, new, aspects }),
        (true, true) => None,
        (true, false) => Some(Pair::Differing(Change::Changed { old: old.into(), new: new.into(), aspects })),
    }
}
