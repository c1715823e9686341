//! From a directory to the entries of a layer, always in the same order.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Component, Path, PathBuf},
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use refs_estargz::{Kind, NewEntry, path_order};
use refs_registry::error::Doing;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{
    Error, Result,
    beneath::Beneath,
    error::SourceFault,
    manifest_file::{ManifestFile, ManifestName},
    select::Selection,
    unpack,
};

/// Left out of every push unless the options say otherwise: what belongs to a working copy, not to its content.
const DEFAULT_EXCLUSIONS: [&str; 3] = [".git/", ".DS_Store", "node_modules/"];
/// A file that is read before anything else is chosen for: small ones travel beside the table of contents.
const HOT_FILE_BYTES: u64 = 16 * 1024;
const HOT_TOTAL_BYTES: u64 = 256 * 1024;

/// Which modification times go into a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mtime {
    /// Each file's own, in whole seconds.
    #[default]
    Keep,
    /// The same for all, in seconds since 1970-01-01: so that two checkouts give one digest.
    Fixed(i64),
}

/// What a push takes of a directory, and what of it comes last.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Left out, besides the defaults; a later pattern outweighs an earlier one.
    exclude: Vec<String>,
    manifest_file: ManifestName,
    /// The files to read first, besides the manifest file and those named `README*`.
    primary_files: Option<Selection>,
}

impl Rules {
    /// What the manifest file asks for, if there is one, and then what the caller does.
    ///
    /// # Errors
    /// `InvalidGlob`; none for a manifest file that was checked.
    pub(crate) fn new(
        manifest_file: ManifestName,
        manifest: Option<&ManifestFile>,
        exclude: &[String],
    ) -> Result<Self> {
        let Some(manifest) = manifest else {
            return Ok(Self { exclude: exclude.to_vec(), manifest_file, primary_files: None });
        };
        let primary_files = match manifest.hints.primary_files.as_slice() {
            [] => None,
            globs => Some(Selection::new(globs)?),
        };
        let exclude = manifest.packaging.exclude.iter().chain(exclude).cloned().collect();
        Ok(Self { exclude, manifest_file, primary_files })
    }

    fn is_manifest(&self, path: &str) -> bool {
        path == self.manifest_file.as_str()
    }

    /// Whether the file at `path` is likely read before others.
    fn is_read_first(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_primary = |files: &Selection| files.names_file(path);
        self.is_manifest(path) || name.starts_with("README") || self.primary_files.as_ref().is_some_and(is_primary)
    }
}

/// What a directory holds, in the order in which it is packed: by path, but for the hot files, which come last.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    directory: Beneath,
    pub(crate) cold: Vec<NewEntry>,
    pub(crate) hot: Vec<NewEntry>,
}

impl Plan {
    /// Walks `root`. Nothing is followed out of it, and nothing is read but directories and links.
    pub(crate) fn walk(root: &Path, rules: &Rules, mtime: Mtime) -> Result<Self> {
        let fault = |fault| Error::Source { path: root.to_owned(), fault };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => fault(SourceFault::Missing),
            Errno::NOTDIR => fault(SourceFault::NotDirectory),
            errno => io_error(Doing::Read, root, errno.into()),
        })?;
        let mut walk = Walk { exclusions: exclusions(root, &rules.exclude)?, rules, mtime, entries: Vec::new() };
        walk.directory(root, "")?;
        let mut entries = walk.entries;
        entries.sort_by(|left, right| path_order(&left.path, &right.path));
        // What a pull would refuse must not get a tag first.
        unpack::check_tree(entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Symlink { target } => Some((entry.path.as_str(), target.as_str())),
            _ => None,
        }))?;
        let (cold, hot) = split_hot(entries, rules);
        Ok(Self { root: root.to_owned(), directory: Beneath::new(directory), cold, hot })
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &NewEntry> {
        self.cold.iter().chain(&self.hot)
    }

    /// The bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries().map(|entry| file_bytes(&entry.kind)).sum()
    }

    /// Opens the file of `entry`, unless something else has taken its place since the walk.
    pub(crate) fn open(&self, entry: &NewEntry) -> Result<File> {
        let path = self.root.join(&entry.path);
        let failed = |source| io_error(Doing::Read, &path, source);
        // A pipe that has taken a file's place must not make this wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match self.directory.open(&entry.path, flags) {
            Ok(opened) => File::from(opened),
            // It is gone, or a link by now, or something above it is no directory any more.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {
                return Err(Error::Source { path, fault: SourceFault::Changed });
            }
            Err(errno) => return Err(failed(errno.into())),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::Source { path, fault: SourceFault::Changed });
        }
        Ok(file)
    }

    /// Why the entry at `path` can't be packed.
    pub(crate) fn fault(&self, path: &str, fault: SourceFault) -> Error {
        Error::Source { path: self.root.join(path), fault }
    }
}

fn file_bytes(kind: &Kind) -> u64 {
    match kind {
        Kind::File { size } => *size,
        _ => 0,
    }
}

struct Walk<'a> {
    exclusions: Gitignore,
    rules: &'a Rules,
    mtime: Mtime,
    entries: Vec<NewEntry>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, prefix: &str) -> Result<()> {
        let failed = |source| io_error(Doing::List, directory, source);
        for found in std::fs::read_dir(directory).map_err(failed)? {
            let found = found.map_err(failed)?;
            let path = found.path();
            let Some(name) = found.file_name().to_str().map(str::to_owned) else {
                return Err(Error::Source { path, fault: SourceFault::NotUnicode });
            };
            let below = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let metadata = found.metadata().map_err(|source| io_error(Doing::Read, &path, source))?;
            let excluded = self.exclusions.matched(&below, metadata.is_dir()).is_ignore();
            if excluded && !self.rules.is_manifest(&below) {
                continue;
            }
            self.add(&path, below, &metadata)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, below: String, metadata: &Metadata) -> Result<()> {
        let kind = Self::kind(path, &below, metadata)?;
        // Owner's execute bit alone decides: what a checkout's umask left of the others must not change the digest.
        let executable = metadata.is_dir() || metadata.is_symlink() || metadata.mode() & 0o100 != 0;
        let mode = match (metadata.is_symlink(), executable) {
            (true, _) => 0o777,
            (false, true) => 0o755,
            (false, false) => 0o644,
        };
        let mtime = match self.mtime {
            Mtime::Keep => metadata.mtime(),
            Mtime::Fixed(seconds) => seconds,
        };
        let directory = matches!(kind, Kind::Directory).then(|| below.clone());
        self.entries.push(NewEntry { path: below, kind, mode, mtime });
        match directory {
            Some(below) => self.directory(path, &below),
            None => Ok(()),
        }
    }

    fn kind(path: &Path, below: &str, metadata: &Metadata) -> Result<Kind> {
        let file_type = metadata.file_type();
        let fault = |fault| Error::Source { path: path.to_owned(), fault };
        if file_type.is_dir() {
            return Ok(Kind::Directory);
        }
        if file_type.is_file() {
            return Ok(Kind::File { size: metadata.len() });
        }
        if !file_type.is_symlink() {
            return Err(fault(SourceFault::SpecialFile(special(&file_type))));
        }
        let target = std::fs::read_link(path).map_err(|source| io_error(Doing::Read, path, source))?;
        if !stays_inside(below, &target) {
            return Err(fault(SourceFault::EscapingLink(target)));
        }
        match target.into_os_string().into_string() {
            Ok(target) => Ok(Kind::Symlink { target }),
            Err(_) => Err(fault(SourceFault::NotUnicode)),
        }
    }
}

fn special(file_type: &std::fs::FileType) -> &'static str {
    if file_type.is_socket() {
        "socket"
    } else if file_type.is_fifo() {
        "named pipe"
    } else {
        "device"
    }
}

/// Whether a link at `below`, a path under the root, leads to somewhere under the root, by its words alone.
fn stays_inside(below: &str, target: &Path) -> bool {
    let mut depth = below.split('/').count() - 1;
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn exclusions(root: &Path, exclude: &[String]) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in DEFAULT_EXCLUSIONS.into_iter().chain(exclude.iter().map(String::as_str)) {
        add_exclusion(&mut builder, pattern).ok_or_else(|| bad_exclusion(root, pattern))?;
    }
    builder.build().map_err(|_unshown| bad_exclusion(root, &exclude.join(" ")))
}

/// Whether `pattern` can be an exclusion.
pub(crate) fn is_exclusion(pattern: &str) -> bool {
    let mut builder = GitignoreBuilder::new("");
    add_exclusion(&mut builder, pattern).is_some() && builder.build().is_ok()
}

fn add_exclusion(builder: &mut GitignoreBuilder, pattern: &str) -> Option<()> {
    // Taken literally, as git does, a pattern that is not closed would exclude nothing, and so give away a file.
    globset::Glob::new(pattern).ok()?;
    builder.add_line(None, pattern).ok().map(drop)
}

fn bad_exclusion(root: &Path, pattern: &str) -> Error {
    Error::Source { path: root.to_owned(), fault: SourceFault::BadExclusion(pattern.to_owned()) }
}

/// Takes the hot files out of `entries`, up to their bound.
fn split_hot(entries: Vec<NewEntry>, rules: &Rules) -> (Vec<NewEntry>, Vec<NewEntry>) {
    let mut room = HOT_TOTAL_BYTES;
    let mut is_hot = |entry: &NewEntry| {
        let Kind::File { size } = entry.kind else { return false };
        let hot = size > 0 && size <= HOT_FILE_BYTES.min(room) && rules.is_read_first(&entry.path);
        if hot {
            room -= size;
        }
        hot
    };
    let (mut cold, mut hot) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        if is_hot(&entry) { hot.push(entry) } else { cold.push(entry) }
    }
    (cold, hot)
}

fn io_error(doing: Doing, path: &Path, source: io::Error) -> Error {
    Error::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_link(below: &str, target: &str, inside: bool) {
        assert_eq!(stays_inside(below, Path::new(target)), inside, "{below} -> {target}");
    }

    #[test]
    fn links_are_judged_by_their_words() {
        check_link("l", "a", true);
        check_link("l", "./a/../b", true);
        check_link("l", "a/..", true);
        check_link("a/l", "../b", true);
        check_link("a/b/l", "../../c", true);
        check_link("a/b/l", "..", true);
        check_link("l", "..", false);
        check_link("l", "../a", false);
        check_link("a/l", "../../b", false);
        check_link("l", "a/../../b", false);
        check_link("l", "/a", false);
    }

    fn file(path: &str, size: u64) -> NewEntry {
        NewEntry { path: path.to_owned(), kind: Kind::File { size }, mode: 0o644, mtime: 0 }
    }

    #[track_caller]
    fn check_hot(entries: &[NewEntry], expected: &[&str]) {
        let (cold, hot) = split_hot(entries.to_vec(), &Rules::default());
        let paths: Vec<&str> = hot.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, expected);
        assert_eq!(cold.len() + hot.len(), entries.len());
    }

    #[test]
    fn small_files_that_are_read_first_are_hot() {
        let names = [".sow-ref.yaml", "README", "README.md", "a/.sow-ref.yaml", "a/README.rst", "a/readme", "b"];
        check_hot(&names.map(|name| file(name, 1)), &[".sow-ref.yaml", "README", "README.md", "a/README.rst"]);
        check_hot(&[file("README", HOT_FILE_BYTES), file("README.long", HOT_FILE_BYTES + 1)], &["README"]);
        check_hot(&[file("README", 0)], &[]);
        let directory = NewEntry { kind: Kind::Directory, ..file("README", 0) };
        check_hot(&[directory], &[]);
    }

    #[test]
    fn hot_files_have_a_bound_together() {
        let most = HOT_TOTAL_BYTES / HOT_FILE_BYTES;
        let full: Vec<NewEntry> = (0..=most).map(|i| file(&format!("{i:02}/README"), HOT_FILE_BYTES)).collect();
        let (cold, hot) = split_hot(full, &Rules::default());
        assert_eq!((cold.len(), hot.len() as u64), (1, most));
    }

    #[test]
    fn nothing_is_opened_through_a_link_that_came_after_the_walk() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [root.path().join("d"), outside.path().join("d")] {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("f"), "x").unwrap();
        }
        let plan = Plan::walk(root.path(), &Rules::default(), Mtime::Keep).unwrap();
        let entry = plan.entries().find(|entry| entry.path == "d/f").unwrap();
        std::fs::rename(root.path().join("d"), root.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("d"), root.path().join("d")).unwrap();
        for by_component in [false, true] {
            plan.directory.by_component.store(by_component, std::sync::atomic::Ordering::Relaxed);
            let opened = plan.open(entry);
            assert!(matches!(opened, Err(Error::Source { fault: SourceFault::Changed, .. })), "{opened:?}");
        }
    }

    #[test]
    fn walk_is_in_the_order_of_paths() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/b", "a-b", "a.c", "A", "z/README", "z/a"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let plan = Plan::walk(root.path(), &Rules::default(), Mtime::Fixed(0)).unwrap();
        let paths: Vec<&str> = plan.entries().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["A", "a", "a/b", "a-b", "a.c", "z", "z/a", "z/README"]);
        assert_eq!(plan.bytes(), 6);
    }
}
