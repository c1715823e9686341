//! Finds the images of a store on disk again whose list is lost, by what its origins' tags led to.

use std::fs;

use refs_registry::{Descriptor, Manifest, Result, spec::Document};
use refs_url::{Tag, Target};

use super::{
    images,
    origins::{Recorded, records},
    removal::move_aside,
};
use crate::{
    layout::{Folder, INDEX_FILE},
    record::TagRecord,
    store::StoredImage,
};

/// Moves a damaged index into quarantine, and says so. What is no file is for a [`verify`](super::DiskStore::verify) to move.
pub(crate) fn put_index_aside(folder: &Folder) -> Result<()> {
    let path = folder.root().join(INDEX_FILE);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) && move_aside(folder.root(), &path)? {
        tracing::warn!(
            path = %path.display(),
            "the list of images in the cache is damaged, and in quarantine; those that are whole are listed again"
        );
    }
    Ok(())
}

/// What an index would list of the images that tags led to, whole or not, in the order in which they were asked for.
pub(crate) fn known_images(folder: &Folder) -> Result<Vec<Descriptor>> {
    let mut known = Vec::new();
    // What is no record is none: listing what is known must not fail by it.
    for Recorded { origin, tag, record, .. } in records(folder.root())? {
        let images = images_of(folder, &tag, &record);
        known.extend(images.into_iter().map(|image| (record.seen, images::entry(&origin, &image))));
    }
    known.sort_by_key(|(seen, _)| *seen);
    Ok(known.into_iter().map(|(_, entry)| entry).collect())
}

/// The image that the tag led to; of an index, all that it names.
fn images_of(folder: &Folder, tag: &Tag, record: &TagRecord) -> Vec<StoredImage> {
    let image = |manifest: &Descriptor, index: Option<&Descriptor>| StoredImage {
        target: Target::Tag(tag.clone()),
        manifest: Descriptor::new(manifest.media_type.clone(), manifest.digest.clone(), manifest.size),
        index: index.cloned(),
        platform: manifest.platform.clone(),
    };
    if !record.descriptor.media_type.is_index() {
        return vec![image(&record.descriptor, None)];
    }
    let Ok(Some(raw)) = folder.manifest_bytes(&record.descriptor.digest) else { return Vec::new() };
    match (Manifest { descriptor: record.descriptor.clone(), raw: raw.into() }).parse() {
        Ok(Document::Index(index)) => {
            index.manifests.iter().map(|manifest| image(manifest, Some(&record.descriptor))).collect()
        }
        _ => Vec::new(),
    }
}
