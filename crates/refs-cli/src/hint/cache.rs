//! What to do about a cache that can't be used.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use refs_registry::{Error, ErrorKind};
use rustix::process::geteuid;

use super::machine;
use crate::wiring::cache_folder;

/// What a mirror keeps things in, in the place of the user's cache.
static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// From now on, what goes wrong with a store goes wrong with that of a mirror, which is in `root`.
pub(crate) fn serve_from(root: &Path) {
    // One program serves from one.
    drop(ROOT.set(root.to_owned()));
}

/// Set where the cache is all that is read.
static ALONE: AtomicBool = AtomicBool::new(false);

/// From now on, who does without the cache has nothing to read.
pub(crate) fn read_alone() {
    ALONE.store(true, Ordering::Relaxed);
}

/// What helps beside a warning that the cache is left alone.
pub(crate) fn beside_warning(error: &Error) -> String {
    if let Some(root) = ROOT.get() {
        return for_server(error, root);
    }
    let other = for_keeper(error);
    if ALONE.load(Ordering::Relaxed) { other } else { format!("{other}, `--no-cache` does without") }
}

/// What helps a mirror that keeps things in `root`.
fn for_server(error: &Error, root: &Path) -> String {
    let root = root.display();
    let remedy = match error.kind() {
        ErrorKind::Full => format!("make space where `{root}` is, or have less kept there with `--store-size`"),
        _ => match machine::of(error) {
            Some(remedy) => remedy.to_owned(),
            None => format!("look after `{root}`, where the mirror keeps things"),
        },
    };
    format!("{remedy}; `--root` names another folder")
}

/// What helps a command that looks after the cache.
pub(crate) fn for_keeper(error: &Error) -> String {
    format!("{}`REFS_CACHE_DIR` names another folder", mending(error))
}

/// What helps where what the cache has does not hold: `fetch` is the command that brings it.
pub(super) fn of_damaged(fetch: &str) -> String {
    format!("it comes from the cache: `{fetch}` fetches anew what is damaged there, and keeps it")
}

/// What is to be known where there is no cache to read, if there is none.
pub(crate) fn absent() -> Option<String> {
    let Some(folder) = cache_folder() else {
        let hint = "there is no cache, as there is no home to keep one in: `REFS_CACHE_DIR` names a folder for it, where what \
                    is read without `--offline` is kept";
        return Some(hint.to_owned());
    };
    // To look for tags makes the folder.
    let is_empty = fs::read_dir(folder.join("blobs")).map_or(true, |mut blobs| blobs.next().is_none());
    is_empty.then(|| {
        let folder = folder.display();
        format!(
            "there is no cache at `{folder}` yet: what is read without `--offline` is kept there; `REFS_CACHE_DIR` names \
             another folder"
        )
    })
}

/// What would make the cache usable, if that is known, as the first of several things to do.
fn mending(error: &Error) -> String {
    if let Some(remedy) = machine::of(error) {
        return format!("{remedy}, ");
    }
    let Error::Io { path, source, .. } = error else {
        return match error.kind() {
            ErrorKind::Full => "make space, also with `refs cache prune --max-size 1G`, ".to_owned(),
            ErrorKind::Busy => "wait for the other process, or stop it, ".to_owned(),
            _ => VERIFY.to_owned(),
        };
    };
    let shown = path.display();
    match source.kind() {
        _ if cache_folder().is_some_and(|folder| &folder == path && !path.exists()) => String::new(),
        io::ErrorKind::PermissionDenied => {
            let folder = cache_folder().unwrap_or_else(|| path.clone());
            format!("give yourself the right to read and write all in `{}`, ", folder.display())
        }
        io::ErrorKind::ReadOnlyFilesystem => String::new(),
        io::ErrorKind::FileTooLarge => "allow larger files with `ulimit -f unlimited`, ".to_owned(),
        _ if cache_folder().is_none_or(|folder| &folder != path) => VERIFY.to_owned(),
        _ if !path.is_dir() => format!("move away what is at `{shown}` and is no folder, "),
        _ if is_of_others(path) => {
            format!("`refs tags ocidir://{shown}` lists the images in it, which can be read from there by digest, ")
        }
        _ if is_shared(path) => format!("keep others from writing there with `chmod go-w {shown}`, "),
        _ if is_marked_wrong(path) => {
            "`refs cache verify` mends the mark, once what else may be in the folder was moved away, ".to_owned()
        }
        _ => String::new(),
    }
}

const VERIFY: &str = "`refs cache verify` moves aside what is damaged, ";

fn is_of_others(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| metadata.uid() != geteuid().as_raw())
}

/// Whether there is something in the place of a cache's mark, beside what only a cache has.
fn is_marked_wrong(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").symlink_metadata().is_ok() && folder.join("origins").is_dir()
}

fn is_shared(folder: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_WRITE != 0)
}

#[cfg(test)]
mod tests {
    use refs_registry::error::Doing;

    use super::*;

    #[track_caller]
    fn check(kind: io::ErrorKind, expected: &str) {
        let error = Error::io(Doing::Write, "/srv/kept/blobs", kind.into());
        assert_eq!(for_server(&error, Path::new("/srv/kept")), expected);
    }

    #[test]
    fn what_helps_a_server_names_its_own_folder() {
        let space = "make space where `/srv/kept` is, or have less kept there with `--store-size`";
        check(io::ErrorKind::StorageFull, &format!("{space}; `--root` names another folder"));
        let look = "look after `/srv/kept`, where the mirror keeps things; `--root` names another folder";
        check(io::ErrorKind::PermissionDenied, look);
    }
}
