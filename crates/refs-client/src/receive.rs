//! How the files of an artifact are handed over, whatever kind of layer they come from.

use std::fs::File;

use refs_estargz::Entry;

use crate::Result;

/// Takes what an artifact holds: entries one after the other, the content of files from several threads at once.
pub(crate) trait Receive: Send + 'static {
    /// What a thread hands the content of files over to.
    type Hand: Hand;

    /// Takes an entry. The content of a file follows: it is given to hands, and comes as long as there are any.
    ///
    /// # Errors
    /// An error ends the handing over.
    fn entry(&mut self, entry: &Entry) -> Result<()>;

    /// A hand for one thread.
    fn hand(&self) -> Self::Hand;
}

/// Takes the content of files whose entries were taken. Each thread has one of its own.
pub(crate) trait Hand: Send {
    /// Takes bytes of a file, which belong at `offset`. Pieces of one file may come in any order and to several hands; each
    /// byte comes once, and for a file without bytes an empty piece does.
    ///
    /// # Errors
    /// An error ends the handing over.
    fn piece(&mut self, file: &Entry, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Takes the whole content of a file from `content`, another file of this machine, which stays as it is.
    ///
    /// # Errors
    /// An error ends the handing over.
    fn copy(&mut self, file: &Entry, content: File) -> Result<()>;
}
