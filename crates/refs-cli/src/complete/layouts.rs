//! Layouts on the disk: the paths that lead to them, and the names that they list.

use std::{collections::BTreeSet, fs, path::Path};

use refs_store::Layout;

/// What a layout's path is written behind.
pub(super) const SCHEME: &str = "ocidir://";

/// The path of a layout at the beginning of `path`, and what is behind its colon; `None` before there is one.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let halves = |(colon, _)| (&path[..colon], &path[colon + 1..]);
    path.match_indices(':').map(halves).find(|(folder, _)| Layout::is_at(Path::new(folder)))
}

/// The directories that `path` begins the paths of, one step on: those of layouts with `suffix`, others with a slash. Hidden
/// ones come when they are asked for.
pub(super) fn directories(path: &str, suffix: &str) -> Vec<String> {
    let (above, begun) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    let listed = fs::read_dir(if above.is_empty() { "." } else { above });
    let names = listed.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter(|name| name.starts_with(begun) && (begun.starts_with('.') || !name.starts_with('.')));
    let found = names.map(|name| format!("{above}{name}")).filter(|path| Path::new(path).is_dir());
    let found: BTreeSet<String> = found.collect();
    let written = |path: String| {
        let end = if Layout::is_at(Path::new(&path)) { suffix } else { "/" };
        format!("{SCHEME}{path}{end}")
    };
    found.into_iter().map(written).collect()
}

/// What `name`, which a layout lists, is one step behind `begun`: its repository with `suffix`, and behind that and a colon
/// all of it. Where no tag is wanted a `suffix` is no colon, and a tag alone is nothing.
pub(super) fn next(name: &str, begun: &str, suffix: &str) -> Option<String> {
    if !name.starts_with(begun) {
        return None;
    }
    match name.rsplit_once(':') {
        Some((repository, _)) if begun.len() <= repository.len() => Some(format!("{repository}{suffix}")),
        _ => (suffix == ":").then(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, begun: &str, suffix: &str, expected: Option<&str>) {
        assert_eq!(next(name, begun, suffix).as_deref(), expected, "{name} behind {begun}");
    }

    #[test]
    fn repositories_come_before_their_tags() {
        check("v1", "", ":", Some("v1"));
        check("v1", "v1", ":", Some("v1"));
        check("v1", "x", ":", None);
        check("ghcr.io/o/r:v1", "x", ":", None);
        check("ghcr.io/o/r:v1", "", ":", Some("ghcr.io/o/r:"));
        check("ghcr.io/o/r:v1", "gh", ":", Some("ghcr.io/o/r:"));
        check("ghcr.io/o/r:v1", "ghcr.io/o/r", ":", Some("ghcr.io/o/r:"));
        check("ghcr.io/o/r:v1", "ghcr.io/o/r:", ":", Some("ghcr.io/o/r:v1"));
        check("localhost:5000/o/r:v1", "localhost:", ":", Some("localhost:5000/o/r:"));
        check("ghcr.io/o/r:v1", "", "", Some("ghcr.io/o/r"));
        check("ghcr.io/o/r:v1", "ghcr.io/o/r:", "", None);
        check("v1", "", "@", None);
    }
}
