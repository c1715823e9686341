//! The rules for paths and for the targets of links.

use crate::{Error, Result};

/// How long a path may be, in bytes.
pub(super) const PATH_BYTES: usize = 4096;
/// How long a component of a path may be, in bytes.
const COMPONENT_BYTES: usize = 255;
/// How many components a path may have.
const DEPTH: usize = 128;
/// How many components the target of a link may have: all the way up, and all the way down again.
const TARGET_COMPONENTS: usize = 2 * DEPTH;

/// Why a symbolic link is refused that is what it should be in the root file system of a container.
pub(crate) const LEADS_OUT: [&str; 3] = [ABSOLUTE, OUTSIDE, OUTSIDE_BY_LINK];
const ABSOLUTE: &str = "the target is absolute";
const OUTSIDE: &str = "the target is outside of the destination";
pub(super) const OUTSIDE_BY_LINK: &str = "the target is outside of the destination, by way of another link";

/// Checks that a path has nothing but names in it, of a length and depth that file systems take.
///
/// What Windows would read as a drive or a separator is part of a name here.
///
/// # Errors
/// `UnsafePath`.
pub(super) fn check_path(path: &str) -> Result<()> {
    match path_fault(path) {
        None => Ok(()),
        Some(reason) => Err(Error::UnsafePath { path: shortened(path), reason }),
    }
}

/// Checks that the target of a symbolic link at `path` is relative, and stays below the root if `..` takes back the
/// component before it.
///
/// That is not yet safe where the component before is itself a link: [`super::links::check`] follows them.
///
/// # Errors
/// `UnsafeLink`.
pub(super) fn check_target(path: &str, target: &str) -> Result<()> {
    match target_fault(path, target) {
        None => Ok(()),
        Some(reason) => Err(Error::UnsafeLink { path: shortened(path), target: shortened(target), reason }),
    }
}

/// Checks the target of a further name for a file: a path as any other.
///
/// # Errors
/// `UnsafeLink`.
pub(super) fn check_file_target(path: &str, target: &str) -> Result<()> {
    match path_fault(target) {
        None => Ok(()),
        Some(reason) => Err(Error::UnsafeLink { path: shortened(path), target: shortened(target), reason }),
    }
}

/// The directory and the name of a path; the directory of a path without `/` is the empty one.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    if path.len() > PATH_BYTES {
        return Some("it is too long");
    }
    if path.contains('\0') {
        return Some("it has a NUL byte");
    }
    if path.split('/').count() > DEPTH {
        return Some("it is too deep");
    }
    path.split('/').find_map(component_fault)
}

fn component_fault(component: &str) -> Option<&'static str> {
    match component {
        "" => Some("it has an empty component"),
        "." => Some("it has a `.` component"),
        ".." => Some("it has a `..` component"),
        _ if component.len() > COMPONENT_BYTES => Some("it has a component that is too long"),
        _ => None,
    }
}

fn target_fault(path: &str, target: &str) -> Option<&'static str> {
    if target.is_empty() {
        return Some("the target is empty");
    }
    if target.starts_with('/') {
        return Some(ABSOLUTE);
    }
    // The system wants room for a NUL byte at the end of a target.
    if target.len() >= PATH_BYTES {
        return Some("the target is too long");
    }
    if target.contains('\0') {
        return Some("the target has a NUL byte");
    }
    if target.split('/').count() > TARGET_COMPONENTS {
        return Some("the target has too many components");
    }
    let mut depth = path.matches('/').count();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => return Some(OUTSIDE),
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    None
}

/// The start of a text that may be of any length, for an error.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}
