//! Entries as a table of contents keeps them: small, and of one size.

use std::collections::{BTreeMap, HashMap};

use refs_url::Digest;

use crate::{
    Entry, Kind,
    arena::{Rows, TextAt, Texts, partition_point},
    entry::path_order,
};

/// An entry, of which texts and what many have alike are kept elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) path: TextAt,
    pub(crate) mtime: i64,
    /// Its place among [`Attributes`].
    pub(crate) attributes: u32,
    pub(crate) what: What,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Directory,
    File {
        size: u64,
        sha256: Option<[u8; 32]>,
        /// The index of its first chunk; [`NONE`] when it has none.
        chunk: u32,
    },
    Symlink {
        target: TextAt,
    },
    /// A hard link that is not resolved yet: its target as the table has it.
    Unresolved {
        target: TextAt,
    },
    /// A hard link, and the entry of its file.
    Hardlink {
        file: u32,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// No index of anything.
pub(crate) const NONE: u32 = u32::MAX;

/// The records of a layer, and what they refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    pub(crate) rows: Rows<Record>,
    pub(crate) texts: Texts,
    pub(crate) attributes: Vec<Attributes>,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn path(&self, index: usize) -> &str {
        &self.texts[self.rows[index].path]
    }

    /// The index of the record of `path`, once they are ordered.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let index = partition_point(0..self.len(), |index| path_order(self.path(index), path).is_lt());
        (index < self.len() && self.path(index) == path).then_some(index)
    }

    /// The entry that a record stands for.
    pub(crate) fn entry(&self, index: usize) -> Entry {
        let Record { path, mtime, attributes, ref what } = self.rows[index];
        let text = |at: TextAt| self.texts[at].to_owned();
        let mut digest = None;
        let kind = match *what {
            What::Directory => Kind::Directory,
            What::File { size, sha256, .. } => {
                digest = sha256.map(Digest::from_sha256);
                Kind::File { size }
            }
            What::Symlink { target } => Kind::Symlink { target: text(target) },
            What::Unresolved { target } => Kind::Hardlink { target: text(target) },
            What::Hardlink { file } => Kind::Hardlink { target: self.path(file as usize).to_owned() },
            What::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            What::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            What::Fifo => Kind::Fifo,
        };
        let Attributes { mode, uid, gid, ref xattrs } = self.attributes[attributes as usize];
        Entry { path: text(path), kind, mode, mtime, uid, gid, xattrs: xattrs.clone(), digest }
    }
}

/// What many entries have alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// Gives each of many [`Attributes`] a number, the same to those that are the same.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    numbers: HashMap<Attributes, u32>,
    /// The ones that came last: most often the next are the same.
    last: Option<(Attributes, u32)>,
}

impl Interner {
    pub(crate) fn number(&mut self, attributes: Attributes) -> u32 {
        if let Some((last, number)) = &self.last
            && *last == attributes
        {
            return *number;
        }
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(attributes.clone()).or_insert(next);
        self.last = Some((attributes, number));
        number
    }

    /// All attributes, each at its number.
    pub(crate) fn finish(self) -> Vec<Attributes> {
        let mut numbered: Vec<_> = self.numbers.into_iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| *number);
        numbered.into_iter().map(|(attributes, _)| attributes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_small() {
        assert!(size_of::<Record>() <= 64, "{} bytes", size_of::<Record>());
    }
}
