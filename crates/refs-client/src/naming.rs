//! What a repository has under which name: tags set anew, tags and manifests deleted.

use refs_registry::Descriptor;
use refs_url::Tag;

use crate::{Client, Location, Result, error::LocationFault};

impl Client {
    /// Sets `tags` to what the tag or digest of `at` leads to, in the same repository. No blob is moved, and the manifest
    /// goes back as the bytes that came. A registry that takes several tags at once is asked once.
    ///
    /// # Errors
    /// `Location` when `at` names no tag and no digest, or a file; `Registry` with the kind `NotFound` when there is no such
    /// manifest. After another error some of `tags` may have been set; to do it again is safe.
    pub async fn set_tags(&self, at: &Location, tags: &[Tag]) -> Result<Descriptor> {
        if let Location::File(_) = at {
            return Err(at.fault(LocationFault::File));
        }
        let target = at.needs_target()?;
        let manifest = self.source(at).await?.manifest(&target).await?;
        self.sink(at).await?.put_manifest(&manifest, tags).await?;
        Ok(manifest.descriptor)
    }

    /// Deletes the tag that `at` names, and leaves its manifest; or the manifest of the digest that it names, with all its
    /// tags. A manifest that refers to another is taken out of the list of that one's referrers, where clients keep it.
    ///
    /// # Errors
    /// `Location` when `at` names neither, or a file; `Registry` with the kind `NotFound` when there is nothing to delete,
    /// `Unsupported` where deleting is switched off: many registries delete manifests and no tags.
    pub async fn delete(&self, at: &Location) -> Result<()> {
        let target = at.needs_target()?;
        // To open a layout for writing would make one.
        self.source(at).await?;
        Ok(self.sink(at).await?.delete_manifest(&target).await?)
    }
}
