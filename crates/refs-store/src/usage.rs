//! How much a store on disk has, as far as its writers have counted.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use refs_registry::{Error, Result, error::Doing};

use crate::{
    file::{itself, open_file},
    ingest::{DOCUMENT_MODE, Ingest},
    layout::INGEST_FOLDER,
};

/// Numbers of eight bytes, to be added up: what was there when somebody last looked, and what has come since. Each writer
/// appends once what it counts has its name, so that none waits for another; what that misses is found at the next look.
pub(crate) const USAGE_FILE: &str = "usage";
const NUMBER_BYTES: usize = size_of::<u64>();
/// After so many numbers it is time to look again.
const MAX_NUMBERS: usize = 8192;
/// In the place of what was there, as long as somebody looks: should that be cut off, there is too much for any bound, and the
/// next writer looks.
const UNKNOWN: u64 = u64::MAX;

/// A look at what the store has. What comes meanwhile is counted, whether it is seen or not: what is counted twice leads to
/// the next look a little early.
#[derive(Debug)]
pub(crate) struct Looking {
    usage: File,
    path: PathBuf,
}

impl Looking {
    /// Before anything is looked at.
    pub(crate) fn begin(root: &Path) -> Result<Self> {
        let path = root.join(USAGE_FILE);
        let mut ingest = Ingest::begin_hashed(&root.join(INGEST_FOLDER))?;
        ingest.append(&UNKNOWN.to_le_bytes())?;
        let usage = ingest.reader()?;
        ingest.show(&path, DOCUMENT_MODE)?;
        Ok(Self { usage, path })
    }

    /// Notes that there were `total` bytes.
    pub(crate) fn end(self, total: u64) -> Result<()> {
        let noted = self.usage.write_all_at(&total.to_le_bytes(), 0);
        noted.map_err(|error| Error::io(Doing::Write, &self.path, error))
    }
}

/// Writes one more number, and gives what all add up to, and the file system's time. `None` when that says nothing: at the
/// first number, which has no look before it, after very many, and when one was written in part.
pub(crate) fn append(root: &Path, bytes: u64) -> Result<(Option<u64>, SystemTime)> {
    let path = root.join(USAGE_FILE);
    append_to(&path, bytes).map_err(|error| Error::io(Doing::Write, &path, error))
}

/// What the numbers add up to, and when the last was written; `None` when there are none yet.
pub(crate) fn read(root: &Path) -> Result<Option<(u64, SystemTime)>> {
    let path = root.join(USAGE_FILE);
    let Some((file, _)) = open_file(OpenOptions::new().read(true), &path)? else { return Ok(None) };
    let noted = file.metadata().and_then(|metadata| Ok((metadata.modified()?, numbers(file)?)));
    let (now, (numbers, _)) = noted.map_err(|error| Error::io(Doing::Read, &path, error))?;
    Ok(Some((sum(&numbers), now)))
}

fn append_to(usage: &Path, bytes: u64) -> io::Result<(Option<u64>, SystemTime)> {
    let mut file = itself(OpenOptions::new().create(true).append(true).read(true)).open(usage)?;
    file.write_all(&bytes.to_le_bytes())?;
    let now = file.metadata()?.modified()?;
    file.rewind()?;
    let (numbers, is_whole) = numbers(file)?;
    let says = is_whole && (2..MAX_NUMBERS).contains(&numbers.len());
    Ok((says.then(|| sum(&numbers)), now))
}

/// The numbers in a file of usage, of which there are not too many, and whether each was written in full.
fn numbers(file: File) -> io::Result<(Vec<u64>, bool)> {
    let mut bytes = Vec::new();
    file.take((MAX_NUMBERS * NUMBER_BYTES) as u64).read_to_end(&mut bytes)?;
    let (numbers, rest) = bytes.as_chunks::<NUMBER_BYTES>();
    Ok((numbers.iter().map(|number| u64::from_le_bytes(*number)).collect(), rest.is_empty()))
}

fn sum(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |total, number| total.saturating_add(*number))
}
