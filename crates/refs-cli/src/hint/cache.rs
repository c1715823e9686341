//! What to do about a cache that can't be used.

use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use refs_registry::{Error, ErrorKind};
use rustix::process::geteuid;

use super::machine;
use crate::wiring::cache_folder;

/// What helps beside a warning that the cache is left alone.
pub(crate) fn beside_warning(error: &Error) -> String {
    format!("{}`REFS_CACHE_DIR` names another folder, `--no-cache` does without", mending(error))
}

/// What helps a command that looks after the cache.
pub(crate) fn for_keeper(error: &Error) -> String {
    format!("{}`REFS_CACHE_DIR` names another folder", mending(error))
}

/// What helps where what the cache has does not hold.
pub(crate) fn of_damaged() -> String {
    "it comes from the cache: `refs cache fetch REF` fetches anew what is damaged there, and keeps it".to_owned()
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
        _ => String::new(),
    }
}

const VERIFY: &str = "`refs cache verify` moves aside what is damaged, ";

fn is_of_others(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| metadata.uid() != geteuid().as_raw())
}

fn is_shared(folder: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_WRITE != 0)
}
