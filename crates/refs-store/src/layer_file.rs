//! A layer that is a file by itself.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, ByteStream, Descriptor, Error, Filter, Manifest, MediaType, Part, Result, Resume, Source, Verify,
    error::{Place, Wanted},
    spec::ImageManifest,
    verified,
};
use refs_url::{Digest, Hasher, Tag, Target};

use crate::{
    file::{blocking, each_chunk, open_file},
    part::within,
    reading::read_range,
};

/// The content of the config of an artifact that has none
/// ([guidance for an empty
/// descriptor](https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor)).
const EMPTY: &[u8] = b"{}";

/// A layer in a file, such as a tar archive, read as a repository that holds one artifact: a manifest, made up here, with
/// an empty config and this layer. It has no tags.
///
/// The file's digest is computed when it is opened, so that what is read later is what was there then.
#[derive(Debug, Clone)]
pub struct LayerFile {
    file: Arc<File>,
    path: Arc<Path>,
    layer: Descriptor,
    manifest: Manifest,
}

impl LayerFile {
    /// The layer in the file at `path`, and its digest: all of it is read once.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when there is something else than a file; `Io`.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path: Arc<Path> = path.into().into();
        blocking(&path.clone(), move || Self::open_now(path)).await
    }

    /// What the one manifest goes by: its digest.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::Digest(self.manifest.descriptor.digest.clone())
    }

    fn open_now(path: Arc<Path>) -> Result<Self> {
        // A link is followed: its name was given by the caller, not found in a store.
        let place = std::fs::canonicalize(&path).unwrap_or_else(|_| path.to_path_buf());
        let found = open_file(OpenOptions::new().read(true), &place)?;
        let (file, size) = found.ok_or_else(|| Error::NotFound {
            wanted: Wanted::LayerFile,
            at: Place::from(path.to_string_lossy()),
            code: None,
        })?;
        let mut hasher = Hasher::sha256();
        each_chunk(&file, &path, 0..size, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        let layer = Descriptor::new(MediaType::OCI_LAYER_GZIP, hasher.finish(), size);
        let manifest = Manifest::image(&ImageManifest {
            schema_version: 2,
            media_type: Some(MediaType::OCI_MANIFEST),
            artifact_type: Some(layer.media_type.clone()),
            config: Descriptor::of(MediaType::OCI_EMPTY, EMPTY),
            layers: vec![layer.clone()],
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        })?;
        Ok(Self { file: Arc::new(file), path, layer, manifest })
    }

    fn missing(&self, wanted: Wanted) -> Error {
        Error::NotFound { wanted, at: Place::from(self.path.to_string_lossy()), code: None }
    }

    /// The bytes `range` of the blob `digest`, and how many it has.
    fn bytes(&self, digest: &Digest, range: impl FnOnce(u64) -> Result<Range<u64>>) -> Result<(ByteStream, u64)> {
        if *digest == self.layer.digest {
            let range = range(self.layer.size)?;
            return Ok((read_range(self.file.clone(), self.path.clone(), range), self.layer.size));
        }
        if *digest != Digest::sha256(EMPTY) {
            return Err(self.missing(Wanted::Blob(digest.clone())));
        }
        let total = EMPTY.len();
        let range = range(total as u64)?;
        let start = (range.start as usize).min(total);
        let bytes = Bytes::from_static(&EMPTY[start..(range.end as usize).clamp(start, total)]);
        Ok((stream::iter([Ok(bytes)]).boxed(), total as u64))
    }
}

#[async_trait]
impl Source for LayerFile {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.manifest(target).await.map(|manifest| manifest.descriptor)
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        match target {
            Target::Digest(digest) if *digest == self.manifest.descriptor.digest => Ok(self.manifest.clone()),
            _ => Err(self.missing(Wanted::Manifest(target.clone()))),
        }
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        let (stream, size) = self.bytes(digest, |total| Ok(from.offset().min(total)..total))?;
        Ok(Blob { size, stream: verified(stream, Verify::new(digest, size, from)?) })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        let (stream, total) = self.bytes(digest, |total| within(digest, range.clone(), total))?;
        Ok(Part { range: range.start..range.end.max(range.start), total, stream })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.bytes(digest, |_| Ok(0..0)).ok().map(|(_, total)| total))
    }

    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::empty().boxed()
    }

    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::empty().boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use refs_registry::ErrorKind;

    use super::*;

    async fn opened(content: &[u8]) -> (tempfile::TempDir, LayerFile) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("layer"), content).unwrap();
        let file = LayerFile::open(folder.path().join("layer")).await.unwrap();
        (folder, file)
    }

    async fn read(stream: ByteStream) -> Result<Vec<u8>> {
        stream.try_collect::<Vec<_>>().await.map(|chunks| chunks.concat())
    }

    #[tokio::test]
    async fn the_layer_and_its_config_are_what_the_manifest_says() {
        let (_folder, file) = opened(b"0123456789").await;
        let manifest = file.manifest(&file.target()).await.unwrap();
        let refs_registry::spec::Document::Image(image) = manifest.parse().unwrap() else { panic!("no image") };
        assert_eq!(read(file.blob(&image.config.digest, Resume::START).await.unwrap().stream).await.unwrap(), b"{}");
        let [layer] = image.layers.as_slice() else { panic!("{:?}", image.layers) };
        assert_eq!(read(file.blob(&layer.digest, Resume::START).await.unwrap().stream).await.unwrap(), b"0123456789");
        let part = file.blob_part(&layer.digest, 3..5).await.unwrap();
        assert_eq!((part.total, read(part.stream).await.unwrap()), (10, b"34".to_vec()));
        assert_eq!(file.stat_blob(&layer.digest).await.unwrap(), Some(10));
        assert_eq!(file.stat_blob(&Digest::sha256(b"x")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_that_changed_meanwhile_is_found_out() {
        let (folder, file) = opened(b"0123456789").await;
        std::fs::write(folder.path().join("layer"), b"0123456780").unwrap();
        let blob = file.blob(&Digest::sha256(b"0123456789"), Resume::START).await.unwrap();
        assert_eq!(read(blob.stream).await.unwrap_err().kind(), ErrorKind::Digest);
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = LayerFile::open(folder.path().join("none")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert_eq!(LayerFile::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
