//! Keeps a destination apart from what must outlive it.

use std::path::{Component, Path, PathBuf, absolute};

use crate::{Client, DestinationFault, Error, Location, Result, named, thread};

impl Client {
    /// The same client, which writes nothing into `folder`, as it writes nothing into that of its own store but what it keeps:
    /// clients with a store there know nothing of what others put beside it.
    #[must_use]
    pub fn sparing(mut self, folder: &Path) -> Self {
        self.spared = Some(folder.into());
        self
    }

    /// Refuses a destination that has to do with the layout or file that is read at `at`, or with the folder of this client's
    /// store: to replace it would be to lose the artifact, or all that is kept. Refuses what is in the folder that it spares,
    /// too.
    ///
    /// # Errors
    /// `Destination`.
    pub(crate) async fn keep_apart(&self, at: &Location, destination: &Path) -> Result<()> {
        let (kept, spared) = (self.kept_in(), self.spared.clone());
        let read = match at {
            Location::Layout { path, .. } | Location::File(path) => Some(path.clone()),
            Location::Registry(_) => None,
        };
        let path = destination.to_owned();
        thread::run(move || {
            let there = resolved(&path);
            let meets = |here: PathBuf| here.starts_with(&there) || there.starts_with(&here);
            let fault = if read.and_then(|read| named::split(&read).0.canonicalize().ok()).is_some_and(meets) {
                DestinationFault::Layout
            // The folder of a store may be made while the destination is written.
            } else if kept.is_some_and(|kept| meets(resolved(&kept)))
                || spared.is_some_and(|spared| there.starts_with(resolved(&spared)))
            {
                DestinationFault::Cache
            } else {
                return Ok(());
            };
            Err(Error::Destination { path, fault })
        })
        .await
    }

    /// Refuses to write to the layout at `at` where that is in the folder of this client's store, or in the one that it spares:
    /// what is written there is not what the store knows of, which takes it away, and what is deleted is lost to it.
    ///
    /// # Errors
    /// `Destination`.
    pub(crate) async fn keep_out(&self, at: &Location) -> Result<()> {
        let Location::Layout { path, .. } = at else { return Ok(()) };
        let path = path.clone();
        self.keep_from(move || named::split(&path).0).await
    }

    /// Refuses to write the file `to` where that is in one of those folders.
    ///
    /// # Errors
    /// `Destination`.
    pub(crate) async fn keep_file_out(&self, to: &Path) -> Result<()> {
        let to = to.to_owned();
        self.keep_from(|| to).await
    }

    async fn keep_from(&self, path: impl FnOnce() -> PathBuf + Send + 'static) -> Result<()> {
        let (kept, spared) = (self.kept_in(), self.spared.clone());
        thread::run(move || {
            let path = path();
            let there = resolved(&path);
            if kept.as_deref().into_iter().chain(spared.as_deref()).any(|folder| there.starts_with(resolved(folder))) {
                return Err(Error::Destination { path, fault: DestinationFault::Cache });
            }
            Ok(())
        })
        .await
    }

    /// The folder of this client's store, which may have to be made.
    fn kept_in(&self) -> Option<PathBuf> {
        self.store.as_ref()?.folder().map(Path::to_owned)
    }
}

/// Where `path` leads to once what is missing on the way has been made, which is no link.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let mut there = PathBuf::new();
    for part in absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => drop(there.pop()),
            part => there.push(part),
        }
        there = there.canonicalize().unwrap_or(there);
    }
    there
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_is_not_there_yet_is_in_the_nearest_folder_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("there")).unwrap();
        symlink("there", root.join("link")).unwrap();
        let check =
            |path: &str, expect: &str| assert_eq!(resolved(&folder.path().join(path)), root.join(expect), "{path}");
        check("there", "there");
        check("link", "there");
        check("link/new/deep", "there/new/deep");
        check("there/../link/new", "there/new");
        check("none/deep", "none/deep");
        check("none/../link", "there");
        check("link/none/../../there/new", "there/new");
    }
}
