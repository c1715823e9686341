//! The layouts that paths lead to: `PATH`, and `PATH:HOST/REPO` for what is listed by whole references.

use std::path::{Path, PathBuf};

use refs_store::Layout;

use crate::{Result, thread};

/// The layout at `path`. Where there is none, `path` may end in a name, and what is listed by that name and a tag is the
/// repository.
///
/// # Errors
/// `Registry` when there is no layout.
pub(crate) async fn open(path: &Path) -> Result<Layout> {
    let (folder, name) = found(path).await?;
    Ok(within(Layout::open(folder).await?, name))
}

/// The same, which is made at `path` when there is none at all.
///
/// # Errors
/// `Registry` when it can't be made.
pub(crate) async fn create(path: &Path) -> Result<Layout> {
    let (folder, name) = found(path).await?;
    Ok(within(Layout::create(folder).await?, name))
}

/// The folder of the layout that `path` leads to, and the name behind it. What is at `path` itself comes first.
pub(crate) fn split(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_str().filter(|_| !Layout::is_at(path)).unwrap_or_default();
    let mut colons = text.match_indices(':').map(|(at, _)| (Path::new(&text[..at]), &text[at + 1..]));
    match colons.find(|(folder, name)| Layout::is_at(folder) && !name.is_empty() && !name.starts_with('/')) {
        Some((folder, name)) => (folder.to_owned(), Some(name.to_owned())),
        None => (path.to_owned(), None),
    }
}

async fn found(path: &Path) -> Result<(PathBuf, Option<String>)> {
    let path = path.to_owned();
    thread::run(move || Ok(split(&path))).await
}

fn within(layout: Layout, name: Option<String>) -> Layout {
    match name {
        Some(name) => layout.repository(&name),
        None => layout,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_layout_before_a_colon_counts_unless_the_path_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let check = |path: &str, expect: (&str, Option<&str>)| {
            assert_eq!(split(&at(path)), (at(expect.0), expect.1.map(str::to_owned)), "{path}");
        };
        check("a:5000/o/r", ("a:5000/o/r", None));
        for layout in ["a", "a:5000", "b:c/d"] {
            fs::create_dir_all(at(layout)).unwrap();
            fs::write(at(layout).join("oci-layout"), "").unwrap();
        }
        check("a", ("a", None));
        check("a:5000", ("a:5000", None));
        check("a:host/o/r", ("a", Some("host/o/r")));
        check("a:5000/o/r", ("a", Some("5000/o/r")));
        check("b:c/d:host:5000/o/r", ("b:c/d", Some("host:5000/o/r")));
        check("c:host/o/r", ("c:host/o/r", None));
        check("a:", ("a:", None));
        check("a:/o/r", ("a:/o/r", None));
    }
}
