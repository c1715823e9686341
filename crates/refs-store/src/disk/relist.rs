//! Finds the images of a store on disk again whose list is lost, by what its origins' tags led to.

use std::{fs, path::Path};

use refs_registry::{Descriptor, Manifest, Result, Wire, spec::Document};
use refs_url::{Host, RepoName, Tag, Target};

use super::{ORIGINS_FOLDER, TAGS_FOLDER, images, notes::read_record, removal::move_aside};
use crate::{
    evict::{names, origins},
    layout::{Folder, INDEX_FILE},
    store::{Origin, StoredImage, TagRecord},
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
    let root = folder.root().join(ORIGINS_FOLDER);
    let mut known = Vec::new();
    for notes in origins(folder.root())? {
        let Some(origin) = notes.strip_prefix(&root).ok().and_then(origin) else { continue };
        for path in names(&notes.join(TAGS_FOLDER))? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(tag) = name.and_then(|name| Tag::parse(name).ok()) else { continue };
            // What is no file is none: listing what is known must not fail by it.
            if let Ok(Some(record)) = read_record(&path) {
                let images = images_of(folder, &tag, &record);
                known.extend(images.into_iter().map(|image| (record.seen, images::entry(&origin, &image))));
            }
        }
    }
    known.sort_by_key(|(seen, _)| *seen);
    Ok(known.into_iter().map(|(_, entry)| entry).collect())
}

/// The origin whose notes are in the folder `inside` that of all.
pub(super) fn origin(inside: &Path) -> Option<Origin> {
    let mut names = inside.to_str()?.splitn(3, '/');
    let wire = match names.next()? {
        "secured" => Wire::Secured,
        "open" => Wire::Open,
        _ => return None,
    };
    let (host, repository) = (Host::parse(names.next()?).ok()?, RepoName::parse(names.next()?).ok()?);
    Some(Origin { wire, host, repository })
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
