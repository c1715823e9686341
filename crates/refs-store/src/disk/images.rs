//! The images of a store on disk, in the index of its layout.

use std::fs::File;

use refs_registry::{Descriptor, Error, Platform, Result, error::Doing};
use refs_url::{Digest, Tag, Target};

use super::store::{DiskStore, not_cached};
use crate::{
    ingest::sync_folder_of,
    layout::{Folder, Whole, name_and_index, named, platform_suffix},
    store::{Origin, StoredImage},
    times::{Since, note_time},
};

/// An image that a [`DiskStore`] has as a whole, as its index lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedImage {
    /// What it was asked by: a whole reference. Of an index, an image that is not for this machine has its platform behind
    /// the tag, as in `ghcr.io/o/r:v1--linux-arm64`, or is named by its own digest.
    pub name: String,
    /// The image's manifest.
    pub manifest: Descriptor,
    /// The digest of the index that it was chosen from.
    pub index: Option<Digest>,
}

impl DiskStore {
    /// The images that are here as a whole, in the order in which they came.
    ///
    /// # Errors
    /// `Io`.
    pub async fn images(&self) -> Result<Vec<ListedImage>> {
        Ok(self.run(|folder| folder.images()).await?.iter().map(ListedImage::of).collect())
    }

    pub(super) async fn list(&self, origin: &Origin, image: &StoredImage) -> Result<()> {
        let entry = entry(origin, image);
        self.write(move |folder| list(folder, &entry)).await
    }
}

impl ListedImage {
    pub(super) fn of(entry: &Descriptor) -> Self {
        let (name, index) = name_and_index(entry);
        let (name, mut manifest) = (name.unwrap_or_default().to_owned(), entry.clone());
        manifest.annotations.clear();
        manifest.platform = None;
        Self { name, manifest, index }
    }
}

/// An image of `origin` as the index lists it.
pub(super) fn entry(origin: &Origin, image: &StoredImage) -> Descriptor {
    let chosen_from = image.index.as_ref().map(|index| &index.digest);
    let mut entry = named(&image.manifest, &name(origin, image), chosen_from);
    entry.platform = image.platform.clone().or(entry.platform);
    entry
}

/// What an image of `origin` is called by other programs, too. No two images have one name: of two, skopeo takes the first,
/// whatever platform it is for, and umoci none.
fn name(origin: &Origin, image: &StoredImage) -> String {
    let Origin { host, repository, .. } = origin;
    let foreign = image.platform.as_ref().filter(|platform| !is_here(platform, &Platform::linux_here()));
    let target = match (&image.target, foreign) {
        (target, None) => target.clone(),
        (Target::Tag(tag), Some(platform)) => {
            // What would be too long for a tag is found by its digest.
            Tag::parse(&format!("{tag}{}", platform_suffix(platform)))
                .map_or_else(|_too_long| Target::Digest(image.manifest.digest.clone()), Target::Tag)
        }
        (Target::Digest(_), Some(_)) => Target::Digest(image.manifest.digest.clone()),
    };
    match target {
        Target::Tag(tag) => format!("{host}/{repository}:{tag}"),
        Target::Digest(digest) => format!("{host}/{repository}@{digest}"),
    }
}

/// Whether an image for `platform` is one for this machine, which is `here`.
fn is_here(platform: &Platform, here: &Platform) -> bool {
    (&platform.os, &platform.architecture) == (&here.os, &here.architecture)
}

/// Lists an image whose blobs are all here. They are on the disk before the index speaks of them: other programs, which do
/// not hash what they read, find it there.
fn list(folder: &Folder, entry: &Descriptor) -> Result<()> {
    let whole = folder.whole(entry).map_err(crate::store::not_cached)?;
    if folder.images()?.contains(entry) {
        each_file(folder, &whole, |digest, _file| {
            note_time(&folder.blob_path(digest), Since::Read);
            Ok(())
        })?;
        return check_whole(folder, &whole);
    }
    each_file(folder, &whole, |digest, file| {
        file.sync_data().map_err(|error| Error::io(Doing::Sync, folder.blob_path(digest), error))
    })?;
    sync_folder_of(&folder.blob_path(&entry.digest))?;
    let held = folder.lock()?;
    // Eviction holds the lock, too: from now on it takes the image off the index first.
    check_whole(folder, &whole)?;
    folder.list(&held, entry)
}

fn each_file(folder: &Folder, whole: &Whole, mut take: impl FnMut(&Digest, File) -> Result<()>) -> Result<()> {
    for digest in whole.blobs.keys() {
        let (file, _) = folder.open_blob(digest)?.ok_or_else(|| not_cached(digest))?;
        take(digest, file)?;
    }
    Ok(())
}

fn check_whole(folder: &Folder, whole: &Whole) -> Result<()> {
    folder.missing(whole)?.map_or(Ok(()), |digest| Err(not_cached(digest)))
}
