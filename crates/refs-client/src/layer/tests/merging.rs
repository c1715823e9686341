//! What layers show together: a table of layers, each a list of lines, and of what is there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use refs_estargz::{Entry, Kind};
use refs_registry::{Descriptor, MediaType};

use super::super::merge::{Merge, Met, Shown};
use crate::{Error, Result};

/// An entry of a line: `dir/` is a directory, `link -> target` a symbolic link, `name = file` a hard link, anything else a
/// file.
fn entry(line: &str) -> Entry {
    let (path, kind) = if let Some((path, target)) = line.split_once(" -> ") {
        (path, Kind::Symlink { target: target.to_owned() })
    } else if let Some((path, target)) = line.split_once(" = ") {
        (path, Kind::Hardlink { target: target.to_owned() })
    } else if let Some(path) = line.strip_suffix('/') {
        (path, Kind::Directory)
    } else {
        (line, Kind::File { size: 1 })
    };
    let (path, xattrs) = (path.to_owned(), BTreeMap::new());
    Entry { path, kind, mode: 0o644, mtime: 0, uid: 0, gid: 0, xattrs, digest: None }
}

fn merged(layers: &[&[&str]]) -> Result<Vec<Shown>> {
    let layer = Descriptor::of(MediaType::OCI_LAYER, b"");
    let mut merge = Merge::default();
    for lines in layers {
        for (index, line) in lines.iter().enumerate() {
            merge.add(&layer, Met { entry: entry(line), nanos: 0, index })?;
        }
        merge.next_layer()?;
    }
    Ok(merge.into_shown())
}

/// A line of what is shown, with the layer it comes from; `*` for a directory that no entry names.
fn line(shown: &Shown) -> String {
    let origin = shown.origin.map_or_else(|| "*".to_owned(), |origin| origin.layer.to_string());
    let path = &shown.entry.path;
    match &shown.entry.kind {
        Kind::Directory => format!("{origin} {path}/"),
        Kind::Symlink { target } => format!("{origin} {path} -> {target}"),
        Kind::Hardlink { target } => format!("{origin} {path} = {target}"),
        _ => format!("{origin} {path}"),
    }
}

#[track_caller]
fn check(layers: &[&[&str]], expected: &[&str]) {
    let lines: Vec<String> = merged(layers).unwrap().iter().map(line).collect();
    assert_eq!(lines, expected, "{layers:?}");
}

#[track_caller]
fn check_error(layers: &[&[&str]], expected: &str) {
    assert_eq!(merged(layers).unwrap_err().to_string(), expected, "{layers:?}");
}

#[test]
fn layers_add_up() {
    check(&[&["a", "d/", "d/x"], &["b", "d/y"]], &["0 a", "1 b", "0 d/", "0 d/x", "1 d/y"]);
    check(&[&["a"], &["a"]], &["1 a"]);
    check(&[&["d/x/y"]], &["* d/", "* d/x/", "0 d/x/y"]);
    check(&[&["d/x"], &["d/"]], &["1 d/", "0 d/x"]);
    check(&[&[], &["a"], &[]], &["1 a"]);
}

#[test]
fn what_is_in_the_way_makes_way() {
    check(&[&["a/", "a/x"], &["a"]], &["1 a"]);
    check(&[&["a"], &["a/", "a/x"]], &["1 a/", "1 a/x"]);
    check(&[&["a"], &["a/x/y"]], &["* a/", "* a/x/", "1 a/x/y"]);
    check(&[&["d/", "d/x", "l -> d"], &["l/", "l/y"]], &["0 d/", "0 d/x", "1 l/", "1 l/y"]);
    check(&[&["d/", "d/x"], &["d -> e"]], &["1 d -> e"]);
    check(&[&["a"], &["a", "a"]], &["1 a"]);
}

#[test]
fn a_whiteout_deletes_what_is_below() {
    check(&[&["a", "b"], &[".wh.a"]], &["0 b"]);
    check(&[&["d/", "d/x", "d/y/z"], &[".wh.d"]], &[]);
    check(&[&["d/", "d/x", "d/y"], &["d/.wh.x"]], &["0 d/", "0 d/y"]);
    check(&[&["d0", "d/x", "d."], &[".wh.d"]], &["0 d.", "0 d0"]);
    check(&[&["a"], &[".wh.a"], &["a"]], &["2 a"]);
    check(&[&["a"], &["d/.wh.a", ".wh.b", "none/.wh.c"]], &["0 a"]);
    check(&[&["l -> d", "d/x"], &[".wh.l"]], &["* d/", "0 d/x"]);
}

#[test]
fn a_whiteout_spares_what_its_own_layer_has() {
    for order in [[".wh.a", "a"], ["a", ".wh.a"]] {
        check(&[&["a"], &order], &["1 a"]);
    }
    check(&[&["d/", "d/old"], &[".wh.d", "d/new"]], &["* d/", "1 d/new"]);
    check(&[&["d/", "d/old"], &["d/new", ".wh.d"]], &["* d/", "1 d/new"]);
    check(&[&["d/", "d/e/", "d/e/f"], &["d/e/g", ".wh.d"]], &["* d/", "* d/e/", "1 d/e/g"]);
    check(&[&["d/", "d/e/", "d/e/f"], &[".wh.d", "d/e/g"]], &["* d/", "* d/e/", "1 d/e/g"]);
    check(&[&["d/", "d/old"], &["d/", "d/.wh.old", "d/new"]], &["1 d/", "1 d/new"]);
}

#[test]
fn an_opaque_directory_keeps_what_its_own_layer_has() {
    check(&[&["d/", "d/a", "d/e/f"], &["d/", "d/.wh..wh..opq", "d/b"]], &["1 d/", "1 d/b"]);
    check(&[&["d/", "d/a", "d/e/f"], &["d/b", "d/e/g", "d/.wh..wh..opq"]], &["0 d/", "1 d/b", "* d/e/", "1 d/e/g"]);
    check(&[&["d/", "d/e/"], &["d/", "d/e/g", "d/.wh..wh..opq"]], &["1 d/", "* d/e/", "1 d/e/g"]);
    check(&[&["a", "d/x"], &[".wh..wh..opq", "b"]], &["1 b"]);
    check(&[&["a"], &["none/.wh..wh..opq"]], &["0 a"]);
    check(&[&["l -> d", "d/x", "e"], &["l/.wh..wh..opq"]], &["* d/", "0 e", "0 l -> d"]);
}

#[test]
fn what_aufs_kept_is_passed_over() {
    check(&[&["a"], &[".wh..wh.aufs", ".wh..wh.plnk/", ".wh..wh.plnk/12.34", ".wh..wh.orph/"]], &["0 a"]);
}

#[test]
fn m123_a_whiteout_of_no_name_is_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh.."] {
        check_error(&[&["a"], &[name]], &format!("path `{name}` in a layer is not safe: it deletes what is no name"));
    }
}

#[test]
fn directories_are_looked_up_through_links() {
    check(
        &[&["usr/", "usr/lib/", "lib -> usr/lib"], &["lib/x", "lib/d/"]],
        &["0 lib -> usr/lib", "0 usr/", "0 usr/lib/", "1 usr/lib/d/", "1 usr/lib/x"],
    );
    check(&[&["d/", "abs -> /d"], &["abs/x"]], &["0 abs -> /d", "0 d/", "1 d/x"]);
    check(&[&["a/b/", "a/l -> ../c", "c/"], &["a/l/x"]], &["* a/", "0 a/b/", "0 a/l -> ../c", "0 c/", "1 c/x"]);
    check(&[&["l -> m", "m -> n", "n/"], &["l/x"]], &["0 l -> m", "0 m -> n", "0 n/", "1 n/x"]);
    check(&[&["l -> nowhere/at"], &["l/x"]], &["0 l -> nowhere/at", "* nowhere/", "* nowhere/at/", "1 nowhere/at/x"]);
    check(&[&["d/x", "l -> d"], &["l/.wh.x"]], &["* d/", "0 l -> d"]);
}

#[test]
fn m116_a_link_that_leads_out_leads_to_the_root() {
    check(&[&["l -> ../../../etc"], &["l/passwd"]], &["* etc/", "1 etc/passwd", "0 l -> ../../../etc"]);
    check(&[&["l -> /"], &["l/x"]], &["0 l -> /", "1 x"]);
    check(&[&["d/", "d/l -> /../.."], &["d/l/.wh.d"]], &[]);
}

#[test]
fn links_without_end_are_refused() {
    let refused = "path `a/x` in a layer is not safe: it leads through too many links";
    check_error(&[&["a -> a"], &["a/x/y"]], refused);
    check_error(&[&["a -> b", "b -> a"], &["a/x/y"]], refused);
    check_error(&[&["a -> a/a"], &["a/x/y"]], refused);
}

#[test]
fn hard_links_are_names_of_one_file() {
    check(&[&["a", "b = a"]], &["0 a", "0 b = a"]);
    check(&[&["b", "a = b"]], &["0 a = b", "0 b"]);
    check(&[&["a"], &["b = a"]], &["0 a", "0 b = a"]);
    check(&[&["a", "b = a"], &[".wh.a"]], &["0 b"]);
    check(&[&["a", "b = a", "c = b"], &["a"]], &["1 a", "0 b", "0 c = b"]);
    check(&[&["l -> x", "m = l"]], &["0 l -> x", "0 m = l"]);
    check(&[&["usr/f", "lib -> usr", "g = lib/f"]], &["0 g = usr/f", "0 lib -> usr", "* usr/", "0 usr/f"]);
}

#[test]
fn a_hard_link_may_come_before_its_file() {
    check(&[&["b = a", "a"]], &["0 a", "0 b = a"]);
    check(&[&["c = b", "b = a", "a"]], &["0 a", "0 b = a", "0 c = a"]);
}

#[test]
fn m121_a_hard_link_to_no_file_is_refused() {
    let link = |reason| format!("link `b` to `a` in a layer is not safe: {reason}");
    check_error(&[&["b = a"]], &link("it names no file of this image"));
    check_error(&[&["a/", "b = a"]], &link("it names a directory"));
    check_error(&[&["a", ".wh.a"], &[".wh.a", "b = a"]], &link("it names no file of this image"));
    check_error(&[&["b", "b = b"]], "link `b` to `b` in a layer is not safe: it names itself");
}

#[test]
fn files_of_the_layer_format_are_not_shown() {
    check(&[&["a", "stargz.index.json", ".no.prefetch.landmark"]], &["0 a"]);
}

#[test]
fn paths_behind_links_are_no_deeper_than_others() {
    let deep = "d/".repeat(120);
    let link = format!("l -> {deep}");
    let lines = |path: &str| merged(&[&[&link], &[path]]).map(|shown| shown.len());
    assert_eq!(lines("l/1/2/3/4/5/6/7/8").unwrap(), 129);
    let error = lines("l/1/2/3/4/5/6/7/8/9").unwrap_err().to_string();
    assert_eq!(error, "path `l/1/2/3/4/5/6/7/8/9` in a layer is not safe: it leads too deep");
}

#[test]
fn directories_that_no_entry_names_count_as_well() {
    let directory = "d".repeat(200);
    let deep = format!("{directory}/").repeat(20);
    let files: Vec<String> = (0..2_000).map(|at| format!("{at}/{deep}f")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let error = merged(&[&files]).unwrap_err();
    assert!(matches!(error, Error::LayerLimit { .. }), "{error:?}");
}

#[test]
fn what_is_deleted_over_and_over_is_refused() {
    let files: Vec<String> = (0..10_000).map(|at| at.to_string()).collect();
    let mut lines: Vec<&str> = files.iter().map(String::as_str).collect();
    lines.resize(lines.len() + 2_000, ".wh..wh..opq");
    check_error(&[&lines], "path `` in a layer is not safe: what is in it is deleted over and over");
}

/// A tree as a program would keep it that makes each change in place: directories in directories.
#[derive(Debug, Default, Clone)]
struct Naive(BTreeMap<String, Option<Self>>);

impl Naive {
    fn apply(&mut self, parts: &[&str], is_directory: bool) {
        let (name, rest) = parts.split_first().expect("a path has a name");
        if rest.is_empty() && !is_directory {
            self.0.insert((*name).to_owned(), None);
            return;
        }
        let below = self.0.entry((*name).to_owned()).or_default().get_or_insert_default();
        if !rest.is_empty() {
            below.apply(rest, is_directory);
        }
    }

    fn delete(&mut self, parts: &[&str]) {
        let (name, rest) = parts.split_first().expect("a path has a name");
        if rest.is_empty() {
            self.0.remove(*name);
        } else if let Some(Some(below)) = self.0.get_mut(*name) {
            below.delete(rest);
        }
    }

    fn lines(&self, above: &str, lines: &mut Vec<String>) {
        for (name, below) in &self.0 {
            let path = format!("{above}{name}");
            match below {
                None => lines.push(path),
                Some(below) => {
                    below.lines(&format!("{path}/"), lines);
                    lines.push(format!("{path}/"));
                }
            }
        }
    }
}

fn change() -> impl Strategy<Value = String> {
    ("[ab](/[ab]){0,2}", 0..4_u8).prop_map(|(path, kind)| match (kind, path.rsplit_once('/')) {
        (0, _) => format!("{path}/"),
        (1, Some((directory, name))) => format!("{directory}/.wh.{name}"),
        (1, None) => format!(".wh.{path}"),
        _ => path,
    })
}

proptest! {
    /// Deletions first, as the specification advises, so that making each change in place is right.
    #[test]
    fn merged_layers_are_what_applying_them_in_place_leaves(layers in prop::collection::vec(prop::collection::vec(change(), 0..6), 1..4)) {
        let mut naive = Naive::default();
        let mut sorted = Vec::new();
        for mut layer in layers {
            layer.sort_by_key(|line| !line.contains(".wh."));
            for line in &layer {
                let path = line.trim_end_matches('/').replace(".wh.", "");
                let parts: Vec<&str> = path.split('/').collect();
                if line.contains(".wh.") { naive.delete(&parts) } else { naive.apply(&parts, line.ends_with('/')) }
            }
            sorted.push(layer);
        }
        let lines: Vec<Vec<&str>> = sorted.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let layers: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
        let mut shown: Vec<String> = merged(&layers).unwrap().iter().map(|shown| line(shown)[2..].to_owned()).collect();
        let mut expected = Vec::new();
        naive.lines("", &mut expected);
        shown.sort();
        expected.sort();
        prop_assert_eq!(shown, expected);
    }

    #[test]
    fn any_layers_give_a_tree_or_an_error(layers in prop::collection::vec(prop::collection::vec(
        "([ab]|\\.\\.|\\.wh\\.[ab]?|\\.wh\\.\\.wh\\.\\.opq)(/[ab]){0,2}(/| -> (/|\\.\\./){0,2}[ab](/[ab.]{1,2}){0,2}| = [ab](/[ab])?)?",
        0..8,
    ), 1..4)) {
        let lines: Vec<Vec<&str>> = layers.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let layers: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
        match merged(&layers) {
            Ok(shown) => {
                let kinds: BTreeMap<&str, &Kind> = shown.iter().map(|shown| (shown.entry.path.as_str(), &shown.entry.kind)).collect();
                for (path, kind) in &kinds {
                    if let Some((directory, _)) = path.rsplit_once('/') {
                        prop_assert_eq!(kinds.get(directory), Some(&&Kind::Directory));
                    }
                    if let Kind::Hardlink { target } = kind {
                        let is_first = kinds.get(target.as_str()).is_some_and(|kind| !matches!(kind, Kind::Directory | Kind::Hardlink { .. }));
                        prop_assert!(is_first, "{} names {}", path, target);
                    }
                }
            }
            Err(error) => prop_assert!(matches!(error, Error::UnsafePath { .. } | Error::UnsafeLink { .. }), "{}", error),
        }
    }
}
