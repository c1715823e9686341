//! Finds the file that a path leads to, through links, as far as they stay inside the artifact.

use refs_estargz::{Kind, path_order};

use super::{form::Purpose, merge::Shown, portions::find};
use crate::{Error, Result};

/// So many links are followed.
const MAX_LINKS: u32 = 40;

/// The file at `path`, or where the links on the way to it lead. `found` is ordered by path.
///
/// # Errors
/// `FileNotFound`, `NotFile`, `UnsafeLink`: of an artifact also for links that lead out of it.
pub(crate) fn file<'f>(found: &'f [Shown], path: &str, at: &str, purpose: Purpose) -> Result<&'f Shown> {
    let not_file = |kind| Error::NotFile { at: at.to_owned(), path: path.to_owned(), kind };
    let Reached { path: reached, links } = follow(found, path, purpose)?;
    match find(found, &reached).map(|found| (found, kind_name(&found.entry.kind))) {
        Some((found, None)) => Ok(found),
        Some((_, Some(kind))) => Err(not_file(kind)),
        None if is_directory(found, &reached) => Err(not_file("directory")),
        None => {
            let nearest = nearest(found, path, &reached);
            let behind = Some(reached).filter(|_| links > 0);
            Err(Error::FileNotFound { at: at.to_owned(), path: path.to_owned(), behind, nearest })
        }
    }
}

/// Where a path leads.
struct Reached {
    path: String,
    /// How many links are on the way.
    links: u32,
}

/// Where `path` leads, through links; there need not be anything.
fn follow(found: &[Shown], path: &str, purpose: Purpose) -> Result<Reached> {
    let mut reached = String::new();
    let mut left: Vec<String> = components(path);
    let mut links = 0;
    while let Some(component) = left.pop() {
        if component == ".." {
            // The root is its own parent, as in a container.
            reached.truncate(reached.rfind('/').unwrap_or(0));
            continue;
        }
        let next = join(&reached, &component);
        // A directory need not have an entry of its own.
        let link = find(found, &next).and_then(|found| Link::of(found, &reached));
        let Some(link) = link else {
            reached = next;
            continue;
        };
        links += 1;
        link.check(links, purpose)?;
        left.extend(components(link.target));
        let directory_bytes = link.directory.len();
        reached.truncate(directory_bytes);
    }
    Ok(Reached { path: reached, links })
}

/// A link on the way.
struct Link<'f> {
    found: &'f Shown,
    target: &'f str,
    /// What the target is relative to.
    directory: &'f str,
}

impl<'f> Link<'f> {
    fn of(found: &'f Shown, directory: &'f str) -> Option<Self> {
        match &found.entry.kind {
            Kind::Symlink { target } if !target.starts_with('/') => Some(Self { found, target, directory }),
            // In an image, the root is the image's.
            Kind::Symlink { target } | Kind::Hardlink { target } => Some(Self { found, target, directory: "" }),
            _ => None,
        }
    }

    /// Refuses one link too many, and one that climbs out of an artifact, judged by its text.
    fn check(&self, links: u32, purpose: Purpose) -> Result<()> {
        let path = &self.found.entry.path;
        let refuse = |reason| Err(Error::UnsafeLink { path: path.clone(), target: self.target.to_owned(), reason });
        if links > MAX_LINKS {
            return refuse("it is one of more than 40 links on the way");
        }
        if purpose == Purpose::Artifact && self.climbs_out() {
            return refuse("it leads out of the artifact");
        }
        Ok(())
    }

    fn climbs_out(&self) -> bool {
        let start = components(self.directory).len();
        let depth = components(self.target).iter().rev().try_fold(start, |depth, part| match part.as_str() {
            ".." => depth.checked_sub(1),
            _ => Some(depth + 1),
        });
        depth.is_none()
    }
}

/// Components, the first one last; neither empty ones nor `.`.
fn components(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether anything lies below `path`.
fn is_directory(found: &[Shown], path: &str) -> bool {
    let next = found.partition_point(|found| path_order(&found.entry.path, path).is_le());
    let below = |found: &Shown| found.entry.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty() || found.get(next).is_some_and(below)
}

/// What an entry is, unless it is a file.
const fn kind_name(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::File { .. } => None,
        Kind::Directory => Some("directory"),
        Kind::Symlink { .. } | Kind::Hardlink { .. } => Some("link"),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Some("device"),
        Kind::Fifo => Some("named pipe"),
    }
}

/// The path that was most likely meant by `path`: one of the same name elsewhere, else the one with the fewest letters changed.
/// A link from `asked` is none: that is what was asked for.
fn nearest(found: &[Shown], asked: &str, path: &str) -> Option<String> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = name(path);
    let is_offered = |found: &&Shown| !found.entry.is_directory() && found.entry.path != asked;
    let files = || found.iter().filter(is_offered).map(|found| found.entry.path.as_str());
    let most = path.len() / 3;
    let alike = |other: &str| other.len().abs_diff(path.len()) <= most && other.len() <= 2 * MAX_COMPARED;
    let same_name = files().find(|other| name(other) == wanted);
    let close = || {
        let distances =
            files().filter(|other| alike(other)).take(MAX_COMPARED).map(|other| (distance(path, other), other));
        distances.filter(|(distance, _)| *distance <= most).min().map(|(_, other)| other)
    };
    same_name.or_else(close).map(str::to_owned)
}

/// So many paths are compared letter by letter.
const MAX_COMPARED: usize = 10_000;

/// How many bytes must be added, removed or replaced to make one text of the other.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use refs_estargz::Entry;

    use super::{super::merge::Origin, *};

    fn tree() -> Vec<Shown> {
        let link = |target: &str| Kind::Symlink { target: target.to_owned() };
        let file = || Kind::File { size: 1 };
        let entries = [
            ("README.md", file()),
            ("absolute", link("/docs/guide.md")),
            ("circle", link("circle")),
            ("current", link("docs")),
            ("dangling", link("gone")),
            ("docs", Kind::Directory),
            ("docs/guide.md", file()),
            ("docs/up", link("../README.md")),
            ("hard", Kind::Hardlink { target: "docs/guide.md".to_owned() }),
            ("implied/file", file()),
            ("out", link("../etc/passwd")),
            ("pipe", Kind::Fifo),
        ];
        entries.into_iter().map(|(path, kind)| found(path, kind)).collect()
    }

    fn found(path: &str, kind: Kind) -> Shown {
        let (path, xattrs) = (path.to_owned(), BTreeMap::new());
        let entry = Entry { path, kind, mode: 0o644, mtime: 0, uid: 0, gid: 0, xattrs, digest: None };
        Shown { entry, nanos: 0, origin: Some(Origin { layer: 0, index: 0 }) }
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        for purpose in [Purpose::Artifact, Purpose::Image] {
            assert_eq!(file(&tree(), path, "here", purpose).unwrap().entry.path, expected);
        }
    }

    #[track_caller]
    fn check_error(path: &str, expected: &str) {
        assert_eq!(file(&tree(), path, "here", Purpose::Artifact).unwrap_err().to_string(), expected);
    }

    #[test]
    fn links_are_followed_inside() {
        check("README.md", "README.md");
        check("absolute", "docs/guide.md");
        check("current/guide.md", "docs/guide.md");
        check("current/up", "README.md");
        check("hard", "docs/guide.md");
        check("implied/file", "implied/file");
    }

    #[test]
    fn other_paths_give_no_file() {
        check_error("docs", "`docs` in here is a directory, not a file");
        check_error("implied", "`implied` in here is a directory, not a file");
        check_error("pipe", "`pipe` in here is a named pipe, not a file");
        check_error("dangling", "no file `dangling` in here: it leads to `gone`, where nothing is");
        check_error("current/none", "no file `current/none` in here: it leads to `docs/none`, where nothing is");
        check_error("docs/none", "no file `docs/none` in here");
        check_error("out", "link `out` to `../etc/passwd` in a layer is not safe: it leads out of the artifact");
        check_error(
            "circle",
            "link `circle` to `circle` in a layer is not safe: it is one of more than 40 links on the way",
        );
    }

    #[test]
    fn the_root_of_an_image_is_its_own_parent() {
        const OUT: &str = "no file `out` in here: it leads to `etc/passwd`, where nothing is";
        let mut image = tree();
        image.push(found("usr/up", Kind::Symlink { target: "../../../docs/guide.md".to_owned() }));
        let reached = |path| file(&image, path, "here", Purpose::Image).map(|found| found.entry.path.clone());
        assert_eq!(reached("usr/up").unwrap(), "docs/guide.md");
        assert_eq!(reached("out").unwrap_err().to_string(), OUT);
    }

    #[test]
    fn a_path_that_looks_alike_is_offered() {
        for (path, expected) in [
            ("guide.md", Some("docs/guide.md")),
            ("readme.md", Some("README.md")),
            ("docs/guides.md", Some("docs/guide.md")),
            ("xyz", None),
        ] {
            assert_eq!(nearest(&tree(), path, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_like_the_end_of_a_link_is_offered_and_never_the_link() {
        let mut tree = tree();
        tree.push(found("guid.md", Kind::Symlink { target: "docs/guid.md".to_owned() }));
        tree.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
        for (path, expected) in [("dangling", None), ("guid.md", Some("docs/guide.md"))] {
            let error = file(&tree, path, "here", Purpose::Image).unwrap_err();
            let Error::FileNotFound { nearest, .. } = error else { panic!("{error:?}") };
            assert_eq!(nearest.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn distances_count_changed_bytes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::File { size: 1 }),
            Just(Kind::Directory),
            "(/|\\.\\./){0,2}[ab](/[ab.]{1,2}){0,2}".prop_map(|target| Kind::Symlink { target }),
            "[ab](/[ab]){0,2}".prop_map(|target| Kind::Hardlink { target }),
        ]
    }

    proptest! {
        #[test]
        fn any_links_end_at_a_file_or_in_an_error(
            tree in prop::collection::btree_map("[ab](/[ab]){0,2}", any_kind(), 0..10),
            path in "[ab](/([ab]|\\.\\.)){0,4}",
        ) {
            let mut tree: Vec<Shown> = tree.into_iter().map(|(path, kind)| found(&path, kind)).collect();
            tree.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
            for purpose in [Purpose::Artifact, Purpose::Image] {
                if let Ok(found) = file(&tree, &path, "here", purpose) {
                    prop_assert!(found.entry.is_file());
                }
            }
        }
    }
}
