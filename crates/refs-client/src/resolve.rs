//! What tags and digests lead to.

use futures_util::TryStreamExt;
use refs_registry::{Descriptor, Platform};
use refs_store::TagRecord;
use refs_url::{Digest, Tag, Target};

use crate::{Client, Error, Location, Result, artifact::Artifact, error::LocationFault, named};

impl Client {
    /// What the tag or digest of `at` leads to: an index, where it is one.
    ///
    /// # Errors
    /// `Location` when `at` names neither; `Registry` with the kind `NotFound` when there is no such manifest.
    pub async fn resolve_tag(&self, at: &Location) -> Result<Descriptor> {
        at.needs_target()?;
        let (source, target) = self.find(at, self.meter()).await?;
        Ok(source.resolve(&target).await?)
    }

    /// The same; but where `at` has a tag beside its digest, the tag is what is asked for, and must still lead to the digest. An
    /// offline client goes by what the registry last said of the tag, whether or not its store has that.
    ///
    /// # Errors
    /// `TagMoved` when it does not; else as [`resolve_tag`](Client::resolve_tag).
    pub async fn resolve_unmoved(&self, at: &Location) -> Result<Descriptor> {
        let (Some(tag), Some(_)) = (at.tag(), at.digest()) else { return self.resolve_tag(at).await };
        let found = self.source(at).await?.last_told(tag).await?;
        check_unmoved(at, &found)?;
        Ok(found)
    }

    /// The digest of what the tag of `at` leads to.
    ///
    /// # Errors
    /// As [`resolve_tag`](Client::resolve_tag).
    pub async fn get_digest(&self, at: &Location) -> Result<Digest> {
        Ok(self.resolve_tag(at).await?.digest)
    }

    /// What the client's store remembers of the tag of `at`, in a registry: where it led, and when the registry said so.
    /// Nothing is asked.
    ///
    /// # Errors
    /// `Registry` when there is no such kind of host.
    pub async fn recorded_tag(&self, at: &Location) -> Result<Option<TagRecord>> {
        let (Location::Registry(reference), Some(store), Some(tag)) = (at, &self.store, at.tag()) else {
            return Ok(None);
        };
        Ok(self.cached(reference, store, self.meter())?.0.recorded(tag).await)
    }

    /// The image for `platform` behind the tag or digest of `at`: an index is followed. Of an image
    /// that is in none, the config is read for what it is for.
    ///
    /// # Errors
    /// `PlatformNotFound` with the platforms there are, `PlatformUnknown` when they are not named, `NoImage` when
    /// there is none; else as [`resolve_tag`](Client::resolve_tag).
    pub async fn resolve_platform(&self, at: &Location, platform: &Platform) -> Result<Descriptor> {
        at.needs_target()?;
        let (source, target) = self.find(at, self.meter()).await?;
        let artifact = Artifact::find(source.as_ref(), &at.to_string(), &target, platform).await?;
        artifact.require(source.as_ref(), platform).await?;
        Ok(artifact.manifest.descriptor)
    }

    /// All tags of the repository, in the registry's own order.
    ///
    /// # Errors
    /// `Location` for a file, which has no tags; `Registry`; of a listing that fails half way nothing is returned.
    pub async fn list_tags(&self, at: &Location) -> Result<Vec<Tag>> {
        if let Location::File(_) = at {
            return Err(at.fault(LocationFault::Untagged));
        }
        Ok(self.source(at).await?.tags(None).try_collect().await?)
    }

    /// What manifests are listed by at `at`, and can be named by behind it and a colon. Of a layout that is named by its path
    /// alone these are whole references, too, as a store's are (`ghcr.io/o/r:v1`); else they are the tags.
    ///
    /// # Errors
    /// As [`list_tags`](Client::list_tags).
    pub async fn list_names(&self, at: &Location) -> Result<Vec<String>> {
        let Location::Layout { path, .. } = at else {
            return Ok(self.list_tags(at).await?.iter().map(ToString::to_string).collect());
        };
        let mut names = named::open(path).await?.names().await?;
        let place = at.repository();
        names.retain(|name| Location::parse(&format!("{place}:{name}")).is_ok_and(|at| at.target().is_some()));
        Ok(names)
    }

    /// The other places in the layout of `at` that its tag is at, as `ocidir://PATH:ghcr.io/o/r:v1` for `ocidir://PATH:v1`.
    /// None where `at` is no tag in a layout.
    ///
    /// # Errors
    /// As [`list_tags`](Client::list_tags).
    pub async fn tag_elsewhere(&self, at: &Location) -> Result<Vec<Location>> {
        let (Location::Layout { path, .. }, Some(Target::Tag(tag))) = (at, at.target()) else { return Ok(Vec::new()) };
        let whole = Location::layout(named::folder(path).await?);
        let names = self.list_names(&whole).await?;
        let places = names.iter().filter_map(|name| Location::parse(&format!("{whole}:{name}")).ok());
        Ok(places.filter(|place| place.tag() == Some(&tag) && place != at).collect())
    }
}

/// That the tag of `at`, which leads to `found`, leads to the digest beside it, if there is one.
///
/// # Errors
/// `TagMoved`.
pub(crate) fn check_unmoved(at: &Location, found: &Descriptor) -> Result<()> {
    match (at.tag(), at.digest()) {
        (Some(tag), Some(digest)) if found.digest != *digest => Err(Error::TagMoved {
            at: at.repository().to_string(),
            tag: tag.clone(),
            expected: Box::new(digest.clone()),
            actual: Box::new(found.digest.clone()),
        }),
        _ => Ok(()),
    }
}
