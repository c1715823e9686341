//! The images that a cache has as a whole: what its index lists, and what keeps it true.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use refs_registry::{
    Descriptor, Error, ErrorKind, Manifest, Result,
    error::{Doing, Wanted},
    spec::Document,
};
use refs_url::{Digest, Target};

use super::{folder::Folder, index::LayoutIndex, names::chosen_from, parsed::Stamp};
use crate::{
    disk::{known_images, put_index_aside},
    lock::Lock,
};

/// What an image is without which nobody can use it: its manifest, config and layers, and the index that it was chosen from.
/// Layers that are fetched from elsewhere are not of it.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Digests, and how many bytes each has to have.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

/// Which of the listed images need a blob, by the index as it was last read.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    read: Option<Stamp>,
    by_blob: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl Folder {
    /// What belongs to the image of `entry`, whose manifest is here.
    pub(crate) fn whole(&self, entry: &Descriptor) -> Result<Whole> {
        let missing = || self.not_found(Wanted::Manifest(Target::Digest(entry.digest.clone())));
        let raw = self.manifest_bytes(&entry.digest)?.ok_or_else(missing)?;
        let mut blobs = BTreeMap::from([(entry.digest.clone(), entry.size)]);
        if let Document::Image(image) = (Manifest { descriptor: entry.clone(), raw: raw.into() }).parse()? {
            let own = image.layers.iter().filter(|layer| !layer.is_foreign()).chain([&image.config]);
            blobs.extend(own.map(|blob| (blob.digest.clone(), blob.size)));
        }
        if let Some(index) = chosen_from(entry) {
            let size = self.blob_size(&index)?.ok_or_else(|| self.not_found(Wanted::Blob(index.clone())))?;
            blobs.insert(index, size);
        }
        Ok(Whole { blobs })
    }

    /// The first blob of `whole` that is not here as it must be.
    pub(crate) fn missing<'a>(&self, whole: &'a Whole) -> Result<Option<&'a Digest>> {
        for (digest, size) in &whole.blobs {
            match self.blob_size(digest) {
                Ok(found) if found == Some(*size) => {}
                Ok(_) => return Ok(Some(digest)),
                Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Some(digest)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The images that the index lists. One that can't be read lists none.
    pub(crate) fn images(&self) -> Result<Vec<Descriptor>> {
        Ok(self.sound_index()?.entries().to_vec())
    }

    /// Lists `entry` by its name, in the place of what had it before.
    pub(crate) fn list(&self, held: &Lock, entry: &Descriptor) -> Result<()> {
        self.change_images(held, |index| index.put_named(entry))
    }

    /// Takes those images off the index that are not whole, as far as names and sizes tell; gives them.
    pub(crate) fn unlist_broken(&self, held: &Lock) -> Result<Vec<Descriptor>> {
        let mut broken = Vec::new();
        for entry in self.images()? {
            if !self.is_whole(&entry)? {
                broken.push(entry);
            }
        }
        let digests: BTreeSet<_> = broken.iter().map(|entry| entry.digest.clone()).collect();
        self.change_images(held, |index| index.remove_all(&digests))?;
        Ok(broken)
    }

    /// Those of the images `listed` at some time that are listed no more, and are not whole.
    pub(crate) fn gone_since(&self, listed: &[Descriptor]) -> Result<Vec<Descriptor>> {
        let left = self.images()?;
        let mut gone = Vec::new();
        for image in listed.iter().filter(|image| !left.contains(image)) {
            if !self.is_whole(image)? {
                gone.push(image.clone());
            }
        }
        Ok(gone)
    }

    /// The listed images that need any of `blobs`.
    pub(crate) fn images_with(&self, blobs: &BTreeSet<Digest>) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for entry in self.images()? {
            match self.whole(&entry) {
                Ok(whole) if whole.blobs.keys().all(|blob| !blobs.contains(blob)) => {}
                Err(error) if !is_about_content(&error) => return Err(error),
                _ => found.push(entry),
            }
        }
        Ok(found)
    }

    fn is_whole(&self, entry: &Descriptor) -> Result<bool> {
        match self.whole(entry).and_then(|whole| Ok(self.missing(&whole)?.is_none())) {
            Err(error) if is_about_content(&error) => Ok(false),
            other => other,
        }
    }

    fn sound_index(&self) -> Result<LayoutIndex> {
        match self.index() {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::debug!(%error, "the index of the cache says nothing");
                Ok(LayoutIndex::empty())
            }
            other => other,
        }
    }

    /// Lets `change` change what the index lists, which is mended before.
    fn change_images(&self, held: &Lock, change: impl FnOnce(&mut LayoutIndex)) -> Result<()> {
        self.mend_index(held)?;
        self.change_index(held, change)
    }

    /// Puts an index of the images that are known to be whole in the place of one that can't be read, which goes to quarantine.
    pub(crate) fn mend_index(&self, _held: &Lock) -> Result<()> {
        match self.index() {
            Err(error) if error.kind() == ErrorKind::Corrupt => put_index_aside(self)?,
            other => return other.map(drop),
        }
        let mut index = LayoutIndex::empty();
        for entry in known_images(self)? {
            // Of two of one name in an index, the first is the one that was chosen.
            if !index.has_name_of(&entry) && self.is_whole(&entry)? {
                index.put_named(&entry);
            }
        }
        self.write_index(&index)
    }

    fn stamp(&self) -> Result<Option<Stamp>> {
        let path = self.index_path();
        match fs::symlink_metadata(&path) {
            Ok(file) => Ok(Some(Stamp::of(&file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(Doing::Read, path, error)),
        }
    }
}

impl Needs {
    /// Takes off the index of `folder` all images that need `blob`, which is about to go.
    pub(crate) fn unlist(&mut self, folder: &Folder, held: &Lock, blob: &Digest) -> Result<()> {
        let stamp = folder.stamp()?;
        if self.read.is_none() || self.read != stamp {
            *self = Self::read(folder, held)?;
        }
        let Some(images) = self.by_blob.remove(blob) else { return Ok(()) };
        folder.change_images(held, |index| index.remove_all(&images))?;
        self.read = folder.stamp()?;
        Ok(())
    }

    /// Images that are not whole are taken off the index now.
    fn read(folder: &Folder, held: &Lock) -> Result<Self> {
        let (mut needs, mut broken) = (Self::default(), BTreeSet::new());
        for entry in folder.images()? {
            match folder.whole(&entry) {
                Ok(whole) => {
                    for blob in whole.blobs.into_keys() {
                        needs.by_blob.entry(blob).or_default().insert(entry.digest.clone());
                    }
                }
                Err(error) if is_about_content(&error) => drop(broken.insert(entry.digest)),
                Err(error) => return Err(error),
            }
        }
        folder.change_images(held, |index| index.remove_all(&broken))?;
        Ok(Self { read: folder.stamp()?, ..needs })
    }
}

/// Whether the content is to blame, and not the disk.
fn is_about_content(error: &Error) -> bool {
    use ErrorKind::{Corrupt, Digest, NotCached, NotFound, Protocol, Size, Unsupported};
    matches!(error.kind(), Corrupt | Digest | NotCached | NotFound | Protocol | Size | Unsupported)
        || matches!(error, Error::TooLarge { .. } | Error::Manifest { .. })
}

#[cfg(test)]
mod tests {
    use refs_registry::MediaType;
    use tempfile::TempDir;

    use super::*;
    use crate::layout::{BLOBS_FOLDER, named};

    /// A layout, and what is in it.
    struct Place {
        folder: Folder,
        at: TempDir,
    }

    impl Place {
        fn new() -> Self {
            let at = tempfile::tempdir().unwrap();
            Self { folder: Folder::create(at.path().join("layout")).unwrap(), at }
        }

        fn path(&self, digest: &Digest) -> std::path::PathBuf {
            self.at.path().join("layout").join(BLOBS_FOLDER).join("sha256").join(digest.encoded())
        }

        fn put(&self, bytes: &[u8]) -> Digest {
            let digest = Digest::sha256(bytes);
            fs::create_dir_all(self.path(&digest).parent().unwrap()).unwrap();
            fs::write(self.path(&digest), bytes).unwrap();
            digest
        }

        /// Lists an image with the one layer `content` under `name`.
        fn list(&self, name: &str, content: &str) -> Digest {
            let blob = |media_type: &str, bytes: &[u8]| {
                let (digest, size) = (self.put(bytes), bytes.len());
                format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
            };
            let config = blob("application/vnd.oci.image.config.v1+json", b"{}");
            let layer = blob("application/vnd.oci.image.layer.v1.tar", content.as_bytes());
            let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
            let digest = self.put(manifest.as_bytes());
            let manifest = Descriptor::new(MediaType::OCI_MANIFEST, digest, manifest.len() as u64);
            self.folder.list(&self.folder.lock().unwrap(), &named(&manifest, name, None)).unwrap();
            Digest::sha256(content.as_bytes())
        }
    }

    #[test]
    fn a_tag_that_moved_meanwhile_is_no_image_that_is_gone() -> Result<()> {
        let place = Place::new();
        place.list("v1", "old");
        let listed = place.folder.images()?;
        place.list("v1", "new");
        assert_eq!(place.folder.images()?.len(), 1);
        assert_eq!(place.folder.gone_since(&listed)?, []);
        Ok(())
    }

    #[test]
    fn an_image_that_was_listed_and_is_not_whole_any_more_is_gone() -> Result<()> {
        let place = Place::new();
        let (old, _) = (place.list("v1", "old"), place.list("v2", "other"));
        let listed = place.folder.images()?;
        place.list("v1", "new");
        place.list("v3", "later");
        fs::remove_file(place.path(&old)).unwrap();
        assert_eq!(place.folder.gone_since(&listed)?, &listed[..1]);

        // One that is listed still is not looked at: it is for whoever takes it off the index.
        fs::remove_file(place.path(&Digest::sha256(b"other"))).unwrap();
        assert_eq!(place.folder.gone_since(&listed)?, &listed[..1]);
        let broken = place.folder.unlist_broken(&place.folder.lock()?)?;
        assert_eq!(broken, &listed[1..]);
        assert_eq!(place.folder.gone_since(&listed)?, listed);
        Ok(())
    }
}
