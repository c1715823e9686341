//! Indexes as they were read last: many who ask for a long one share what it says, and parse it once.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use refs_registry::{Error, Result, error::Doing};

use super::index::LayoutIndex;
use crate::file::{corrupt, open_file};

const LONGEST_BYTES: u64 = 64 * 1024 * 1024;
/// A shorter index is parsed as quickly as it is looked for, and takes little memory however many do so at once.
const SHARED_FROM_BYTES: u64 = 32 * 1024;
/// What is kept of indexes in all, as bytes of their JSON; parsed they take about six times as much.
const KEPT_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Some programs write an index in its place. By the clock of a file system, of 10 ms a step, a file that was written less than
/// this before it was read may have changed since without a trace.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// The long indexes of a folder of layouts, or of one layout: those that were used last, and at least one.
#[derive(Debug)]
pub(crate) struct Indexes {
    /// Held over the parsing, so that no more memory is taken for it than that of one index.
    turn: Mutex<()>,
    kept: Mutex<Vec<Kept>>,
    max_bytes: u64,
    longest_bytes: u64,
    now: fn() -> SystemTime,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    stamp: Stamp,
    index: LayoutIndex,
}

/// Tells one state of a file from another: a new one comes with a new inode, a change to the same one with a new time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Default for Indexes {
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            kept: Mutex::default(),
            max_bytes: KEPT_MAX_BYTES,
            longest_bytes: LONGEST_BYTES,
            now: SystemTime::now,
        }
    }
}

impl Indexes {
    /// The index at `path`, as it is now; `None` when there is no such file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<LayoutIndex>> {
        let Some((file, stamp)) = open(path)? else { return Ok(None) };
        if stamp.bytes < SHARED_FROM_BYTES {
            return self.parse(&file, stamp, path).map(Some);
        }
        if let Some(index) = self.find(path, stamp) {
            return Ok(Some(index));
        }
        drop(file);
        let _turn = hold(&self.turn);
        let now = (self.now)();
        let Some((file, stamp)) = open(path)? else { return Ok(None) };
        // Whoever had the turn before may have read it.
        if let Some(index) = self.find(path, stamp) {
            return Ok(Some(index));
        }
        let index = self.parse(&file, stamp, path)?;
        if stamp.is_settled(now) {
            self.keep(Kept { path: path.to_owned(), stamp, index: index.clone() });
        }
        Ok(Some(index))
    }

    /// More bytes of an index are neither read nor written.
    pub(super) const fn longest_bytes(&self) -> u64 {
        self.longest_bytes
    }

    fn parse(&self, file: &File, stamp: Stamp, path: &Path) -> Result<LayoutIndex> {
        let longest = self.longest_bytes;
        let too_long = || corrupt(path, format!("it has more than {longest} bytes"));
        if stamp.bytes > longest {
            return Err(too_long());
        }
        let mut json = Vec::new();
        file.take(longest + 1).read_to_end(&mut json).map_err(|error| Error::io(Doing::Read, path, error))?;
        if json.len() as u64 > longest {
            return Err(too_long());
        }
        LayoutIndex::parse(&json).map_err(|fault| corrupt(path, fault.to_string()))
    }

    /// What is kept of the file at `path`, if that has not changed since. What has is kept no longer.
    fn find(&self, path: &Path, stamp: Stamp) -> Option<LayoutIndex> {
        let mut kept = hold(&self.kept);
        let at = kept.iter().position(|kept| kept.path == path)?;
        let found = kept.remove(at);
        if found.stamp != stamp {
            return None;
        }
        let index = found.index.clone();
        kept.push(found);
        Some(index)
    }

    /// Keeps `new` as the one that was used last, and of the others as many as there is room for.
    fn keep(&self, new: Kept) {
        let mut kept = hold(&self.kept);
        kept.retain(|kept| kept.path != new.path);
        kept.push(new);
        let mut bytes: u64 = kept.iter().map(|kept| kept.stamp.bytes).sum();
        while bytes > self.max_bytes && kept.len() > 1 {
            bytes -= kept.remove(0).stamp.bytes;
        }
    }
}

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether a file that was found so at `now` shows by another stamp that it was changed later.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanos) = self.changed;
        let changed = Duration::new(seconds.try_into().unwrap_or_default(), nanos.try_into().unwrap_or_default());
        now.duration_since(SystemTime::UNIX_EPOCH + changed).is_ok_and(|age| age > SETTLED_AFTER)
    }
}

fn open(path: &Path) -> Result<Option<(File, Stamp)>> {
    let Some((file, _)) = open_file(OpenOptions::new().read(true), path)? else { return Ok(None) };
    let metadata = file.metadata().map_err(|error| Error::io(Doing::Read, path, error))?;
    let stamp = Stamp::of(&metadata);
    Ok(Some((file, stamp)))
}

/// Nothing that is done under these locks leaves half of it done.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        fs, ptr,
        sync::{Arc, Barrier},
        thread::scope,
    };

    use refs_registry::{Descriptor, Manifest, MediaType, error::Wanted};
    use refs_url::{Tag, Target};
    use tempfile::TempDir;

    use super::*;
    use crate::{ingest::replace, layout::Folder};

    /// The JSON of an index that is long enough, with a tag of its own.
    fn long(own: &str) -> Vec<u8> {
        let mut index = LayoutIndex::empty();
        let tags: Vec<_> = (100..300).map(|n| Tag::parse(&format!("{own}{n}")).unwrap()).collect();
        index.put(&Descriptor::of(MediaType::OCI_MANIFEST, own.as_bytes()), &tags);
        let json = index.to_json().unwrap();
        assert!(json.len() as u64 > SHARED_FROM_BYTES);
        json
    }

    /// As if all files had been written long ago.
    fn late(max_bytes: u64) -> Indexes {
        Indexes { now: || SystemTime::now() + Duration::from_secs(3600), max_bytes, ..Indexes::default() }
    }

    fn written(folder: &TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, long(name)).unwrap();
        path
    }

    fn are_one(left: &LayoutIndex, right: &LayoutIndex) -> bool {
        ptr::eq(left.entries(), right.entries())
    }

    #[test]
    fn many_who_ask_at_once_share_one() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, "a");
        let (indexes, barrier) = (late(KEPT_MAX_BYTES), Barrier::new(8));
        let ask = || {
            barrier.wait();
            indexes.read(&path).map(Option::unwrap)
        };
        let read: Vec<_> = scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect::<Result<_>>()
        })?;
        assert!(read.iter().all(|index| are_one(index, &read[0])));
        assert_eq!(read[0], LayoutIndex::parse(&long("a")).unwrap());
        Ok(())
    }

    #[test]
    fn whatever_was_written_meanwhile_is_read() -> Result<()> {
        #[track_caller]
        fn check(indexes: &Indexes, write: impl Fn(&Path, &[u8])) -> Result<()> {
            let folder = tempfile::tempdir().unwrap();
            let path = written(&folder, "a");
            assert_eq!(indexes.read(&path)?, Some(LayoutIndex::parse(&long("a")).unwrap()));
            write(&path, &long("b"));
            assert_eq!(indexes.read(&path)?, Some(LayoutIndex::parse(&long("b")).unwrap()));
            fs::remove_file(&path).unwrap();
            assert_eq!(indexes.read(&path)?, None);
            Ok(())
        }
        let by_name = |path: &Path, json: &[u8]| replace(path.parent().unwrap(), path, json).unwrap();
        let in_place = |path: &Path, json: &[u8]| fs::write(path, json).unwrap();
        let in_place_and_longer = |path: &Path, json: &[u8]| fs::write(path, [json, b" "].concat()).unwrap();
        check(&late(KEPT_MAX_BYTES), by_name)?;
        check(&late(KEPT_MAX_BYTES), in_place_and_longer)?;
        check(&Indexes::default(), by_name)?;
        // Within one step of the clock, nothing tells it from what was there.
        check(&Indexes::default(), in_place)
    }

    #[test]
    fn those_that_were_used_last_are_kept() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| written(&folder, name));
        let read = |indexes: &Indexes, path| indexes.read(path).map(Option::unwrap);
        let indexes = late(2 * long("a").len() as u64);
        let (of_a, of_b) = (read(&indexes, &a)?, read(&indexes, &b)?);
        assert!(are_one(&read(&indexes, &a)?, &of_a));
        read(&indexes, &c)?;
        assert!(are_one(&read(&indexes, &a)?, &of_a));
        assert!(!are_one(&read(&indexes, &b)?, &of_b));

        let one = late(0);
        assert!(are_one(&read(&one, &a)?, &read(&one, &a)?));
        assert_eq!(hold(&one.kept).len(), 1);
        Ok(())
    }

    #[test]
    fn what_is_kept_is_changed_by_nobody() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, "a");
        let indexes = late(KEPT_MAX_BYTES);
        let mut index = indexes.read(&path)?.unwrap();
        index.remove_tag(&Tag::parse("a100").unwrap());
        assert_eq!(indexes.read(&path)?, Some(LayoutIndex::parse(&long("a")).unwrap()));
        Ok(())
    }

    #[test]
    fn none_is_written_that_is_too_long_to_be_read() -> Result<()> {
        let root = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(root.path().join("layout"))?;
        folder.indexes = Arc::new(Indexes { longest_bytes: 400, ..Indexes::default() });
        let manifest = |note: &str| {
            let json = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"note":"{note}"}}}}"#);
            Manifest::new(MediaType::OCI_INDEX, json.into())
        };
        let (one, two) = (manifest("one"), manifest("two"));
        let put = |manifest: &Manifest, tag| folder.put_manifest(manifest, &[Tag::parse(tag).unwrap()]);
        put(&one, "v1")?;
        let before = fs::read(folder.index_path()).unwrap();
        assert!(matches!(put(&two, "v2"), Err(Error::TooLarge { wanted: Wanted::Tags, limit: 400 })));
        assert_eq!(fs::read(folder.index_path()).unwrap(), before);
        assert_eq!(folder.blob_size(&two.descriptor.digest)?, None);
        assert_eq!(folder.manifest(&Target::Tag(Tag::parse("v1").unwrap()))?, one);
        folder.delete_manifest(&Target::Digest(one.descriptor.digest))?;
        put(&two, "v2").map(drop)
    }
}
