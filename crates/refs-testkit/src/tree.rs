//! A tree of files as one text.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_url::Digest;

/// A tree of files, which a test writes and reads as text, one line for each:
///
/// ```text
/// 755 bin/
/// 755 bin/run "#!/bin/sh\n"
/// 644 notes/a\x20b.txt "x" @1700000000
/// 777 link -> bin/run
/// ```
///
/// Mode, path (with a `/` at its end for a directory), content, and the time of the last change in seconds where it matters.
/// Bytes that are not printable, and spaces in paths, are escaped. Content of more than 128 bytes is shown as its length and
/// digest. Lines are in order of their paths. Parents of a path need no line of their own to be written, but have one when
/// the tree is read.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tree(BTreeMap<PathBuf, Node>);

#[derive(Clone, PartialEq, Eq)]
struct Node {
    mode: u32,
    kind: Kind,
    mtime: Option<u64>,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    File(Bytes),
    Symlink(PathBuf),
}

impl Tree {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree that `text` shows. Empty lines and indentation mean nothing.
    ///
    /// # Panics
    /// At a line that shows no file.
    #[must_use]
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self(lines.map(|line| parse(line).unwrap_or_else(|| panic!("no line of a tree: {line}"))).collect())
    }

    /// The tree with one more file, of mode 644; for content that no literal can show.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        self.0.insert(path.into(), Node { mode: 0o644, kind: Kind::File(content.into()), mtime: None });
        self
    }

    /// The files beneath `root`, without their times.
    ///
    /// # Errors
    /// Whatever keeps a file from being read, and a file that is no directory, regular file or symbolic link.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::read_with_times(root)?;
        tree.0.values_mut().for_each(|node| node.mtime = None);
        Ok(tree)
    }

    /// The files beneath `root`, with the times of regular files and directories in seconds.
    ///
    /// # Errors
    /// As [`read`](Tree::read).
    pub fn read_with_times(root: &Path) -> io::Result<Self> {
        let mut tree = Self::new();
        tree.read_directory(root, Path::new(""))?;
        Ok(tree)
    }

    /// Writes the files beneath `root`, which is made when it is missing.
    ///
    /// # Errors
    /// Whatever keeps a file from being written.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        fs::create_dir_all(root)?;
        for (path, node) in &self.0 {
            node.write(&root.join(path))?;
        }
        // A directory's mode may forbid writing into it, and its time changes with every file: both come last, and the
        // children before their parents.
        for (path, node) in self.0.iter().rev() {
            node.finish(&root.join(path))?;
        }
        Ok(())
    }

    /// The files as a tar archive, owned by 0:0. Files without a time have the time 0.
    ///
    /// # Panics
    /// When a path is too long for an archive.
    #[must_use]
    #[expect(clippy::expect_used, reason = "writing to memory does not fail; a path of a test fits")]
    pub fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, node) in &self.0 {
            node.append(&mut archive, path).expect("an entry of an archive");
        }
        archive.into_inner().expect("memory takes all bytes")
    }

    fn read_directory(&mut self, root: &Path, below: &Path) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let metadata = fs::symlink_metadata(entry.path())?;
            let mtime = u64::try_from(metadata.mtime()).ok();
            let (kind, mtime) = if metadata.is_dir() {
                self.read_directory(root, &path)?;
                (Kind::Directory, mtime)
            } else if metadata.is_symlink() {
                (Kind::Symlink(fs::read_link(entry.path())?), None)
            } else if metadata.is_file() {
                (Kind::File(fs::read(entry.path())?.into()), mtime)
            } else {
                return Err(io::Error::new(io::ErrorKind::Unsupported, path.display().to_string()));
            };
            self.0.insert(path, Node { mode: metadata.mode() & 0o7777, kind, mtime });
        }
        Ok(())
    }
}

impl Node {
    fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match &self.kind {
            Kind::Directory => fs::create_dir_all(path),
            Kind::File(content) => fs::write(path, content),
            Kind::Symlink(target) => symlink(target, path),
        }
    }

    fn finish(&self, path: &Path) -> io::Result<()> {
        if let Kind::Symlink(_) = self.kind {
            return Ok(());
        }
        if let Some(seconds) = self.mtime {
            fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(self.mode))
    }

    fn append(&self, archive: &mut tar::Builder<Vec<u8>>, path: &Path) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_mode(self.mode);
        header.set_mtime(self.mtime.unwrap_or_default());
        header.set_size(0);
        match &self.kind {
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, path.join(""), io::empty())
            }
            Kind::File(content) => {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, &content[..])
            }
            Kind::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, target)
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in &self.0 {
            write!(f, "{:03o} {}", node.mode, escaped(path))?;
            match &node.kind {
                Kind::Directory => f.write_str("/")?,
                Kind::File(content) if content.len() <= SHOWN_BYTES => write!(f, " \"{}\"", content.escape_ascii())?,
                Kind::File(content) => write!(f, " <{} bytes, {}>", content.len(), Digest::sha256(content))?,
                Kind::Symlink(target) => write!(f, " -> {}", escaped(target))?,
            }
            match node.mtime {
                Some(seconds) => writeln!(f, " @{seconds}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// As shown, so that a failed comparison of two trees can be read.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// More content than fits a line is not shown.
const SHOWN_BYTES: usize = 128;

fn parse(line: &str) -> Option<(PathBuf, Node)> {
    let (line, mtime) = match line.rsplit_once(" @") {
        Some((before, seconds)) if seconds.parse::<u64>().is_ok() => (before, seconds.parse().ok()),
        _ => (line, None),
    };
    let (mode, rest) = line.split_once(' ')?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let (path, kind) = if let Some((path, target)) = rest.split_once(" -> ") {
        (path, Kind::Symlink(unescape_path(target)?))
    } else if let Some((path, content)) = rest.split_once(' ') {
        let content = content.strip_prefix('"')?.strip_suffix('"')?;
        (path, Kind::File(unescape(content)?.into()))
    } else {
        (rest.strip_suffix('/')?, Kind::Directory)
    };
    Some((unescape_path(path)?, Node { mode, kind, mtime }))
}

fn escaped(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string().replace(' ', "\\x20")
}

fn unescape_path(text: &str) -> Option<PathBuf> {
    unescape(text).map(std::ffi::OsString::from_vec).map(PathBuf::from)
}

/// Undoes `escape_ascii`. What is no ASCII may stand as it is.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other @ (b'\\' | b'"' | b'\'') => other,
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}
