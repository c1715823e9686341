//! The manifests of a layout: blobs that `index.json`, or an index it lists, speaks of.

use std::{collections::BTreeMap, fs::File, io::Read};

use refs_registry::{
    Descriptor, Error, Filter, Manifest, MediaType, Result, Stored,
    error::{Detail, Doing, Wanted},
    spec::Referrer,
};
use refs_url::{Digest, Hasher, Tag, Target};
use serde::{Deserialize, de::IgnoredAny};

use super::folder::Folder;
use crate::admission::{admit, unknown_algorithm};

impl Folder {
    pub(super) fn manifest(&self, target: &Target) -> Result<Manifest> {
        let missing = || self.not_found(Wanted::Manifest(target.clone()));
        match (self.index()?.find(target), target) {
            (Some(entry), _) => {
                let raw = self.manifest_bytes(&entry.digest)?.ok_or_else(missing)?;
                let wanted = Wanted::Manifest(target.clone());
                let (expected, actual) = (entry.size, raw.len() as u64);
                if expected != actual {
                    return Err(Error::Size { wanted, expected, actual });
                }
                let descriptor = Descriptor {
                    platform: entry.platform.clone(),
                    ..Descriptor::new(entry.media_type.clone(), entry.digest.clone(), actual)
                };
                Ok(Manifest { descriptor, raw: raw.into() })
            }
            (None, Target::Digest(digest)) => self.unlisted(digest)?.ok_or_else(missing),
            (None, Target::Tag(_)) => Err(missing()),
        }
    }

    /// Stores a manifest whose blobs are here: first its bytes, then the index that leads to them.
    pub(super) fn put_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        let admission = admit(manifest)?;
        let held = self.lock()?;
        for blob in admission.blobs {
            if !self.has_blob(&blob)? {
                return Err(self.not_found(Wanted::Blob(blob)));
            }
        }
        let digest = admission.descriptor.digest.clone();
        let ((), changed) = self.changed_index(&held, |index| index.put(&admission.descriptor, tags))?;
        self.write_blob(&manifest.raw, &digest)?;
        self.write_changed(changed)?;
        Ok(Stored { digest, subject: admission.referrer.map(|referrer| referrer.subject) })
    }

    /// Removes a tag; or a manifest, first from the index and then its bytes.
    pub(super) fn delete_manifest(&self, target: &Target) -> Result<()> {
        let missing = || self.not_found(Wanted::Manifest(target.clone()));
        if self.is_unwritten() {
            return Err(missing());
        }
        let held = self.lock()?;
        let deleted = match target {
            Target::Tag(tag) => self.change_index(&held, |index| index.remove_tag(tag))?,
            Target::Digest(digest) => {
                let (was_listed, is_needed) =
                    self.change_index(&held, |index| (index.remove(digest), index.find(target).is_some()))?;
                let is_here = was_listed || (!is_needed && self.unlisted(digest)?.is_some());
                if is_here && !is_needed {
                    self.remove_blob(digest)?;
                }
                is_here
            }
        };
        if deleted { Ok(()) } else { Err(missing()) }
    }

    pub(super) fn delete_blob(&self, digest: &Digest) -> Result<()> {
        let wanted = || Wanted::Blob(digest.clone());
        if self.is_unwritten() {
            return Err(self.not_found(wanted()));
        }
        let _held = self.lock()?;
        if self.index()?.find(&Target::Digest(digest.clone())).is_some() {
            let detail = Detail::new("it is a manifest, to be deleted as one");
            return Err(Error::Conflict { wanted: wanted(), at: self.place(), detail });
        }
        if self.remove_blob(digest)? { Ok(()) } else { Err(self.not_found(wanted())) }
    }

    /// Whether `tag` itself leads to the manifest `digest`, which is there.
    pub(super) fn has_tag(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        let is_listed = self.index()?.named(tag).is_some_and(|entry| entry.digest == *digest);
        Ok(is_listed && self.manifest(&Target::Tag(tag.clone()))?.descriptor.digest == *digest)
    }

    pub(super) fn tags(&self, after: Option<&Tag>) -> Result<Vec<Tag>> {
        let mut tags = self.index()?.tags();
        if tags.is_empty()
            && let Some(error) = self.unused()
        {
            return Err(error);
        }
        tags.retain(|tag| after.is_none_or(|after| tag > after));
        Ok(tags)
    }

    pub(super) fn names(&self) -> Result<Vec<String>> {
        let index = self.index()?;
        if index.is_known() { Ok(index.names()) } else { Err(self.not_found(Wanted::Tags)) }
    }

    /// The listed manifests that refer to `subject`, by digest. One whose bytes are missing or are no manifest refers to nothing;
    /// one whose bytes are damaged might, so that it fails the listing.
    pub(super) fn referrers(&self, subject: &Digest, filter: &Filter) -> Result<Vec<Descriptor>> {
        let index = self.index()?;
        let manifests =
            index.entries().iter().filter(|entry| entry.media_type.is_image() || entry.media_type.is_index());
        let by_digest: BTreeMap<&Digest, &Descriptor> = manifests.map(|entry| (&entry.digest, entry)).collect();
        let mut referrers = Vec::new();
        for (digest, entry) in by_digest {
            let Some(raw) = self.manifest_bytes(digest)? else { continue };
            let manifest = Manifest { descriptor: entry.clone(), raw: raw.into() };
            let Ok(document) = manifest.parse() else { continue };
            let found = Referrer::of(entry, &document).filter(|referrer| referrer.listed(subject, filter));
            referrers.extend(found.map(|referrer| referrer.descriptor));
        }
        Ok(referrers)
    }

    /// A manifest that the index does not list itself, as those of an image for several platforms: one that says by its
    /// own type, or shows by its fields, that it is one.
    fn unlisted(&self, digest: &Digest) -> Result<Option<Manifest>> {
        if self.blob_size(digest)?.is_none_or(|size| size > Manifest::MAX_BYTES) {
            return Ok(None);
        }
        let Some(raw) = self.manifest_bytes(digest)? else { return Ok(None) };
        Ok(media_type(&raw).map(|media_type| {
            let descriptor = Descriptor::new(media_type, digest.clone(), raw.len() as u64);
            Manifest { descriptor, raw: raw.into() }
        }))
    }

    /// The verified bytes of a manifest; `None` when they are not here.
    pub(crate) fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let Some((file, _)) = self.open_blob(digest)? else { return Ok(None) };
        let wanted = || Wanted::Manifest(Target::Digest(digest.clone()));
        let raw = read_at_most(file, Manifest::MAX_BYTES)
            .map_err(|error| Error::io(Doing::Read, self.blob_path(digest), error))?
            .ok_or_else(|| Error::TooLarge { wanted: wanted(), limit: Manifest::MAX_BYTES })?;
        let mut hasher = Hasher::for_digest(digest).ok_or_else(|| unknown_algorithm(digest))?;
        hasher.update(&raw);
        match hasher.finish() {
            actual if actual == *digest => Ok(Some(raw)),
            actual => Err(Error::Digest { wanted: wanted(), actual }),
        }
    }
}

fn read_at_most(file: File, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn media_type(raw: &[u8]) -> Option<MediaType> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<MediaType>,
        layers: Option<IgnoredAny>,
        manifests: Option<IgnoredAny>,
    }
    match serde_json::from_slice(raw).ok()? {
        Shape { media_type: Some(declared), .. } => MediaType::MANIFESTS.contains(&declared).then_some(declared),
        Shape { layers: Some(_), manifests: None, .. } => Some(MediaType::OCI_MANIFEST),
        Shape { layers: None, manifests: Some(_), .. } => Some(MediaType::OCI_INDEX),
        Shape { .. } => None,
    }
}
