//! Keeps what a verb reads twice, for as long as it reads, so that nothing is fetched twice.

use std::{path::Path, sync::Arc};

use refs_registry::Source;
use refs_store::Cached;

use crate::{Client, Location, Result, layer::Contents};

impl Client {
    /// `source`, the repository at `at`, for a verb that reads blobs twice: what nothing else keeps is kept on the file system of
    /// `folder`, in files without a name.
    pub(crate) fn kept(&self, at: &Location, source: Arc<dyn Source>, folder: &Path) -> Arc<dyn Source> {
        let Location::Registry(reference) = at else { return source };
        let source = match &self.store {
            Some(_) => source,
            None => Arc::new(Cached::without_store(source, self.origin(reference))),
        };
        source.keeping_in(folder).unwrap_or(source)
    }

    /// `contents` of `source`, which is the repository at `at`: layers of it that have to be read twice are kept meanwhile.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) async fn kept_meanwhile(
        &self,
        at: &Location,
        contents: Contents,
        source: Arc<dyn Source>,
    ) -> Result<Contents> {
        if !contents.is_streamed_twice().await? {
            return Ok(contents);
        }
        Ok(contents.with_streams(self.kept(at, source, &std::env::temp_dir())))
    }
}
