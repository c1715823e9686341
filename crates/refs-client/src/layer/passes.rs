//! A layer that is read twice: for what it holds, and, once it is known what all layers show together, for the content of
//! what is shown.

use std::{
    collections::HashMap,
    io::{self, BufRead, Read},
    sync::atomic::{AtomicU64, Ordering},
};

use refs_estargz::Entry;
use refs_registry::Descriptor;
use refs_url::{Digest, Hasher};

use super::{
    archive::Archive,
    blocks::{WRITERS, written},
    merge::{MAX_ENTRIES, MAX_TEXT_BYTES, Met, text_bytes, too_much_text},
    tar::Walk,
};
use crate::{Error, Result, receive::Hand};

/// How much the layers of an artifact hold together, as far as they have been read: several are at once, and what is met is
/// kept in memory until the layers below have been read, too.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    entries: AtomicU64,
    text_bytes: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, layer: &Descriptor, entry: &Entry) -> Result<()> {
        let count = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        if count > MAX_ENTRIES {
            return Err(Error::TooManyEntries { count, limit: MAX_ENTRIES });
        }
        let bytes = text_bytes(entry);
        if self.text_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > MAX_TEXT_BYTES {
            return Err(too_much_text(layer));
        }
        Ok(())
    }
}

/// The first pass: all entries of `layer`, and the reader of its archive, which has been read to its end. Lets `see` have a
/// look at each entry, and at its content.
///
/// # Errors
/// `Corrupt`, `UnsafePath`, `UnsafeLink`, `SpecialFile`; `TooManyEntries` and `LayerLimit` when the layers in `tally`
/// hold more together than memory should; those of `see`.
pub(crate) fn entries<R: BufRead>(
    mut archive: Walk<R>,
    layer: &Descriptor,
    tally: &Tally,
    mut see: impl FnMut(&Met, &mut Walk<R>) -> Result<()>,
) -> Result<(Vec<Met>, R)> {
    let mut all = Vec::new();
    while let Some(met) = archive.next_met()? {
        tally.count(layer, &met.entry)?;
        see(&met, &mut archive)?;
        all.push(met);
    }
    Ok((all, archive.into_reader()?))
}

/// The second pass: hands over the content of those files of a layer that are `wanted`, each by its [`Met::index`], as the
/// entry it is to be known by. Nothing behind the last of them is read.
///
/// # Errors
/// Those of a hand; `Corrupt`, also for an archive that is not the one of the first pass.
pub(crate) fn contents<H: Hand>(
    mut archive: Archive,
    mut wanted: HashMap<usize, Entry>,
    hands: [H; WRITERS],
) -> Result<()> {
    written(hands, |blocks| {
        while !wanted.is_empty() {
            let Some(met) = archive.next_met()? else { return Err(archive.changed()) };
            let Some(file) = wanted.remove(&met.index) else { continue };
            if met.entry.kind != file.kind {
                return Err(archive.changed());
            }
            blocks.file(&file, |take| archive.content(take))?;
        }
        Ok(())
    })
}

/// A reader that hashes what is read through it.
#[derive(Debug)]
pub(crate) struct Hashed<R> {
    reader: R,
    hasher: Hasher,
}

impl<R> Hashed<R> {
    pub(crate) fn new(reader: R, hasher: Hasher) -> Self {
        Self { reader, hasher }
    }

    /// The digest of all that was read.
    pub(crate) fn digest(self) -> Digest {
        self.hasher.finish()
    }
}

impl<R: BufRead> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Hashed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        // What is consumed has been filled in, so that this gives it once more.
        if let Ok(filled) = self.reader.fill_buf() {
            self.hasher.update(&filled[..bytes.min(filled.len())]);
        }
        self.reader.consume(bytes);
    }
}
