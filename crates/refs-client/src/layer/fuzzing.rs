//! Archives from anyone, walked, and what another reader makes of them.

use std::io::{BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use refs_estargz::{Entry, Kind, ZstdReader};
use refs_registry::{Descriptor, MediaType};

use super::archive::{self, Archive, Compression};
use crate::Result;

/// A few bytes may give gigabytes, and a few entries more of them: so much is looked at.
const MOST_BYTES: u64 = 4 << 20;
const MOST_ENTRIES: usize = 4096;

/// What is in an archive, as far as it was looked at.
type Walked = Vec<(Entry, Vec<u8>)>;

/// A layer: a tar archive, compressed with gzip, with zstd, or not.
pub fn tar_walk(data: &[u8]) {
    let (entries, ended) = walk(data, data.len().max(1));
    for portion in [1, 511] {
        let (again, ended_again) = walk(data, portion);
        assert!(is_alike((&entries, &ended), (&again, &ended_again)), "{entries:?} is in portions {again:?}");
    }
    if matches!(ended, Ok(Ended::AtEnd)) {
        is_the_same_to_another(data, &entries);
    }
}

/// How a walk came to its end.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    AtEnd,
    /// There is more than is looked at.
    Early,
}

/// Whether two walks of the same bytes saw the same. How much an inflater gives of what is before a fault depends on how much
/// it was given, so that one of them may come further.
fn is_alike((one, one_ended): (&Walked, &Result<Ended>), (other, other_ended): (&Walked, &Result<Ended>)) -> bool {
    match (one_ended, other_ended) {
        (Ok(one_ended), Ok(other_ended)) => one == other && one_ended == other_ended,
        (Err(_), Err(_)) => one.iter().zip(other).all(|(one, other)| one == other),
        _ => false,
    }
}

/// Walks `data` as it comes in portions.
fn walk(data: &[u8], portion: usize) -> (Walked, Result<Ended>) {
    let layer = Descriptor::of(MediaType::OCI_LAYER, data);
    let bytes = BufReader::with_capacity(portion, Cursor::new(data.to_vec()));
    let mut entries = Walked::new();
    let ended = archive::open(bytes, &layer).and_then(|archive| walk_to_end(archive, &mut entries));
    (entries, ended)
}

fn walk_to_end(mut archive: Archive, entries: &mut Walked) -> Result<Ended> {
    let mut left = MOST_BYTES;
    let mut offset = None;
    while let Some(entry) = archive.next_entry()? {
        is_usable(&entry);
        let at = archive.header_offset();
        assert!(at.is_multiple_of(512) && offset.is_none_or(|before| before < at), "{at} follows {offset:?}");
        offset = Some(at);
        if entry.size() > left || entries.len() == MOST_ENTRIES {
            return Ok(Ended::Early);
        }
        left -= entry.size();
        let mut content = Vec::new();
        archive.content(|bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        assert_eq!(content.len() as u64, entry.size(), "{entry:?}");
        entries.push((entry, content));
    }
    archive.finish().map(|()| Ended::AtEnd)
}

/// An entry is below the root, whatever becomes of it.
fn is_usable(entry: &Entry) {
    assert!(is_below_root(&entry.path), "{entry:?}");
    assert!(entry.mode <= 0o7777, "{entry:?}");
    match &entry.kind {
        Kind::Hardlink { target } => assert!(is_below_root(target), "{entry:?}"),
        Kind::Symlink { target } => {
            assert!(!target.is_empty() && target.len() <= 4096 && !target.contains('\0'), "{entry:?}");
        }
        _ => {}
    }
}

fn is_below_root(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains('\0');
    path.len() <= 4096 && path.split('/').count() <= 128 && path.split('/').all(is_name)
}

/// What we read to the end, the `tar` crate reads as the same, or not at all: content of one is never a header of another.
fn is_the_same_to_another(data: &[u8], ours: &Walked) {
    let inflated: Box<dyn Read> = match Compression::of(data) {
        Compression::None => Box::new(data),
        Compression::Gzip => Box::new(MultiGzDecoder::new(data)),
        Compression::Zstd => Box::new(ZstdReader::new(data)),
    };
    let Some(theirs) = read_by_another(inflated) else { return };
    let ours: Vec<_> = ours.iter().map(|(entry, content)| (entry.path.clone(), target(entry), content)).collect();
    let theirs: Vec<_> = theirs.iter().map(|(path, target, content)| (path.clone(), target.clone(), content)).collect();
    assert_eq!(ours, theirs);
}

fn target(entry: &Entry) -> String {
    match &entry.kind {
        Kind::Symlink { target } | Kind::Hardlink { target } => target.clone(),
        _ => String::new(),
    }
}

/// Paths, targets of links and content, if all of the archive can be read.
fn read_by_another(archive: impl Read) -> Option<Vec<(String, String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let kind = entry.header().entry_type();
        let path = normal(&entry.path_bytes());
        if path.is_empty() || kind == tar::EntryType::XGlobalHeader {
            continue;
        }
        let link = entry.link_name_bytes().unwrap_or_default();
        let target = match kind {
            tar::EntryType::Symlink => String::from_utf8_lossy(&link).into_owned(),
            tar::EntryType::Link => normal(&link),
            _ => String::new(),
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        found.push((path, target, content));
    }
    Some(found)
}

fn normal(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let names = name.split('/').filter(|name| !matches!(*name, "" | "."));
    names.collect::<Vec<_>>().join("/")
}
