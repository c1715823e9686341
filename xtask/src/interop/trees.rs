//! Directories to push.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::process::Outcome;
use crate::error::{Error, Result};

/// How many small files [`many`] writes.
pub(crate) const MANY: usize = 9_000;

const SOW_REF: &str = "\
schema_version: 1.0.0
ref:
  title: Interoperation sample
  link: interop-sample
content:
  description: A small tree with one of everything that a file system lets a program make.
  classifications:
    - type: reference
  tags: [sample, interop]
";

/// One of everything: nested and empty directories, empty and large files, links, names that need care.
pub(crate) fn sample(root: &Path) -> Result<()> {
    let long = format!("long/{0}/{0}/{0}.txt", "a-name-of-forty-characters-in-the-middle");
    let files: &[(&str, &[u8])] = &[
        (".sow-ref.yaml", SOW_REF.as_bytes()),
        (".hidden", b"hidden\n"),
        ("README.md", b"# Sample\n"),
        ("empty", b""),
        ("docs/guide.md", b"# Guide\n"),
        ("docs/deep/er/page.md", b"# Page\n"),
        ("docs/deep/er/empty.md", b""),
        ("with space/and (brackets).txt", b"space\n"),
        ("unicode/\u{fc}n\u{ef}c\u{f6}d\u{e9} \u{65e5}\u{672c}\u{8a9e}.txt", b"names are bytes\n"),
        ("unicode/combining-e\u{301}.txt", b"not composed\n"),
        ("-dash", b"not an option\n"),
        (&long, b"a path of more than 100 bytes\n"),
    ];
    for (path, bytes) in files {
        write(&root.join(path), bytes)?;
    }
    write(&root.join("bin/large"), &noise(5 << 20))?;
    write(&root.join("bin/run.sh"), b"#!/bin/sh\nexit 0\n")?;
    fs::create_dir_all(root.join("nothing/in here")).map_err(Error::file("create", root))?;
    link("guide.md", &root.join("docs/latest.md"))?;
    link("../README.md", &root.join("docs/readme"))?;
    link("docs/deep", &root.join("deep"))?;
    settle(root, &|path| path.ends_with("bin/run.sh"))
}

/// [`MANY`] small files, a hundred a directory.
pub(crate) fn many(root: &Path) -> Result<()> {
    for number in 0..MANY {
        let text = format!("file {number}\n").repeat(1 + number % 7);
        write(&root.join(format!("d{:02}/f{:02}.txt", number / 100, number % 100)), text.as_bytes())?;
    }
    settle(root, &|_| false)
}

/// What git tracks of the repository at `repository`, as it is in its work tree.
pub(crate) fn sources(repository: &Path, root: &Path) -> Result<()> {
    let listed = Outcome::of(Command::new("git").args(["ls-files", "-z"]).current_dir(repository))?.stdout()?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let tracked = listed.split('\0').filter(|path| !path.is_empty() && repository.join(path).is_file());
    for path in tracked {
        let bytes = fs::read(repository.join(path)).map_err(Error::file("read", repository.join(path)))?;
        write(&root.join(path), &bytes)?;
    }
    settle(root, &|path| path.ends_with(".ci/run"))
}

/// Writes a file and the directories above it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    }
    fs::write(path, bytes).map_err(Error::file("write", path))
}

fn link(target: &str, path: &Path) -> Result<()> {
    symlink(target, path).map_err(Error::file("link", path))
}

/// Gives every entry one of the two modes that an artifact keeps, and a time of its own in whole seconds.
fn settle(root: &Path, is_program: &dyn Fn(&Path) -> bool) -> Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(root).and_then(Iterator::collect::<Result<_, _>>).map_err(Error::file("list", root))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for (number, entry) in (0..).zip(entries) {
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::file("stat", &path))?;
        if kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            settle(&path, is_program)?;
        }
        let mode = if kind.is_dir() || is_program(&path) { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(Error::file("chmod", &path))?;
        set_time(&path, 1_500_000_000 + number * 86_400)?;
    }
    Ok(())
}

/// Sets the modification time in seconds since 1970.
pub(crate) fn set_time(path: &Path, seconds: u64) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).and_then(|file| file.set_modified(time)).map_err(Error::file("set the time of", path))
}

/// Bytes that do not compress, the same on every run.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(bytes).collect()
}
