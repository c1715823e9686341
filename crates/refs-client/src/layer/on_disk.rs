//! Opens a layer that is a file, and says early what it is if it is none.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use refs_estargz::ZstdReader;
use refs_registry::error::Doing;
use refs_store::LayerFile;

use super::{archive::Compression, tar};
use crate::{Error, Location, Result, error::LocationFault, thread};

/// What files that people take for layers begin with.
const OTHERS: [(&[u8], &str); 6] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
];

/// The layer in the file at `path`.
///
/// # Errors
/// `Location` for a directory; `NotArchive`; else those of [`LayerFile::open`].
pub(crate) async fn open_file(path: &Path) -> Result<LayerFile> {
    let place = path.to_owned();
    thread::run(move || check(&place)).await?;
    Ok(LayerFile::open(path).await?)
}

/// What is not there, or neither file nor directory, is left to who opens it.
fn check(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    if metadata.is_dir() {
        return Err(Location::File(path.to_owned()).fault(LocationFault::Directory));
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let failed = |source| Error::Io { doing: Doing::Read, path: path.to_owned(), source };
    let start = start(File::open(path).map_err(failed)?).map_err(failed)?;
    match other_than_tar(&start, path) {
        Some(found) => Err(Error::NotArchive { path: PathBuf::from(path), found }),
        None => Ok(()),
    }
}

/// What the file is that begins with `start`, unless that is a tar archive.
fn other_than_tar(start: &[u8], path: &Path) -> Option<&'static str> {
    let inflated = match Compression::of(start) {
        Compression::None => return not_tar(start),
        Compression::Gzip => File::open(path).and_then(|file| self::start(MultiGzDecoder::new(file))),
        Compression::Zstd => File::open(path).and_then(|file| self::start(ZstdReader::new(io::BufReader::new(file)))),
    };
    // What cannot be inflated is corrupt, and told of where it is read.
    match not_tar(&inflated.ok()?)? {
        EMPTY => Some("empty but for its compression"),
        _ => Some("something else, compressed"),
    }
}

const EMPTY: &str = "empty";

fn not_tar(start: &[u8]) -> Option<&'static str> {
    if start.is_empty() {
        return Some(EMPTY);
    }
    let other = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name);
    let is_tar = || tar::is_header(start);
    other.or_else(|| (!is_tar()).then_some("something else"))
}

/// The first block of a file, or all of a smaller one.
fn start(file: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(tar::BLOCK_BYTES);
    file.take(tar::BLOCK_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}
