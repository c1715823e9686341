//! What was written so far, so that nothing is written that contradicts it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use crate::{Error, Kind, LinkFault, NewEntry, Result};

/// The paths of a layer that is being written.
///
/// Of a path it keeps 128 bits under random keys, which no one can aim at: that a path is taken for another one is less
/// likely than that a digest is.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    keys: [RandomState; 2],
    seen: HashMap<Key, Seen>,
}

/// Bytes and no numbers, so that no room is lost between a key and its value.
type Key = [[u8; 8]; 2];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A directory that has entries below it, and none of its own yet.
    Implied,
    Directory,
    File,
    Other,
}

impl Tree {
    /// Takes in an entry, or leaves all as it was when the entry can't be there.
    pub(crate) fn add(&mut self, entry: &NewEntry) -> Result<()> {
        let path = entry.path.as_str();
        let seen = match &entry.kind {
            Kind::Directory => Seen::Directory,
            Kind::File { .. } => Seen::File,
            _ => Seen::Other,
        };
        match self.seen(path) {
            None => {}
            Some(Seen::Implied) if seen == Seen::Directory => {}
            Some(Seen::Implied) => return Err(Error::NotDirectory { path: path.to_owned() }),
            Some(_) => return Err(Error::Duplicate { path: path.to_owned() }),
        }
        if let Kind::Hardlink { target } = &entry.kind {
            self.check_hardlink(path, target)?;
        }
        let implied = self.unseen_ancestors(path)?;
        self.seen.extend(implied.into_iter().map(|ancestor| (ancestor, Seen::Implied)));
        self.seen.insert(self.key(path), seen);
        Ok(())
    }

    fn seen(&self, path: &str) -> Option<Seen> {
        self.seen.get(&self.key(path)).copied()
    }

    fn key(&self, path: &str) -> Key {
        self.keys.each_ref().map(|key| key.hash_one(path).to_ne_bytes())
    }

    fn check_hardlink(&self, path: &str, target: &str) -> Result<()> {
        let fault = match self.seen(target) {
            Some(Seen::File) => return Ok(()),
            None | Some(Seen::Implied) => LinkFault::Missing,
            Some(Seen::Directory | Seen::Other) => LinkFault::NotFile,
        };
        Err(Error::Link { path: path.to_owned(), target: target.to_owned(), fault })
    }

    /// The ancestors of a path that were not met yet; those that were have theirs there too.
    fn unseen_ancestors(&self, path: &str) -> Result<Vec<Key>> {
        let mut unseen = Vec::new();
        for (slash, _) in path.rmatch_indices('/') {
            let ancestor = &path[..slash];
            match self.seen(ancestor) {
                None => unseen.push(self.key(ancestor)),
                Some(Seen::Implied | Seen::Directory) => break,
                Some(_) => return Err(Error::NotDirectory { path: ancestor.to_owned() }),
            }
        }
        Ok(unseen)
    }
}
