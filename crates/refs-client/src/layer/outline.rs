//! What each layer is, as far as that can be known without fetching its files.

use std::sync::Arc;

use refs_estargz::Entry;
use refs_registry::Descriptor;

use super::{Contents, form::Form, ranges::Indexed};
use crate::Result;

/// A layer in outline.
#[derive(Debug)]
pub(crate) enum Outline {
    /// An archive whose table of contents was read.
    Indexed {
        /// The layer.
        descriptor: Arc<Descriptor>,
        /// Its table of contents.
        index: Arc<Indexed>,
    },
    /// A blob that is one file.
    File {
        /// The layer.
        descriptor: Arc<Descriptor>,
        /// The file.
        entry: Entry,
    },
    /// An archive that would have to be fetched.
    Archive {
        /// The layer.
        descriptor: Arc<Descriptor>,
    },
}

impl Contents {
    /// The layers in outline, the lowest first.
    ///
    /// # Errors
    /// Those of the source and of tables of contents.
    pub(crate) async fn outline(&self) -> Result<Vec<Outline>> {
        let mut outlines = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let descriptor = Arc::clone(&layer.descriptor);
            outlines.push(match (&layer.form, self.index(layer).await?) {
                (_, Some(index)) => Outline::Indexed { descriptor, index },
                (Form::File(entry), None) => Outline::File { descriptor, entry: entry.clone() },
                (_, None) => Outline::Archive { descriptor },
            });
        }
        Ok(outlines)
    }
}
