//! What entries may do to a file system, and what they may not.

mod hostile;
mod images;
mod limits;
mod property;
mod race;
mod staging;
mod trees;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_estargz::{Entry, Kind};
use tempfile::TempDir;

use super::{Budget, Existing, Limits, Staging, Unpack, tree::Unpacked};
use crate::{
    Result,
    receive::{Hand, Receive},
};

/// An entry with the bytes of its file.
#[derive(Debug, Clone)]
struct Item {
    entry: Entry,
    content: Vec<u8>,
}

impl Item {
    fn new(path: &str, kind: Kind, mode: u32) -> Self {
        let entry = Entry {
            path: path.to_owned(),
            kind,
            mode,
            mtime: 1_000_000_000,
            uid: 4_000_000_000,
            gid: 4_000_000_000,
            xattrs: BTreeMap::from([("security.capability".to_owned(), vec![1, 0, 0, 2])]),
            digest: None,
        };
        Self { entry, content: Vec::new() }
    }

    fn mode(mut self, mode: u32) -> Self {
        self.entry.mode = mode;
        self
    }

    fn mtime(mut self, mtime: i64) -> Self {
        self.entry.mtime = mtime;
        self
    }
}

fn file(path: &str, content: &str) -> Item {
    let size = content.len() as u64;
    Item { content: content.as_bytes().to_vec(), ..Item::new(path, Kind::File { size }, 0o644) }
}

fn directory(path: &str) -> Item {
    Item::new(path, Kind::Directory, 0o755)
}

fn symlink(path: &str, target: &str) -> Item {
    Item::new(path, Kind::Symlink { target: target.to_owned() }, 0o777)
}

fn hardlink(path: &str, target: &str) -> Item {
    Item::new(path, Kind::Hardlink { target: target.to_owned() }, 0o644)
}

/// A directory for one test, with the place `dest` in it for an artifact.
struct Ground {
    directory: TempDir,
}

impl Ground {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// In memory where the system has such a place: there a directory is durable at once, so a thousand trees are fast.
    fn fast() -> Self {
        let memory = Path::new("/dev/shm");
        Self { directory: TempDir::new_in(memory).or_else(|_| TempDir::new()).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn dest(&self) -> PathBuf {
        self.path("dest")
    }

    fn unpack(&self, layers: &[Vec<Item>]) -> Result<Unpacked> {
        self.unpack_within(layers, Limits::default())
    }

    fn unpack_within(&self, layers: &[Vec<Item>], limits: Limits) -> Result<Unpacked> {
        let staging = Staging::beside(&self.dest(), Existing::Refuse)?;
        let unpacked = fill(&staging, layers, limits)?;
        staging.publish()?;
        Ok(unpacked)
    }

    /// What is on the ground, but for the directory itself.
    fn snapshot(&self) -> BTreeMap<String, String> {
        snapshot(self.directory.path())
    }
}

fn fill(staging: &Staging, layers: &[Vec<Item>], limits: Limits) -> Result<Unpacked> {
    let mut unpack = Unpack::new(staging.root(), &Arc::new(Budget::new(limits)));
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            unpack.next_layer()?;
        }
        for item in layer {
            give(&mut unpack, item)?;
        }
    }
    unpack.finish()
}

fn give(unpack: &mut Unpack, item: &Item) -> Result<()> {
    unpack.entry(&item.entry)?;
    if !item.entry.is_file() {
        return Ok(());
    }
    // From the end to the start, and by two hands: pieces may come so.
    let mut hands = [unpack.hand(), unpack.hand()];
    let mut pieces: Vec<_> = item.content.chunks(1000).enumerate().map(|(i, piece)| (i * 1000, piece)).collect();
    if pieces.is_empty() {
        pieces.push((0, &[]));
    }
    for (i, (offset, piece)) in pieces.into_iter().rev().enumerate() {
        hands[i % 2].piece(&item.entry, offset as u64, piece)?;
    }
    Ok(())
}

/// Every path below `top` with its permissions and what it is.
fn snapshot(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    look(top, "", &mut found);
    found
}

fn look(directory: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let metadata = entry.metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let what = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display())
        } else if metadata.is_dir() {
            format!("{mode:o} directory")
        } else {
            format!("{mode:o} {:?}", fs::read_to_string(entry.path()).unwrap_or_default())
        };
        found.insert(path.clone(), what);
        // One that may not be listed has nothing in it in these tests.
        if metadata.is_dir() && mode & 0o500 == 0o500 {
            look(&entry.path(), &format!("{path}/"), found);
        }
    }
}

/// The permissions that this process's mask leaves of `mode`.
fn masked(mode: u32) -> u32 {
    use std::os::unix::fs::OpenOptionsExt;

    let ground = TempDir::new().unwrap();
    let probe = fs::OpenOptions::new().write(true).create_new(true).mode(0o777).open(ground.path().join("probe"));
    mode & probe.unwrap().metadata().unwrap().permissions().mode()
}

/// What a snapshot should be: each path, and what it is, with the permissions it would have without the mask.
fn tree(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mask = masked(0o777);
    let expect = |what: &str| match what.split_once(' ') {
        Some((mode, rest)) if mode != "->" => format!("{:o} {rest}", u32::from_str_radix(mode, 8).unwrap() & mask),
        _ => what.to_owned(),
    };
    rows.iter().map(|(path, what)| ((*path).to_owned(), expect(what))).collect()
}
