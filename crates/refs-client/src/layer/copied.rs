//! Hands over a blob that is one file, and that is a file of this machine already.

use std::fs::File;

use refs_estargz::Entry;
use refs_registry::{Descriptor, error::Wanted};

use super::deliver::Delivery;
use crate::{
    Result,
    receive::{Hand, Receive},
};

impl<R: Receive> Delivery<R> {
    /// Hands over `content`, which the source has verified.
    pub(crate) fn copied(&mut self, entry: &Entry, layer: &Descriptor, content: File) -> Result<()> {
        let actual = content.metadata().map_or(0, |metadata| metadata.len());
        if actual != layer.size {
            let (wanted, expected) = (Wanted::Blob(layer.digest.clone()), layer.size);
            return Err(refs_registry::Error::Size { wanted, expected, actual }.into());
        }
        self.receiver.entry(entry)?;
        self.receiver.hand().copy(entry, content)
    }
}
