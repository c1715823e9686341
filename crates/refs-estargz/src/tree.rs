//! What was written so far, so that nothing is written that contradicts it.

use std::collections::HashMap;

use crate::{Error, Kind, LinkFault, NewEntry, Result};

/// The paths of a layer that is being written.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    seen: HashMap<String, Seen>,
}

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
        match self.seen.get(path) {
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
        self.seen.insert(path.to_owned(), seen);
        Ok(())
    }

    fn check_hardlink(&self, path: &str, target: &str) -> Result<()> {
        let fault = match self.seen.get(target) {
            Some(Seen::File) => return Ok(()),
            None | Some(Seen::Implied) => LinkFault::Missing,
            Some(Seen::Directory | Seen::Other) => LinkFault::NotFile,
        };
        Err(Error::Link { path: path.to_owned(), target: target.to_owned(), fault })
    }

    /// The ancestors of a path that were not met yet; those that were have theirs there too.
    fn unseen_ancestors(&self, path: &str) -> Result<Vec<String>> {
        let mut unseen = Vec::new();
        for (slash, _) in path.rmatch_indices('/') {
            let ancestor = &path[..slash];
            match self.seen.get(ancestor) {
                None => unseen.push(ancestor.to_owned()),
                Some(Seen::Implied | Seen::Directory) => break,
                Some(_) => return Err(Error::NotDirectory { path: ancestor.to_owned() }),
            }
        }
        Ok(unseen)
    }
}
