//! What a directory holds, and how two differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Everything below a directory by its path from there, without the directory itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Node>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: Kind,
    /// The permission bits.
    mode: u32,
    /// Whole seconds since 1970.
    mtime: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

/// How closely two trees are compared. Each looks at all that the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closely {
    /// Names, kinds, bytes of files, targets of links.
    Content,
    /// Also the permissions of files and directories.
    Modes,
    /// Also their modification times.
    Times,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Difference {
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    #[error("{} should not be there", .0.display())]
    Surplus(PathBuf),
    #[error("{} is a {found}, not a {expected}", path.display())]
    Kind { path: PathBuf, expected: &'static str, found: &'static str },
    #[error("{} differs in byte {at} of {expected_bytes} (found {found_bytes})", path.display())]
    Bytes { path: PathBuf, at: usize, expected_bytes: usize, found_bytes: usize },
    #[error("{} points to {}, not to {}", path.display(), found.display(), expected.display())]
    Target { path: PathBuf, expected: PathBuf, found: PathBuf },
    #[error("{} has mode {found:o}, not {expected:o}", path.display())]
    Mode { path: PathBuf, expected: u32, found: u32 },
    #[error("{} has mtime {found}, not {expected}", path.display())]
    Time { path: PathBuf, expected: i64, found: i64 },
}

impl Tree {
    /// Reads all of `root` into memory.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_below(root, Path::new(""))?;
        Ok(tree)
    }

    fn read_below(&mut self, root: &Path, below: &Path) -> Result<()> {
        let directory = root.join(below);
        for entry in fs::read_dir(&directory).map_err(Error::file("list", &directory))? {
            let name = entry.map_err(Error::file("list", &directory))?.file_name();
            let path = below.join(name);
            let node = Node::read(&root.join(&path))?;
            let descend = node.kind == Kind::Directory;
            self.0.insert(path.clone(), node);
            if descend {
                self.read_below(root, &path)?;
            }
        }
        Ok(())
    }

    /// The paths of all entries, sorted, with `/` between names.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.0.keys().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// The bytes of the files, by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0.iter().filter_map(|(path, node)| match &node.kind {
            Kind::File(bytes) => Some((path.as_path(), bytes.as_slice())),
            Kind::Directory | Kind::Link(_) | Kind::Other => None,
        })
    }

    /// The entries that `keep` accepts, and the directories above them.
    pub(crate) fn only(&self, keep: impl Fn(&Path) -> bool) -> Self {
        let kept: Vec<&PathBuf> = self.0.keys().filter(|path| keep(path)).collect();
        let wanted = |path: &Path| kept.iter().any(|kept| kept.starts_with(path));
        Self(self.0.iter().filter(|(path, _)| wanted(path)).map(|(path, node)| (path.clone(), node.clone())).collect())
    }

    /// Takes entries out, those of them that are there.
    pub(crate) fn without(mut self, paths: &[&str]) -> Self {
        self.0.retain(|path, _| !paths.iter().any(|out| path == Path::new(out)));
        self
    }

    /// The paths of all entries but directories, which some layers do not name.
    pub(crate) fn leaves(&self) -> BTreeSet<String> {
        let leaves = self.0.iter().filter(|(_, node)| node.kind != Kind::Directory);
        leaves.map(|(path, _)| path.to_string_lossy().into_owned()).collect()
    }

    /// How `found` differs from this tree, which is what was expected.
    pub(crate) fn differences(&self, found: &Self, closely: Closely) -> Vec<Difference> {
        let missing = self.0.keys().filter(|path| !found.0.contains_key(*path)).cloned().map(Difference::Missing);
        let surplus = found.0.keys().filter(|path| !self.0.contains_key(*path)).cloned().map(Difference::Surplus);
        let both = self.0.iter().filter_map(|(path, node)| Some((path, node, found.0.get(path)?)));
        let changed = both.flat_map(|(path, expected, found)| expected.differences(found, path, closely));
        missing.chain(surplus).chain(changed).collect()
    }

    /// An error that names the first differences, if there are any.
    pub(crate) fn require(&self, found: &Self, closely: Closely, what: &str) -> Result<()> {
        let differences = self.differences(found, closely);
        if differences.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = differences.iter().take(5).map(Difference::to_string).collect();
        Err(Error::Unexpected {
            what: what.to_owned(),
            expected: format!("the same {} entries", self.0.len()),
            found: format!("{} differences: {}", differences.len(), shown.join("; ")),
        })
    }
}

impl Node {
    fn read(path: &Path) -> Result<Self> {
        let metadata = fs::symlink_metadata(path).map_err(Error::file("stat", path))?;
        let kind = Kind::read(path, &metadata)?;
        Ok(Self { kind, mode: metadata.permissions().mode() & 0o7777, mtime: metadata.mtime() })
    }

    fn differences(&self, found: &Self, path: &Path, closely: Closely) -> Vec<Difference> {
        let mut all: Vec<Difference> = self.kind.difference(&found.kind, path).into_iter().collect();
        // A link's own mode means nothing, and not every system can set its time.
        let is_link = matches!(self.kind, Kind::Link(_));
        let path = path.to_owned();
        if closely >= Closely::Modes && !is_link && self.mode != found.mode {
            all.push(Difference::Mode { path: path.clone(), expected: self.mode, found: found.mode });
        }
        if closely >= Closely::Times && !is_link && self.mtime != found.mtime {
            all.push(Difference::Time { path, expected: self.mtime, found: found.mtime });
        }
        all
    }
}

impl Kind {
    fn read(path: &Path, metadata: &Metadata) -> Result<Self> {
        Ok(match metadata.file_type() {
            kind if kind.is_dir() => Self::Directory,
            kind if kind.is_file() => Self::File(fs::read(path).map_err(Error::file("read", path))?),
            kind if kind.is_symlink() => Self::Link(fs::read_link(path).map_err(Error::file("read", path))?),
            _ => Self::Other,
        })
    }

    fn difference(&self, found: &Self, path: &Path) -> Option<Difference> {
        let path = path.to_owned();
        match (self, found) {
            (Self::File(expected), Self::File(found)) if expected != found => {
                let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
                let (expected_bytes, found_bytes) = (expected.len(), found.len());
                Some(Difference::Bytes { path, at: same, expected_bytes, found_bytes })
            }
            (Self::Link(expected), Self::Link(found)) if expected != found => {
                Some(Difference::Target { path, expected: expected.clone(), found: found.clone() })
            }
            _ if self.word() != found.word() => {
                Some(Difference::Kind { path, expected: self.word(), found: found.word() })
            }
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Link(_) => "symlink",
            Self::Other => "device or socket",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Two equal trees; `change` is applied to the second.
    #[track_caller]
    fn check(closely: Closely, change: impl Fn(&Path), expected: &[&str]) {
        let [one, other] = [tree(), tree()];
        change(other.path());
        let differences = Tree::read(one.path()).unwrap().differences(&Tree::read(other.path()).unwrap(), closely);
        let found: Vec<String> = differences.iter().map(Difference::to_string).collect();
        assert_eq!(found, expected);
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(root.path().join("d/f"), "hello").unwrap();
        symlink("f", root.path().join("d/l")).unwrap();
        fs::create_dir(root.path().join("e")).unwrap();
        for path in ["d/f", "d", "e"] {
            fs::set_permissions(root.path().join(path), Permissions::from_mode(0o755)).unwrap();
            touch(&root.path().join(path), 1_000);
        }
        root
    }

    fn touch(path: &Path, seconds: u64) {
        File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    /// Does `change` inside `d` and gives `d` its time back.
    fn in_d(change: impl Fn(&Path)) -> impl Fn(&Path) {
        move |root| {
            change(&root.join("d"));
            touch(&root.join("d"), 1_000);
        }
    }

    #[test]
    fn equal_trees_have_no_difference() {
        check(Closely::Times, |_| (), &[]);
    }

    #[test]
    fn a_missing_and_a_surplus_entry_are_noticed() {
        check(Closely::Times, |root| fs::remove_dir(root.join("e")).unwrap(), &["e is missing"]);
        check(Closely::Content, |root| fs::write(root.join("x"), "").unwrap(), &["x should not be there"]);
    }

    #[test]
    fn other_bytes_are_noticed_with_their_place() {
        let message = "d/f differs in byte 4 of 5 (found 5)";
        check(Closely::Content, |root| fs::write(root.join("d/f"), "hellO").unwrap(), &[message]);
        let message = "d/f differs in byte 2 of 5 (found 2)";
        check(Closely::Content, |root| fs::write(root.join("d/f"), "he").unwrap(), &[message]);
    }

    #[test]
    fn another_kind_is_noticed() {
        let to_link = in_d(|d| {
            fs::remove_file(d.join("f")).unwrap();
            symlink("x", d.join("f")).unwrap();
        });
        check(Closely::Content, to_link, &["d/f is a symlink, not a file"]);
        let to_directory = in_d(|d| {
            fs::remove_file(d.join("l")).unwrap();
            fs::create_dir(d.join("l")).unwrap();
        });
        check(Closely::Content, to_directory, &["d/l is a directory, not a symlink"]);
        let to_socket = in_d(|d| {
            fs::remove_file(d.join("f")).unwrap();
            UnixListener::bind(d.join("f")).unwrap();
        });
        check(Closely::Content, to_socket, &["d/f is a device or socket, not a file"]);
    }

    #[test]
    fn another_target_of_a_link_is_noticed() {
        let change = in_d(|d| {
            fs::remove_file(d.join("l")).unwrap();
            symlink("../e", d.join("l")).unwrap();
        });
        check(Closely::Times, change, &["d/l points to ../e, not to f"]);
    }

    #[test]
    fn another_mode_is_noticed_unless_only_content_counts() {
        let change = |root: &Path| fs::set_permissions(root.join("d/f"), Permissions::from_mode(0o644)).unwrap();
        check(Closely::Modes, change, &["d/f has mode 644, not 755"]);
        check(Closely::Content, change, &[]);
        let change = |root: &Path| fs::set_permissions(root.join("e"), Permissions::from_mode(0o1755)).unwrap();
        check(Closely::Modes, change, &["e has mode 1755, not 755"]);
    }

    #[test]
    fn another_time_is_noticed_when_times_count() {
        check(Closely::Times, |root| touch(&root.join("d/f"), 1_001), &["d/f has mtime 1001, not 1000"]);
        check(Closely::Times, |root| touch(&root.join("e"), 999), &["e has mtime 999, not 1000"]);
        check(Closely::Modes, |root| touch(&root.join("e"), 999), &[]);
    }

    #[test]
    fn a_part_keeps_the_directories_above_it() {
        let root = tree();
        let part = Tree::read(root.path()).unwrap().only(|path| path.ends_with("f"));
        assert_eq!(part.paths(), BTreeSet::from(["d".to_owned(), "d/f".to_owned()]));
    }
}
