//! How the files of an artifact are handed over, whatever kind of layer they come from.

use refs_estargz::Entry;

use crate::Result;

/// Takes what an artifact holds, one entry after the other. It is called from a thread that may block.
pub(crate) trait Receive: Send + 'static {
    /// An entry. If it is a file and the answer is [`Content::Take`], its bytes follow.
    ///
    /// # Errors
    /// An error ends the handing over; so it does in the other two.
    fn entry(&mut self, entry: &Entry) -> Result<Content>;

    /// The next bytes of the file.
    fn content(&mut self, bytes: &[u8]) -> Result<()>;

    /// The file is complete: as many bytes came as its entry said.
    fn end_of_file(&mut self) -> Result<()>;
}

/// Whether the bytes of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// They are.
    Take,
    /// They need not be produced.
    Skip,
}
