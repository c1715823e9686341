//! A folder of image layouts, one for each repository.

use std::{fs, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use refs_registry::{Error, Resolver, Result, Sink, Source, Writable, error::Doing};
use refs_url::{Host, RepoName};

use crate::{
    file::blocking,
    layout::{LAYOUT_FOLDER, Layout, Shelf},
};

/// Repositories in a folder, each a [`Layout`] at `NAME/_layout` in it. The host makes no difference.
///
/// A repository comes to exist with its first write, and is one as long as a blob or an upload is in it. Blobs are mounted
/// between repositories by a hard link: in one file system they take no more space.
#[derive(Debug, Clone)]
pub struct Layouts {
    shelf: Shelf,
}

impl Layouts {
    /// The repositories in the folder `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { shelf: Shelf::new(root.into()) }
    }

    /// The repository `repository`. Its first write makes its folder.
    #[must_use]
    pub fn repository(&self, repository: &RepoName) -> Layout {
        Layout::of(self.shelf.folder(repository))
    }
}

#[async_trait]
impl Resolver for Layouts {
    fn source(&self, _host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.repository(repository)))
    }

    fn repositories(&self, _host: &Host) -> BoxStream<'_, Result<RepoName>> {
        let shelf = self.shelf.clone();
        let names = async move { blocking(self.shelf.root(), move || names(&shelf)).await };
        let names = names.into_stream().map_ok(|names| stream::iter(names.into_iter().map(Ok)));
        names.try_flatten().boxed()
    }
}

impl Writable for Layouts {
    fn sink(&self, _host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.repository(repository)))
    }
}

/// The names whose folder holds a layout with something in it, sorted. Other folders and links are passed by.
fn names(shelf: &Shelf) -> Result<Vec<RepoName>> {
    let mut names = Vec::new();
    let mut unread = vec![String::new()];
    while let Some(above) = unread.pop() {
        for child in folders(shelf, &above)? {
            match RepoName::parse(&above) {
                Ok(name) if child == LAYOUT_FOLDER && shelf.folder(&name).is_used() => names.push(name),
                _ => unread.extend(below(&above, &child)),
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The name of the folder `child` in `above`, when a repository may have it.
fn below(above: &str, child: &str) -> Option<String> {
    let name = if above.is_empty() { child.to_owned() } else { format!("{above}/{child}") };
    RepoName::parse(&name).is_ok().then_some(name)
}

fn folders(shelf: &Shelf, name: &str) -> Result<Vec<String>> {
    let folder = shelf.root().join(name);
    let failed = |error| Error::io(Doing::List, &folder, error);
    let listed = match fs::read_dir(&folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut folders = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.extend(entry.file_name().into_string());
        }
    }
    Ok(folders)
}
