//! Which paths a layer may use: the rules of `Entry::path`, for names that come from archives and annotations.

use crate::{Error, Result};

const MAX_PATH_BYTES: usize = 4096;
const MAX_COMPONENT_BYTES: usize = 255;
const MAX_DEPTH: usize = 128;
/// Names with which layers mark deletions start so.
const WHITEOUT_PREFIX: &str = ".wh.";
/// Files that belong to the eStargz format and not to the user.
const FORMAT_FILES: [&str; 3] = ["stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"];

/// The path that `name` stands for; empty for the root itself.
///
/// # Errors
/// `UnsafePath`: nothing is dropped from a name to make it safe but `.` and doubled slashes.
pub(crate) fn entry_path(name: &[u8]) -> Result<String> {
    let unsafe_path = |reason| Error::UnsafePath { path: shown(name), reason };
    let Ok(text) = std::str::from_utf8(name) else { return Err(unsafe_path("it is not valid UTF-8")) };
    normal_form(text).map_err(unsafe_path)
}

/// Whether the path is a file of the layer format, which no listing shows.
pub(crate) fn is_format_file(path: &str) -> bool {
    FORMAT_FILES.contains(&path)
}

/// What the name of an entry deletes
/// ([whiteouts](https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whiteout<'p> {
    /// Nothing: it is an entry like any other.
    None,
    /// What the layers below have at this name in this directory.
    Of { directory: &'p str, name: &'p str },
    /// All that the layers below have in this directory.
    OfAll { directory: &'p str },
    /// Nothing: it is what AUFS kept for itself.
    Meaningless,
}

/// What the entry at `path` deletes.
///
/// # Errors
/// `UnsafePath` when it deletes something that is no name.
pub(crate) fn whiteout(path: &str) -> Result<Whiteout<'_>> {
    const OPAQUE: &str = ".wh..wh..opq";
    const OF_AUFS: &str = ".wh..wh.";
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == OPAQUE {
        return Ok(Whiteout::OfAll { directory });
    }
    if path.split('/').any(|component| component.starts_with(OF_AUFS)) {
        return Ok(Whiteout::Meaningless);
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        None => Ok(Whiteout::None),
        Some("" | "." | "..") => Err(Error::UnsafePath { path: path.to_owned(), reason: "it deletes what is no name" }),
        Some(name) => Ok(Whiteout::Of { directory, name }),
    }
}

/// The directories above `path`, the root excepted, the nearest first.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(slash, _)| &path[..slash])
}

/// The start of a name of any length, for an error.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned()
}

fn normal_form(name: &str) -> Result<String, &'static str> {
    // As some builders call the root itself: there is nothing in it that could lead anywhere.
    if name == "/" {
        return Ok(String::new());
    }
    if name.starts_with('/') {
        return Err("it is absolute");
    }
    if name.len() > MAX_PATH_BYTES {
        return Err("it is longer than 4096 bytes");
    }
    let mut path = String::with_capacity(name.len());
    let mut depth = 0;
    for component in name.split('/') {
        match component {
            "" | "." => continue,
            ".." => return Err("it leads upwards"),
            _ if component.contains('\0') => return Err("it holds a NUL"),
            _ if component.len() > MAX_COMPONENT_BYTES => return Err("a component is longer than 255 bytes"),
            _ if depth == MAX_DEPTH => return Err("it is deeper than 128 directories"),
            _ => depth += 1,
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(component);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(entry_path(name.as_bytes()).ok().as_deref(), expected, "{name}");
    }

    #[test]
    fn names_become_paths_or_are_refused() {
        check("a/b", Some("a/b"));
        check("./a//b/", Some("a/b"));
        check("./", Some(""));
        check("/", Some(""));
        check("naïve/日本.txt", Some("naïve/日本.txt"));
        check("..data/...", Some("..data/..."));
        check("a\\..\\b", Some("a\\..\\b"));
        check("%2e%2e%2fa", Some("%2e%2e%2fa"));
        check("/abs", None);
        check("//x", None);
        check("../x", None);
        check("a/../../x", None);
        check("a/../x", None);
        check("a\0b", None);
        check(&"a".repeat(255), Some(&"a".repeat(255)));
        check(&"a".repeat(256), None);
        check(&"a/".repeat(129), None);
        check(&"abc/".repeat(1025), None);
    }

    #[test]
    fn parents_are_the_directories_above() {
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(parents("a").count(), 0);
    }
}
