//! Every fact about what lies below a directory, and how two differ.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

use crate::error::{Error, Result};

/// The directory itself, under the empty path, and all that is below it. No link is followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rootfs(BTreeMap<PathBuf, Facts>);

/// What is known of one entry, each fact by its name and in words.
type Facts = BTreeMap<String, String>;

/// A fact that is not the same in both trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    Missing(PathBuf),
    Surplus(PathBuf),
    Fact { path: PathBuf, name: String, expected: String, found: String },
}

/// What a tree that lacks a fact is said to have.
const NONE: &str = "none";
/// A time that does not matter.
const UNDATED: &str = "any";

impl Rootfs {
    /// Reads all that is known of `root` and below.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut reading = Reading::default();
        reading.entry(root, Path::new(""))?;
        Ok(reading.close())
    }

    /// Takes out those entries that `is_out` names.
    pub(crate) fn without(mut self, is_out: impl Fn(&Path) -> bool) -> Self {
        self.0.retain(|path, _| !is_out(path));
        self
    }

    /// Forgets those times that were given in the day that began with `start`.
    pub(crate) fn undated_since(mut self, start: SystemTime) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        let today = start..start + DAY;
        for mtime in self.0.values_mut().filter_map(|facts| facts.get_mut("mtime")) {
            if time(mtime).is_some_and(|time| today.contains(&time)) {
                UNDATED.clone_into(mtime);
            }
        }
        self
    }

    /// Forgets the times of what has none in `other`.
    pub(crate) fn undated_like(mut self, other: &Self) -> Self {
        for (path, facts) in &mut self.0 {
            let is_undated =
                other.0.get(path).and_then(|facts| facts.get("mtime")).is_some_and(|mtime| mtime == UNDATED);
            if let Some(mtime) = facts.get_mut("mtime").filter(|_| is_undated) {
                UNDATED.clone_into(mtime);
            }
        }
        self
    }

    /// How `found` differs from this tree, which is what was expected.
    pub(crate) fn differences(&self, found: &Self) -> Vec<Difference> {
        let missing = self.0.keys().filter(|path| !found.0.contains_key(*path)).cloned().map(Difference::Missing);
        let surplus = found.0.keys().filter(|path| !self.0.contains_key(*path)).cloned().map(Difference::Surplus);
        let both = self.0.iter().filter_map(|(path, facts)| Some((path, facts, found.0.get(path)?)));
        let changed = both.flat_map(|(path, expected, found)| changed(path, expected, found));
        missing.chain(surplus).chain(changed).collect()
    }

    /// An error that tells the first differences, if there are any.
    pub(crate) fn require(&self, found: &Self, what: &str) -> Result<()> {
        let differences = self.differences(found);
        if differences.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = differences.iter().take(8).map(Difference::to_string).collect();
        Err(Error::Unexpected {
            what: what.to_owned(),
            expected: format!("the same {} entries", self.0.len()),
            found: format!("{} differences: {}", differences.len(), shown.join("; ")),
        })
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "/{} is missing", path.display()),
            Self::Surplus(path) => write!(f, "/{} should not be there", path.display()),
            Self::Fact { path, name, expected, found } => {
                write!(f, "/{} has {name} {found}, not {expected}", path.display())
            }
        }
    }
}

fn changed(path: &Path, expected: &Facts, found: &Facts) -> Vec<Difference> {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let word = |facts: &Facts, name: &String| facts.get(name).map_or_else(|| NONE.to_owned(), Clone::clone);
    let rows = names.map(|name| (name.clone(), word(expected, name), word(found, name)));
    rows.filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| Difference::Fact { path: path.to_owned(), name, expected, found })
        .collect()
}

/// A tree that is being read: hard links are known when all names are.
#[derive(Debug, Default)]
struct Reading {
    facts: BTreeMap<PathBuf, Facts>,
    /// The names of what has more than one, by device and inode.
    names: BTreeMap<(u64, u64), Vec<PathBuf>>,
}

impl Reading {
    fn entry(&mut self, root: &Path, below: &Path) -> Result<()> {
        let path = if below.as_os_str().is_empty() { root.to_owned() } else { root.join(below) };
        let metadata = fs::symlink_metadata(&path).map_err(Error::file("stat", &path))?;
        self.facts.insert(below.to_owned(), facts(&path, &metadata)?);
        if !metadata.is_dir() {
            if metadata.nlink() > 1 {
                self.names.entry((metadata.dev(), metadata.ino())).or_default().push(below.to_owned());
            }
            return Ok(());
        }
        for entry in fs::read_dir(&path).map_err(Error::file("list", &path))? {
            let name = entry.map_err(Error::file("list", &path))?.file_name();
            self.entry(root, &below.join(name))?;
        }
        Ok(())
    }

    fn close(mut self) -> Rootfs {
        for mut names in self.names.into_values().filter(|names| names.len() > 1) {
            names.sort();
            let shown: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
            let shown = shown.join(" = ");
            for name in &names {
                self.facts.entry(name.clone()).or_default().insert("hard links".to_owned(), shown.clone());
            }
        }
        Rootfs(self.facts)
    }
}

fn facts(path: &Path, metadata: &Metadata) -> Result<Facts> {
    let mut facts = Facts::new();
    let mut set = |name: &str, value: String| drop(facts.insert(name.to_owned(), value));
    let kind = metadata.file_type();
    set("type", word(metadata).to_owned());
    set("owner", format!("{}:{}", metadata.uid(), metadata.gid()));
    set("mtime", format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec()));
    if !kind.is_symlink() {
        // Linux gives every link the same.
        set("mode", format!("{:04o}", metadata.mode() & 0o7777));
    }
    if kind.is_file() {
        set("size", metadata.len().to_string());
        set("content", sum(path).map_err(Error::file("read", path))?);
    }
    if kind.is_symlink() {
        set("target", fs::read_link(path).map_err(Error::file("read", path))?.to_string_lossy().into_owned());
    }
    if kind.is_char_device() || kind.is_block_device() {
        set("device", format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev())));
    }
    for (name, value) in xattrs(path).map_err(Error::file("read the attributes of", path))? {
        set(&format!("attribute {}", name.to_string_lossy()), format!("`{}`", value.escape_ascii()));
    }
    Ok(facts)
}

/// The time that the fact `mtime` tells, unless it is before 1970.
fn time(mtime: &str) -> Option<SystemTime> {
    let (seconds, nanoseconds) = mtime.split_once('.')?;
    let since_1970 = Duration::new(seconds.parse().ok()?, nanoseconds.parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + since_1970)
}

fn word(metadata: &Metadata) -> &'static str {
    match metadata.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        kind if kind.is_symlink() => "symlink",
        kind if kind.is_char_device() => "character device",
        kind if kind.is_block_device() => "block device",
        kind if kind.is_fifo() => "fifo",
        _ => "socket",
    }
}

/// The start of the SHA-256 of a file, which is enough to tell two apart.
fn sum(path: &Path) -> io::Result<String> {
    let (mut file, mut context, mut buffer) = (File::open(path)?, Context::new(&SHA256), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    Ok(context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

fn xattrs(path: &Path) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    const LIST_BYTES: usize = 64 << 10;
    let mut buffer = vec![0_u8; LIST_BYTES];
    let listed = match llistxattr(path, &mut buffer) {
        Ok(bytes) => buffer[..bytes].to_vec(),
        // There is no list where the file system has no attributes.
        Err(rustix::io::Errno::NOTSUP) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut buffer = vec![0_u8; LIST_BYTES];
        let bytes = lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut buffer)?;
        Ok((OsString::from_vec(name.to_vec()), buffer[..bytes].to_vec()))
    };
    names.map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};

    use super::*;

    /// Two equal trees; `change` is applied to the second, whose directories get their times back.
    #[track_caller]
    fn check(change: impl Fn(&Path), expected: &[&str]) {
        let [one, other] = [tree(), tree()];
        change(&other.path().join("d"));
        settle(other.path());
        let read = |tree: &tempfile::TempDir| Rootfs::read(tree.path()).unwrap();
        let differences = read(&one).differences(&read(&other));
        let found: Vec<String> = differences.iter().map(Difference::to_string).collect();
        assert_eq!(found, expected);
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let d = root.path().join("d");
        fs::create_dir(&d).unwrap();
        chmod(&d, 0o755);
        for name in ["f", "g"] {
            fs::write(d.join(name), "hello").unwrap();
            chmod(&d.join(name), 0o644);
            touch(&d.join(name), 7);
        }
        symlink("f", d.join("l")).unwrap();
        touch(&d.join("l"), 7);
        settle(root.path());
        root
    }

    fn settle(root: &Path) {
        touch(&root.join("d"), 7);
        touch(root, 7);
    }

    fn touch(path: &Path, nanoseconds: i64) {
        let time = Timespec { tv_sec: 1_000, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn equal_trees_have_no_difference() {
        check(|_| (), &[]);
    }

    #[test]
    fn a_missing_and_a_surplus_entry_are_told() {
        check(|d| fs::remove_file(d.join("g")).unwrap(), &["/d/g is missing"]);
        check(|d| fs::create_dir(d.join("n")).unwrap(), &["/d/n should not be there"]);
    }

    #[test]
    fn other_content_is_told_by_the_digests() {
        let change = |d: &Path| {
            fs::write(d.join("f"), "world").unwrap();
            touch(&d.join("f"), 7);
        };
        check(change, &["/d/f has content 486ea46224d1bb4fb680f34f7c9ad96a, not 2cf24dba5fb0a30e26e83b2ac5b9e29e"]);
    }

    #[test]
    fn every_bit_of_the_mode_and_every_nanosecond_counts() {
        check(|d| chmod(&d.join("f"), 0o4644), &["/d/f has mode 4644, not 0644"]);
        check(|d| touch(&d.join("f"), 8), &["/d/f has mtime 1000.000000008, not 1000.000000007"]);
        check(|d| touch(&d.join("l"), 0), &["/d/l has mtime 1000.000000000, not 1000.000000007"]);
    }

    #[test]
    fn a_time_of_today_is_forgotten_when_asked() {
        let tree = tree();
        let read = || Rootfs::read(tree.path()).unwrap();
        let since = |seconds: u64| read().undated_since(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(since(1_001), read());
        let before = since(999);
        touch(&tree.path().join("d/f"), 8);
        assert_eq!(since(999), before);
    }

    #[test]
    fn another_target_is_told() {
        let change = |d: &Path| {
            fs::remove_file(d.join("l")).unwrap();
            symlink("/f", d.join("l")).unwrap();
            touch(&d.join("l"), 7);
        };
        check(change, &["/d/l has target /f, not f"]);
    }

    #[test]
    fn names_of_one_inode_are_told_from_equal_files() {
        let change = |d: &Path| {
            fs::remove_file(d.join("g")).unwrap();
            fs::hard_link(d.join("f"), d.join("g")).unwrap();
        };
        check(change, &["/d/f has hard links d/f = d/g, not none", "/d/g has hard links d/f = d/g, not none"]);
    }

    #[test]
    fn an_attribute_is_told() {
        let change = |d: &Path| lsetxattr(d.join("f"), "user.note", b"a\0b", XattrFlags::empty()).unwrap();
        check(change, &[r"/d/f has attribute user.note `a\x00b`, not none"]);
    }

    #[test]
    fn what_nobody_can_open_is_told() {
        let change = |d: &Path| {
            fs::remove_file(d.join("f")).unwrap();
            drop(UnixListener::bind(d.join("f")).unwrap());
            chmod(&d.join("f"), 0o644);
            touch(&d.join("f"), 7);
        };
        let expected = [
            "/d/f has content none, not 2cf24dba5fb0a30e26e83b2ac5b9e29e",
            "/d/f has size none, not 5",
            "/d/f has type socket, not file",
        ];
        check(change, &expected);
    }
}
