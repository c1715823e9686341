//! The layouts that paths lead to: `PATH`, and `PATH:HOST/REPO` for what is listed by whole references.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use refs_registry::{Error as RegistryError, ErrorKind, error::Doing};
use refs_store::Layout;
use refs_url::{Reference, RepoName};

use crate::{Location, Result, error::LocationFault, thread};

/// The layout at `path`. Where there is none, `path` may end in a name, and what is listed by that name and a tag is the
/// repository.
///
/// # Errors
/// `Registry` when there is no layout.
pub(crate) async fn open(path: &Path) -> Result<Layout> {
    let (folder, name) = found(path).await?;
    Ok(within(Layout::open(folder).await?, name))
}

/// The same, which is made at the folder when there is none at all.
///
/// # Errors
/// `Location` for a name that no repository has, which others who read the layout would trip over; `Registry` when it can't
/// be made.
pub(crate) async fn create(path: &Path) -> Result<Layout> {
    let (folder, name) = writable(path).await?;
    Ok(within(Layout::create(folder).await?, name))
}

/// The layout that [`create`] gives, without making anything: `None` when it would be made.
///
/// # Errors
/// As [`create`], as far as that shows without writing.
pub(crate) async fn foreseen(path: &Path) -> Result<Option<Layout>> {
    let (folder, name) = writable(path).await?;
    match Layout::open(&folder).await {
        Ok(layout) => Ok(Some(within(layout, name))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            thread::run(move || Ok(check_free(&folder)?)).await.map(|()| None)
        }
        Err(error) => Err(error.into()),
    }
}

/// That nothing is at `folder`, or an empty folder: a layout is not put among other things.
fn check_free(folder: &Path) -> refs_registry::Result<()> {
    let in_the_way = match fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(None) => return Ok(()),
        Ok(Some(_)) => io::ErrorKind::DirectoryNotEmpty.into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => error,
    };
    Err(RegistryError::io(Doing::Create, folder, in_the_way))
}

/// The folder and the name that `path` leads to, which what is written may be listed by.
async fn writable(path: &Path) -> Result<(PathBuf, Option<String>)> {
    let (folder, name) = found(path).await?;
    if let Some(name) = name.as_ref().filter(|name| !is_of_repository(name)) {
        let at = Location::layout(path);
        return Err(at.fault(LocationFault::BadName(name.clone())));
    }
    Ok((folder, name))
}

/// The folder of the layout that `path` leads to, and the name behind it. What is at `path` itself comes first, then the
/// first layout before a colon. Where there is none, and nothing at `path`, a layout may be made before a `HOST/REPO`: it is
/// named then as it will be once it is there.
pub(crate) fn split(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_str().filter(|_| !Layout::is_at(path)).unwrap_or_default();
    let colons = text.match_indices(':').map(|(at, _)| (Path::new(&text[..at]), &text[at + 1..]));
    let mut names = colons.clone().filter(|(_, name)| !name.is_empty() && !name.starts_with('/'));
    let there = names.find(|(folder, _)| Layout::is_at(folder));
    let to_come = || colons.clone().find(|(_, name)| is_whole(name)).filter(|_| path.symlink_metadata().is_err());
    match there.or_else(to_come) {
        Some((folder, name)) => (folder.to_owned(), Some(name.to_owned())),
        None => (path.to_owned(), None),
    }
}

/// The folder of the layout that `path` leads to.
///
/// # Errors
/// `Worker`.
pub(crate) async fn folder(path: &Path) -> Result<PathBuf> {
    Ok(found(path).await?.0)
}

fn is_of_repository(name: &str) -> bool {
    RepoName::parse(name).is_ok() || is_whole(name)
}

/// Whether `name` is a `HOST/REPO`.
fn is_whole(name: &str) -> bool {
    Reference::parse(name).is_ok_and(|found| !found.has_explicit_tag() && found.digest().is_none())
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
        check("c:ghcr.io/o/r", ("c", Some("ghcr.io/o/r")));
        check("c:localhost:5000/o/r", ("c", Some("localhost:5000/o/r")));
        check("c:../r", ("c:../r", None));
        fs::create_dir_all(at("there:ghcr.io/o/r")).unwrap();
        check("there:ghcr.io/o/r", ("there:ghcr.io/o/r", None));
        check("a:", ("a:", None));
        check("a:/o/r", ("a:/o/r", None));
    }
}
