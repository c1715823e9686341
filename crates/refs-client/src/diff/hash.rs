//! Hashes files of an artifact that no table of contents tells the digests of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt;
use refs_estargz::Entry;
use refs_registry::error::Doing;
use refs_url::{Digest, Hasher};

use super::early::{Early, Shelf};
use crate::{
    Error, Result,
    layer::Contents,
    receive::{Hand, Receive},
    select::Selection,
};

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 << 10;

/// The digests of the files at `paths`, which `selection` means.
///
/// # Errors
/// Those of the source and of the layers' formats.
pub(super) async fn hashes(
    contents: &Contents,
    selection: &Selection,
    paths: BTreeSet<String>,
) -> Result<BTreeMap<String, Digest>> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let paths = Arc::new(paths);
    // Each receiver begins anew: what was handed to one before it may be wrong.
    let hashing = || {
        let paths = Arc::clone(&paths);
        async { Ok(Hashing { paths, files: Arc::default() }) }.boxed()
    };
    let done = contents.extract(selection, hashing).await?;
    let files = mem::take(&mut *done.files.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(files.hashed.into_iter().filter_map(|(path, file)| Some((path, file.digest?))).collect())
}

/// Takes an artifact, and keeps the digests of some files.
#[derive(Debug)]
struct Hashing {
    paths: Arc<BTreeSet<String>>,
    files: Arc<Mutex<Files>>,
}

/// The files, by their paths.
#[derive(Debug, Default)]
struct Files {
    hashed: BTreeMap<String, Hashed>,
    shelf: Shelf,
}

/// A file, as far as its bytes have come.
#[derive(Debug, Default)]
struct Hashed {
    hasher: Option<Hasher>,
    /// How many bytes, from the first on, are hashed.
    bytes: u64,
    early: Early,
    digest: Option<Digest>,
}

impl Receive for Hashing {
    type Hand = Self;

    fn entry(&mut self, _: &Entry) -> Result<()> {
        Ok(())
    }

    fn hand(&self) -> Self {
        Self { paths: Arc::clone(&self.paths), files: Arc::clone(&self.files) }
    }
}

impl Hand for Hashing {
    fn piece(&mut self, file: &Entry, offset: u64, bytes: &[u8]) -> Result<()> {
        if self.paths.contains(&file.path) {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let Files { hashed, shelf } = &mut *files;
            return hashed.entry(file.path.clone()).or_default().take(shelf, file.size(), offset, bytes);
        }
        Ok(())
    }

    fn copy(&mut self, file: &Entry, mut content: File) -> Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut offset = 0;
        loop {
            let read = content.read(&mut buffer);
            let read =
                read.map_err(|source| Error::Io { doing: Doing::Read, path: file.path.clone().into(), source })?;
            if read == 0 {
                return Ok(());
            }
            self.piece(file, offset, &buffer[..read])?;
            offset += read as u64;
        }
    }
}

impl Hashed {
    fn take(&mut self, shelf: &mut Shelf, size: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        if offset != self.bytes {
            return shelf.put(&mut self.early, size, offset, bytes);
        }
        let mut hasher = self.hasher.take().unwrap_or_else(Hasher::sha256);
        hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.bytes = shelf.take(&mut self.early, self.bytes, |bytes| hasher.update(bytes))?;
        if self.bytes == size {
            self.digest = Some(hasher.finish());
        } else {
            self.hasher = Some(hasher);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use refs_estargz::Kind;

    use super::*;
    use crate::diff::early::HELD_BYTES;

    const PIECE: usize = 2 << 20;

    #[test]
    fn pieces_that_come_in_reverse_make_the_digest_of_the_file() {
        let content = (0..2 * HELD_BYTES / PIECE).map(|number| vec![number as u8; PIECE]).collect::<Vec<_>>().concat();
        let file = Entry {
            path: "f".to_owned(),
            kind: Kind::File { size: content.len() as u64 },
            mode: 0o644,
            mtime: 0,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::new(),
            digest: None,
        };
        let hashing = Hashing { paths: Arc::new(BTreeSet::from(["f".to_owned()])), files: Arc::default() };
        let mut hands = [hashing.hand(), hashing.hand()];
        for (number, piece) in content.chunks(PIECE).enumerate().rev() {
            hands[number % 2].piece(&file, (number * PIECE) as u64, piece).unwrap();
        }
        let files = hashing.files.lock().unwrap();
        assert_eq!(files.hashed["f"].digest, Some(Digest::sha256(&content)));
    }
}
